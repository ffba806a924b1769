"""The report as Markdown, and the model card."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from potstill.report import tables
from potstill.report.content import ReportContent
from potstill.report.likeness import likenesses
from potstill.report.words import Words


def markdown(content: ReportContent, words: Words) -> str:
    """The figures and findings of the page, without plots and single rows."""
    parts = [f"# {plain_line(words('title', title=content.title))}", "", *_paragraphs(tables.verdict(content, words))]
    if content.caveats:
        parts += [f"## {words('caveats')}", *items_lines([words.finding(f) for f in content.caveats])]
    parts += [f"## {words('contenders')}", *table_lines(tables.contenders(content, words))]
    if content.assessment.gain_parts:
        parts += [f"## {words('gain_parts')}", *table_lines(tables.gain_parts(content, words))]
    if content.passed_on.likenesses:
        parts += [f"## {words('likeness')}", "", words("likeness_note"), *table_lines(likenesses(content, words))]
    found = [words.finding(finding) for finding in content.findings] or [words("nothing_found")]
    parts += [f"## {words('data')}", *table_lines(tables.counts(content, words)), *items_lines(found)]
    parts += [f"## {words('spend')}", *table_lines(tables.spend(content, words))]
    parts += [f"## {words('precisions')}", *table_lines(tables.precisions(content, words))]
    parts += [f"## {words('trials')}"]
    for name in content.trials:
        parts += [f"### {plain_line(words.contender(name, name))}", *table_lines(tables.trials(content, words, name))]
    if content.choice:
        parts += [f"## {words('choice')}", *items_lines([words.finding(f) for f in content.choice])]
    parts += [f"## {words('provenance')}", words("command"), "", f"    {plain_line(content.command)}", ""]
    parts += table_lines(tables.provenance(content, words))
    parts += [f"## {words('glossary')}", *table_lines(tables.glossary(words))]
    return "\n".join(parts) + "\n"


def model_card(content: ReportContent, words: Words) -> str:
    """What somebody who gets only the bundle has to know."""
    parts = [f"# {words('model_card')}: {plain_line(content.title)}", "", *_paragraphs(tables.card(content, words))]
    parts += [*_paragraphs(tables.verdict(content, words)), *table_lines(tables.contenders(content, words))]
    for field in content.assessment.schema.fields:
        parts += [f"## {words('class')}: {plain_line(field.name)}", "", plain_line(", ".join(field.classes)), ""]
    return "\n".join(parts) + "\n"


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in (plain_line(text), "")]


def items_lines(texts: Sequence[str]) -> list[str]:
    """A list of plain texts."""
    return ["", *(f"- {plain_line(text)}" for text in texts), ""]


def table_lines(found: tables.Table) -> list[str]:
    """A table of plain texts."""
    header, rows = found
    lines = ["| " + " | ".join(map(_cell, cells)) + " |" for cells in (header, *rows)]
    return ["", lines[0], "|" + "---|" * len(header), *lines[1:], ""]


def _cell(text: str) -> str:
    return plain_line(text).replace("|", "\\|")


def plain_line(text: str) -> str:
    """One line, without markup that a viewer would act on."""
    text = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text)
    return text.replace("<", "&lt;").replace("`", "'") if "<" in text else text
