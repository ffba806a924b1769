"""The report of a student that writes: one page, Markdown, a model card, and JSON to write them again from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from potstill.errors import IntegrityError
from potstill.evaluation.assessment import Comparison, Latency
from potstill.evaluation.generation import Pace, WrittenAssessment, WrittenScores
from potstill.evaluation.written_form import WrittenForm
from potstill.files import canonical_json, digest, write_atomic
from potstill.report import figures
from potstill.report.markdown import items_lines, plain_line, table_lines
from potstill.report.markup import details, escape, items, paragraph, section, table, tag
from potstill.report.page import head_of
from potstill.report.plots import Series, plot
from potstill.report.words import Words
from potstill.report.written_tables import (
    answers_table,
    contenders_table,
    counts_table,
    forms_table,
    glossary_table,
    provenance_table,
    spend_table,
    trials_table,
)
from potstill.types import Finding

JSON = "report.json"
KIND = "generative"
NUM_SHOWN = 20
KL_TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class WrittenContent:
    """All that this report needs.

    Attributes:
        title: name of the run.
        assessment: the finding.
        counts: rows of each kind, by name.
        findings: what was noticed about the data.
        caveats: what a reader must know before trusting the figures.
        choice: why this student was taken.
        trials: contender -> the settings that were tried with their dev results.
        spend: what the teacher's answers took: `asked`, `reused`, `cut_answers`, `cpu_seconds`.
        prefixes: `num_tokens`, `share_reused`, `num_alone`.
        student: `layers`, `vocabulary`, `rows`, and `origin`: what it was cut from, where that is not the teacher.
        digests: name -> SHA-256.
        command: the shell command that makes this run again.
        environment: versions and machine.
        licenses: name of a part -> licence.
    """

    title: str
    assessment: WrittenAssessment
    counts: Mapping[str, int]
    findings: Sequence[Finding]
    caveats: Sequence[Finding]
    choice: Sequence[Finding]
    trials: Mapping[str, Sequence[Mapping[str, Any]]]
    spend: Mapping[str, float]
    prefixes: Mapping[str, float]
    student: Mapping[str, Any]
    digests: Mapping[str, str]
    command: str
    environment: Mapping[str, str]
    licenses: Mapping[str, str]


def write_written_report(folder: Path, content: WrittenContent, *, language: str = "en") -> dict[str, Path]:
    """Writes all forms into a folder and returns where each is.

    Raises:
        ConfigurationError: another language than `en` and `ko`.
    """
    words = Words(language)
    values = {"kind": KIND, **asdict(content)}
    write_atomic(folder / JSON, canonical_json({"content": values, "digest": digest(values)}))
    texts = {
        "html": ("report.html", _page(content, words)),
        "markdown": ("report.md", _markdown(content, words)),
        "model_card": ("model_card.md", _model_card(content, words)),
    }
    for name, text in texts.values():
        write_atomic(folder / name, text.encode())
    return {**{kind: folder / name for kind, (name, _) in texts.items()}, "json": folder / JSON}


def is_written_report(folder: Path) -> bool:
    """Whether the report that lies there is of a student that writes."""
    try:
        return bool(json.loads((folder / JSON).read_bytes())["content"]["kind"] == KIND)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load_written_content(folder: Path) -> WrittenContent:
    """Reads what `write_written_report` wrote.

    Raises:
        IntegrityError: it isn't there or was changed.
    """
    try:
        record = json.loads((folder / JSON).read_bytes())
        values = record["content"]
        if digest(values) != record["digest"]:
            raise ValueError("its digest differs")
        values.pop("kind")
        values["assessment"] = _assessment(values["assessment"])
        for name in ("findings", "caveats", "choice"):
            values[name] = [Finding(**finding) for finding in values[name]]
        return WrittenContent(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{folder} holds no report that can be read ({error}). Run the same `potstill distill` command again."
        ) from error


def _assessment(values: dict[str, Any]) -> WrittenAssessment:
    scores = []
    for one in values["scores"]:
        latency = Latency(**one["latency"]) if one["latency"] else None
        built = {
            "latency": latency,
            "pace": Pace(**one["pace"]) if one["pace"] else None,
            "form": WrittenForm(**one["form"]),
            "curve": [tuple(point) for point in one["curve"]],
            "exact_match_ci": tuple(one["exact_match_ci"]),
        }
        scores.append(WrittenScores(**{**one, **built}))
    comparisons = []
    for one in values["comparisons"]:
        ends = one["difference_ci"]
        comparisons.append(Comparison(**{**one, "difference_ci": (ends[0], ends[1])}))
    gap = values["gap_closed_ci"]
    return WrittenAssessment(
        **{
            **values,
            "scores": tuple(scores),
            "comparisons": tuple(comparisons),
            "gap_closed_ci": (gap[0], gap[1]) if gap else None,
        }
    )


def _verdict(content: WrittenContent, words: Words) -> list[str]:
    found = content.assessment
    student, control, against = found.score("student"), found.score("control"), found.against("control")
    low, high = against.difference_ci
    said = [
        words(
            f"verdict_written_{found.verdict}",
            student=figures.percent(student.exact_match),
            control=figures.percent(control.exact_match),
            count=figures.whole(found.num_test),
            difference=figures.points(against.difference),
            low=figures.points(low),
            high=figures.points(high),
            p=figures.probability(against.p_value),
        )
    ]
    if found.gap_closed is not None and found.gap_closed_ci is not None:
        said.append(
            words("gap_closed", gap=figures.percent(found.gap_closed, 0), ci=figures.interval(found.gap_closed_ci))
        )
    else:
        said.append(words("gap_open"))
    if found.baseline_wins:
        said.append(words("written_baseline_wins", baseline=figures.percent(found.score("baseline").exact_match)))
    if _control_writes_better(student, control):
        said.append(
            words(
                "control_better_text",
                control=figures.number(control.perplexity),
                student=figures.number(student.perplexity),
                control_kl=figures.number(control.kl),
                student_kl=figures.number(student.kl),
            )
        )
    teacher = next((score for score in found.scores if score.name == "teacher"), None)
    if teacher and teacher.latency and student.latency and teacher.size_bytes and student.size_bytes:
        size = f"{teacher.size_bytes / student.size_bytes:.1f}"
        said.append(words("smaller", size=size, speed=f"{teacher.latency.p50 / student.latency.p50:.1f}"))
    return said


def _control_writes_better(student: WrittenScores, control: WrittenScores) -> bool:
    if student.perplexity is None or control.perplexity is None or student.kl is None or control.kl is None:
        return False
    return control.perplexity < student.perplexity and student.kl < control.kl


def _prefixes(content: WrittenContent, words: Words) -> str:
    if not content.prefixes["num_tokens"]:
        return words("prefixes_none")
    return words(
        "prefixes_said",
        tokens=figures.whole(content.prefixes["num_tokens"]),
        share=figures.percent(content.prefixes["share_reused"]),
        alone=figures.whole(content.prefixes["num_alone"]),
    )


def _card(content: WrittenContent, words: Words) -> list[str]:
    student = content.assessment.score("student")
    teacher = next((score.title for score in content.assessment.scores if score.name == "teacher"), words("teacher"))
    said = words(
        "card_written",
        parameters=figures.whole(student.num_parameters),
        origin=content.student.get("origin") or teacher,
        layers=content.student["layers"],
        vocabulary=figures.whole(content.student["vocabulary"]),
        rows=figures.whole(content.student["rows"]),
    )
    licences = [words("card_license", part=part, license=name) for part, name in content.licenses.items()]
    return [said, *(licences or [words("card_no_license")])]


def _curves(content: WrittenContent, words: Words) -> str:
    series = [
        Series(words.contender(score.name, score.title), [(step, nats) for step, _, nats in score.curve], joined=True)
        for score in content.assessment.scores
        if score.curve
    ]
    return plot(series, title=words("curves"), x_name=words("step"), y_name=words("dev_nats")) if series else ""


def _page(content: WrittenContent, words: Words) -> str:
    said = _verdict(content, words)
    title = words("title", title=content.title)
    kind = content.assessment.verdict.replace(" ", "-")
    header, wrong = answers_table(content, words)
    shown = f"{words('written_answers')}: {words('shown_of', shown=min(NUM_SHOWN, len(wrong)), count=len(wrong))}"
    caption = words("contenders_caption", count=figures.whole(content.assessment.num_test))
    parts = [
        section("caveats", words("caveats"), items(map(words.finding, content.caveats))) if content.caveats else "",
        section(
            "contenders",
            words("contenders"),
            table(*contenders_table(content, words), caption=caption),
            paragraph(words("perplexity_note", k=KL_TOKENS)),
            table(*forms_table(content, words), caption=words("forms")),
        ),
        section("curves", words("curves"), _curves(content, words)),
        section(
            "disagreements", words("written_answers"), details(shown, table(header, wrong[:NUM_SHOWN], caption=shown))
        ),
        section(
            "data",
            words("data"),
            table(*counts_table(content, words), caption=words("data")),
            items([words.finding(finding) for finding in content.findings] or [words("nothing_found")]),
        ),
        section("spend", words("spend"), table(*spend_table(content, words), caption=words("spend"))),
        section("prefixes", words("prefixes"), paragraph(_prefixes(content, words))),
        section(
            "trials",
            words("trials"),
            *(table(*trials_table(content, words, n), caption=words.contender(n, n)) for n in content.trials),
            items(map(words.finding, content.choice)),
        ),
        section("model_card", words("model_card"), *map(paragraph, _card(content, words))),
        section(
            "provenance",
            words("provenance"),
            paragraph(words("command")),
            tag("pre", escape(content.command)),
            table(*provenance_table(content, words), caption=words("environment")),
        ),
        section("glossary", words("glossary"), table(*glossary_table(words), caption=words("glossary"))),
    ]
    top = tag(
        "header",
        tag("h1", escape(title)),
        tag("p", escape(said[0]), class_=f"verdict {kind}"),
        *map(paragraph, said[1:]),
    )
    body = tag("body", top, tag("main", *parts))
    return f'<!doctype html><html lang="{words.language}">{head_of(title)}{body}</html>\n'


def _markdown(content: WrittenContent, words: Words) -> str:
    lines = [f"# {plain_line(words('title', title=content.title))}", ""]
    lines += [line for text in _verdict(content, words) for line in (plain_line(text), "")]
    if content.caveats:
        lines += [f"## {words('caveats')}", *items_lines([words.finding(f) for f in content.caveats])]
    lines += [f"## {words('contenders')}", *table_lines(contenders_table(content, words))]
    lines += [words("perplexity_note", k=KL_TOKENS), "", *table_lines(forms_table(content, words))]
    found = [words.finding(finding) for finding in content.findings] or [words("nothing_found")]
    lines += [f"## {words('data')}", *table_lines(counts_table(content, words)), *items_lines(found)]
    lines += [f"## {words('spend')}", *table_lines(spend_table(content, words)), _prefixes(content, words), ""]
    lines += [f"## {words('trials')}"]
    for name in content.trials:
        lines += [f"### {plain_line(words.contender(name, name))}", *table_lines(trials_table(content, words, name))]
    lines += items_lines([words.finding(finding) for finding in content.choice])
    lines += [f"## {words('provenance')}", words("command"), "", f"    {plain_line(content.command)}", ""]
    lines += table_lines(provenance_table(content, words))
    return "\n".join(lines) + "\n"


def _model_card(content: WrittenContent, words: Words) -> str:
    lines = [f"# {words('model_card')}: {plain_line(content.title)}", ""]
    lines += [line for text in (*_card(content, words), *_verdict(content, words)) for line in (plain_line(text), "")]
    return "\n".join([*lines, *table_lines(contenders_table(content, words))]) + "\n"
