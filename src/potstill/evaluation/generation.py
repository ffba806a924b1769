"""Judges models that write: are the answers right, how likely are the wanted ones, how near to the teacher, how fast.

N test rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from potstill.evaluation.assessment import Comparison, Interval, Latency, Verdict
from potstill.evaluation.significance import bootstrap_means, gap_closed_interval, interval, mcnemar
from potstill.evaluation.written_form import WrittenForm, written_form
from potstill.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast one thread reads and writes, batch 1, in CPU time.

    Attributes:
        first_token_ms: median from the prompt to the first token.
        prefill_tokens_per_s: prompt tokens read.
        decode_tokens_per_s: tokens written after the first; None where no answer had a second one.
    """

    first_token_ms: float
    prefill_tokens_per_s: float
    decode_tokens_per_s: float | None


@dataclass(frozen=True, kw_only=True)
class WrittenContender:
    """One model with all that was measured of it before judging.

    Attributes:
        name: `teacher`, `student`, `control` or `baseline`.
        title: what it is.
        texts: N answers.
        nats_N: nats of the wanted answer, summed over its tokens; None where it can't be known.
        kl_N: mean nats a token from the teacher's distribution to its own at the wanted answer, NaN for rows that it
            cuts into other tokens; None where it can't be known.
        latency: of one answer.
        tokens_per_s: tokens that it writes in a second of one thread, batch 1, the reading of the prompt included.
        pace: reading and writing apart.
        size_bytes: in the form that would be shipped.
        num_parameters: None when nobody tells.
        curve: (step, train loss, dev nats a token).
    """

    name: str
    title: str
    texts: Sequence[str]
    nats_N: FloatArray | None = None
    kl_N: FloatArray | None = None
    latency: Latency | None = None
    tokens_per_s: float | None = None
    pace: Pace | None = None
    size_bytes: int | None = None
    num_parameters: int | None = None
    curve: Sequence[tuple[int, float, float]] = ()


@dataclass(frozen=True, kw_only=True)
class WrittenScores:
    """What one contender reached.

    Attributes:
        exact_match: share of answers that are the wanted one but for space around and between words.
        exact_match_ci: bootstrap interval.
        perplexity: of the wanted answers, a token of the teacher's; None where it can't be known.
        kl: mean nats a token from the teacher; None for the teacher and where it can't be known.
        num_kl_rows: rows that went into `kl`.
        agreement: share of answers that equal the teacher's.
        form: refusals, and fields where the wanted answers are JSON objects.
        name, title, latency, tokens_per_s, pace, size_bytes, num_parameters, curve: as in `WrittenContender`.
    """

    name: str
    title: str
    exact_match: float
    exact_match_ci: Interval
    perplexity: float | None
    kl: float | None
    num_kl_rows: int
    agreement: float | None
    form: WrittenForm
    latency: Latency | None
    tokens_per_s: float | None
    pace: Pace | None
    size_bytes: int | None
    num_parameters: int | None
    curve: Sequence[tuple[int, float, float]] = ()


@dataclass(frozen=True, kw_only=True)
class WrittenAssessment:
    """The whole finding; see `potstill.evaluation.assessment.Assessment` for the words."""

    num_test: int
    scores: tuple[WrittenScores, ...]
    comparisons: tuple[Comparison, ...]
    gap_closed: float | None
    gap_closed_ci: Interval | None
    verdict: Verdict
    baseline_wins: bool
    prompts: Sequence[str] = field(default_factory=tuple)
    wanted: Sequence[str] = field(default_factory=tuple)
    texts: dict[str, Sequence[str]] = field(default_factory=dict)

    def score(self, name: str) -> WrittenScores:
        """The scores of one contender."""
        return next(scores for scores in self.scores if scores.name == name)

    def against(self, name: str) -> Comparison:
        """The student against another."""
        return next(comparison for comparison in self.comparisons if comparison.other == name)


def plain(text: str) -> str:
    """An answer without the differences in space that nobody would call another answer."""
    return " ".join(text.split())


def matches(texts: Sequence[str], wanted: Sequence[str]) -> IntArray:
    """Whether each answer is the wanted one, bool, N."""
    return np.array([plain(a) == plain(b) for a, b in zip(texts, wanted, strict=True)], bool)


def assess_written(
    contenders: Sequence[WrittenContender],
    prompts: Sequence[str],
    wanted: Sequence[str],
    num_teacher_tokens: int,
    *,
    seed: int = 0,
) -> WrittenAssessment:
    """Scores every contender and compares the student with the others.

    Args:
        contenders: among them `student` and `control`.
        prompts: for the report.
        wanted: N right answers.
        num_teacher_tokens: tokens that the teacher cuts them into; perplexity is a token of these for everybody, so
            that tokenizers of another fineness compare.
        seed: of the bootstrap.
    """
    right = {c.name: matches(c.texts, wanted) for c in contenders}
    means = bootstrap_means(right, seed=seed)
    teacher = next((c for c in contenders if c.name == "teacher"), None)
    comparisons = tuple(_compare(c.name, right, means) for c in contenders if c.name != "student")
    gap, gap_ci = _gap(right, means)
    low, high = next(c for c in comparisons if c.other == "control").difference_ci
    verdict: Verdict = "gain" if low > 0 else "harm" if high < 0 else "no gain"
    return WrittenAssessment(
        num_test=len(wanted),
        scores=tuple(_score(c, right, means, teacher, num_teacher_tokens, wanted) for c in contenders),
        comparisons=comparisons,
        gap_closed=gap,
        gap_closed_ci=gap_ci,
        verdict=verdict,
        baseline_wins="baseline" in right and bool(right["baseline"].mean() >= right["student"].mean()),
        prompts=tuple(prompts),
        wanted=tuple(wanted),
        texts={c.name: tuple(c.texts) for c in contenders},
    )


