import pytest

pytest.importorskip("starlette", reason="needs potstill[server]")
pytest.importorskip("openai", reason="needs the official SDK")

from tests.server.running import running
from tests.server.strict import DOCUMENT, strict_client


@pytest.fixture
def server(tmp_path):
    """A server with an empty database; its SDK clients check every answer against the published schema."""
    if not DOCUMENT.is_file():
        with running(tmp_path / "data") as found:
            yield found
        return
    with strict_client() as http_client, running(tmp_path / "data", http_client) as found:
        yield found


@pytest.fixture
def client(server):
    with server.client() as found:
        yield found
