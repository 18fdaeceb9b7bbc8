"""The lake: its tables, its files, its manifest, and a DuckDB connection that reads them."""
