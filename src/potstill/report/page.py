"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import math

from potstill.report import figures, tables
from potstill.report.analysis import (
    GROUPS,
    confusion_matrix,
    disagreements,
    f1_changes,
    label_text,
    top_confusions,
)
from potstill.report.content import ReportContent
from potstill.report.inputs import shown
from potstill.report.likeness import likeness
from potstill.report.markup import details, escape, items, paragraph, section, table, tag
from potstill.report.plots import Series, bars, plot
from potstill.report.style import STYLE
from potstill.report.words import Words

NUM_BARS = 12
# A player needs the whole sound inside the page.
NUM_SOUNDS = 8


# A page beside the report that runs the student, where somebody asked for it.
TRY = "try.html"


def page(content: ReportContent, words: Words, *, has_try: bool = False) -> str:
    """The whole page; with `has_try` it links to `TRY`."""
    said = tables.verdict(content, words)
    title = words("title", title=content.title)
    kind = content.assessment.verdict.replace(" ", "-")
    top = tag(
        "header",
        tag("h1", escape(title)),
        tag("p", escape(said[0]), class_=f"verdict {kind}"),
        *map(paragraph, said[1:]),
        tag("p", tag("a", escape(words("try_it")), href=TRY)) if has_try else "",
    )
    parts = [
        _caveats(content, words),
        _contenders(content, words),
        _gain(content, words),
        _tradeoff(content, words),
        likeness(content, words),
        _confusion(content, words),
        _reliability(content, words),
        _per_class(content, words),
        _curves(content, words),
        _disagreements(content, words),
        _data(content, words),
        _titled("spend", tables.spend(content, words), words),
        _titled("precisions", tables.precisions(content, words), words),
        _trials(content, words),
        section("choice", words("choice"), items([words.finding(f) for f in content.choice])) if content.choice else "",
        section("model_card", words("model_card"), *map(paragraph, tables.card(content, words))),
        _provenance(content, words),
        _titled("glossary", tables.glossary(words), words),
    ]
    body = tag("body", top, tag("main", *parts))
    return f'<!doctype html><html lang="{words.language}">{head_of(title)}{body}</html>\n'


def head_of(title: str) -> str:
    """The head of a page that loads nothing from anywhere."""
    return tag(
        "head",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:; media-src data:">',
        tag("title", escape(title)),
        f"<style>{STYLE}</style>",
    )


def _titled(key: str, found: tables.Table, words: Words) -> str:
    return section(key, words(key), table(*found, caption=words(key)))


def _twin(found: tables.Table, words: Words, caption: str) -> str:
    return details(words("table_twin"), table(*found, caption=caption))


def _caveats(content: ReportContent, words: Words) -> str:
    if not content.caveats:
        return ""
    return section("caveats", words("caveats"), items([words.finding(finding) for finding in content.caveats]))


def _contenders(content: ReportContent, words: Words) -> str:
    caption = words("contenders_caption", count=figures.whole(content.assessment.num_test))
    parts = [table(*tables.contenders(content, words), caption=caption)]
    for score in content.assessment.scores:
        outside = score.out_of_scope
        if outside:
            said = words(
                "out_of_scope",
                recall=figures.percent(outside.recall),
                kept=figures.percent(outside.in_scope_kept),
                recall_at_95=figures.percent(outside.recall_at_95),
                auroc=figures.number(outside.auroc),
                score=outside.score,
            )
            parts.append(paragraph(f"{words.contender(score.name, score.title)}: {said}"))
    return section("contenders", words("contenders"), *parts)


def _gain(content: ReportContent, words: Words) -> str:
    if not content.assessment.gain_parts:
        return ""
    return _titled("gain_parts", tables.gain_parts(content, words), words)


def _tradeoff(content: ReportContent, words: Words) -> str:
    parts = []
    for key in ("latency_axis", "size_axis"):
        series, rows = [], []
        for score in content.assessment.scores:
            x = (
                (score.latency.p50 if score.latency else None)
                if key == "latency_axis"
                else (score.size_bytes or 0) / 1e6
            )
            if not x:
                continue
            name = words.contender(score.name, score.title)
            low, high = (100 * end for end in score.accuracy_ci)
            series.append(Series(name, [(x, 100 * score.accuracy)], [low], [high]))
            rows.append([name, f"{x:.3g}", figures.percent(score.accuracy), figures.interval(score.accuracy_ci)])
        drawn = plot(series, title=words("tradeoff"), x_name=words(key), y_name=f"{words('accuracy')}, %", log_x=True)
        header = [words("name"), words(key), words("accuracy"), words("interval")]
        parts.append(tag("div", drawn, _twin((header, rows), words, words(key))))
    return section("tradeoff", words("tradeoff"), tag("div", *parts, class_="pair"))


def _confusion(content: ReportContent, words: Words) -> str:
    found = top_confusions(content.assessment)
    if not found:
        return section("confusion", words("confusion"), paragraph(words("no_confusion")))
    header = [words("label"), words("said"), words("rows"), words("teacher_rows"), words("change")]
    rows = [
        [
            c.label,
            c.said,
            str(c.num_rows),
            "-" if c.num_teacher is None else str(c.num_teacher),
            "-" if c.num_teacher is None else f"{c.num_rows - c.num_teacher:+d}",
        ]
        for c in found
    ]
    return section(
        "confusion", words("confusion"), _heat_map(content, words), table(header, rows, caption=words("confusion_note"))
    )


