"""Reports: the answers of the analyses as one Markdown file with figures, tables and, if wished, one HTML page.

`reports.report` writes one, `reports.output` prints or writes a single table. Nothing here computes a statistic or
knows an analysis by name: what a page says comes from `queries`.
"""
