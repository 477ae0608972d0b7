"""How good a network is: its metrics, its calibration, its plots, and where it is right."""
