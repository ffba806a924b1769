"""What the report of a run whose student writes is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.data.prompts import PromptData
from potstill.evaluation.generation import WrittenAssessment
from potstill.recipe.generative.recipe import GenerativeRecipe
from potstill.recipe.generative.teaching import Asked
from potstill.recipe.generative.translating import Translated
from potstill.recipe.telling import ROUGH_DEV
from potstill.report.generative import WrittenContent
from potstill.teachers.causal_lm import CausalLm, packaged_gguf
from potstill.types import Finding


def make_written_content(
    recipe: GenerativeRecipe,
    data: PromptData,
    asked: Asked,
    found: WrittenAssessment,
    tried: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    choice: Sequence[Finding],
    title: str,
    command: str,
    environment: Mapping[str, str],
    vocabulary: int,
) -> WrittenContent:
    """The content of the report; the bundle's digest is added when it is known."""
    caveats = []
    if len(data.dev) < ROUGH_DEV:
        caveats.append(Finding("small_dev_written", {"count": len(data.dev)}))
    return WrittenContent(
        title=title,
        assessment=found,
        counts={
            "train": len(data.train),
            "unlabelled": len(data.unlabelled),
            "dev": len(data.dev),
            "test": len(data.test),
        },
        findings=data.findings,
        caveats=caveats,
        choice=choice,
        trials=tried,
        spend={
            "asked": asked.capture.num_asked,
            "reused": asked.capture.num_reused,
            "cut_answers": sum(asked.capture.num_refused.values()),
            "cpu_seconds": asked.capture.cpu_seconds,
        },
        prefixes={
            "num_tokens": asked.prefixes.num_tokens,
            "share_reused": asked.prefixes.share_reused,
            "num_alone": asked.prefixes.num_alone,
        },
        student={
            "layers": recipe.student.layers,
            "vocabulary": vocabulary,
            "rows": len(data.train) + asked.num_usable,
            "origin": _origin(recipe),
        },
        digests={"data": data.digest, "recipe": recipe.digest()},
        command=command,
        environment=environment,
        licenses={"bundle": recipe.license} if recipe.license else {},
    )


def _origin(recipe: GenerativeRecipe) -> str:
    """What the student was cut from, where that is not the teacher."""
    if recipe.student.base:
        return Path(recipe.student.base).name
    return "" if isinstance(recipe.teacher, CausalLm) else packaged_gguf().name


def tell_choice(recipe: GenerativeRecipe, told: Translated, chosen: str) -> list[Finding]:
    """Which signal taught the student, and how much of it could be compared."""
    found = [Finding("chosen_signal", {"signal": chosen})] if recipe.training.signal == "auto" else []
    if told.num_compared:
        counts = told.to_json()
        share = f"{100 * counts['token_share']:.1f} %"
        values = {"rows": counts["num_rows"], "compared": counts["num_compared"], "share": share}
        found.append(Finding("compared_tokens", values))
    return found
