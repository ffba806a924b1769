"""Bodies and secrets that should do no harm."""

import asyncio
import contextlib

import openai
import pytest

from potstill.server.blobs import Blobs
from potstill.server.expiry import delete_expired
from potstill.server.log import redact
from tests.server.routes.test_chat_completions import ask as chat
from tests.server.running import running
from tests.server.teacher import SECRET
from tests.server.test_access import ask

PATH = "/v1/chat/completions"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"model":' + b'{"a":' * 50_000,
        b'{"model": NaN}',
        b'{"model": "\xff"}',
        b"",
        b"[]",
        b'{"model": 1, "messages": []}',
        b'{"model": "big", "messages": {"a": 1}}',
    ],
)
def test_bodies_that_are_no_request(server, body):
    answer = ask(server, "POST", PATH, server.api_key, content=body)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.fixture
def small(tmp_path):
    with running(tmp_path / "small", max_file_bytes=100_000, max_body_bytes=100_000) as found:
        yield found


def test_bodies_over_the_limit_are_refused_while_they_stream(small):
    pieces = (b" " * 60_000 for _ in range(3))
    answer = ask(small, "POST", PATH, small.api_key, content=pieces)
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "request_too_large"
    assert ask(small, "POST", PATH, small.api_key, content=b" " * 100_001).status_code == 413
    packed = ask(small, "POST", PATH, small.api_key, headers={"content-encoding": "gzip"}, content=b"x")
    assert packed.status_code == 400


def test_forms_over_the_limit(small, tmp_path):
    for size in (300_000, 100_001):
        files = {"file": ("a", b"x" * size), "purpose": (None, "evals")}
        assert ask(small, "POST", "/v1/files", small.api_key, files=files).status_code == 413
    assert not list((tmp_path / "small").rglob("*draft*"))


def test_secrets_stand_nowhere(server, client, tmp_path, capfd):
    for text in ("red", "status 400", "status 401", "status 500", "hangup"):
        with contextlib.suppress(openai.APIError):
            chat(client, text, store=True)
    file = client.post("/potstill/datasets", body={}, cast_to=object)["file_id"]
    said = capfd.readouterr()
    places = [client.files.content(file).read(), (said.out + said.err).encode()]
    places += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    places.append(ask(server, "GET", "/metrics", server.api_key).content)
    for place in places:
        assert SECRET.encode() not in place
        assert server.api_key.encode() not in place
    assert '"teacher"' in said.err


def test_what_looks_like_a_secret_is_left_out():
    for text in (SECRET, "Bearer abc", "postgresql://me:word@h/d", "hf_abcdefgh12"):
        assert "[left out]" in redact(text)
    assert redact("a risky task-list") == "a risky task-list"


def test_what_expires_is_deleted(server, client, monkeypatch):
    short = server.client(server.new_key("default", retention_s=1))
    gone, kept = chat(short, "red", store=True), chat(client, "red", store=True)
    file = client.files.create(
        file=("a", b"x"), purpose="evals", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    monkeypatch.setattr("potstill.server.expiry.now", lambda: gone.created + 4000)
    assert asyncio.run(delete_expired(server.services)) == 2
    assert [found.id for found in client.chat.completions.list()] == [kept.id]
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)
    assert [path for path in server.services.blobs.root.rglob("*") if path.is_file()] == []


def test_a_draft_that_was_not_kept_leaves_nothing(tmp_path):
    blobs = Blobs(tmp_path)
    with blobs.draft() as draft:
        draft.write(b"x")
    assert list(tmp_path.iterdir()) == []
    assert blobs.read(blobs.put(b"")) == b""
