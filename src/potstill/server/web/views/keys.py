"""Keys, shown once when they are made, and what teachers and students were used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

from potstill.report.figures import percent, whole
from potstill.report.markup import escape, tag
from potstill.report.plots import Series, plot
from potstill.report.words import Words
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer, page, top

PERIODS = (30, 7, 365, 0)
"""Days that the figures may be of; the first one where nobody asks, 0 for all."""
DAY_S = 24 * 3600


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRow:
    """One key; `hint` is its end, all that is left of it to tell it by."""

    id: str
    name: str
    hint: str
    project: str
    created_at: int
    is_admin: bool = False
    may_store: bool = True
    retention_days: int | None = None
    revoked_at: int | None = None
    is_own: bool = False


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What was answered under one name, of a model or a key; `cost` is None where prices are unknown."""

    model: str
    calls: int
    kind: str = ""
    answerer: str = ""
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cost: float | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """Tokens of a day, read and written together; the day counts from 1970."""

    day: int
    teacher_tokens: int = 0
    student_tokens: int = 0
    cost: float | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """What students saved, at the prices of this teacher."""

    teacher: str
    amount: float


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Spend:
    """What was asked and what it cost.

    Attributes:
        days: that the figures are of, to today; 0 is all.
        models: by model and who answered.
        keys: by the key's name.
        by_day: the earliest first; days without calls are left out.
        local_share: share of the calls that a student answered, None without calls.
        cascade_share: the same of calls to a cascade.
        saved: None without prices, or where no student answered.
    """

    days: int = 0
    models: Sequence[Use] = ()
    keys: Sequence[Use] = ()
    by_day: Sequence[Day] = ()
    local_share: float | None = None
    cascade_share: float | None = None
    saved: Saved | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """The page's values.

    Attributes:
        spend: of this project.
        secret: of the key that was made just now; it is never shown again.
    """

    keys: Sequence[KeyRow]
    spend: Spend = Spend()
    secret: str = ""
    refused: str = ""


def keys_page(viewer: Viewer, found: Keys) -> str:
    """The whole page."""
    words = viewer.words
    parts = [top(words("place_keys"), under=escape(words("keys_text", project=viewer.project)))]
    if found.refused:
        parts.append(pieces.notice(found.refused, "bad"))
    if found.secret:
        said = tag("p", escape(words("secret_once"))), tag("pre", escape(found.secret), tabindex="0")
        parts.append(tag("div", *said, class_="notice good", role="status"))
    parts += [_spend(words, found.spend), _list(viewer, found.keys)]
    if viewer.is_admin:
        parts.append(_make(viewer))
    return page(viewer, words("place_keys"), *parts, here="keys")


def _spend(words: Words, found: Spend) -> str:
    periods = [(f"/keys?days={days}", words("days", count=days) if days else words("days_all")) for days in PERIODS]
    head = tag("h2", escape(words("spend"))) + pieces.tabs(words("period"), periods, f"/keys?days={found.days}")
    if not found.models:
        return head + pieces.card("", tag("p", escape(words("spend_empty")), class_="quiet"))
    return (
        head
        + pieces.tiles(_figures(words, found))
        + _days(words, found.by_day)
        + _uses(words, words("spend_caption"), found.models, ("model", "kind", "answerer"))
        + _uses(words, words("spend_by_key"), found.keys, ("key",))
    )


def _figures(words: Words, found: Spend) -> list[tuple[str, str, str]]:
    costs = [use.cost for use in found.models if use.cost is not None]
    figures = [
        (words("calls"), whole(sum(use.calls for use in found.models)), words("calls_of")),
        (words("local_share"), percent(found.local_share), words("local_share_of")),
        (words("spent"), _money(sum(costs)) if costs else "-", words("spent_of" if costs else "prices_unknown")),
    ]
    if found.cascade_share is not None:
        figures.insert(2, (words("cascade_share"), percent(found.cascade_share), words("cascade_share_of")))
    if found.saved is not None:
        figures.append((words("saved"), _money(found.saved.amount), words("saved_of", teacher=found.saved.teacher)))
    return figures


