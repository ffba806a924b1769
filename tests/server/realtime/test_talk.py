"""The conversation without a network: what is heard, and every event against the published schema."""

import base64
from functools import cache

import jsonschema
import numpy as np
import pytest

from potstill.errors import ConfigurationError
from potstill.runtime.model import load
from potstill.server.realtime.session import Session
from potstill.server.realtime.sounds import A_LAW, MU_LAW, Resampler, decode_samples
from potstill.server.realtime.talk import Talk
from tests.media import RATE, beeps, pcm_24k
from tests.server.strict import DOCUMENT, document

QUIET = np.zeros(RATE, np.float32)


class Loudness:
    """Voice activity that is sure of itself."""

    window = 256

    def __init__(self, rate=RATE):
        assert rate == RATE

    def probability(self, window):
        return float(np.abs(window).max() > 0.05)

    def reset(self):
        pass


def no_voice(rate):
    raise ConfigurationError("voice activity needs a package")


@cache
def schema_names():
    """Type of an event of the server -> its published schema."""
    schemas = document()["components"]["schemas"]
    names = [name for name in schemas if name.startswith("RealtimeServerEvent") and "properties" in schemas[name]]
    return {kind: name for name in names for kind in schemas[name]["properties"]["type"]["enum"]}


@cache
def validator(kind):
    place = f"#/components/schemas/{schema_names()[kind]}"
    return jsonschema.Draft202012Validator({"$ref": place, "components": document()["components"]})


def checked(events):
    """Each event is one of the published ones."""
    if DOCUMENT.is_file():
        for event in events:
            validator(event["type"]).validate(event)
    return events


@pytest.fixture
def talk(sound_bundle):
    return Talking(sound_bundle, Loudness)


class Talking:
    def __init__(self, bundle, voice):
        self.model = load(bundle)
        self.talk = Talk(Session(id="sess_1", model="beeps"), self.model, voice)

    def send(self, kind, **values):
        return checked(self.talk.hear({"type": kind, **values}))

    def append(self, samples, chunk=480, kind="audio/pcm"):
        """Sends samples as a client does; returns all that came back."""
        audio = as_audio(samples, kind)
        found = []
        for start in range(0, len(audio), chunk):
            part = base64.b64encode(audio[start : start + chunk]).decode()
            found += self.send("input_audio_buffer.append", audio=part)
        return found


def as_audio(samples, kind):
    if kind == "audio/pcm":
        return pcm_24k(samples)
    table = MU_LAW if kind == "audio/pcmu" else A_LAW
    return np.abs(table[None] - samples[:, None]).argmin(1).astype(np.uint8).tobytes()


def kinds(events):
    return [event["type"] for event in events]


