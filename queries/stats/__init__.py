"""Statistics of the analyses: NumPy and SciPy only; arrays in, arrays out; chance enters as a generator."""
