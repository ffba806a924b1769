"""What an evaluation finds, as plain data: the report, the result line and the gates read nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from potstill.types import FloatArray, IntArray, LabelSchema

Verdict = Literal["gain", "no gain", "harm"]
Interval = tuple[float, float]
"""Lower and upper end of a 95 % interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Time of one `predict` of one input, preprocessing included, in milliseconds of thread CPU time.

    Attributes:
        p50: median.
        p95: 95th percentile.
        threads: threads that the backend was allowed.
        model_p50: median of the model alone, without preprocessing.
        num_calls: calls that were timed.
    """

    p50: float
    p95: float
    threads: int
    model_p50: float
    num_calls: int


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One predictor that takes part, with all that was measured of it before judging.

    Attributes:
        name: `teacher`, `student`, `control`, `baseline`, or another name for a further control.
        title: what it is, in a few words ("convolutional student, 0.54 M parameters").
        dev_logits: float32, N_dev x C, before calibration.
        test_logits: float32, N_test x C, before calibration.
        num_parameters: None when nobody tells.
        size_bytes: size on disk in the form that would be shipped; None for an API.
        latency: None where it can't be measured the same way.
        peak_memory_bytes: resident memory after prediction in a fresh process; None where it was not measured.
        curve: (step, train loss, dev NLL) for the learning curves.
        notes: settings worth showing, as text.
    """

    name: str
    title: str
    dev_logits: FloatArray
    test_logits: FloatArray
    num_parameters: int | None = None
    size_bytes: int | None = None
    latency: Latency | None = None
    peak_memory_bytes: int | None = None
    curve: tuple[tuple[int, float, float], ...] = ()
    notes: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """One bin of a reliability diagram: mean confidence against the share that was right."""

    confidence: float
    accuracy: float
    num_rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """Precision, recall and F1 of one class of one field on the test rows."""

    field: str
    label: str
    precision: float
    recall: float
    f1: float
    num_rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfScope:
    """Rejecting what belongs to no class, by a score threshold that keeps 95 % of the in-scope dev rows.

    Attributes:
        score: `energy` or `max_logit`, whichever separates better on dev when dev holds such rows, else `energy`.
        threshold: rows that score below are refused.
        recall: share of the out-of-scope test rows that were refused.
        recall_at_95: the same if the threshold kept exactly 95 % of the in-scope test rows, as published figures do.
        in_scope_kept: share of the in-scope test rows that were not.
        auroc: area under the ROC curve on test.
    """

    score: Literal["energy", "max_logit"]
    threshold: float
    recall: float
    recall_at_95: float
    in_scope_kept: float
    auroc: float


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one contender reached on the test rows.

    Attributes:
        name: the contender's name.
        title: the contender's title.
        accuracy: share of rows with every field right.
        accuracy_ci: bootstrap interval.
        balanced_accuracy: mean recall over the classes of all fields.
        balanced_accuracy_ci: bootstrap interval; None where a row has several labels.
        macro_f1: mean F1 over the classes of all fields.
        nll: nats a row after temperature, fields summed.
        nll_raw: before temperature.
        ece: expected calibration error after temperature (15 equal-width bins; fields averaged).
        ece_raw: before temperature.
        temperatures: one a field, fitted on dev.
        agreement: share of test rows where its answer equals the teacher's; 1 for the teacher, None without one.
        classes: per-class scores.
        reliability: before and after temperature.
        out_of_scope: None when the test holds no such rows.
        num_parameters, size_bytes, latency, peak_memory_bytes, curve, notes: as in `Contender`.
    """

    name: str
    title: str
    accuracy: float
    accuracy_ci: Interval
    balanced_accuracy: float
    balanced_accuracy_ci: Interval | None
    macro_f1: float
    nll: float
    nll_raw: float
    ece: float
    ece_raw: float
    temperatures: tuple[float, ...]
    agreement: float | None
    classes: tuple[ClassScore, ...]
    reliability_raw: tuple[ReliabilityBin, ...]
    reliability: tuple[ReliabilityBin, ...]
    out_of_scope: OutOfScope | None
    num_parameters: int | None
    size_bytes: int | None
    latency: Latency | None
    peak_memory_bytes: int | None
    curve: tuple[tuple[int, float, float], ...]
    notes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The student against one other contender on the same test rows.

    Attributes:
        other: name of the other one.
        difference: accuracy of the student minus the other's.
        difference_ci: paired bootstrap interval.
        p_value: exact McNemar test, two-sided.
        only_student_right: rows.
        only_other_right: rows.
        balanced_difference: the difference of balanced accuracies; None where a row has several labels or none.
        balanced_difference_ci: paired bootstrap interval.
    """

    other: str
    difference: float
    difference_ci: Interval
    p_value: float
    only_student_right: int
    only_other_right: int
    balanced_difference: float | None = None
    balanced_difference_ci: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """The whole finding.

    Attributes:
        schema: what was predicted.
        num_test: in-scope test rows.
        scores: teacher, student, control, baseline, further ones, in this order.
        comparisons: the student against each of the others.
        gap_closed: (student - control) / (teacher - control); None when teacher and control are equal.
        gap_closed_ci: paired bootstrap interval; None when the denominator is too near 0 to mean anything.
        verdict: `gain` or `harm` when the interval of student - control excludes 0, else `no gain`.
        baseline_wins: the cheap baseline is as accurate as the student or better.
        gain_parts: where the gain came from: named steps with their accuracy difference and interval (for example
            "unlabelled rows with hard labels" against control, "soft instead of hard labels").
        test_labels: int32, N_test x L.
        test_answers: contender name -> int32, N_test x L, its answers.
        test_confidence: contender name -> float32, N_test, its calibrated confidence.
    """

    schema: LabelSchema
    num_test: int
    scores: tuple[Scores, ...]
    comparisons: tuple[Comparison, ...]
    gap_closed: float | None
    gap_closed_ci: Interval | None
    verdict: Verdict
    baseline_wins: bool
    gain_parts: tuple[tuple[str, float, Interval], ...]
    test_labels: IntArray
    test_answers: Mapping[str, IntArray]
    test_confidence: Mapping[str, FloatArray]

    def score(self, name: str) -> Scores:
        """The scores of one contender."""
        return next(scores for scores in self.scores if scores.name == name)
