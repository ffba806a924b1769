"""What a report tells, as plain data: an assessment and the facts of the run around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.evaluation.assessment import Assessment
from potstill.types import Finding, Input


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionFact:
    """One precision that the student could be shipped in.

    Attributes:
        precision: `fp32`, `int8_weights` or `int8`.
        size_bytes: of the model file.
        latency_ms: median of the model alone, batch 1, 1 thread.
        agreement: share of the rows where its answer equals that of fp32.
        accuracy_change: on labelled dev rows, against fp32.
        mean_kl: nats from fp32's probabilities to its own.
        passed: within the limits on all three.
        chosen: this one is in the bundle.
    """

    precision: str
    size_bytes: int
    latency_ms: float
    agreement: float
    accuracy_change: float
    mean_kl: float
    passed: bool
    chosen: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SpendFact:
    """What the teacher's answers cost in this run.

    Attributes:
        num_asked: rows asked for anew.
        num_reused: rows whose answers were kept from an earlier run.
        num_refused: rows without a usable answer, by reason.
        num_calls: calls made.
        num_tokens: tokens billed.
        cost: money spent, in the currency of the price given.
        teacher_cost_per_1000: of asking the teacher 1,000 times; None for a local model without a price.
        cpu_seconds: CPU time of the capture.
    """

    num_asked: int
    num_reused: int
    num_refused: Mapping[str, int]
    num_calls: int = 0
    num_tokens: int = 0
    cost: float = 0.0
    teacher_cost_per_1000: float | None = None
    cpu_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SoftLabel:
    """One row that the student learned from, with the teacher's soft label.

    Attributes:
        value: the input; a view of it where it is a picture or a sound.
        label: its true label, empty where nobody gave one.
        said: (class, probability), the likeliest first.
    """

    value: Input
    label: str
    said: Sequence[tuple[str, float]]


@dataclass(frozen=True, kw_only=True)
class PassedOn:
    """What the teacher told the student beyond the label: which classes are alike.

    Attributes:
        likenesses: (class, (other class, mean probability) of the likeliest others) over the rows that are of the
            class, or that the teacher takes for it; the class with the most to tell first.
        examples: rows where the teacher saw a likeness.
        views: of a few pictures or sounds: the input itself and what became of it, each with its own soft label.
    """

    likenesses: Sequence[tuple[str, Sequence[tuple[str, float]]]] = ()
    examples: Sequence[SoftLabel] = ()
    views: Sequence[Sequence[SoftLabel]] = ()


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """All that a report needs.

    Attributes:
        title: name of the run.
        assessment: the finding.
        test_inputs: inputs of the test rows, in the order of the assessment's rows.
        counts: how many rows of each kind the run had, by name (`train`, `dev`, `test`, `unlabelled`, ...).
        findings: what was noticed about the data and what was done about it.
        trials: contender name -> the settings that were tried with their dev results (see `TrialResult.summary`).
        precisions: the precisions that were tried for the bundle.
        spend: of the teacher.
        choice: why this student was taken.
        digests: name (`data`, `teacher`, `recipe`, `bundle`) -> SHA-256.
        command: the shell command that makes this run again.
        environment: versions and machine, as text by name.
        caveats: what a reader must know before trusting the figures.
        licenses: name of a part (model, data) -> licence, where known.
        passed_on: what the teacher told beyond the labels.
        sample_rate: of inputs that are sounds, in Hz; 0 for others.
    """

    title: str
    assessment: Assessment
    test_inputs: Sequence[Input]
    counts: Mapping[str, int]
    findings: Sequence[Finding]
    trials: Mapping[str, Sequence[Mapping[str, Any]]]
    precisions: Sequence[PrecisionFact]
    spend: SpendFact
    choice: Sequence[Finding]
    digests: Mapping[str, str]
    command: str
    environment: Mapping[str, str]
    caveats: Sequence[Finding] = ()
    licenses: Mapping[str, str] | None = None
    passed_on: PassedOn = PassedOn()
    sample_rate: int = 0
