"""Measured calibration: lakes whose truth is known go through the real pipeline, and intervals and tests are counted.

`worlds` says what is true, `lakes` draws a corpus from it and imports it, `studies` says which numbers of which
analysis are held against the truth, `runs` does so resumably, `rates` counts, `page` writes docs/calibration.md.
`python -m calibration --help` is the command line.
"""
