"""The report: what was kept, what was lost, and against what."""

from potstill.report.content import PassedOn, PrecisionFact, ReportContent, SoftLabel, SpendFact
from potstill.report.storage import load_content
from potstill.report.words import sentence
from potstill.report.write import write_report

__all__ = [
    "PassedOn",
    "PrecisionFact",
    "ReportContent",
    "SoftLabel",
    "SpendFact",
    "load_content",
    "sentence",
    "write_report",
]
