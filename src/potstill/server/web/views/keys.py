"""Keys, shown once when they are made, and what teachers and students were used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from potstill.report.figures import percent, whole
from potstill.report.markup import escape, tag
from potstill.report.words import Words
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer, page, top


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
    """What one model answered; `cost` is None where its prices are unknown."""

    model: str
    kind: str
    calls: int
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cost: float | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """The page's values.

    Attributes:
        secret: of the key that was made just now; it is never shown again.
        uses: by model, of the stored completions of this project.
        local_share: share of the calls that a student answered, None without calls.
        saved: what asking the teacher instead would have cost.
    """

    keys: Sequence[KeyRow]
    uses: Sequence[Use] = ()
    local_share: float | None = None
    saved: float | None = None
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
    parts += [_spend(words, found), _list(viewer, found.keys)]
    if viewer.is_admin:
        parts.append(_make(viewer))
    return page(viewer, words("place_keys"), *parts, here="keys")


def _spend(words: Words, found: Keys) -> str:
    if not found.uses:
        return pieces.card(words("spend"), tag("p", escape(words("spend_empty")), class_="quiet"))
    costs = [use.cost for use in found.uses if use.cost is not None]
    figures = [
        (words("calls"), whole(sum(use.calls for use in found.uses)), words("calls_of")),
        (words("local_share"), percent(found.local_share), words("local_share_of")),
        (words("spent"), f"{sum(costs):,.2f}" if costs else "-", words("spent_of" if costs else "prices_unknown")),
    ]
    if found.saved is not None:
        figures.append((words("saved"), f"{found.saved:,.2f}", words("saved_of")))
    header = [words(key) for key in ("model", "kind", "calls", "prompt_tokens", "answer_tokens", "cost")]
    rows = [
        [
            pieces.code(use.model),
            pieces.badge(words(use.kind), "good" if use.kind == "student" else ""),
            pieces.number(whole(use.calls)),
            pieces.number(whole(use.prompt_tokens)),
            pieces.number(whole(use.answer_tokens)),
            pieces.number("-" if use.cost is None else f"{use.cost:,.4f}"),
        ]
        for use in found.uses
    ]
    return (
        tag("h2", escape(words("spend"))) + pieces.tiles(figures) + pieces.listing(words("spend_caption"), header, rows)
    )


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
