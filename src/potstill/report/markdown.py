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
    parts = [f"# {_plain(words('title', title=content.title))}", "", *_paragraphs(tables.verdict(content, words))]
    if content.caveats:
        parts += [f"## {words('caveats')}", *_items([words.finding(f) for f in content.caveats])]
    parts += [f"## {words('contenders')}", *_table(tables.contenders(content, words))]
    if content.assessment.gain_parts:
        parts += [f"## {words('gain_parts')}", *_table(tables.gain_parts(content, words))]
    if content.passed_on.likenesses:
        parts += [f"## {words('likeness')}", "", words("likeness_note"), *_table(likenesses(content, words))]
    found = [words.finding(finding) for finding in content.findings] or [words("nothing_found")]
    parts += [f"## {words('data')}", *_table(tables.counts(content, words)), *_items(found)]
    parts += [f"## {words('spend')}", *_table(tables.spend(content, words))]
    parts += [f"## {words('precisions')}", *_table(tables.precisions(content, words))]
    parts += [f"## {words('trials')}"]
    for name in content.trials:
        parts += [f"### {_plain(words.contender(name, name))}", *_table(tables.trials(content, words, name))]
    if content.choice:
        parts += [f"## {words('choice')}", *_items([words.finding(f) for f in content.choice])]
    parts += [f"## {words('provenance')}", words("command"), "", f"    {_plain(content.command)}", ""]
    parts += _table(tables.provenance(content, words))
    parts += [f"## {words('glossary')}", *_table(tables.glossary(words))]
    return "\n".join(parts) + "\n"


def model_card(content: ReportContent, words: Words) -> str:
    """What somebody who gets only the bundle has to know."""
    parts = [f"# {words('model_card')}: {_plain(content.title)}", "", *_paragraphs(tables.card(content, words))]
    parts += [*_paragraphs(tables.verdict(content, words)), *_table(tables.contenders(content, words))]
    for field in content.assessment.schema.fields:
        parts += [f"## {words('class')}: {_plain(field.name)}", "", _plain(", ".join(field.classes)), ""]
    return "\n".join(parts) + "\n"


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in (_plain(text), "")]


def _items(texts: Sequence[str]) -> list[str]:
    return ["", *(f"- {_plain(text)}" for text in texts), ""]


def _table(found: tables.Table) -> list[str]:
    header, rows = found
    lines = ["| " + " | ".join(map(_cell, cells)) + " |" for cells in (header, *rows)]
    return ["", lines[0], "|" + "---|" * len(header), *lines[1:], ""]


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """One line, without markup that a viewer would act on."""
    text = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text)
    return text.replace("<", "&lt;").replace("`", "'") if "<" in text else text
