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
