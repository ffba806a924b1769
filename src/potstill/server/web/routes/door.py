"""Signing in and out, the language, and the few files that all pages load."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response

from potstill.server.auth import Key
from potstill.server.endpoint import Policy
from potstill.server.errors import ApiError, not_found
from potstill.server.sessions import COOKIE, LIFETIME_S, end_session, open_session
from potstill.server.web.views.door import sign_in_page
from potstill.server.web.visit import HEADERS, LANGUAGE_COOKIE, Visit, as_response, go_to, look, send
from potstill.server.web.words import LANGUAGES

KINDS = {"style.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
YEAR_S = 365 * 24 * 3600


async def start(_: Visit) -> Response:
    """The first page."""
    return go_to("/logs")


async def sign_in_form(visit: Visit) -> str:
    """The door."""
    return sign_in_page(visit.viewer)


async def sign_in(visit: Visit) -> Response:
    """A session for a key."""
    request, services = visit.call.request, visit.call.services
    try:
        key: Key = services.keyring.check(visit.sent("key"))
    except ApiError:
        return as_response(sign_in_page(visit.viewer, refused=True, back=visit.sent("back") or "/"), 401)
    answer = go_to(visit.sent("back") or "/")
    token = await open_session(services, key)
    is_secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, token, LIFETIME_S, httponly=True, samesite="strict", secure=is_secure)
    return answer


async def sign_out(visit: Visit) -> Response:
    """Ends the session here and on the server."""
    await end_session(visit.call.services, visit.call.request)
    answer = go_to("/sign-in")
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


async def choose_language(visit: Visit) -> Response:
    """Remembers the language."""
    answer = go_to(visit.sent("back") or "/")
    if visit.sent("language") in LANGUAGES:
        answer.set_cookie(LANGUAGE_COOKIE, visit.sent("language"), YEAR_S, httponly=True, samesite="lax")
    return answer


async def static(visit: Visit) -> Response:
    """Style, script and icon."""
    name = visit.call.path("name")
    if name not in KINDS:
        raise not_found("file", name)
    content = files("potstill.server.web").joinpath("static", name).read_bytes()
    return Response(content, 200, {**HEADERS, "cache-control": "max-age=300"}, KINDS[name])


ENDPOINTS = (
    look("/", start),
    look("/sign-in", sign_in_form, Policy.PUBLIC),
    send("/sign-in", sign_in, Policy.PUBLIC),
    send("/sign-out", sign_out),
    send("/language", choose_language, Policy.PUBLIC),
    look("/static/{name}", static, Policy.PUBLIC),
)
