"""What several analyses do with Polars: read the rows of a view as arrays, lay out a table, judge sets of neurons."""
