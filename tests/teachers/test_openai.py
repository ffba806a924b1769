import base64
import dataclasses
import json
import time

import numpy as np
import pytest

from potstill.errors import BudgetError, ConfigurationError, TeacherUnavailableError
from potstill.runtime.media import read_picture, read_sound
from potstill.signals import Store, capture
from potstill.teachers import OpenAI
from potstill.teachers.openai_client import _retry_after
from potstill.teachers.openai_content import content_of, expected_input_tokens
from potstill.teachers.openai_request import RefusedError, read_reply
from potstill.testing import check_teacher
from potstill.types import Field, LabelSchema, Silent
from tests.teachers.contexts import make_context, picture_context
from tests.teachers.server import Server, label_of, reply
from tests.toys import sentences

SCHEMA = LabelSchema((Field(name="label", classes=("card", "loan", "travel", "weather")),))
TEXTS = [text for text, _ in sentences(12)]
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def teacher_at(server, tmp_path, **options):
    spec = OpenAI(**{"model": "big", "base_url": server.url, "timeout_s": 2.0, **options})
    teacher = spec.prepare(make_context(tmp_path))
    waits = []
    teacher._client = dataclasses.replace(teacher._client, sleep=waits.append)
    return teacher, waits


def ask(teacher, tmp_path, texts=TEXTS):
    return capture(teacher, texts, Store(tmp_path / "store"), Silent())


def test_rows_are_labelled_once_and_the_key_stays_secret(tmp_path):
    with Server() as server:
        teacher, _ = teacher_at(server, tmp_path)
        found = ask(teacher, tmp_path)
        again = ask(teacher, tmp_path)
    names = SCHEMA.fields[0].classes
    assert [names[i] for i in found.logits.argmax(1)] == [label_of(text) for text in TEXTS]
    assert sorted(server.asked) == sorted(TEXTS) and again.num_asked == 0
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert found.num_tokens == 12 * 55 and found.num_calls == 12
    everything = json.dumps([teacher.identity(), repr(teacher._client), repr(vars(teacher))], default=str)
    assert KEY not in everything
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_the_contract(tmp_path):
    with Server() as server:
        check_teacher(OpenAI(model="big", base_url=server.url), make_context(tmp_path))


@pytest.mark.parametrize("trouble", [(429, {"retry-after": "7"}, {}), (500, {}, {}), (503, {}, b"<html>"), "cut"])
def test_passing_trouble_is_retried(tmp_path, trouble):
    def behave(text, number):
        return trouble if number < 2 else (200, {}, reply(label_of(text)))

    with Server(behave) as server:
        teacher, waits = teacher_at(server, tmp_path, concurrency=2)
        found = ask(teacher, tmp_path, TEXTS[:4])
    assert found.known.all() and found.num_calls == 12 == len(server.asked)
    assert len(waits) == 8
    if trouble[0] == 429:
        assert min(waits) >= 7


def test_trouble_that_stays_keeps_what_was_answered(tmp_path):
    def behave(text, number):
        return (500, {}, {}) if text == TEXTS[5] else (200, {}, reply(label_of(text)))

    with Server(behave) as server:
        teacher, _ = teacher_at(server, tmp_path, concurrency=1, max_attempts=3)
        with pytest.raises(TeacherUnavailableError, match=r"in 3 tries; the last: HTTP 500"):
            ask(teacher, tmp_path)
        assert server.asked.count(TEXTS[5]) == 3
        server.behave = lambda text, number: (200, {}, reply(label_of(text)))
        before = len(server.asked)
        found = ask(teacher, tmp_path)
    assert found.num_reused == 5 and len(server.asked) - before == 7


@pytest.mark.parametrize(("status", "words"), [(401, "API key"), (403, "rights"), (404, "base_url")])
def test_a_server_that_turns_us_away_is_not_asked_again(tmp_path, status, words):
    with Server(lambda text, number: (status, {}, {"error": "no"})) as server:
        teacher, waits = teacher_at(server, tmp_path, concurrency=1)
        with pytest.raises(TeacherUnavailableError, match=words) as caught:
            ask(teacher, tmp_path)
        assert len(server.asked) == 1 and waits == [] and KEY not in str(caught.value)


def test_nobody_at_home(tmp_path):
    with Server() as server:
        pass
    teacher, waits = teacher_at(server, tmp_path, max_attempts=3, concurrency=1)
    with pytest.raises(TeacherUnavailableError, match="no connection"):
        ask(teacher, tmp_path)
    assert len(waits) == 2


BAD = {
    "unknown label": reply("zebra"),
    "no JSON": {**reply("card"), "choices": [{"finish_reason": "stop", "message": {"content": "card"}}]},
    "no content": {**reply("card"), "choices": [{"finish_reason": "stop", "message": {}}]},
    "not one choice": {**reply("card"), "choices": []},
    "no chat completion": {"error": "x"},
    "answered by another model": reply("card", model="small"),
    "the model refused": reply("card", refusal="I can't"),
    "finish_reason length": reply("card", finish="length"),
    "a field is missing": reply("card", field="other"),
    "broken logprobs": reply("card", logprobs=[{"token": "x", "logprob": float("nan")}]),
    "HTTP 302": None,
    "a body over 1 MiB": b" " * (2 << 20),
    "no JSON over HTTP": b"{",
}