def test_a_word_between_quiet_is_found_written_down_and_answered(talk):
    word, _, _ = beeps(3)[1]
    transcribed = {"type": "realtime", "audio": {"input": {"transcription": {"model": "beeps"}}}}
    (shown,) = talk.send("session.update", session=transcribed)
    assert shown["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    events = talk.append(np.concatenate([QUIET, word, QUIET]))
    assert kinds(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    started, stopped, committed = events[:3]
    assert started["audio_start_ms"] <= 1000 <= started["audio_start_ms"] + shown_lead(shown) + 40
    assert stopped["audio_end_ms"] == pytest.approx(1000 + 1000 * len(word) / RATE + 500, abs=80)
    assert started["item_id"] == committed["item_id"] == events[6]["item_id"]
    text = events[6]["transcript"]
    assert text in ("high", "low", "middle")
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == text
    assert 0 < events[-1]["response"]["potstill"]["probability"] <= 1


def shown_lead(event):
    return event["session"]["audio"]["input"]["turn_detection"]["prefix_padding_ms"]


def test_two_words_are_two_items_and_times_go_on(talk):
    word, _, _ = beeps(3)[0]
    events = talk.append(np.concatenate([QUIET, word, QUIET, word, QUIET]))
    starts = [event["audio_start_ms"] for event in events if event["type"].endswith("speech_started")]
    assert len(starts) == 2 and starts[1] - starts[0] == pytest.approx(1200, abs=80)
    items = [event for event in events if event["type"] == "input_audio_buffer.committed"]
    assert items[0]["previous_item_id"] is None and items[1]["previous_item_id"] is not None


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_without_detection_the_client_commits_and_the_answer_is_that_of_the_whole_sound(talk, kind):
    word, _, _ = beeps(6)[5]
    session = {"type": "transcription", "audio": {"input": {"format": {"type": kind}, "turn_detection": None}}}
    include = ["item.input_audio_transcription.logprobs"]
    (shown,) = talk.send("session.update", session={**session, "include": include})
    assert shown["session"]["object"] == "realtime.transcription_session"
    assert talk.append(word, chunk=100, kind=kind) == []
    events = talk.send("input_audio_buffer.commit")
    done = events[-1]
    wanted = talk.model.predict([word])[0]
    assert done["type"].endswith("transcription.completed") and done["transcript"] == wanted.label
    assert np.exp(done["logprobs"][0]["logprob"]) == pytest.approx(wanted.probability, abs=0.03)
    assert done["usage"] == {"type": "duration", "seconds": pytest.approx(0.2, abs=0.01)}
    assert "response.created" not in kinds(events)
    (refused,) = talk.send("response.create")
    assert "transcription" in refused["error"]["message"]


def test_a_session_answers_when_it_is_asked_to(talk):
    word, _, _ = beeps(3)[2]
    (refused,) = talk.send("response.create", event_id="mine")
    assert (refused["error"]["code"], refused["error"]["event_id"]) == ("nothing_heard", "mine")
    talk.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio"}]}
    item["content"][0]["audio"] = base64.b64encode(as_audio(word, "audio/pcm")).decode()
    added, done = talk.send("conversation.item.create", item=item)
    assert "audio" not in added["item"]["content"][0] and done["item"]["status"] == "completed"
    events = talk.send("response.create")
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == talk.model.predict([word])[0].label
    (found,) = talk.send("conversation.item.retrieve", item_id=added["item"]["id"])
    assert found["item"]["id"] == added["item"]["id"]
    assert kinds(talk.send("conversation.item.delete", item_id=added["item"]["id"])) == ["conversation.item.deleted"]
    assert talk.send("conversation.item.delete", item_id="item_gone")[0]["error"]["code"] == "item_not_found"
    assert talk.send("response.cancel")[0]["error"]["code"] == "response_cancel_not_active"


def test_the_buffer_is_cleared_and_an_empty_one_is_not_committed(talk):
    word, _, _ = beeps(3)[0]
    talk.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    talk.append(word)
    assert kinds(talk.send("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert talk.send("input_audio_buffer.commit")[0]["error"]["code"] == "input_audio_buffer_commit_empty"
    talk.append(word[: RATE // 20])
    assert talk.send("input_audio_buffer.commit")[0]["error"]["code"] == "input_audio_buffer_commit_empty"


def test_a_word_that_the_client_cuts_off_is_heard_all_the_same(talk):
    word, _, _ = beeps(3)[0]
    begun = talk.append(np.concatenate([QUIET, word]))
    events = talk.send("input_audio_buffer.commit")
    assert kinds(events)[0] == "input_audio_buffer.committed" and events[0]["item_id"] == begun[0]["item_id"]
    again = talk.append(np.concatenate([QUIET, word, QUIET]))
    assert again[0]["audio_start_ms"] > 1200


@pytest.mark.parametrize(
    ("session", "code"),
    [
        ({"type": "chat"}, "invalid_value"),
        ({"type": "realtime", "output_modalities": ["audio"]}, "unsupported_modality"),
        ({"type": "realtime", "tools": [{"type": "function", "name": "x"}]}, "unsupported_tools"),
        ({"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "invalid_value"),
        ({"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}, "invalid_value"),
    ],
)
def test_what_it_cannot_do_is_refused_and_changes_nothing(talk, session, code):
    before = talk.talk.greeting()[0]["session"]
    (refused,) = talk.send("session.update", session=session)
    assert refused["error"]["code"] == code
    assert talk.talk.greeting()[0]["session"] == before


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {"type": 3},
        {"type": "nonsense"},
        {"type": "conversation.item.truncate"},
        {"type": "input_audio_buffer.append", "audio": "%%"},
        {"type": "input_audio_buffer.append", "audio": "AAAA"},
        {"type": "input_audio_buffer.append"},
        {"type": "conversation.item.create", "item": {"type": "message", "content": "x"}},
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": 7}}}},
        {"type": "session.update", "session": {"type": "realtime", "audio": []}},
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": 4}}},
        {"type": "conversation.item.create", "item": {"type": "message", "content": [3]}},
    ],
)
def test_hostile_events_are_answered_with_an_error(talk, said):
    (event,) = checked(talk.talk.hear(said))
    assert event["type"] == "error" and event["error"]["message"]


def test_where_voice_activity_is_missing_the_client_commits(sound_bundle):
    talk = Talking(sound_bundle, no_voice)
    (greeting,) = checked(talk.talk.greeting())
    assert greeting["session"]["audio"]["input"]["turn_detection"] is None
    wish = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    (refused,) = talk.send("session.update", session=wish)
    assert "voice activity needs a package" in refused["error"]["message"]


@pytest.mark.parametrize("chunk", [1, 37, 480, 4800])
def test_the_resampler_does_not_care_about_chunks(chunk):
    samples = np.sin(np.arange(4800) / 9).astype(np.float32)
    whole = Resampler(24_000, 8_000)
    wanted = np.concatenate([whole.feed(samples), whole.feed(np.zeros(0, np.float32), is_last=True)])
    cut = Resampler(24_000, 8_000)
    found = [cut.feed(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
    found = np.concatenate([*found, cut.feed(np.zeros(0, np.float32), is_last=True)])
    assert len(found) == len(wanted) == 1600 and np.abs(found - wanted).max() < 1e-6


def test_telephone_codes():
    """G.711: values of its tables."""
    audio = base64.b64encode(bytes([0x00, 0x80, 0xFF, 0x7F])).decode()
    assert (decode_samples(audio, "audio/pcmu") * 32768).tolist() == [-32124, 32124, 0, 0]
    audio = base64.b64encode(bytes([0x55, 0xD5, 0x2A, 0xAA])).decode()
    assert (decode_samples(audio, "audio/pcma") * 32768).tolist() == [-8, 8, -32256, 32256]
