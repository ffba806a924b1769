import json

import pytest

from potstill.errors import ConfigurationError
from potstill.server.settings import read_bases, read_teachers
from potstill.server.upstream.local import plain_task
from potstill.types import Field, LabelSchema
from tests.runtime.bundles import make_bundle
from tests.server.running import running


def test_a_classifier_on_this_machine_teaches(tmp_path):
    make_bundle(tmp_path / "one", schema=LabelSchema((Field(name="colour", classes=("blue", "red")),)))
    teachers = read_teachers([f"one={tmp_path / 'one'}"])
    with running(tmp_path / "data", teachers=teachers) as server, server.client() as client:

        def ask(model, text, **options):
            messages = [{"role": "user", "content": text}]
            return client.chat.completions.create(model=model, messages=messages, **options)

        assert ask("one", "red", store=True).choices[0].message.content == "red"
        assert [row.model for row in client.chat.completions.list()] == ["one"]
        assert "one" in {model.id for model in client.models.list()}


def test_several_fields_are_answered_as_an_object():
    schema = LabelSchema((Field(name="a", classes=("x", "y")), Field(name="b", classes=("u", "v"))))
    assert json.loads(plain_task(schema).answer.write({"a": "y", "b": "u"})) == {"a": "y", "b": "u"}


def test_what_lies_nowhere_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="nothing at"):
        read_teachers(["a=missing.gguf"])
    with pytest.raises(ConfigurationError, match="NAME=PATH"):
        read_bases([f"a={tmp_path / 'missing'}"])
