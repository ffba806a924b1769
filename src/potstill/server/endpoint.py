"""A route: how it is reached, who may, what it takes, and the function that answers."""

from __future__ import annotations

import enum
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import msgspec
from sqlalchemy.exc import DataError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from potstill.errors import PotstillError
from potstill.server.auth import Key
from potstill.server.bodies import decode, read_bytes
from potstill.server.errors import ApiError, forbidden, invalid
from potstill.server.ids import new_id
from potstill.server.log import log, log_failure
from potstill.server.services import Services
from potstill.server.sessions import find_session


class Policy(enum.Enum):
    """Who may use a route."""

    PUBLIC = "anybody"
    PROJECT = "a valid key; it sees its project only"
    ADMIN = "an administrator's key"
    BROWSER = "a signed-in browser; it sees the project of its key only"
    DEVICE = "whoever sends what a device has signed; the handler checks it before anything else"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request.

    Attributes:
        request: Starlette's.
        services: everything that the server has.
        key: the key it came with; on a public route and a device's a key that opens nothing.
        body: decoded, of the endpoint's type; None without one.
    """

    request: Request
    services: Services
    key: Key
    body: Any = None

    @property
    def project(self) -> str:
        """The project that this call may see; every query is limited to it."""
        return self.key.project

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


Handler = Callable[[Call], Awaitable[Any]]
"""Returns a response, or a JSON value that becomes one."""
NOBODY = Key(id="", project="", name="", may_store=False)


PAGE = ("after", "limit", "order")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Doc:
    """What the server's description says of a route that its code doesn't.

    Attributes:
        answer: `object` of the JSON that comes back; `page of X` and `list of X` hold such; `json` is any object.
        query: names of parameters; `page` stands for those of a page.
        reads: type of the body where the endpoint's own says less.
        form: fields of a form -> whether they must be there.
        raw: media type of a body that is no JSON.
        media: media type of the answer.
        status: of the answer.
        streams: whether it can come as events.
        also_text: whether it can come as text.
    """

    answer: str
    query: tuple[str, ...] = ()
    reads: type[Any] | None = None
    form: Mapping[str, bool] = field(default_factory=dict)
    raw: str = ""
    media: str = "application/json"
    status: int = 200
    streams: bool = False
    also_text: bool = False


NO_DOC = Doc(answer="json")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One method of one path.

    Attributes:
        method: of HTTP.
        path: with its parts in braces, as in `/v1/files/{file_id}`.
        policy: who may; there is no default, so a new route says it.
        handler: answers.
        body: type of the JSON that it takes (a msgspec Struct or dict); None: the handler reads what it wants.
        doc: for the server's description; pages of the dashboard stand in none.
        refuse: shows an error to whom JSON says nothing; None: as the API does.
    """

    method: str
    path: str
    policy: Policy
    handler: Handler
    body: type[Any] | None = None
    doc: Doc = NO_DOC
    refuse: Callable[[Request, ApiError], Response] | None = None


@final
@dataclass(frozen=True, slots=True)
class Resource:
    """The ASGI application of all methods of one path."""

    path: str
    endpoints: dict[str, Endpoint]
    services: Services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; nothing gets past without an answer in OpenAI's form."""
        started = time.perf_counter()
        request = Request(scope, receive, send)
        response = await self._answer(request)
        if all(name != b"x-request-id" for name, _ in response.raw_headers):
            response.raw_headers.append((b"x-request-id", new_id("req_").encode()))
        try:
            await response(scope, receive, send)
        finally:
            seconds = time.perf_counter() - started
            self.services.metrics.answered(request.method, self.path, response.status_code, seconds)

    async def _answer(self, request: Request) -> Response:
        try:
            call = await self._open(request)
            found = await self.endpoints[request.method].handler(call)
            return found if isinstance(found, Response) else json_response(found)
        except ApiError as error:
            return self._refuse(request, error)
        except ClientDisconnect:
            return Response(status_code=499)
        except (OverflowError, DataError) as error:
            log_failure("value out of range", error, route=self.path, method=request.method)
            message = "A number of this request is too large, or a text holds a NUL character; neither can be kept."
            return self._refuse(request, invalid(message, code="value_out_of_range"))
        except PotstillError as error:
            log_failure("failed", error, route=self.path, method=request.method)
            return self._refuse(request, ApiError(500, str(error), kind="server_error", code=type(error).__name__))
        except Exception as error:
            log_failure("unexpected", error, route=self.path, method=request.method)
            message = "The server had an error while answering; its log says more."
            return self._refuse(request, ApiError(500, message, kind="server_error"))

    def _refuse(self, request: Request, error: ApiError) -> Response:
        endpoint = self.endpoints.get(request.method)
        return endpoint.refuse(request, error) if endpoint and endpoint.refuse else error_response(error)

    async def _open(self, request: Request) -> Call:
        endpoint = self.endpoints.get(request.method)
        policy = endpoint.policy if endpoint else Policy.PROJECT
        if policy is Policy.BROWSER:
            key = await find_session(self.services, request)
        else:
            key = NOBODY if policy in (Policy.PUBLIC, Policy.DEVICE) else self.services.keyring.find(request)
        if policy is Policy.ADMIN and not key.is_admin:
            raise forbidden("This needs an administrator's key; the one that `potstill serve` printed is one.")
        if endpoint is None:
            error = ApiError(405, f"{request.method} is not served on {self.path}.", code="method_not_allowed")
            error.headers["allow"] = ", ".join(sorted(self.endpoints))
            raise error
        body = None
        if endpoint.body is not None:
            content = await read_bytes(request, self.services.settings.max_body_bytes)
            body = decode(content, endpoint.body)
        return Call(request=request, services=self.services, key=key, body=body)


def json_response(value: Any, status: int = 200) -> Response:
    """A JSON value as an answer."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


async def refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request, or a WebSocket that isn't open yet, with an error."""
    response = error_response(error)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


def error_response(error: ApiError) -> Response:
    """OpenAI's error body; whoever must not send again is told so."""
    response = json_response(error.body(), error.status)
    response.headers.update({"x-request-id": new_id("req_"), **error.headers})
    if error.status >= 500:
        log("error", status=error.status, code=error.code)
    return response
