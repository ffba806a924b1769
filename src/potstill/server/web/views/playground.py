"""One prompt, answered by teacher, base and student side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from potstill.report.markup import escape, tag
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one of them said.

    Attributes:
        role: teacher, base or student.
        model: its name.
        text: the answer.
        milliseconds: that it took.
        problem: why there is none.
    """

    role: str
    model: str
    text: str = ""
    milliseconds: float | None = None
    problem: str = ""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Playground:
    """What was asked, and the answers; none before somebody asks."""

    prompt: str = ""
    answers: Sequence[Answer] = ()


def playground(viewer: Viewer, address: str, asked: Playground) -> str:
    """The part of a page; it is sent to `address` and comes back with the answers."""
    words = viewer.words
    prompt = controls.text_area(words("prompt"), "prompt", asked.prompt, required="", maxlength=20_000)
    ask = tag("div", controls.button(words("ask_all"), look="main"), class_="actions")
    answers = tag("div", *(_answer(viewer, answer) for answer in asked.answers), class_="answers")
    form = controls.form(viewer.csrf, address + "/ask#playground", prompt, ask)
    shown = tag("h2", escape(words("playground"))), tag("p", escape(words("playground_text")), class_="quiet")
    return tag("section", *shown, form, answers if asked.answers else "", class_="card", id="playground")


def _answer(viewer: Viewer, answer: Answer) -> str:
    words = viewer.words
    took = words("took", milliseconds=f"{answer.milliseconds:,.1f}") if answer.milliseconds is not None else ""
    said = pieces.notice(answer.problem, "bad") if answer.problem else tag("pre", escape(answer.text), tabindex="0")
    under = tag("p", pieces.code(answer.model), " ", tag("span", escape(took), class_="quiet small"))
    return tag("div", tag("h3", escape(words(answer.role))), under, said)
