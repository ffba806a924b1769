"""Making and revoking keys."""

from __future__ import annotations

from sqlalchemy import Connection, select, update
from starlette.responses import Response

from potstill.server.auth import add_key, new_secret
from potstill.server.database.tables import keys
from potstill.server.errors import ApiError, forbidden, not_found
from potstill.server.evals.runner import EVALS
from potstill.server.ids import now
from potstill.server.usage import DAY_S, read_usage, today
from potstill.server.web.spending import spend
from potstill.server.web.views.keys import PERIODS, KeyRow, Keys, keys_page
from potstill.server.web.visit import Visit, as_response, go_to, look, send

NUM_SHOWN = 200
MAX_NAME = 64


async def show(visit: Visit) -> str:
    """The page."""
    return await _page(visit)


async def make(visit: Visit) -> Response:
    """A new key, shown in the answer and nowhere else."""
    _check_admin(visit)
    services = visit.call.services
    name, project = visit.sent("name"), visit.sent("project") or visit.call.project
    days = visit.sent("retention_days")
    if not name or max(len(name), len(project)) > MAX_NAME or not (name + project).isprintable():
        return as_response(await _page(visit, refused=visit.viewer.words("key_name_refused", longest=MAX_NAME)), 400)
    if days and not (days.isascii() and days.isdecimal() and 1 <= int(days[:6]) <= 3650):
        return as_response(await _page(visit, refused=visit.viewer.words("key_days_refused")), 400)
    secret = new_secret()
    rights = visit.form.get("rights", [])
    options = {
        "is_admin": "admin" in rights,
        "may_store": "no_store" not in rights,
        "retention_s": int(days) * DAY_S if days else None,
    }
    await services.database.write(lambda c: add_key(c, secret, project=project, name=name, **options))
    services.keyring.load()
    return as_response(await _page(visit, secret=secret))


async def revoke(visit: Visit) -> Response:
    """Ends a key, and with it the sessions that were opened with it."""
    _check_admin(visit)
    id = visit.call.path("key_id")
    if id == visit.call.key.id:
        raise ApiError(400, visit.viewer.words("key_own_refused"), code="own_key")
    change = update(keys).where(keys.c.id == id, keys.c.revoked_at.is_(None)).values(revoked_at=now())
    if await visit.call.services.database.write(lambda c: c.execute(change).rowcount) != 1:
        raise not_found("key", id)
    visit.call.services.keyring.load()
    return go_to("/keys")


async def _page(visit: Visit, *, secret: str = "", refused: str = "") -> str:
    key, services = visit.call.key, visit.call.services
    asked = visit.asked("days")
    days = int(asked) if asked in map(str, PERIODS) else PERIODS[0]
    await services.usage.flush()

    def read(connection: Connection) -> Keys:
        figures = read_usage(connection, key.project, today() - days + 1 if days else 0)
        named = connection.execute(select(keys.c.id, keys.c.name).where(keys.c.project == key.project))
        names = {row.id: row.name for row in named} | {EVALS: visit.viewer.words("place_evals")}
        return Keys(
            keys=_rows(connection, key.project, key.id, is_admin=key.is_admin),
            spend=spend(figures, dict(services.settings.prices), names, days=days),
            secret=secret,
            refused=refused,
        )

    return keys_page(visit.viewer, await visit.call.services.database.read(read))


def _rows(connection: Connection, project: str, own: str, *, is_admin: bool) -> list[KeyRow]:
    query = select(keys).order_by(keys.c.revoked_at.isnot(None), keys.c.created_at.desc()).limit(NUM_SHOWN)
    if not is_admin:
        query = query.where(keys.c.project == project)
    return [
        KeyRow(
            id=row.id,
            name=row.name,
            hint=row.hint,
            project=row.project,
            created_at=row.created_at,
            is_admin=row.is_admin,
            may_store=row.may_store,
            retention_days=None if row.retention_s is None else round(row.retention_s / DAY_S),
            revoked_at=row.revoked_at,
            is_own=row.id == own,
        )
        for row in connection.execute(query)
    ]


def _check_admin(visit: Visit) -> None:
    if not visit.call.key.is_admin:
        raise forbidden(visit.viewer.words("admin_only"))


ENDPOINTS = (
    look("/keys", show),
    send("/keys", make),
    send("/keys/{key_id}/revoke", revoke),
)
