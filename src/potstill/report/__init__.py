"""The report: what was kept, what was lost, and against what."""

from potstill.report.content import PrecisionFact, ReportContent, SpendFact
from potstill.report.write import write_report

__all__ = ["PrecisionFact", "ReportContent", "SpendFact", "write_report"]
