"""The real socket, with the official SDK as its client."""

import base64
import json
import time

import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from potstill.errors import BundleError, ConfigurationError
from potstill.runtime.model import load
from potstill.server.realtime.connection import MAX_EVENT_BYTES, MOST_SESSIONS
from potstill.server.realtime.voices import Voices
from potstill.server.settings import Settings, VoiceSettings, read_voices
from tests.media import RATE, beeps, pcm_24k, wav_of


def address(server, query="?model=beeps"):
    return server.base_url.replace("http", "ws") + "/realtime" + query


def headers(server, **more):
    return {"Authorization": f"Bearer {server.api_key}", **more}


def connected(server):
    """A connection; sessions of tests before may take a moment to end."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return connect(address(server), additional_headers=headers(server))
        except InvalidStatus:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_the_official_client_hears_what_was_said(hearing_server, sound_bundle):
    word, _, _ = beeps(3)[1]
    with hearing_server.client().realtime.connect(model="beeps") as connection:
        assert connection.recv().type == "session.created"
        wish = {"type": "realtime", "audio": {"input": {"turn_detection": None, "transcription": {"model": "beeps"}}}}
        connection.session.update(session=wish)
        assert connection.recv().session.audio.input.transcription.model == "beeps"
        connection.input_audio_buffer.append(audio=base64.b64encode(pcm_24k(word)).decode())
        connection.input_audio_buffer.commit()
        connection.response.create()
        found = {}
        for event in connection:
            found[event.type] = event
            if event.type == "response.done":
                break
    wanted = load(sound_bundle).predict([word])[0].label
    assert found["conversation.item.input_audio_transcription.completed"].transcript == wanted
    assert found["response.output_text.done"].text == wanted
    assert found["response.done"].response.status == "completed"


@pytest.mark.parametrize(
    ("query", "more", "status", "code"),
    [
        ("?model=beeps", {"Authorization": "Bearer sk-pot-wrong"}, 401, "invalid_api_key"),
        ("?model=big", {}, 404, "model_not_found"),
        ("", {}, 404, "model_not_found"),
        ("?call_id=rtc_1", {}, 404, "not_found"),
        ("?model=beeps", {"OpenAI-Beta": "realtime=v1"}, 400, "beta_api_shape_disabled"),
        ("?model=beeps", {"Origin": "https://elsewhere.example"}, 403, "wrong_origin"),
        ("?model=beeps", {"Host": "elsewhere.example"}, 421, "wrong_host"),
    ],
)
def test_who_may_not_is_told_why_before_it_is_open(hearing_server, query, more, status, code):
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(address(hearing_server, query), additional_headers=headers(hearing_server, **more)),
    ):
        pass
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body)["error"]["code"] == code


def test_without_a_key_it_stays_shut_and_elsewhere_there_is_none(hearing_server):
    for path in (address(hearing_server), hearing_server.base_url.replace("http", "ws") + "/files"):
        with pytest.raises(InvalidStatus) as caught, connect(path):
            pass
        assert caught.value.response.status_code in (401, 404)


def test_a_browser_names_its_key_in_the_protocol(hearing_server):
    protocols = ["realtime", f"openai-insecure-api-key.{hearing_server.api_key}"]
    with connect(address(hearing_server), subprotocols=protocols) as socket:
        assert socket.subprotocol == "realtime"
        assert json.loads(socket.recv())["type"] == "session.created"


def test_what_is_no_event_is_an_error_and_what_is_too_large_ends_it(hearing_server):
    with connect(address(hearing_server), additional_headers=headers(hearing_server)) as socket:
        socket.recv()
        for wrong in ("{", b"\x00\x01", "[" * 5000):
            socket.send(wrong)
            assert json.loads(socket.recv())["error"]["code"] == "invalid_json"
        with pytest.raises(ConnectionClosed):  # noqa: PT012 - which of the two notices is a race
            socket.send("x" * (MAX_EVENT_BYTES + 1))
            socket.recv()


def test_more_sessions_than_are_open_at_once_wait(hearing_server, monkeypatch):
    monkeypatch.setattr("potstill.server.realtime.connection.MOST_SESSIONS", 1)
    assert MOST_SESSIONS > 1
    with connected(hearing_server) as socket:
        socket.recv()
        with (
            pytest.raises(InvalidStatus) as caught,
            connect(address(hearing_server), additional_headers=headers(hearing_server)),
        ):
            pass
        assert caught.value.response.status_code == 429 and caught.value.response.headers["retry-after"]


def test_a_file_is_transcribed_and_voices_are_listed(hearing_server, sound_bundle):
    word, _, _ = beeps(3)[0]
    client = hearing_server.client()
    file = ("word.wav", wav_of(word, RATE))
    found = client.audio.transcriptions.create(model="beeps", file=file, include=["logprobs"])
    wanted = load(sound_bundle).predict([word])[0]
    assert found.text == wanted.label == found.logprobs[0].token
    assert found.usage.seconds == pytest.approx(0.2)
    assert client.audio.transcriptions.create(model="beeps", file=file, response_format="text").strip() == wanted.label
    assert "beeps" in [model.id for model in client.models.list()]
    assert client.models.retrieve("beeps").id == "beeps"
    for wrong in ({"file": ("x.wav", b"no sound")}, {"file": file, "response_format": "srt"}):
        with pytest.raises(openai.BadRequestError):
            client.audio.transcriptions.create(**{"model": "beeps", **wrong})
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(model="whisper-1", file=file)


def test_voices_of_the_command_line(sound_bundle, tmp_path):
    assert read_voices([f"beeps={sound_bundle}"]) == (VoiceSettings(name="beeps", bundle=sound_bundle),)
    with pytest.raises(ConfigurationError, match="NAME=BUNDLE"):
        read_voices(["beeps"])
    with pytest.raises(ConfigurationError, match="taken"):
        Settings(data=tmp_path, voices=read_voices(["a=x", "a=y"]))
    with pytest.raises(BundleError, match="nothere"):
        Voices(read_voices([f"a={tmp_path / 'nothere'}"]))
