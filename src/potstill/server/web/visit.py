"""From a request to a page: who looks, in which language, under which headers; failures are pages, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import final
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from potstill.server.bodies import read_bytes
from potstill.server.endpoint import Call, Endpoint, Policy
from potstill.server.errors import ApiError, invalid
from potstill.server.sessions import check_form_token, form_token
from potstill.server.web.layout import Viewer
from potstill.server.web.views.door import problem_page, sign_in_page
from potstill.server.web.words import chosen_language, words_in

MAX_FORM_BYTES = 256 << 10
MAX_FIELDS = 500
LANGUAGE_COOKIE = "potstill_language"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with that browsers send forms with the origin `null`, which is refused.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """One look at a page, or one form that was sent.

    Attributes:
        call: the request with the services.
        viewer: who looks.
        form: values by name of the field; the token was checked.
    """

    call: Call
    viewer: Viewer
    form: dict[str, list[str]] = field(default_factory=dict)

    def sent(self, name: str) -> str:
        """A value of the form, empty if it wasn't sent."""
        return self.form.get(name, [""])[0].strip()

    def asked(self, name: str) -> str:
        """A value of the address, empty if it isn't there."""
        return self.call.request.query_params.get(name, "").strip()


Handler = Callable[[Visit], Awaitable[str | Response]]


def look(path: str, handler: Handler, policy: Policy = Policy.BROWSER) -> Endpoint:
    """A page."""

    async def answer(call: Call) -> Response:
        return as_response(await handler(Visit(call=call, viewer=viewer_of(call))))

    return Endpoint(method="GET", path=path, policy=policy, handler=answer, refuse=refusal)


def send(path: str, handler: Handler, policy: Policy = Policy.BROWSER) -> Endpoint:
    """A form that changes something."""

    async def answer(call: Call) -> Response:
        form = await read_form(call.request)
        if policy is not Policy.PUBLIC:
            check_form_token(call.request, form.get("csrf", [""])[0])
        return as_response(await handler(Visit(call=call, viewer=viewer_of(call), form=form)))

    return Endpoint(method="POST", path=path, policy=policy, handler=answer, refuse=refusal)


def as_response(found: str | Response, status: int = 200) -> Response:
    """A page, or an answer as it is."""
    return Response(found, status, HEADERS, "text/html") if isinstance(found, str) else found


def go_to(address: str, **query: str) -> Response:
    """Sends the browser to one of our pages."""
    asked = "?" + urlencode(query) if query else ""
    return RedirectResponse(own_address(address) + asked, 303, HEADERS)


def own_address(address: str) -> str:
    """An address on this server, whatever was asked for."""
    is_own = address.startswith("/") and address[1:2] not in ("/", "\\") and address.isprintable()
    return address if is_own else "/"


def refusal(request: Request, error: ApiError) -> Response:
    """A failure as a page; whoever isn't signed in gets the door."""
    viewer = Viewer(words=words_in(language_of(request)), address=_address(request))
    if error.status == 401:
        back = viewer.address if request.method == "GET" else "/"
        return as_response(sign_in_page(viewer, back=back), 401)
    return as_response(problem_page(viewer, error.status, str(error)), error.status)


def viewer_of(call: Call) -> Viewer:
    """Who looks."""
    return Viewer(
        words=words_in(language_of(call.request)),
        csrf=form_token(call.request),
        address=_address(call.request),
        project=call.project,
        is_admin=call.key.is_admin,
    )


def language_of(request: Request) -> str:
    """The reader's."""
    return chosen_language(request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", ""))


async def read_form(request: Request) -> dict[str, list[str]]:
    """A form in the usual encoding.

    Raises:
        ApiError: 400 or 413.
    """
    content = await read_bytes(request, MAX_FORM_BYTES)
    try:
        return parse_qs(content.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise invalid("This form can't be read.", code="invalid_form") from error


def _address(request: Request) -> str:
    query = request.url.query
    # A form's own address can't be looked at.
    return request.url.path + (f"?{query}" if query else "") if request.method == "GET" else "/"
