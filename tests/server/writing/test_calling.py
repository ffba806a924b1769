import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.server.writing.calling import Call, call_schema

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 1]), st.lists(st.integers(0, 200)))
def test_pieces_cut_anywhere_give_the_arguments(arguments, indent, cuts):
    text = json.dumps({"name": "rate", "arguments": arguments}, indent=indent, ensure_ascii=False) + " "
    ends = sorted({*(cut % (len(text) + 1) for cut in cuts), len(text)})
    call = Call()
    deltas = [delta for start, end in zip([0, *ends], ends, strict=False) for delta in call.add(text[start:end])]
    deltas += call.close(is_whole=True)
    calls = [each for delta in deltas for each in delta["tool_calls"]]
    assert calls[0]["function"]["name"] == "rate"
    assert json.loads("".join(each["function"]["arguments"] for each in calls)) == arguments


@pytest.mark.parametrize("text", ["", '{"na', '{"name": "rate", '])
def test_what_isn_t_open_yet_tells_nothing(text):
    call = Call()
    assert call.add(text) == [] and call.close(is_whole=False) == []


def test_places_in_a_tools_own_schema_move_with_it():
    kinds = {"K": {"const": {"$ref": "x"}}}
    parameters = {"type": "object", "properties": {"enum": {"$ref": "#/$defs/K"}}, "$defs": kinds}
    found = call_schema([{"function": {"name": "rate", "parameters": parameters}}], "required")
    moved = found["$defs"]["tool0"]
    assert moved["properties"]["enum"] == {"$ref": "#/$defs/tool0/$defs/K"}
    assert moved["$defs"]["K"] == {"const": {"$ref": "x"}}
