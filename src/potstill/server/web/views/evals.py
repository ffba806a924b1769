"""Evals: the list, the builder of criteria, and one eval with its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import final
from urllib.parse import quote

from potstill.report.figures import whole
from potstill.report.markup import escape, tag
from potstill.report.words import Words
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer, page, top
from potstill.server.web.views.jobs import status_badge
from potstill.server.web.views.logs import LogFilter
from potstill.server.web.views.matrix import Matrix, matrix

OPERATIONS = ("eq", "ne", "like", "ilike")
METRICS = ("fuzzy_match", "bleu", "gleu", "meteor", "cosine", "rouge_1", "rouge_2", "rouge_l")
KINDS = ("string_check", "text_similarity", "label_model", "score_model")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class EvalRow:
    """One eval in the list; `pass_rate` is that of its last run."""

    id: str
    name: str
    created_at: int
    num_runs: int = 0
    pass_rate: float | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Criterion:
    """One criterion as it is filled in; which fields count depends on the kind.

    Attributes:
        kind: type of the grader.
        name: in tables.
        input: template of what is judged.
        reference: template of what is right.
        operation: how a string is checked, or which similarity.
        threshold: share from which it passes.
        model: that judges.
        prompt: what it is told.
        labels: it may give, separated by commas, the passing ones with a star.
    """

    kind: str = "string_check"
    name: str = ""
    input: str = "{{ sample.output_text }}"
    reference: str = "{{ item.output }}"
    operation: str = "eq"
    threshold: str = "0.8"
    model: str = ""
    prompt: str = ""
    labels: str = ""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class EvalDraft:
    """The builder's values.

    Attributes:
        models: that can be run, chosen of `offered`.
        num_rows: that pass the filter, None when they weren't counted.
    """

    filter: LogFilter
    name: str = ""
    criteria: Sequence[Criterion] = (Criterion(),)
    offered: Sequence[str] = ()
    models: Sequence[str] = ()
    num_rows: int | None = None
    refused: str = ""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """One run; counts are rows."""

    id: str
    name: str
    model: str
    status: str
    created_at: int
    passed: int = 0
    failed: int = 0
    errored: int = 0
    error: str = ""

    @property
    def pass_rate(self) -> float | None:
        """Share of its rows, None without rows."""
        total = self.passed + self.failed + self.errored
        return self.passed / total if total else None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Eval:
    """One eval with its runs, and their rows side by side."""

    id: str
    name: str
    created_at: int
    criteria: Sequence[tuple[str, str]]
    runs: Sequence[RunRow] = ()
    matrix: Matrix | None = None


def evals_page(viewer: Viewer, evals: Sequence[EvalRow], *, older: str = "") -> str:
    """The list."""
    words = viewer.words
    head = top(words("place_evals"), controls.link_button(words("new_eval"), "/evals/new", look="main"))
    if not evals:
        body = pieces.empty(words("evals_empty"), words("evals_empty_text"))
        return page(viewer, words("place_evals"), head, body, here="evals")
    header = [words(key) for key in ("name", "runs", "last_pass_rate", "time_utc")]
    rows = [
        [
            tag("a", escape(each.name or each.id), href=f"/evals/{quote(each.id, safe='')}"),
            pieces.number(whole(each.num_runs)),
            "" if each.pass_rate is None else pieces.share(each.pass_rate),
            pieces.when(each.created_at),
        ]
        for each in evals
    ]
    listed = pieces.listing(words("evals_caption"), header, rows)
    return page(viewer, words("place_evals"), head, listed, pieces.pager(words, older=older, newer=""), here="evals")


def eval_page(viewer: Viewer, found: Eval) -> str:
    """One eval."""
    words = viewer.words
    address = f"/evals/{quote(found.id, safe='')}"
    confirm = words("delete_confirm")
    delete = controls.form(
        viewer.csrf, address + "/delete", controls.button(words("delete"), look="danger", confirm=confirm)
    )
    criteria = (tag("li", tag("strong", escape(name)), " ", pieces.code(says)) for name, says in found.criteria)
    is_live = any(run.status in ("queued", "in_progress") for run in found.runs)
    compared = matrix(words, address, found.matrix) if found.matrix else ""
    live = tag("div", _runs(words, found.runs), compared, id="live", **({"data_live": "yes"} if is_live else {}))
    return page(
        viewer,
        found.name,
        top(found.name, delete, under=pieces.code(found.id)),
        pieces.card(words("criteria"), tag("ul", *criteria)),
        live,
        here="evals",
    )


def _runs(words: Words, runs: Sequence[RunRow]) -> str:
    if not runs:
        return pieces.card(words("runs"), tag("p", escape(words("runs_empty")), class_="quiet"))
    header = [
        words(key) for key in ("model", "status", "pass_rate", "num_passed", "num_failed", "num_errored", "time_utc")
    ]
    rows = [
        [
            pieces.code(run.model or run.name),
            status_badge(words, run.status) + (tag("p", escape(run.error), class_="small") if run.error else ""),
            "" if run.pass_rate is None else pieces.share(run.pass_rate),
            pieces.number(whole(run.passed)),
            pieces.number(whole(run.failed)),
            pieces.number(whole(run.errored)),
            pieces.when(run.created_at),
        ]
        for run in runs
    ]
    return tag("h2", escape(words("runs"))) + pieces.listing(words("runs"), header, rows)


def new_eval_page(viewer: Viewer, draft: EvalDraft) -> str:
    """The builder; criteria are added by sending the form, so it needs no script."""
    words = viewer.words
    rows = words("eval_rows_all") if draft.filter.is_empty else words("eval_rows_filter")
    counted = [words("eval_rows_count", count=whole(draft.num_rows))] if draft.num_rows is not None else []
    named = controls.field(words("name"), "name", draft.name, maxlength=200, autocomplete="off")
    source = pieces.card(words("eval_rows"), tag("p", escape(" ".join([rows, *counted]))), named)
    judged = [_criterion(words, i, each) for i, each in enumerate(draft.criteria)]
    add = tag("div", controls.button(words("add_criterion"), name="add", value="yes"), class_="actions")
    options = [controls.Choice(model, model) for model in draft.offered]
    chosen = controls.choices(words("models_to_run"), "models", options, several=draft.models)
    go = tag("div", controls.button(words("start_eval"), look="main", name="start", value="yes"), class_="actions")
    steps = [source, pieces.card(words("criteria"), *judged, add), pieces.card(words("place_models"), chosen, go)]
    # Enter in a field presses the first button of a form: it must not be the one that adds.
    first = tag("button", type="submit", name="start", value="yes", class_="hidden", tabindex="-1", aria_hidden="true")
    form = controls.form(
        viewer.csrf,
        "/evals/new",
        first,
        *(controls.hidden(f"filter_{name}", value) for name, value in asdict(draft.filter).items()),
        controls.hidden("num_criteria", str(len(draft.criteria))),
        tag("ol", *(tag("li", step) for step in steps), class_="steps"),
    )
    refused = pieces.notice(draft.refused, "bad") if draft.refused else ""
    head = top(words("new_eval"), under=escape(words("new_eval_text")))
    return page(viewer, words("new_eval"), head, refused, form, here="evals")


def _criterion(words: Words, number: int, each: Criterion) -> str:
    def name(key: str) -> str:
        return f"{key}_{number}"

    kinds = {kind: words(f"grader_{kind}") for kind in KINDS}
    checks = {key: words(f"operation_{key}") for key in OPERATIONS} | {
        key: words(f"similarity_{key}") for key in METRICS
    }
    parts = [
        controls.select(words("kind"), name("kind"), kinds, each.kind),
        controls.field(words("name"), name("name"), each.name, autocomplete="off"),
        controls.field(words("judged"), name("input"), each.input, autocomplete="off"),
        controls.field(words("reference"), name("reference"), each.reference, autocomplete="off"),
        controls.select(words("operation"), name("operation"), checks, each.operation),
        controls.field(words("threshold"), name("threshold"), each.threshold, inputmode="decimal"),
    ]
    judge = [
        controls.field(words("judge_model"), name("model"), each.model, autocomplete="off"),
        controls.field(words("judge_labels"), name("labels"), each.labels, hint=words("judge_labels_hint")),
    ]
    prompt = controls.text_area(words("judge_prompt"), name("prompt"), each.prompt)
    opened = {"open": "open"} if each.kind in ("label_model", "score_model") else {}
    more = tag("details", tag("summary", escape(words("judge"))), tag("div", *judge, class_="fields"), prompt, **opened)
    legend = tag("legend", escape(words("criterion", number=number + 1)))
    return tag("fieldset", legend, tag("div", *parts, class_="fields"), more)
