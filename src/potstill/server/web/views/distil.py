"""From the rows of a filter to a job: what is in the data, which student, start. Three steps on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import final

from potstill.report.figures import size, whole
from potstill.report.markup import details, escape, tag
from potstill.report.words import Words
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer, page, top
from potstill.server.web.views.logs import LogFilter


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DataCheck:
    """What was found in the rows.

    Attributes:
        num_rows: that passed the filter.
        num_kept: that a student can learn from.
        num_duplicates: rows that repeat another one, and are left out.
        num_leaks: rows that were kept away from the held-out part, because a row like them stands there.
        num_conflicts: prompts with more than one answer.
        conflicts: some of them, each with its answers.
        answers: how often each answer occurs, the most frequent first; empty where they are free text.
        num_unusable: rows without an answer: cut off, refused or empty.
        problem: why no student can be made of these rows; empty if one can.
    """

    num_rows: int
    num_kept: int
    num_duplicates: int = 0
    num_leaks: int = 0
    num_conflicts: int = 0
    num_unusable: int = 0
    conflicts: Sequence[tuple[str, Sequence[str]]] = ()
    answers: Sequence[tuple[str, int]] = ()
    problem: str = ""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class StudentOffer:
    """A student to choose, with what it will take as far as that can be said.

    Attributes:
        base: its name in the API.
        seconds: of one CPU thread, to make it.
        size_bytes: of its bundle.
        cost: of asking the teacher, in the currency of its prices.
    """

    base: str
    seconds: float | None = None
    size_bytes: int | None = None
    cost: float | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DistilPlan:
    """The page's values; what was filled in comes back after a refusal.

    Attributes:
        held_out: id of the file whose questions are kept out of training, and judge.
        files: to choose it from, by id.
    """

    filter: LogFilter
    check: DataCheck
    students: Sequence[StudentOffer]
    base: str = ""
    suffix: str = ""
    seed: str = "0"
    held_out: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""


def distil_page(viewer: Viewer, plan: DistilPlan) -> str:
    """The whole page."""
    words = viewer.words
    head = top(
        words("distil_title"),
        controls.link_button(words("back_to_logs"), "/logs" + plan.filter.query()),
        under=escape(words("distil_text")),
    )
    refused = pieces.notice(plan.refused, "bad") if plan.refused else ""
    chosen = [controls.hidden(name, value) for name, value in asdict(plan.filter).items()]
    held_out = _held_out(words, plan, chosen) if plan.files else ""
    steps = [pieces.card(words("step_data"), *_data(words, plan.check), held_out)]
    if not plan.check.problem:
        parts = [pieces.card(words("step_student"), _students(words, plan)), _start(words, plan)]
        chosen.append(controls.hidden("held_out", plan.held_out))
        steps.append(controls.form(viewer.csrf, "/distil", *chosen, *parts))
    body = tag("div", *steps, class_="steps")
    return page(viewer, words("distil_title"), head, refused, body, here="jobs")


def _held_out(words: Words, plan: DistilPlan, chosen: Sequence[str]) -> str:
    options = {"": words("held_out_none"), **plan.files}
    choice = controls.select(words("held_out"), "held_out", options, plan.held_out, hint=words("held_out_hint"))
    again = tag("div", controls.button(words("check_again")), class_="actions")
    return tag("form", *chosen, choice, again, method="get", action="/distil")


def _data(words: Words, check: DataCheck) -> list[str]:
    figures = [
        (words("rows"), whole(check.num_rows), words("rows_of_filter")),
        (words("rows_kept"), whole(check.num_kept), words("rows_kept_of")),
        (words("duplicates"), whole(check.num_duplicates), words("duplicates_of")),
        (words("leaks"), whole(check.num_leaks), words("leaks_of")),
        (words("conflicts"), whole(check.num_conflicts), words("conflicts_of")),
    ]
    if check.num_unusable:
        figures.append((words("unusable"), whole(check.num_unusable), words("unusable_of")))
    parts = [pieces.tiles(figures)]
    if check.problem:
        parts.append(pieces.notice(check.problem, "bad"))
    if check.conflicts:
        rows = [[escape(prompt), escape(" / ".join(answers))] for prompt, answers in check.conflicts]
        shown = pieces.wide_table(words("conflicts"), [words("prompt"), words("answers")], rows)
        parts.append(details(words("show_conflicts"), shown))
    if check.answers:
        total = sum(count for _, count in check.answers)
        rows = [
            [escape(answer), pieces.number(whole(count)), pieces.share(count / total)]
            for answer, count in check.answers
        ]
        header = [words("answer"), words("rows"), words("share")]
        parts.append(details(words("show_answers", count=len(rows)), pieces.wide_table(words("answers"), header, rows)))
    return parts


def _students(words: Words, plan: DistilPlan) -> str:
    options = []
    for offer in plan.students:
        known = words.has(f"student_{offer.base}")
        said = [words(f"student_{offer.base}_text")] if known else []
        if offer.seconds is not None:
            said.append(words("forecast_time", minutes=max(1, round(offer.seconds / 60))))
        if offer.size_bytes is not None:
            said.append(words("forecast_size", size=size(offer.size_bytes)))
        if offer.cost:
            said.append(words("forecast_cost", cost=f"{offer.cost:.2f}"))
        elif offer.cost is not None:
            said.append(words("forecast_free"))
        title = words(f"student_{offer.base}") if known else offer.base
        options.append(controls.Choice(offer.base, title, " ".join(said)))
    return controls.choices(words("student_choice"), "base", options, plan.base or plan.students[0].base)


def _start(words: Words, plan: DistilPlan) -> str:
    fields = [
        controls.field(words("suffix"), "suffix", plan.suffix, hint=words("suffix_hint"), maxlength=64),
        controls.field(words("seed"), "seed", plan.seed, hint=words("seed_hint"), inputmode="numeric"),
    ]
    go = tag("div", controls.button(words("start_distillation"), look="main"), class_="actions")
    return pieces.card(words("step_start"), tag("div", *fields, class_="fields"), go)
