"""Reports: the answers of the analyses as one Markdown file with figures, tables and, if wished, one HTML page.

Nothing here computes a statistic or knows an analysis by name: what a page says comes from `queries`.
"""

from reports.provenance import Source
from reports.report import Report, write_report

__all__ = ["Report", "Source", "write_report"]
