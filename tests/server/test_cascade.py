import json

import numpy as np
import openai
import pytest

from potstill.server.cascade import choose_threshold
from potstill.server.compiling import AnswerField, AnswerForm, PromptForm, Task
from potstill.server.models import add_model
from potstill.types import Field, LabelSchema
from tests.runtime.bundles import make_bundle

NAME = "ft:student:default:colours:c5c4d3e2"
CASCADE = f"cascade:{NAME}"
FORM = {"type": "json_schema", "json_schema": {"name": "c", "schema": {"type": "object"}}}


def test_the_threshold_is_as_low_as_the_rows_allow():
    confidence = np.linspace(1, 0, 1000)
    assert choose_threshold(np.ones(58, bool), confidence[:58]) is None
    assert choose_threshold(np.ones(59, bool), confidence[:59]) == confidence[58]
    right = np.arange(1000) < 500
    found = choose_threshold(right, confidence)
    # Beyond the first 500 rows all are wrong: 5 % of 510 are 25, and 500 good rows leave room for about 15.
    assert confidence[520] < found < confidence[490]
    assert choose_threshold(np.arange(1000) % 10 != 0, confidence) is None
    # Rows that are alike are answered together, or not at all.
    tied = np.repeat([0.9, 0.7], 60)
    assert choose_threshold(np.arange(120) < 60, tied) == 0.9
    assert choose_threshold(np.arange(120) < 120, tied) == 0.7
    assert choose_threshold(np.arange(60) < 50, tied[:60]) is None


def ask(client, content, **more):
    messages = [{"role": "user", "content": content}]
    options = {"model": CASCADE, "response_format": FORM, "extra_body": {"teacher": "big"}, **more}
    return client.chat.completions.create(messages=messages, **options)


@pytest.fixture
def student(server):
    """`red` speaks for red and `blue` for blue; both at once leave it in doubt."""
    folder = server.services.settings.data / "jobs" / "one" / "run"
    make_bundle(folder / "bundle", schema=LabelSchema((Field(name="colour", classes=("blue", "red")),)))
    colour = AnswerField(path=("colour",), values={"blue": "blue", "red": "red"})
    form = AnswerForm(fields=(colour,), template={"colour": "red"}, form=(None, ",", ":"))
    task = Task(prompt=PromptForm(modality="text"), answer=form)
    server.services.database.write_now(
        lambda c: add_model(c, "default", NAME, base="student", folder="jobs/one/run/bundle", task=task)
    )
    return folder


def report(folder, confidence):
    rows = {"labels": np.zeros((100, 1), int), "answers|student": np.zeros((100, 1), int)}
    (folder / "report").mkdir()
    spread = np.linspace(confidence + 0.01, confidence, 100)
    np.savez_compressed(folder / "report" / "report_rows.npz", **rows, **{"confidence|student": spread})


def test_the_teacher_is_asked_where_the_student_is_in_doubt(server, client, student, teacher):
    sure = client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "red"}])
    torn = client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "red blue"}])
    assert sure.potstill["probability"] > torn.potstill["probability"] + 0.02
    report(student, torn.potstill["probability"] + 0.01)
    asked = len(teacher.bodies)
    own = ask(client, "red")
    assert own.potstill["answered_by"] == "student" and len(teacher.bodies) == asked
    assert json.loads(own.choices[0].message.content) == {"colour": "red"}
    other = ask(client, "red blue")
    assert other.potstill["answered_by"] == "teacher" and other.potstill["threshold"] > other.potstill["probability"]
    assert other.model == CASCADE and "teacher" not in teacher.bodies[-1]
    assert [row.id for row in client.chat.completions.list()] == [other.id]
    assert ask(client, "red blue", store=False).potstill["answered_by"] == "teacher"
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in ask(client, "red", stream=True))
    assert json.loads(streamed) == {"colour": "red"}
    assert len(list(client.chat.completions.list())) == 1
    list(ask(client, "red blue", stream=True))
    assert len(list(client.chat.completions.list())) == 2
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, "red blue", extra_body={})
    assert caught.value.code == "no_such_teacher"


def test_without_held_out_rows_the_teacher_answers(client, student):
    assert ask(client, "red").potstill == {
        "probability": pytest.approx(1, abs=0.5),
        "in_scope": True,
        "fits_template": True,
        "answered_by": "teacher",
        "threshold": None,
    }
    with pytest.raises(openai.NotFoundError):
        ask(client, "red", model="cascade:ft:nobody")
