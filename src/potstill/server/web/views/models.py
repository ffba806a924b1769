"""Students and teachers that answer, and the card of one student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final
from urllib.parse import quote

from potstill.report.figures import size
from potstill.report.markup import escape, tag
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer, page, top
from potstill.server.web.views.playground import Playground, playground


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRow:
    """One that answers; `kind` is student, teacher or base."""

    id: str
    kind: str
    base: str = ""
    created_at: int | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One student.

    Attributes:
        card: its model card, in Markdown.
        facts: name and text, as its manifest says them.
        downloads: name of a file and its bytes.
        has_report: whether the report of its run lies beside it.
        job: that made it, empty if it was brought.
        can_try: whether it can run in a browser.
        playground: see there.
    """

    id: str
    base: str
    created_at: int
    size_bytes: int | None = None
    card: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    downloads: Mapping[str, int] = field(default_factory=dict)
    has_report: bool = False
    job: str = ""
    can_try: bool = False
    playground: Playground | None = None

    @property
    def address(self) -> str:
        """Of its page."""
        return f"/models/{quote(self.id, safe='')}"


def models_page(viewer: Viewer, models: Sequence[ModelRow]) -> str:
    """The list."""
    words = viewer.words
    head = top(words("place_models"), under=escape(words("models_text")))
    if not models:
        body = pieces.empty(words("models_empty"), words("models_empty_text"))
        return page(viewer, words("place_models"), head, body, here="models")
    header = [words(key) for key in ("model", "kind", "base", "time_utc")]
    rows = []
    for model in models:
        name = pieces.code(model.id)
        is_student = model.kind == "student"
        rows.append(
            [
                tag("a", name, href=f"/models/{quote(model.id, safe='')}") if is_student else name,
                pieces.badge(words(model.kind), "good" if is_student else ""),
                pieces.code(model.base) if model.base else "",
                pieces.when(model.created_at),
            ]
        )
    return page(
        viewer, words("place_models"), head, pieces.listing(words("models_caption"), header, rows), here="models"
    )


def model_page(viewer: Viewer, model: Model) -> str:
    """The card of one student."""
    words = viewer.words
    actions = []
    if model.can_try:
        actions.append(controls.link_button(words("try_in_browser"), model.address + "/try/index.html"))
    if model.has_report:
        actions.append(controls.link_button(words("report"), model.address + "/report", look="main"))
    delete = controls.button(words("delete"), look="danger", confirm=words("delete_confirm"))
    actions.append(controls.form(viewer.csrf, model.address + "/delete", delete))
    about = {words("base"): pieces.code(model.base), words("started"): pieces.when(model.created_at)}
    if model.size_bytes is not None:
        about[words("size")] = pieces.number(size(model.size_bytes))
    if model.job:
        about[words("job")] = tag("a", pieces.code(model.job), href=f"/jobs/{quote(model.job, safe='')}")
    about |= {
        words(f"fact_{name}") if words.has(f"fact_{name}") else name: escape(text) for name, text in model.facts.items()
    }
    told = tag("pre", escape(model.card), tabindex="0") if model.card else tag("p", escape(words("card_empty")))
    left = tag("div", pieces.card(words("model_card"), told), _use(viewer, model))
    right = tag("div", pieces.card(words("about"), pieces.facts(about)), _downloads(viewer, model))
    asked = playground(viewer, model.address, model.playground) if model.playground else ""
    head = top(words("student"), *actions, under=pieces.code(model.id))
    return page(viewer, model.id, head, tag("div", left, right, class_="columns wide"), asked, here="models")


def _use(viewer: Viewer, model: Model) -> str:
    messages = '[{"role": "user", "content": "..."}]'
    example = f'client.chat.completions.create(\n    model="{model.id}",\n    messages={messages},\n)'
    return pieces.card(viewer.words("use_it"), tag("pre", escape(example), tabindex="0"))


def _downloads(viewer: Viewer, model: Model) -> str:
    words = viewer.words
    if not model.downloads:
        return ""
    lines = []
    for name, num_bytes in model.downloads.items():
        link = tag("a", escape(name), href=f"{model.address}/files/{quote(name)}", download="")
        lines.append(tag("li", link, " ", tag("span", size(num_bytes), class_="quiet number")))
    return pieces.card(words("downloads"), tag("ul", *lines))
