"""Writes a report: a page, Markdown, a model card, and JSON to write them again from."""

from __future__ import annotations

from pathlib import Path

from potstill.files import write_atomic
from potstill.report.content import ReportContent
from potstill.report.markdown import markdown, model_card
from potstill.report.page import TRY, page
from potstill.report.storage import JSON, save_content
from potstill.report.words import Words


def write_report(folder: Path, content: ReportContent, *, language: str = "en") -> dict[str, Path]:
    """Writes all forms into a folder and returns where each is.

    Args:
        folder: of the report; made when it is missing.
        content: what it tells.
        language: `en` or `ko`.

    Raises:
        ConfigurationError: another language.
    """
    words = Words(language)
    save_content(folder, content)
    texts = {
        "html": ("report.html", page(content, words, has_try=(folder / TRY).exists())),
        "markdown": ("report.md", markdown(content, words)),
        "model_card": ("model_card.md", model_card(content, words)),
    }
    for name, text in texts.values():
        write_atomic(folder / name, text.encode())
    return {**{kind: folder / name for kind, (name, _) in texts.items()}, "json": folder / JSON}
