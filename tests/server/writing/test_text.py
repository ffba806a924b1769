import time

import openai
import pytest


def go_on(client, **options):
    return client.completions.create(**{"model": "plain", "prompt": "the rate", "max_tokens": 8, **options})


def test_a_text_goes_on_whole_and_streamed(client):
    whole = go_on(client, logprobs=2)
    (choice,) = whole.choices
    assert whole.usage.completion_tokens == 8 and choice.finish_reason == "length"
    assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs) == 8
    assert choice.logprobs.text_offset[:2] == [0, len(choice.logprobs.tokens[0])]
    chunks = list(go_on(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == choice.text
    assert chunks[-1].usage.completion_tokens == 8


def test_what_isn_t_served_is_said(client):
    for options in ({"echo": True}, {"suffix": "x"}, {"prompt": ["a", "b"]}, {"logprobs": 9}, {"prompt": [1, 2]}):
        with pytest.raises(openai.BadRequestError):
            go_on(client, **options)
    with pytest.raises(openai.NotFoundError):
        go_on(client, model="nobody")


def test_whoever_hangs_up_frees_the_engine(client, server):
    impatient = client.with_options(timeout=0.2)
    with pytest.raises(openai.APITimeoutError):
        go_on(impatient, max_tokens=1900, temperature=1, logit_bias={"2": -100, "0": -100})
    started = time.monotonic()
    go_on(client, max_tokens=1)
    assert time.monotonic() - started < 1
