"""The section on what the teacher told beyond the labels."""

from __future__ import annotations

from collections.abc import Sequence

from potstill.report import figures
from potstill.report.content import ReportContent, SoftLabel
from potstill.report.inputs import shown
from potstill.report.markup import details, escape, paragraph, section, table, tag
from potstill.report.tables import Table
from potstill.report.words import Words


def likenesses(content: ReportContent, words: Words) -> Table:
    """Class, and the classes that the teacher sees in it."""
    rows = [[name, _listed(others)] for name, others in content.passed_on.likenesses]
    return [words("class"), words("seen_in_it")], rows


def likeness(content: ReportContent, words: Words) -> str:
    """Which classes are alike to the teacher, with rows that show it and their views; empty when it said nothing."""
    passed = content.passed_on
    if not passed.likenesses:
        return ""
    parts = [paragraph(words("likeness_note")), table(*likenesses(content, words), caption=words("likeness_caption"))]
    header = [words("input"), words("true_label"), words("soft_label")]
    rows = [
        [shown(e.value, content.sample_rate), escape(e.label or "-"), escape(_listed(e.said))] for e in passed.examples
    ]
    if rows:
        parts.append(details(words("likeness_rows"), table(header, rows, caption=words("likeness_rows"), raw=True)))
    if passed.views:
        drawn = [
            tag("div", *(_card(view, content.sample_rate) for view in views), class_="views") for views in passed.views
        ]
        parts.append(details(words("views"), paragraph(words("views_note")), *drawn))
    return section("likeness", words("likeness"), *parts)


def _card(view: SoftLabel, sample_rate: int) -> str:
    return tag("div", shown(view.value, sample_rate), tag("p", escape(_listed(view.said))))


def _listed(said: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {figures.number(share, 2)}" for name, share in said)