def _score(
    contender: WrittenContender,
    right: dict[str, IntArray],
    means: dict[str, FloatArray],
    teacher: WrittenContender | None,
    num_teacher_tokens: int,
    wanted: Sequence[str],
) -> WrittenScores:
    nats = None if contender.nats_N is None else float(contender.nats_N.sum())
    known = np.zeros(0) if contender.kl_N is None else contender.kl_N[~np.isnan(contender.kl_N)]
    return WrittenScores(
        name=contender.name,
        title=contender.title,
        exact_match=float(right[contender.name].mean()),
        exact_match_ci=interval(means[contender.name]),
        # Beyond e^50 it says no more than that the answer was held for impossible.
        perplexity=None if nats is None else math.exp(min(nats / num_teacher_tokens, 50.0)),
        kl=float(known.mean()) if len(known) and contender.name != "teacher" else None,
        num_kl_rows=len(known),
        agreement=None if teacher is None else float(matches(contender.texts, teacher.texts).mean()),
        form=written_form(contender.texts, wanted),
        latency=contender.latency,
        tokens_per_s=contender.tokens_per_s,
        pace=contender.pace,
        size_bytes=contender.size_bytes,
        num_parameters=contender.num_parameters,
        curve=tuple(contender.curve),
    )


def _compare(other: str, right: dict[str, IntArray], means: dict[str, FloatArray]) -> Comparison:
    only_student, only_other, p_value = mcnemar(right["student"], right[other])
    return Comparison(
        other=other,
        difference=float(right["student"].mean() - right[other].mean()),
        difference_ci=interval(means["student"] - means[other]),
        p_value=p_value,
        only_student_right=only_student,
        only_other_right=only_other,
    )


def _gap(right: dict[str, IntArray], means: dict[str, FloatArray]) -> tuple[float | None, Interval | None]:
    if "teacher" not in right:
        return None, None
    gap = float(right["teacher"].mean() - right["control"].mean())
    if gap == 0:
        return None, None
    closed = float(right["student"].mean() - right["control"].mean()) / gap
    return closed, gap_closed_interval(means["student"], means["control"], means["teacher"])


def truncated_kl(teacher_logprobs_AK: FloatArray, student_logprobs_AK: FloatArray) -> FloatArray:
    """KL from teacher to student in nats over the K kept tokens and one bucket for all others, A.

    A lower bound of the full divergence: what is inside the bucket isn't told apart.

    Args:
        teacher_logprobs_AK: of the kept tokens; -inf for an empty place.
        student_logprobs_AK: at the same tokens; the smallest for tokens that the student lacks must be finite.
    """
    p, q = np.exp(teacher_logprobs_AK.astype(np.float64)), np.exp(student_logprobs_AK.astype(np.float64))
    p_tail, q_tail = (np.clip(1 - x.sum(1), 1e-9, 1.0) for x in (p, q))
    kept = np.where(p > 0, p * (np.log(np.maximum(p, 1e-30)) - np.log(np.maximum(q, 1e-30))), 0.0)
    found: FloatArray = kept.sum(1) + p_tail * (np.log(p_tail) - np.log(q_tail))
    return found


def written_line(assessment: WrittenAssessment) -> dict[str, Any]:
    """Figures of all contenders and the verdict as JSON values, with the keys of every result line."""
    control = assessment.against("control")
    line: dict[str, Any] = {
        "schema_version": 1,
        "kind": "generative",
        "num_test": assessment.num_test,
        "verdict": assessment.verdict,
        "gap_closed": assessment.gap_closed,
        "gap_closed_ci": list(assessment.gap_closed_ci) if assessment.gap_closed_ci else None,
        "difference": control.difference,
        "difference_ci": list(control.difference_ci),
        "p_value": control.p_value,
        "agreement": assessment.score("student").agreement,
        "baseline_wins": assessment.baseline_wins,
        "against": {
            c.other: {"difference": c.difference, "difference_ci": list(c.difference_ci), "p_value": c.p_value}
            for c in assessment.comparisons
        },
    }
    for scores in assessment.scores:
        line[scores.name] = _line_of(scores)
    return line


def _line_of(scores: WrittenScores) -> dict[str, Any]:
    latency = scores.latency
    return {
        "title": scores.title,
        "accuracy": scores.exact_match,
        "accuracy_ci": list(scores.exact_match_ci),
        "exact_match": scores.exact_match,
        "perplexity": scores.perplexity,
        "kl": scores.kl,
        "num_kl_rows": scores.num_kl_rows,
        "tokens_per_s": scores.tokens_per_s,
        "pace": asdict(scores.pace) if scores.pace else None,
        **asdict(scores.form),
        "agreement": scores.agreement,
        "size_bytes": scores.size_bytes,
        "num_parameters": scores.num_parameters,
        "latency_ms": {
            "p50": latency.p50,
            "p95": latency.p95,
            "model_p50": latency.model_p50,
            "threads": latency.threads,
        }
        if latency
        else None,
    }
