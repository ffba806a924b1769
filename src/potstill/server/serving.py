"""Runs the application on uvicorn: ready in a moment, quiet, and gone only when every answer is out."""

from __future__ import annotations

import gc
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn

from potstill.errors import ConfigurationError
from potstill.server.app import make_app
from potstill.server.auth import add_start_key, new_secret
from potstill.server.log import log
from potstill.server.realtime.connection import MAX_EVENT_BYTES
from potstill.server.services import open_services
from potstill.server.settings import Settings

LONGEST_GOODBYE_S = 30


def serve(settings: Settings, ready: Callable[[dict[str, Any]], None]) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        settings: all of them.
        ready: called once, when requests are answered, with `base_url` and the key of this start.

    Raises:
        ConfigurationError: the address is taken, or the data folder can't be used.
    """
    with listen(settings) as listener, open_services(settings) as services:
        secret = new_secret()
        services.database.write_now(lambda connection: add_start_key(connection, secret))
        services.keyring.load()
        found = {"base_url": base_url(listener), "api_key": secret, "data": str(settings.data)}

        def started() -> None:
            log("started", address=found["base_url"], database=services.database.dialect)
            ready(found)

        # uvicorn raises a signal again once it has ended; by then everything is closed, and it must not kill us.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: None)
            signal.signal(signal.SIGINT, lambda *_: None)
        Server(make_app(services), started).run([listener])
        log("stopped")


class Server(uvicorn.Server):
    """uvicorn with our settings, that says when it is ready."""

    def __init__(self, app: Any, started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                loop="uvloop",
                lifespan="on",
                ws="websockets-sansio",
                ws_max_size=MAX_EVENT_BYTES,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=1024,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=LONGEST_GOODBYE_S,
            )
        )
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and says so."""
        await super().startup(sockets)
        # What was loaded so far stays. Looked through again by each full collection, some 50 ms every few thousand
        # requests, it made everybody wait.
        gc.freeze()
        if self.started:
            self._started()


def listen(settings: Settings) -> socket.socket:
    """A bound socket, so that a port is known before anything is opened.

    Raises:
        ConfigurationError: the address can't be had.
    """
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise ConfigurationError(
            f"can't listen on {settings.host}:{settings.port}: {error.strerror}. Choose another port with --port; 0 "
            "lets the system choose."
        ) from error
    return listener


def base_url(listener: socket.socket) -> str:
    """What a client on this machine takes as `base_url`."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}/v1"
