"""What a run tells its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from potstill.data import Data
from potstill.evaluation.metrics import accuracy
from potstill.recipe.choice import Choice
from potstill.recipe.field import Field
from potstill.recipe.judging import Judgement
from potstill.recipe.passing_on import passed_on
from potstill.recipe.recipe import Recipe
from potstill.recipe.seeds import SeedPairs
from potstill.recipe.teaching import Teaching
from potstill.report import ReportContent, SpendFact
from potstill.types import Finding

ROUGH_DEV = 50


@dataclass(frozen=True, kw_only=True)
class Told:
    """All that happened before judging.

    Attributes:
        recipe: of the run.
        data: of the run.
        first: the round in which dev chose.
        last: the round that ships; the same one without a refit.
        field: everybody who was trained.
        choice: of the student.
        pairs: of all seeds.
    """

    recipe: Recipe
    data: Data
    first: Teaching
    last: Teaching
    field: Field
    choice: Choice
    pairs: SeedPairs

    @property
    def spend(self) -> SpendFact:
        """What the teacher's answers cost, both rounds together."""
        captures = [self.last.capture] if self.first is self.last else [self.first.capture, self.last.capture]
        refused: Counter[str] = Counter()
        for found in captures:
            refused.update(found.num_refused)
        num_calls, cost = sum(c.num_calls for c in captures), sum(c.cost for c in captures)
        return SpendFact(
            num_asked=sum(c.num_asked for c in captures),
            num_reused=sum(c.num_reused for c in captures),
            num_refused=dict(refused),
            num_calls=num_calls,
            num_tokens=sum(c.num_tokens for c in captures),
            cost=cost,
            teacher_cost_per_1000=1000 * cost / num_calls if num_calls else None,
            cpu_seconds=round(sum(c.cpu_seconds for c in captures), 1),
        )


def make_content(
    told: Told, found: Judgement, title: str, command: str, environment: Mapping[str, str]
) -> ReportContent:
    """The content of the report; the bundle's digest and licences are added when they are known."""
    data, last = told.data, told.last
    inside = (last.test.labels >= 0).any(1)
    return ReportContent(
        title=title,
        assessment=found.assessment,
        test_inputs=last.test.take(np.flatnonzero(inside)).inputs,
        counts={
            "train": len(told.first.train),
            "unlabelled": len(data.unlabelled),
            "dev": len(told.first.dev),
            "test": found.assessment.num_test,
            "out_of_scope_test": int((~inside).sum()),
        },
        findings=data.findings,
        trials={name: [result.summary() for result in results] for name, results in told.field.trials.items()},
        precisions=found.precisions,
        spend=told.spend,
        choice=told.choice.reasons,
        digests={"data": data.digest, "teacher": last.identity_digest, "recipe": told.recipe.digest()},
        command=command,
        environment=environment,
        caveats=_caveats(told),
        passed_on=passed_on(last.student, last.taught),
        sample_rate=last.sample_rate if data.options.modality == "audio" else 0,
    )


def _caveats(told: Told) -> list[Finding]:
    found = []
    if told.recipe.teacher.kind == "recorded" and _is_always_right(told.last):
        found.append(Finding("labels_are_answers", {}))
    if told.last.num_unknown_test:
        found.append(Finding("unknown_test", {"count": told.last.num_unknown_test}))
    if len(told.first.dev) < ROUGH_DEV:
        found.append(Finding("small_dev", {"count": len(told.first.dev)}))
    if told.first is not told.last:
        found.append(Finding("refitted", {"count": len(told.first.dev)}))
    if len(told.pairs.accuracies) > 1:
        listed = ", ".join(f"{100 * s:.1f} / {100 * c:.1f} %" for _, s, c in told.pairs.accuracies)
        low, high = told.pairs.difference_ci
        values = {
            "count": len(told.pairs.accuracies),
            "pairs": listed,
            "difference": f"{100 * told.pairs.difference:+.1f}",
        }
        found.append(Finding("seeds", {**values, "low": f"{100 * low:+.1f}", "high": f"{100 * high:+.1f}"}))
    return found


def _is_always_right(teaching: Teaching) -> bool:
    """Whether the teacher's answers can't be told from the labels, as where they are the labels."""
    inside = (teaching.test.labels >= 0).any(1)
    return accuracy(teaching.test_logits[inside], teaching.test.labels[inside], teaching.schema) == 1
