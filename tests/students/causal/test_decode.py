import numpy as np
import pytest
import torch

from potstill.signals.prefixes import PrefixGroup, PrefixPlan, plan_prefixes
from potstill.students.causal.chat import CHATML, ChatTokens, settle_template
from potstill.students.causal.decode import answer_logprobs, write
from tests.lm import TEXTS, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def chat():
    return ChatTokens(tiny_tokenizer())


@pytest.fixture(scope="module")
def model(chat):
    return tiny_model(chat.tokenizer)


def alone(prompts):
    order = tuple(range(len(prompts)))
    return PrefixPlan(groups=(PrefixGroup(0, order),), num_tokens=0, num_reused=0, num_alone=len(order))


def test_kept_prefixes_change_no_answer_in_fp32(model, chat):
    start = chat.ids(" ".join(TEXTS))
    prompts = [[*start, *chat.ids(text)] for text in TEXTS] + [chat.ids("rain")]
    plan = plan_prefixes(prompts)
    assert plan.share_reused > 0.5
    kept = dict(write(model, prompts, end=chat.end, max_new_tokens=6, top_k=8, plan=plan, batch_size=2))
    again = dict(write(model, prompts, end=chat.end, max_new_tokens=6, top_k=8, plan=alone(prompts)))
    for i in range(len(prompts)):
        assert kept[i].ids.tolist() == again[i].ids.tolist()
        np.testing.assert_allclose(kept[i].top_logprobs, again[i].top_logprobs, atol=1e-4)


def test_greedy_is_what_the_model_says_row_by_row(model, chat):
    prompts = [chat.ids(text) for text in TEXTS]
    found = dict(write(model, prompts, end=chat.end, max_new_tokens=4, top_k=3))
    for i, prompt in enumerate(prompts):
        ids = list(prompt)
        for step, said in enumerate(found[i].ids.tolist()):
            with torch.no_grad():
                logprobs = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            assert said == int(logprobs.argmax())
            np.testing.assert_allclose(found[i].top_logprobs[step], logprobs.topk(3).values, atol=1e-4)
            ids.append(said)


def test_padding_of_the_head_is_never_said(chat):
    padded = tiny_model(chat.tokenizer, padded=64, tied=False)
    with torch.no_grad():
        padded.lm_head.weight[len(chat.tokenizer) :] += 10
        padded.lm_head.weight[len(chat.tokenizer) :] *= 5
    prompts = [chat.ids(text) for text in TEXTS]
    limits = {"end": chat.end, "max_new_tokens": 3, "top_k": 4}
    whole = np.concatenate([said.ids for _, said in write(padded, prompts, **limits)])
    assert whole.max() >= len(chat.tokenizer), "else this test shows nothing"
    for _, said in write(padded, prompts, **limits, num_tokens=len(chat.tokenizer)):
        assert said.ids.max() < len(chat.tokenizer) and said.top_ids.max() < len(chat.tokenizer)


def test_scores_of_given_answers_are_those_of_the_whole_text(model, chat):
    prompts, answers = (
        [chat.ids(t) for t in TEXTS],
        [chat.answer("card"), chat.answer("a loan now"), *([chat.answer("rain")] * 3)],
    )
    for i, logprobs in answer_logprobs(model, prompts, answers, batch_size=2):
        ids = torch.tensor([[*prompts[i], *answers[i]]])
        with torch.no_grad():
            wanted = model(ids).logits[0].log_softmax(-1)[len(prompts[i]) - 1 : -1]
        torch.testing.assert_close(logprobs, wanted, atol=1e-4, rtol=1e-4)


def test_bytes_of_tokens(chat):
    for text in ["plain words", "비가 오나요? 🙂 é"]:
        ids = chat.ids(text)
        assert chat.byte_ends(ids)[-1] == len(text.encode())
    prompt = chat.prompt([{"role": "user", "content": "hé"}])
    end = int(chat.byte_ends(prompt)[-1])
    assert end == len(chat.text_of([{"role": "user", "content": "hé"}]).encode())
    assert chat.byte_ends(chat.answer("é"), end).tolist()[-1] == end + 2, "the end mark has no bytes"


def test_a_system_turn_that_nobody_asked_for_is_left_out_when_tuned():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "<|im_start|>system\nBe nice<|im_end|>\n" + CHATML
    assert "Be nice" in settle_template(tokenizer, is_tuned=False).text_of([{"role": "user", "content": "x"}])
    text = settle_template(tokenizer, is_tuned=True).text_of([{"role": "user", "content": "x"}])
    assert text == "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n"
