"""The ASGI application: all endpoints behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from potstill.server.endpoint import Endpoint, Resource, refuse
from potstill.server.errors import ApiError
from potstill.server.expiry import expiring
from potstill.server.guard import Guard
from potstill.server.realtime.connection import PATH, Realtime
from potstill.server.routes import ENDPOINTS
from potstill.server.services import Services
from potstill.server.settings import LOCAL_HOSTS


def make_app(services: Services, endpoints: Sequence[Endpoint] = ENDPOINTS) -> ASGIApp:
    """Everything that is served; `services` stay open as long as the application is used."""

    async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            error = ApiError(404, f"Unknown request URL: {scope['path'][:200]}.", code="unknown_url")
            await refuse(error, scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            if request.url.path.startswith("/v1"):
                services.keyring.find(request)
            error = ApiError(
                404, f"Unknown request URL: {request.method} {request.url.path[:200]}.", code="unknown_url"
            )
        except ApiError as refusal:
            error = refusal
        await refuse(error, scope, receive, send)

    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        methods = by_path.setdefault(endpoint.path, {})
        assert endpoint.method not in methods, f"{endpoint.method} {endpoint.path} is served twice"
        methods[endpoint.method] = endpoint
    resources = {path: Resource(path, methods, services) for path, methods in by_path.items()}
    routes = [Route(path, resource) for path, resource in resources.items()]
    plain = {path: resource for path, resource in resources.items() if "{" not in path}
    realtime = WebSocketRoute(PATH, Realtime(services))

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        await services.batches.wake(services)
        async with expiring(services), services.usage.flushing():
            yield
        await services.batches.stop()
        await services.teachers.close()

    router = Router([*routes, realtime], redirect_slashes=False, default=unknown, lifespan=lifespan)
    settings = services.settings

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        """A path without parts is looked up; the router compares with one pattern after the other."""
        found = plain.get(scope["path"]) if scope["type"] == "http" else None
        await (found or router)(scope, receive, send)

    return Guard(dispatch, frozenset({*LOCAL_HOSTS, settings.host, *settings.hosts}))
