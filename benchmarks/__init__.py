"""Measurements. Each module here has a `name` and a `run() -> Table`, and its table goes to the README.

`python -m benchmarks` runs them all, `python -m benchmarks startup` runs one. Time is measured here and
never decides whether a test passes.
"""
