"""Secrets for clients, with the official SDK and real sockets."""

import base64
import json
import time

import openai
import pytest
from sqlalchemy import select, update
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from potstill.server.database.tables import client_secrets, keys
from tests.media import beeps, pcm_24k
from tests.server.realtime.test_connection import address
from tests.server.running import Running
from tests.server.strict import DOCUMENT, strict_client

SESSION = {
    "type": "realtime",
    "model": "beeps",
    "instructions": "listen",
    "audio": {"input": {"turn_detection": None, "transcription": {"model": "beeps"}}},
}


@pytest.fixture
def client(hearing_server):
    if not DOCUMENT.is_file():
        yield hearing_server.client()
        return
    with strict_client() as http_client:
        found = Running(hearing_server.base_url, hearing_server.services, hearing_server.api_key, http_client)
        yield found.client()


def refused(server, secret, query="?model=beeps"):
    """Status and code of what a socket is told before it is open."""
    header = {"Authorization": f"Bearer {secret}"}
    with pytest.raises(InvalidStatus) as caught, connect(address(server, query), additional_headers=header):
        pass
    return caught.value.response.status_code, json.loads(caught.value.response.body)["error"]["code"]


def test_a_secret_opens_a_session_with_its_settings(hearing_server, client):
    made = client.realtime.client_secrets.create(session=SESSION)
    assert made.value.startswith("ek_") and 590 < made.expires_at - time.time() <= 600
    assert made.session.model == "beeps" and made.session.instructions == "listen"
    word, _, _ = beeps(3)[1]
    with hearing_server.client(made.value).realtime.connect(model="beeps") as connection:
        created = connection.recv()
        assert created.type == "session.created" and created.session.audio.input.transcription.model == "beeps"
        assert created.session.audio.input.turn_detection is None and created.session.instructions == "listen"
        connection.input_audio_buffer.append(audio=base64.b64encode(pcm_24k(word)).decode())
        connection.input_audio_buffer.commit()
        assert connection.recv().type == "input_audio_buffer.committed"


def test_a_browser_names_its_secret_in_the_protocol_and_no_model(hearing_server, client):
    made = client.realtime.client_secrets.create(
        session={"type": "transcription", "audio": {"input": {"transcription": {"model": "beeps"}}}}
    )
    assert made.session.type == "transcription"
    protocols = ["realtime", f"openai-insecure-api-key.{made.value}"]
    # It can be used several times.
    for _ in range(2):
        with connect(address(hearing_server, ""), subprotocols=protocols) as socket:
            assert json.loads(socket.recv())["session"]["type"] == "transcription"


def test_an_expired_secret_opens_nothing(hearing_server, client):
    made = client.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 10})
    assert 0 < made.expires_at - time.time() <= 10
    database = hearing_server.services.database
    database.write_now(lambda c: c.execute(update(client_secrets).values(expires_at=int(time.time()) - 1)) and None)
    assert refused(hearing_server, made.value) == (401, "invalid_api_key")
    client.realtime.client_secrets.create()
    # What has ended is forgotten.
    rows = database.read_now(lambda c: c.execute(select(client_secrets)).all())
    assert len(rows) == 1
    assert "ek_" not in str(rows)


def test_a_secret_is_for_its_model_and_the_realtime_api_alone(hearing_server, client):
    secret = client.realtime.client_secrets.create(session=SESSION).value
    assert refused(hearing_server, secret, "?model=other") == (403, "wrong_model")
    assert refused(hearing_server, secret[:-1] + "!") == (401, "invalid_api_key")
    stranger = hearing_server.client(secret)
    for ask in (stranger.models.list, stranger.realtime.client_secrets.create):
        with pytest.raises(openai.AuthenticationError):
            ask()


def test_a_secret_ends_with_the_key_that_made_it(hearing_server):
    key = hearing_server.new_key("other")
    secret = hearing_server.client(key).realtime.client_secrets.create(session=SESSION).value
    services = hearing_server.services
    services.database.write_now(
        lambda c: c.execute(update(keys).where(keys.c.project == "other").values(revoked_at=1)) and None
    )
    services.keyring.load()
    assert refused(hearing_server, secret) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"expires_after": {"anchor": "created_at", "seconds": 9}}, openai.BadRequestError, "10 to 7200"),
        ({"expires_after": {"anchor": "created_at", "seconds": 7201}}, openai.BadRequestError, "10 to 7200"),
        ({"session": {"type": "realtime", "model": "none"}}, openai.NotFoundError, "none"),
        ({"session": {**SESSION, "output_modalities": ["audio"]}}, openai.BadRequestError, "doesn't speak"),
        ({"session": {"type": "video"}}, openai.BadRequestError, "session.type"),
    ],
)
def test_secrets_that_are_not_made(client, options, error, message):
    with pytest.raises(error, match=message):
        client.realtime.client_secrets.create(**options)


def test_the_beta_form_says_what_to_do(client):
    for name in ("sessions", "transcription_sessions"):
        with pytest.raises(openai.BadRequestError, match="client_secrets") as caught:
            client.post(f"/realtime/{name}", body={}, cast_to=object)
        assert caught.value.code == "beta_api_shape_disabled"
