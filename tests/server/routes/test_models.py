import json

import openai
import pytest

from potstill.server.jobs.bases import BASES
from potstill.server.models import FieldAnswer, Template, add_model
from potstill.types import Field, LabelSchema
from tests.runtime.bundles import make_bundle
from tests.server.routes.test_chat_completions import COLOURS, ask

NAME = "ft:student:default:colours:a1b2c3d4"


@pytest.fixture
def student(server):
    """The smallest of bundles: `red` speaks for red, `blue` for blue."""
    schema = LabelSchema((Field(name="label", classes=("blue", "red")),))
    make_bundle(server.services.settings.data / "students" / "one", schema=schema)
    template = Template(
        input="text",
        form="json",
        prefix="Colour of: ",
        fields=[FieldAnswer(field="label", key="colour", values={"blue": False})],
        constants={"version": 2},
    )
    server.services.database.write_now(
        lambda c: add_model(c, "default", NAME, base="student", folder="students/one", template=template)
    )


def test_a_student_answers_like_its_teacher(client, student):
    made = ask(client, "Colour of: red", model=NAME, store=True, metadata={"who": "student"})
    assert json.loads(made.choices[0].message.content) == {"version": 2, "colour": "red"}
    assert made.usage.prompt_tokens_details.cached_tokens == 0
    assert 0.5 < made.potstill["probability"] <= 1
    assert client.chat.completions.retrieve(made.id).model == NAME
    assert json.loads(ask(client, "blue", model=NAME).choices[0].message.content)["colour"] is False
    chunks = list(ask(client, "red", model=NAME, stream=True, store=True, stream_options={"include_usage": True}))
    assert json.loads("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))["colour"] == "red"
    assert chunks[-1].usage.total_tokens > 0


def test_a_student_never_leaves_the_enum(client, student):
    schema = json.loads(json.dumps(COLOURS))
    colour = schema["json_schema"]["schema"]["properties"]["colour"]
    colour["enum"] = ["green", "red"]
    answer = ask(client, "blue", model=NAME, response_format=schema)
    assert json.loads(answer.choices[0].message.content)["colour"] == "red"
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