def _days(words: Words, days: Sequence[Day]) -> str:
    """Tokens over time, and money where prices are known, each with the same figures as a table."""
    last = days[-1].day
    drawn = []
    tokens = [
        Series(words(name), [(day.day - last, getattr(day, f"{name}_tokens") / 1000) for day in days], joined=True)
        for name in ("teacher", "student")
    ]
    drawn.append(plot(tokens, title=words("tokens_by_day"), x_name=words("day_axis"), y_name=words("thousand_tokens")))
    costs = [(day.day - last, day.cost) for day in days if day.cost is not None]
    if costs:
        series = [Series(words("spent"), costs, joined=True)]
        drawn.append(plot(series, title=words("cost_by_day"), x_name=words("day_axis"), y_name=words("cost")))
    header = [words(name) for name in ("day", "teacher_tokens", "student_tokens", "cost")]
    rows = [
        [
            pieces.number(f"{datetime.fromtimestamp(day.day * DAY_S, UTC):%Y-%m-%d}"),
            pieces.number(whole(day.teacher_tokens)),
            pieces.number(whole(day.student_tokens)),
            pieces.number(_money(day.cost)),
        ]
        for day in reversed(days)
    ]
    twin = pieces.wide_table(words("tokens_by_day"), header, rows)
    table = tag("details", tag("summary", escape(words("as_table"))), twin, id="table-days")
    return pieces.card(words("tokens_by_day"), tag("div", *(tag("div", each) for each in drawn), class_="plots"), table)


def _uses(words: Words, caption: str, uses: Sequence[Use], named: Sequence[str]) -> str:
    cells = {
        "model": lambda use: pieces.code(use.model),
        "key": lambda use: escape(use.model),
        "kind": lambda use: pieces.badge(words(use.kind), "good" if use.kind == "student" else ""),
        "answerer": lambda use: "" if use.kind == "student" else pieces.code(use.answerer),
    }
    rows = [
        [
            *(cells[name](use) for name in named),
            pieces.number(whole(use.calls)),
            pieces.number(whole(use.prompt_tokens)),
            pieces.number(whole(use.answer_tokens)),
            pieces.number(_money(use.cost)),
        ]
        for use in uses
    ]
    header = [words(name) for name in (*named, "calls", "prompt_tokens", "answer_tokens", "cost")]
    return tag("h3", escape(caption)) + pieces.listing(caption, header, rows)


def _money(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4f}"


def _list(viewer: Viewer, keys: Sequence[KeyRow]) -> str:
    words = viewer.words
    rows = []
    for key in keys:
        marks = [pieces.badge(words("key_admin"), "info")] if key.is_admin else []
        marks += [pieces.badge(words("key_own"), "good")] if key.is_own else []
        marks += [] if key.may_store else [pieces.badge(words("key_no_store"), "wait")]
        if key.retention_days is not None:
            marks.append(pieces.badge(words("key_retention", days=key.retention_days)))
        act = ""
        if key.revoked_at:
            marks.append(pieces.badge(words("key_revoked"), "bad"))
        elif viewer.is_admin and not key.is_own:
            label = words("revoke_named", name=key.name)
            revoke = controls.button(words("revoke"), look="danger", confirm=words("revoke_confirm"), aria_label=label)
            act = controls.form(viewer.csrf, f"/keys/{key.id}/revoke", revoke)
        shown = tag("div", *marks, class_="tags") if marks else ""
        cells = [pieces.code("…" + key.hint), escape(key.project), pieces.when(key.created_at), shown, act]
        rows.append([escape(key.name), *cells])
    header = [words(name) for name in ("name", "key", "project", "time_utc", "rights", "action")]
    return tag("h2", escape(words("keys"))) + pieces.listing(words("keys"), header, rows)


def _make(viewer: Viewer) -> str:
    words = viewer.words
    store = controls.choices(
        words("rights"),
        "rights",
        [
            controls.Choice("admin", words("key_admin"), words("key_admin_text")),
            controls.Choice("no_store", words("key_no_store"), words("key_no_store_text")),
        ],
        several=(),
    )
    fields = [
        controls.field(words("name"), "name", required="", maxlength=64, autocomplete="off"),
        controls.field(words("project"), "project", viewer.project, maxlength=64, autocomplete="off"),
        controls.field(
            words("retention"), "retention_days", hint=words("retention_hint"), kind="number", min=1, max=3650
        ),
    ]
    go = tag("div", controls.button(words("make_key"), look="main"), class_="actions")
    form = controls.form(viewer.csrf, "/keys", tag("div", *fields, class_="fields"), store, go)
    return pieces.card(words("new_key"), form)
