from base64 import b64decode

import numpy as np
import openai
import pytest

from potstill.server.models import add_model
from potstill.server.upstream.local import plain_task
from tests.runtime.bundles import SCHEMA, make_bundle, network

NEW, OLD = "ft:student:default:new:a1b2c3d4", "ft:student:default:old:a1b2c3d4"


@pytest.fixture
def students(server):
    home = server.services.settings.data / "students"
    make_bundle(home / "new", model=network(embeds=True), embedding_size=2)
    make_bundle(home / "old")
    for name, folder in ((NEW, "students/new"), (OLD, "students/old")):
        server.services.database.write_now(
            lambda c, name=name, folder=folder: add_model(
                c, "default", name, base="student", folder=folder, task=plain_task(SCHEMA)
            )
        )


@pytest.mark.parametrize("form", ["float", "base64", openai.NOT_GIVEN])
def test_texts_are_embedded_in_their_order(client, students, form):
    found = client.embeddings.create(model=NEW, input=["red", "blue blue", "red blue"], encoding_format=form)
    vectors = [each.embedding for each in found.data]
    if form == "base64":
        vectors = [np.frombuffer(b64decode(vector), "<f4") for vector in vectors]
    np.testing.assert_allclose(vectors, [[0, 1], [1, 0], [0.5**0.5, 0.5**0.5]], atol=1e-6)
    assert [each.index for each in found.data] == [0, 1, 2]
    assert found.model == NEW
    assert found.usage.prompt_tokens == found.usage.total_tokens == 5


def test_one_text_and_the_right_dimensions(client, students):
    assert len(client.embeddings.create(model=NEW, input="red", dimensions=2).data) == 1


def test_only_what_is_read_is_counted(client, students):
    assert client.embeddings.create(model=NEW, input="red " * 50).usage.total_tokens == 8


@pytest.mark.parametrize(
    ("options", "param", "message"),
    [
        ({"input": [1212, 318]}, "input", "Send the text"),
        ({"input": [[1212], [318]]}, "input", "Send the text"),
        ({"input": ""}, "input", "empty text"),
        ({"input": []}, "input", "1 to 2048"),
        ({"input": ["red"] * 2049}, "input", "1 to 2048"),
        ({"input": [None]}, "input", "no text"),
        ({"input": "red", "dimensions": 1}, "dimensions", "have 2 values"),
        ({"input": "red", "encoding_format": "int8"}, "encoding_format", "encoding_format"),
        ({"input": "red", "model": OLD}, "model", "train it again"),
        ({"input": "red", "model": "big"}, "model", "at their own address"),
    ],
)
def test_what_cannot_be_embedded_says_what_to_do(client, students, options, param, message):
    with pytest.raises(openai.BadRequestError, match=message) as caught:
        client.embeddings.create(**{"model": NEW, **options})
    assert caught.value.param == param


def test_strangers_students_are_not_there(server, students):
    other = server.client(server.new_key("other"))
    for name in (NEW, "nobody"):
        with pytest.raises(openai.NotFoundError):
            other.embeddings.create(model=name, input="red")
