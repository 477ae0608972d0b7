"""Evaluation of a network: its metrics, its calibration, its plots, and its accuracy by kind of example."""
