"""Whole files: `python -m app score` answers every row of a table, on the engine or by a running service.

It runs engines and tasks without HTTP; only `service.py`, for `--url`, is a client of HTTP. `run.score` is the way in.
"""
