import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.errors import DataError
from potstill.runtime.generating.schema import check_schema

OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}}}
ENUMS = st.lists(st.one_of(st.text(max_size=6), st.integers(-99, 99), st.booleans(), st.none()), min_size=1, max_size=4)
LEAVES = st.one_of(
    st.builds(lambda values: {"enum": values}, ENUMS),
    st.just({"type": "boolean"}),
    st.builds(lambda low: {"type": "integer", "minimum": low, "maximum": low + 50}, st.integers(-200, 200)),
)


def objects(parts):
    names = st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), parts, min_size=1, max_size=3)
    return st.builds(
        lambda p: {"type": "object", "properties": p, "required": [*p], "additionalProperties": False}, names
    )


def arrays(parts):
    return st.builds(lambda p: {"type": "array", "items": p, "minItems": 1, "maxItems": 2}, parts)


SCHEMAS = st.recursive(LEAVES, lambda parts: objects(parts) | arrays(parts), max_leaves=4)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "email"},
        {"type": "string", "pattern": "a"},
        {"type": "string", "maxLength": 3},
        {"type": "number", "minimum": 1},
        {"type": "array"},
        {"type": "array", "items": {"type": "null"}, "uniqueItems": True},
        {**OBJECT, "not": {}},
        {**OBJECT, "required": ["b"]},
        {**OBJECT, "additionalProperties": True},
        {"anyOf": [{"type": "null"}], "type": "string"},
        {"oneOf": [{"type": "null"}]},
        {"enum": [1], "type": "string"},
        {"$ref": "https://example.com/schema"},
        {"type": "object"},
        {},
    ],
)
def test_what_could_be_left_is_refused(schema):
    with pytest.raises(DataError):
        check_schema(schema)
    with pytest.raises(DataError):
        check_schema({"type": "object", "properties": {"inside": schema}})


def test_usual_schemas_are_taken():
    check_schema(OBJECT)
    check_schema({"anyOf": [{"type": ["string", "null"]}, {"$ref": "#/$defs/x"}], "$defs": {"x": {"const": 1}}})


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    pytest.importorskip("xllamacpp", reason="needs potstill[llama]")
    pytest.importorskip("gguf", reason="needs potstill[lm]")
    from potstill.exporters.gguf import export_gguf
    from potstill.runtime.generating import LlamaGenerator
    from potstill.students.causal import save_causal_lm
    from tests.lm import tiny_model, tiny_tokenizer

    folder, tokenizer = tmp_path_factory.mktemp("schema"), tiny_tokenizer()
    save_causal_lm(folder / "model", tiny_model(tokenizer, layers=1, positions=2048), tokenizer)
    export_gguf(folder / "model", folder / "model.gguf", "f16")
    return LlamaGenerator(folder / "model.gguf")


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(schema=SCHEMAS, seed=st.integers(0, 2**31))
def test_random_weights_write_nothing_else(generator, schema, seed):
    jsonschema = pytest.importorskip("jsonschema")
    check_schema(schema)
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    asked = [{"role": "user", "content": "tell me"}]
    found = generator.reply(asked, max_new_tokens=1500, temperature=1.5, seed=seed, response_format=form)
    assert found.is_whole
    jsonschema.validate(json.loads(found.text), schema)
