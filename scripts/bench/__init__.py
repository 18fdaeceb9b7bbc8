"""Benchmarks of rt beside the tools that people use today; `python -m scripts.bench --help`."""
