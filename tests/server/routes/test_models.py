import json

import openai
import pytest

from potstill.server.compiling import AnswerField, AnswerForm, PromptForm, Task
from potstill.server.jobs.bases import BASES
from potstill.server.models import add_model
from potstill.types import Field, LabelSchema
from tests.runtime.bundles import make_bundle
from tests.server.routes.test_chat_completions import ask

NAME = "ft:student:default:colours:a1b2c3d4"


@pytest.fixture
def student(server):
    """The smallest of bundles: `red` speaks for red, `blue` for blue."""
    schema = LabelSchema((Field(name="seen.colour", classes=("blue", "red")),))
    make_bundle(server.services.settings.data / "students" / "one", schema=schema)
    colour = AnswerField(path=("seen", "colour"), values={"blue": False, "red": "red"})
    task = Task(
        prompt=PromptForm(modality="text", before="Colour of: "),
        answer=AnswerForm(fields=(colour,), template={"version": 2, "seen": {"colour": "red"}}, form=(2, ",", ": ")),
    )
    server.services.database.write_now(
        lambda c: add_model(c, "default", NAME, base="student", folder="students/one", task=task)
    )


def test_a_student_answers_like_its_teacher(client, student):
    made = ask(client, "Colour of: red", model=NAME, store=True, metadata={"who": "student"})
    # Nested and indented, as its teacher wrote it.
    assert made.choices[0].message.content == '{\n  "version": 2,\n  "seen": {\n    "colour": "red"\n  }\n}'
    assert made.potstill["fits_template"]
    assert made.usage.prompt_tokens_details.cached_tokens == 0
    assert 0.5 < made.potstill["probability"] <= 1
    assert client.chat.completions.retrieve(made.id).model == NAME
    other = ask(client, "blue", model=NAME)
    assert json.loads(other.choices[0].message.content)["seen"]["colour"] is False
    assert not other.potstill["fits_template"]
    chunks = list(ask(client, "red", model=NAME, stream=True, store=True, stream_options={"include_usage": True}))
    assert json.loads("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))["seen"]["colour"] == "red"
    assert chunks[-1].usage.total_tokens > 0


def test_a_student_never_leaves_the_enum(client, student):
    colour = {"type": "string"}
    inner = {"type": "object", "properties": {"colour": colour}}
    schema = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {"seen": inner}}},
    }
    colour["enum"] = ["green", "red"]
    answer = ask(client, "blue", model=NAME, response_format=schema)
    assert json.loads(answer.choices[0].message.content)["seen"]["colour"] == "red"
    colour["enum"] = ["green"]
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, "blue", model=NAME, response_format=schema)
    assert caught.value.code == "no_common_value"


def test_requests_that_a_student_cannot_read(client, student):
    for messages in ([{"role": "system", "content": "red"}], [{"role": "user", "content": [{"type": "input_audio"}]}]):
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model=NAME, messages=messages)


def test_models_are_listed_and_students_deleted(server, client, student):
    assert [model.id for model in client.models.list()] == ["big", "gone", *BASES, NAME]
    assert client.models.retrieve(NAME).owned_by == "default"
    assert client.models.retrieve("big/anything").id == "big/anything"
    other = server.client(server.new_key("other"))
    assert NAME not in [model.id for model in other.models.list()]
    for method in (other.models.retrieve, other.models.delete, lambda name: ask(other, "red", model=name)):
        with pytest.raises(openai.NotFoundError):
            method(NAME)
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete("big")
    ask(client, "red", model=NAME)
    assert client.models.delete(NAME).deleted
    with pytest.raises(openai.NotFoundError):
        ask(client, "red", model=NAME)
