import json

import openai
import pytest

USER = [{"role": "user", "content": "please tell me about my new card"}]
ANSWER = {
    "type": "object",
    "properties": {"intent": {"enum": ["card", "loan"]}, "sure": {"type": "boolean"}},
    "required": ["intent", "sure"],
    "additionalProperties": False,
}


def ask(client, model="plain", **options):
    return client.chat.completions.create(**{"model": model, "messages": USER, "max_tokens": 12, **options})


def schema(value):
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": value}}


def test_the_likeliest_answer_unless_asked_otherwise(client):
    first, again = ask(client), ask(client, max_tokens=None, max_completion_tokens=12)
    assert first.choices[0].message.content == again.choices[0].message.content
    assert first.choices[0].finish_reason == "length" and first.usage.completion_tokens == 12
    drawn = [ask(client, temperature=1, seed=seed).choices[0].message.content for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_stream_is_the_whole_in_pieces(client):
    whole = ask(client, logprobs=True, top_logprobs=2)
    chunks = list(ask(client, logprobs=True, top_logprobs=2, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 12
    assert chunks[-1].potstill["cached_tokens"] > 0
    tokens = [t for c in chunks if c.choices and c.choices[0].logprobs for t in c.choices[0].logprobs.content]
    assert [t.logprob for t in tokens] == pytest.approx(
        [t.logprob for t in whole.choices[0].logprobs.content], abs=0.05
    )
    assert all(len(t.top_logprobs) == 2 and t.top_logprobs[0].logprob == t.logprob for t in tokens)
    bare = ask(client, logprobs=True).choices[0].logprobs.content
    assert all(token.top_logprobs == [] for token in bare)


def test_stop_ends_an_answer(client):
    text = ask(client).choices[0].message.content
    stopped = ask(client, stop=text[3:5])
    assert stopped.choices[0].finish_reason == "stop" and text[3:5] not in stopped.choices[0].message.content


@pytest.mark.parametrize("seed", range(4))
def test_never_outside_the_schema(client, seed):
    found = ask(client, response_format=schema(ANSWER), temperature=2, seed=seed, max_tokens=400)
    assert found.choices[0].finish_reason == "stop"
    said = json.loads(found.choices[0].message.content)
    assert set(said) == {"intent", "sure"} and said["intent"] in ("card", "loan") and isinstance(said["sure"], bool)


def test_reused_prompt_tokens_are_counted(client):
    long = [{"role": "system", "content": "please tell me about my new card " * 170}]
    answers = [ask(client, messages=[*long, {"role": "user", "content": f"{i}"}], max_tokens=2) for i in range(2)]
    reused = answers[1].potstill["cached_tokens"]
    assert 1024 < reused < answers[1].usage.prompt_tokens
    assert answers[1].usage.prompt_tokens_details.cached_tokens == reused // 128 * 128
    short = [ask(client).usage.prompt_tokens_details.cached_tokens for _ in range(2)]
    assert short == [0, 0]


def test_tools_where_the_template_has_them(client):
    parameters = {"type": "object", "properties": {"kind": {"enum": ["loan", "card"]}}, "required": ["kind"]}
    tools = [{"type": "function", "function": {"name": "rate", "parameters": parameters}}]
    # Random weights never open a call; that the model reads its tools is what can be seen here.
    with_tools, without = (ask(client, "tools", tools=tools, tool_choice=choice) for choice in ("auto", "none"))
    assert with_tools.usage.prompt_tokens > without.usage.prompt_tokens + 20
    with pytest.raises(openai.BadRequestError, match="no place for tools"):
        ask(client, tools=tools)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "'n' is 1"),
        ({"max_tokens": 0}, "max_completion_tokens"),
        ({"top_logprobs": 2}, "logprobs"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"messages": [{"role": "user", "content": "card " * 6000}]}, "too long"),
        (
            {"response_format": schema({"type": "object", "properties": {"a": {"type": "string", "format": "x"}}})},
            "format",
        ),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "text alone"),
    ],
)
def test_what_can_t_be_done_is_said(client, options, message):
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=message):
            ask(client, **options, stream=stream)


PARAMETERS = {
    "type": "object",
    "properties": {
        "kind": {"$ref": "#/$defs/Kind"},
        "why": {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]},
    },
    "required": ["kind", "why"],
    "additionalProperties": False,
    "$defs": {"Kind": {"enum": ["loan", "card"]}},
}
TOOLS = [
    {"type": "function", "function": {"name": "rate", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "hang_up", "description": "ends the talk"}},
]


def calls_of(client, *, stream, **options):
    """Name, arguments and reason of the end of one answer."""
    asked = {"tools": TOOLS, "temperature": 1.5, "max_tokens": 400, **options}
    if not stream:
        choice = ask(client, "tools", **asked).choices[0]
        (call,) = choice.message.tool_calls
        assert choice.message.content is None and call.id.startswith("call_") and call.type == "function"
        return call.function.name, call.function.arguments, choice.finish_reason
    chunks = list(ask(client, "tools", **asked, stream=True))
    deltas = [c.choices[0].delta for c in chunks]
    pieces = [call for delta in deltas for call in delta.tool_calls or ()]
    assert [piece.index for piece in pieces] == [0] * len(pieces) and not any(delta.content for delta in deltas)
    assert pieces[0].id.startswith("call_") and all(piece.id is None for piece in pieces[1:])
    written = "".join(piece.function.arguments for piece in pieces)
    return pieces[0].function.name, written, chunks[-1].choices[0].finish_reason


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_call_that_must_come_comes_and_parses(client, seed, stream):
    name, arguments, finish = calls_of(client, tool_choice="required", seed=seed, stream=stream)
    assert finish == "tool_calls" and name in ("rate", "hang_up")
    said = json.loads(arguments)
    if name == "rate":
        assert said["kind"] in ("loan", "card") and isinstance(said["why"]["sure"], bool) and len(said) == 2
    else:
        assert said == {}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["rate", "hang_up"])
def test_the_tool_that_is_named_is_called(client, name, stream):
    choice = {"type": "function", "function": {"name": name}}
    for seed in range(3):
        found, arguments, finish = calls_of(client, tool_choice=choice, seed=seed, stream=stream)
        assert (found, finish) == (name, "tool_calls") and isinstance(json.loads(arguments), dict)


def test_no_stop_ends_a_call_in_the_middle(client):
    _, arguments, finish = calls_of(client, stream=False, tool_choice="required", seed=1, stop=['"', ":"])
    assert finish == "tool_calls" and isinstance(json.loads(arguments), dict)


def test_a_call_that_is_cut_off_says_so(client):
    choice = ask(client, "tools", tools=TOOLS, tool_choice="required", max_tokens=1).choices[0]
    assert choice.finish_reason == "length" and not choice.message.tool_calls


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tool_choice": "required"}, "when 'tools' are specified"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "none of the tools"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "'tool_choice' is none, auto"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}], "tool_choice": "required"}, "function.name"),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "a",
                            "parameters": {"type": "object", "properties": {"x": {"type": "string", "pattern": "a"}}},
                        },
                    }
                ],
                "tool_choice": "required",
            },
            "can't be held to",
        ),
    ],
)
def test_choices_of_tools_that_can_t_be_met(client, options, message):
    with pytest.raises(openai.BadRequestError, match=message):
        ask(client, "tools", **options)