def _heat_map(content: ReportContent, words: Words) -> str:
    """The student's confusion matrix, with the change against the teacher in brackets."""
    matrix = confusion_matrix(content.assessment, "student")
    if matrix is None:
        return ""
    has_teacher = "teacher" in content.assessment.test_answers
    teacher = confusion_matrix(content.assessment, "teacher") if has_teacher else None
    classes = content.assessment.schema.fields[0].classes
    rows = []
    for i, name in enumerate(classes):
        cells = [escape(name)]
        for j in range(len(classes)):
            shade = float(matrix[i, j]) / max(int(matrix[i].sum()), 1)
            change = int(matrix[i, j] - teacher[i, j]) if teacher is not None else 0
            text = f"{matrix[i, j]}" + (f" ({change:+d})" if change else "")
            quiet = "" if matrix[i, j] or change else " quiet"
            cells.append(f'<span class="cell{quiet}" style="--shade:{shade:.2f}">{text}</span>')
        rows.append(cells)
    header = [words("label"), *classes]
    return table(header, rows, caption=f"{words('confusion')} ({words('student')}; {words('change')})", raw=True)


def _reliability(content: ReportContent, words: Words) -> str:
    score = content.assessment.score("student")
    series, rows = [], []
    for key, bins in (("before", score.reliability_raw), ("after", score.reliability)):
        series.append(Series(words(key), [(b.confidence, b.accuracy) for b in bins], joined=True))
        rows += [[words(key), figures.number(b.confidence), figures.number(b.accuracy), str(b.num_rows)] for b in bins]
    drawn = plot(series, title=words("reliability"), x_name=words("confidence"), y_name=words("right"), diagonal=True)
    header = ["", words("confidence"), words("right"), words("rows")]
    said = f"ECE: {figures.number(score.ece_raw)} → {figures.number(score.ece)}"
    return section(
        "reliability", words("reliability"), paragraph(said), drawn, _twin((header, rows), words, words("reliability"))
    )


def _per_class(content: ReportContent, words: Words) -> str:
    changes = f1_changes(content.assessment)
    if not changes:
        return ""
    drawn_ones = changes if len(changes) <= 2 * NUM_BARS else [*changes[:NUM_BARS], *changes[-NUM_BARS:]]
    drawn = bars({name: student - teacher for name, teacher, student in drawn_ones}, title=words("per_class"))
    header = [words("class"), words("f1_teacher"), words("f1_student"), words("difference")]
    rows = [[n, figures.number(t), figures.number(s), figures.points(s - t)] for n, t, s in changes]
    return section("per_class", words("per_class"), drawn, _twin((header, rows), words, words("per_class")))


def _curves(content: ReportContent, words: Words) -> str:
    series, rows = [], []
    for score in content.assessment.scores:
        points = [(float(step), nll) for step, _, nll in score.curve if not math.isnan(nll)]
        if points and score.name in ("student", "control", "baseline"):
            name = words.contender(score.name, score.title)
            series.append(Series(name, points, joined=True))
            rows += [[name, str(step), figures.number(loss), figures.number(nll)] for step, loss, nll in score.curve]
    if not series:
        return ""
    drawn = plot(series, title=words("curves"), x_name=words("step"), y_name=words("dev_nll"))
    header = [words("name"), words("step"), words("train_loss"), words("dev_nll")]
    return section("curves", words("curves"), drawn, _twin((header, rows), words, words("curves")))


def _disagreements(content: ReportContent, words: Words) -> str:
    assessment = content.assessment
    if "teacher" not in assessment.test_answers:
        return ""
    parts = []
    header = [words("input"), words("true_label"), words("student"), words("teacher")]
    for group, (count, positions) in disagreements(assessment).items():
        rows = [_disagreement(content, i) for i in positions[: NUM_SOUNDS if content.sample_rate else None]]
        title = f"{words(group)}: {words('shown_of', shown=len(rows), count=count)}"
        if rows:
            parts.append(details(title, table(header, rows, caption=title, raw=True), is_open=group == GROUPS[0]))
        else:
            parts.append(paragraph(title))
    return section("disagreements", words("disagreements"), *parts)


def _disagreement(content: ReportContent, i: int) -> list[str]:
    assessment = content.assessment
    cells = [
        shown(content.test_inputs[i], content.sample_rate),
        escape(label_text(assessment.schema, assessment.test_labels[i])),
    ]
    for name in ("student", "teacher"):
        said = label_text(assessment.schema, assessment.test_answers[name][i])
        cells.append(escape(f"{said} ({assessment.test_confidence[name][i]:.2f})"))
    return cells


def _data(content: ReportContent, words: Words) -> str:
    found = [words.finding(finding) for finding in content.findings] or [words("nothing_found")]
    return section("data", words("data"), table(*tables.counts(content, words), caption=words("data")), items(found))


def _trials(content: ReportContent, words: Words) -> str:
    parts = [
        table(*tables.trials(content, words, name), caption=words.contender(name, name)) for name in content.trials
    ]
    return section("trials", words("trials"), *parts)


def _provenance(content: ReportContent, words: Words) -> str:
    return section(
        "provenance",
        words("provenance"),
        paragraph(words("command")),
        tag("pre", escape(content.command)),
        table(*tables.provenance(content, words), caption=words("environment")),
    )
