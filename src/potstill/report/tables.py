"""The tables of a report as rows of text, the same for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from potstill.report import figures
from potstill.report.analysis import is_uneven, ratios, setting_names
from potstill.report.content import ReportContent
from potstill.report.words import Words

Table = tuple[list[str], list[list[str]]]
"""Header and rows."""


def verdict(content: ReportContent, words: Words) -> list[str]:
    """The sentences at the top."""
    assessment = content.assessment
    against = next(c for c in assessment.comparisons if c.other == "control")
    student, control = assessment.score("student"), assessment.score("control")
    said = [
        words(
            f"verdict_{assessment.verdict}",
            student=figures.percent(student.accuracy),
            control=figures.percent(control.accuracy),
            count=figures.whole(assessment.num_test),
            difference=figures.points(against.difference),
            low=figures.points(against.difference_ci[0]),
            high=figures.points(against.difference_ci[1]),
            p=figures.probability(against.p_value),
        )
    ]
    difference, ends = against.balanced_difference, against.balanced_difference_ci
    if difference is not None and ends and is_uneven(assessment):
        said.append(words("verdict_balanced", difference=figures.points(difference), ci=figures.interval(ends)))
    if assessment.gap_closed is not None and assessment.gap_closed_ci is not None:
        gap = figures.percent(assessment.gap_closed, 0)
        said.append(words("gap_closed", gap=gap, ci=figures.interval(assessment.gap_closed_ci)))
    elif any(score.name == "teacher" for score in assessment.scores):
        said.append(words("gap_open"))
    if assessment.baseline_wins:
        said.append(words("baseline_wins", baseline=figures.percent(assessment.score("baseline").accuracy)))
    measured = ratios(assessment) if any(score.name == "teacher" for score in assessment.scores) else None
    if measured:
        said.append(words("smaller", size=f"{measured[0]:.1f}", speed=f"{measured[1]:.1f}"))
    return said


def contenders(content: ReportContent, words: Words) -> Table:
    """All that was measured of every contender."""
    names = (
        "name",
        "accuracy",
        "interval",
        "balanced_accuracy",
        "macro_f1",
        "nll",
        "ece",
        "size",
        "parameters",
        "latency",
        "memory",
    )
    rows = []
    for score in content.assessment.scores:
        latency = score.latency
        rows.append(
            [
                words.contender(score.name, score.title),
                figures.percent(score.accuracy),
                figures.interval(score.accuracy_ci),
                figures.percent(score.balanced_accuracy),
                figures.number(score.macro_f1),
                figures.number(score.nll),
                figures.number(score.ece),
                figures.size(score.size_bytes),
                figures.whole(score.num_parameters),
                f"{latency.p50:.3f} / {latency.p95:.3f} ms" if latency else "-",
                figures.size(score.peak_memory_bytes),
                figures.percent(score.agreement),
            ]
        )
    return [*map(words, names), words("agreement")], rows


def gain_parts(content: ReportContent, words: Words) -> Table:
    """Each step from the control to the student."""
    rows = [
        [words(name), figures.points(difference), figures.interval(ci)]
        for name, difference, ci in content.assessment.gain_parts
    ]
    return [words("step"), words("difference"), words("interval")], rows


def precisions(content: ReportContent, words: Words) -> Table:
    """The three precisions."""
    header = [
        words(n) for n in ("precision", "size", "model_latency", "agreement", "change", "mean_kl", "passed", "chosen")
    ]
    # Here the comparison is with fp32, and the header of `agreement` would name the teacher.
    header[3] = "= fp32"
    rows = [
        [
            fact.precision,
            figures.size(fact.size_bytes),
            f"{fact.latency_ms:.3f} ms",
            figures.percent(fact.agreement, 2),
            figures.points(fact.accuracy_change),
            f"{fact.mean_kl:.5f}",
            words("yes" if fact.passed else "no"),
            words("yes" if fact.chosen else "no"),
        ]
        for fact in content.precisions
    ]
    return header, rows


def spend(content: ReportContent, words: Words) -> Table:
    """What the answers cost."""
    found = content.spend
    rows = [
        [words("asked"), figures.whole(found.num_asked)],
        [words("reused"), figures.whole(found.num_reused)],
        [words("calls"), figures.whole(found.num_calls)],
        [words("tokens"), figures.whole(found.num_tokens)],
        [words("cost"), figures.number(found.cost, 4)],
        [words("cpu_seconds"), figures.number(found.cpu_seconds, 1)],
        [words("cost_teacher"), figures.number(found.teacher_cost_per_1000, 4)],
        [words("cost_student"), "0"],
    ]
    for score in content.assessment.scores:
        if score.name in ("teacher", "student") and score.latency:
            # Milliseconds a call are seconds a thousand.
            rows.append([words("cpu_per_1000", name=words(score.name)), figures.number(score.latency.p50, 3)])
    rows += [[f"{words('refused')}: {reason}", figures.whole(count)] for reason, count in found.num_refused.items()]
    return [words("setting"), words("value")], rows


def trials(content: ReportContent, words: Words, name: str) -> Table:
    """The settings tried for one contender."""
    listed = content.trials[name]
    varied = setting_names(listed)
    header = [words("setting"), *varied, words("dev_nll"), words("dev_accuracy"), words("step"), "|∇KD| / |∇CE|"]
    rows = [
        [
            str(trial["name"]),
            *(f"{trial[s]:g}" if isinstance(trial[s], float) else str(trial[s]) for s in varied),
            figures.number(trial["dev_nll"], 4),
            figures.percent(trial["dev_accuracy"]),
            f"{trial['best_step']} / {trial['steps_done']}",
            figures.number(trial["gradient_ratio"], 2),
        ]
        for trial in listed
    ]
    return header, rows


def counts(content: ReportContent, words: Words) -> Table:
    """Rows by part."""
    rows = [
        [words(f"count_{name}") if words.has(f"count_{name}") else name, figures.whole(count)]
        for name, count in content.counts.items()
    ]
    return [words("data"), words("rows")], rows


def provenance(content: ReportContent, words: Words) -> Table:
    """Digests and environment."""
    rows = [[words("digest", name=name), value] for name, value in content.digests.items()]
    rows += [[name, value] for name, value in content.environment.items()]
    return [words("environment"), words("value")], rows


def card(content: ReportContent, words: Words) -> list[str]:
    """The sentences of the model card."""
    assessment = content.assessment
    chosen = next((fact.precision for fact in content.precisions if fact.chosen), "fp32")
    num_classes = sum(len(field.classes) for field in assessment.schema.fields)
    titles = {score.name: score.title for score in assessment.scores}
    said = [
        words("card_what", classes=num_classes, teacher=titles.get("teacher", words("teacher")), precision=chosen),
        words("card_use"),
        words("card_limits", count=figures.whole(assessment.num_test)),
    ]
    licenses = content.licenses or {}
    said += [words("card_license", part=part, license=name) for part, name in licenses.items()]
    return said if licenses else [*said, words("card_no_license")]


def glossary(words: Words) -> Table:
    """The words of the report."""
    pairs: Sequence[tuple[str, str]] = (
        ("teacher", "gloss_teacher"),
        ("student", "gloss_student"),
        ("control", "gloss_control"),
        ("gloss_words", "gloss_soft"),
        ("gloss_temperature_word", "gloss_temperature"),
        ("nll", "gloss_nll"),
        ("ece", "gloss_ece"),
        ("gloss_gap_word", "gloss_gap"),
    )
    return [words("glossary"), ""], [[words(word), words(meaning)] for word, meaning in pairs]