@pytest.mark.parametrize("reason", BAD)
def test_answers_that_are_no_use_are_counted_and_never_kept(tmp_path, reason):
    def behave(text, number):
        if text != TEXTS[0]:
            return 200, {}, reply(label_of(text))
        return (302, {"location": "http://127.0.0.1:1/"}, b"") if reason == "HTTP 302" else (200, {}, BAD[reason])

    with Server(behave) as server:
        teacher, _ = teacher_at(server, tmp_path)
        found = ask(teacher, tmp_path, TEXTS[:3])
        ask(teacher, tmp_path, TEXTS[:3])
    assert found.num_refused == {reason: 1}
    assert found.known.tolist() == [False, True, True]
    assert len(server.asked) == 3


def test_the_dated_name_of_a_model_is_the_same_model():
    assert read_reply(reply("card", model="big-2026-08-06"), "big", SCHEMA).num_input_tokens == 50
    with pytest.raises(RefusedError):
        read_reply(reply("card", model="bi"), "big", SCHEMA)


@pytest.mark.parametrize(
    "options", [{"max_calls": 5}, {"max_tokens": 5 * 120}, {"max_cost": 5 * 60e-6, "price_input": 1.0}]
)
def test_a_budget_is_not_overspent(tmp_path, options):
    with Server() as server:
        teacher, _ = teacher_at(server, tmp_path, concurrency=4, **options)
        with pytest.raises(BudgetError, match="budget is used up"):
            ask(teacher, tmp_path, [text for text, _ in sentences(200)])
        asked = len(server.asked)
        kept = len(Store(tmp_path / "store").entries()[0].read())
    assert kept == asked
    if "max_calls" in options:
        assert asked == 5
    elif "max_tokens" in options:
        assert asked * 55 <= 600
    else:
        assert asked * 50e-6 <= options["max_cost"]


def test_retries_count_as_calls(tmp_path):
    with Server(lambda text, number: (500, {}, {})) as server:
        teacher, _ = teacher_at(server, tmp_path, concurrency=1, max_calls=4, max_attempts=10)
        with pytest.raises(BudgetError):
            ask(teacher, tmp_path)
    assert len(server.asked) == 4


def test_a_forecast_asks_nothing():
    spec = OpenAI(model="big", base_url="http://127.0.0.1:1/v1", price_input=1.0, price_output=2.0)
    found = spec.forecast([*TEXTS, TEXTS[0]], SCHEMA)
    assert found["calls"] == 12 and found["tokens"] > 12 * 30 and found["cost"] > 0


def test_retry_after_is_seconds_or_a_date():
    assert _retry_after("3") == 3.0
    assert _retry_after("100000") == 60.0
    assert _retry_after("soon") == 0.0 == _retry_after(None) == _retry_after("-5") == _retry_after("nan")
    in_ten = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 10))
    assert 8 <= _retry_after(in_ten) <= 10


def test_several_fields_and_several_labels():
    schema = LabelSchema((Field(name="a", classes=("x", "y")), Field(name="b", classes=("p", "q"), multi=True)))
    body = reply("x")
    body["choices"][0]["message"]["content"] = json.dumps({"a": "y", "b": ["q"]})
    logits = read_reply(body, "big", schema).logits
    assert logits[1] > logits[0] and logits[3] > 0 > logits[2]


@pytest.mark.parametrize("options", [{"base_url": "ftp://x"}, {"concurrency": 0}, {"max_cost": 1.0}])
def test_options_out_of_range(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        OpenAI(**{"model": "big", "base_url": "http://x", **options})


def test_pictures_and_sounds_go_along_as_parts(tmp_path):
    picture, sound = np.full((4, 5, 3), 7, np.uint8), np.zeros(800, np.float32)
    (image,) = content_of(picture, 0)
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert np.array_equal(read_picture(base64.b64decode(image["image_url"]["url"].partition(",")[2])), picture)
    (audio,) = content_of(sound, 8000)
    heard = read_sound(base64.b64decode(audio["input_audio"]["data"]), rate=8000)
    assert audio["input_audio"]["format"] == "wav" and np.array_equal(heard, sound)
    assert expected_input_tokens(sound, 8000, 3) == 10 and expected_input_tokens(picture, 0, 3) == 255


def test_a_vision_model_labels_pictures(tmp_path):
    context = picture_context(tmp_path)

    def behave(content, number):
        pixels = read_picture(base64.b64decode(content[0]["image_url"]["url"].partition(",")[2]))
        name = ("red", "green", "blue")[int(pixels.mean((0, 1)).argmax())]
        return 200, {}, reply(name)

    with Server(behave) as server:
        spec = OpenAI(model="big", base_url=server.url, timeout_s=5.0)
        teacher = spec.prepare(context)
        found = capture(teacher, context.labelled.inputs, Store(tmp_path / "store"), Silent())
    assert "picture" in teacher._instructions
    assert (found.logits.argmax(1) == context.labelled.labels[:, 0]).mean() > 0.9
