"""A real server on 127.0.0.1 in a thread of the test, and the official SDK as its client."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass

import openai

from potstill.server.app import make_app
from potstill.server.auth import add_key, new_secret
from potstill.server.services import Services, open_services
from potstill.server.serving import Server, base_url, listen
from potstill.server.settings import Settings


@dataclass
class Running:
    base_url: str
    services: Services
    api_key: str
    http_client: object = None

    def client(self, api_key=None):
        return openai.OpenAI(
            base_url=self.base_url, api_key=api_key or self.api_key, max_retries=0, http_client=self.http_client
        )

    def new_key(self, project, **options):
        secret = new_secret()
        self.services.database.write_now(lambda c: add_key(c, secret, project=project, name="test", **options))
        self.services.keyring.load()
        return secret


@contextmanager
def running(data, http_client=None, **options):
    settings = Settings(data=data, port=0, **options)
    with listen(settings) as listener, open_services(settings) as services:
        ready = threading.Event()
        server = Server(make_app(services), ready.set)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        assert ready.wait(30)
        found = Running(base_url(listener), services, "", http_client)
        found.api_key = found.new_key("default", is_admin=True)
        yield found
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
