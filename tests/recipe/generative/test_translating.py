import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from potstill.data.prompts import Chat
from potstill.errors import ConfigurationError, StoreError
from potstill.losses.tokens import HeadTarget, SparseTarget, UniversalLogit
from potstill.recipe.generative.cutting import make_cut
from potstill.recipe.generative.load import build_generative
from potstill.recipe.generative.recipe import CausalCut
from potstill.recipe.generative.run import run_generative
from potstill.recipe.generative.teaching import Tuned, ask
from potstill.recipe.generative.translating import Translator, pair_answers
from potstill.signals.tokens import TokenRecord
from potstill.students.causal import save_causal_lm
from potstill.students.causal.chat import ChatTokens
from potstill.teachers.causal_lm import CausalLmTeacher
from potstill.training.causal_lm_task import RANK_WEIGHT, CausalLmTask
from potstill.training.chat_rows import ChatRow
from potstill.types import Silent
from tests.lm import SPECIALS, TEXTS, tiny_model, tiny_tokenizer

CHATS = [Chat(messages=(("user", f"{text} {i}"),)) for i, text in enumerate(TEXTS)]


class Saying:
    """A teacher of random weights that is made to say these texts, and tells what it thinks of their tokens."""

    def __init__(self, chat, texts, kept="top_k"):
        self.chat = chat
        self.texts = dict(zip([chat.text_of(c.to_json()) for c in CHATS], texts, strict=True))
        self.asked = CausalLmTeacher(
            model=tiny_model(chat.tokenizer), chat=chat, weights={}, top_k=5, max_new_tokens=40, kept=kept
        )
        self.form, self.identity = self.asked.form, self.asked.identity

    def answer_tokens(self, samples):
        from potstill.signals.token_capture import TokenPart
        from potstill.students.causal.decode import Written

        records = {}
        for i, sample in enumerate(samples):
            ids = self.chat.answer(self.texts[sample.text])
            with torch.no_grad():
                model = self.asked.model
                state = model.model(torch.tensor([[*sample.ids, *ids]])).last_hidden_state[0, len(sample.ids) - 1 : -1]
                top = model.lm_head(state).log_softmax(-1).topk(5)
            written = Written(np.array(ids), top.indices.numpy(), top.values.numpy(), state.numpy())
            records[i] = self.asked._record(sample, written)
        yield TokenPart(records=records)


def translated(tmp_path, teacher_chat, base_chat, *, kept="top_k", texts=TEXTS):
    teacher = Saying(teacher_chat, texts, kept)
    base = tiny_model(base_chat.tokenizer, seed=1)
    tuned = Tuned(teacher=teacher, chat=teacher_chat, model=teacher.asked.model, base=base, base_chat=base_chat)
    asked = ask(tuned, CHATS, tmp_path / "store", Silent())
    cut = make_cut(CausalCut(layers=1), base, base_chat, CHATS, [text for text in asked.spelled if text])
    return asked, Translator(tuned, cut), Translator(tuned, cut).rows(CHATS, asked, with_signal=True)


@pytest.fixture
def chat():
    return ChatTokens(tiny_tokenizer())


def in_another_order():
    """The same pieces with other ids: cut alike, named otherwise."""
    found = tiny_tokenizer([*reversed(TEXTS)], num_merges=0)
    content = json.loads(tiny_tokenizer().backend_tokenizer.to_str())
    ids = content["model"]["vocab"]
    specials = [ids[piece] for piece in SPECIALS]
    moved = {piece: i if i in specials else len(ids) + 2 - i for piece, i in ids.items()}
    content["model"]["vocab"] = dict(sorted(moved.items(), key=lambda item: item[1]))
    from potstill.students.causal.vocabulary import with_vocabulary

    return ChatTokens(with_vocabulary(found, json.dumps(content)))


def test_tokens_that_are_cut_alike_are_all_compared_with_what_the_plain_way_compares(chat, tmp_path):
    _, plain, same = translated(tmp_path, chat, chat)
    other = in_another_order()
    assert plain.tuned.shares_ids and not chat.has_ids_of(other)
    _, _, found = translated(tmp_path, chat, other)
    assert found.num_compared == same.num_compared == len(CHATS)
    assert found.to_json()["token_share"] == same.to_json()["token_share"] == 1
    for row, wanted in zip(found.rows, same.rows, strict=True):
        assert len(row.answer) == len(wanted.answer) and all(row.is_told)
        # Alternatives that the trimmed student lacks went to the rest; by rank none has to.
        held = wanted.target.indices >= 0
        assert torch.equal(row.target.logprobs[held], wanted.target.logprobs[held])
    _, _, again = translated(tmp_path, chat, other, kept="hidden")
    assert all(isinstance(row.target, HeadTarget) and len(row.target.head) == len(chat.tokenizer) for row in again.rows)


def test_unlike_tokens_meet_where_both_begin(chat, tmp_path):
    texts = ["rain or storm", "naïve 환율 🙂", "the card, the chip", "1200 now", " system user"]
    other = ChatTokens(tiny_tokenizer(TEXTS[2:], num_merges=12))
    asked, translator, found = translated(tmp_path, chat, other, texts=texts)
    assert (translator.new_ids == -1).all() and 0 < found.to_json()["token_share"] <= 1
    assert asked.spelled[4] == " system user" and asked.texts[4] == "system user"
    student = translator.cut.chat
    for row, record, text in zip(found.rows, asked.capture, texts, strict=True):
        assert student.spelled(row.answer) == text
        theirs = record.ids[record.first :].tolist()
        starts_T = [0, *np.cumsum([len(chat.tokenizer.convert_ids_to_tokens(i)) for i in theirs[:-1]]).tolist()]
        starts_S = [0, *np.cumsum([len(student.tokenizer.convert_ids_to_tokens(i)) for i in row.answer[:-1]]).tolist()]
        shared = sorted({*starts_T} & {*starts_S})
        assert [starts_S[place] for place in row.places] == shared and row.places[-1] == len(row.answer) - 1
        rows_T = [starts_T.index(start) for start in shared]
        np.testing.assert_array_equal(row.target.logprobs.numpy(), record.logprobs[rows_T])


def test_two_texts_are_not_paired():
    record = TokenRecord(ids=np.arange(5), ends=np.array([3, 6, 9, 12, 12]), first=2)
    teacher, student = pair_answers(record, np.array([3, 6]), 6)
    assert teacher.tolist() == [0, 1, 2] and student.tolist() == [0, 1, 2]
    with pytest.raises(StoreError, match="two texts"):
        pair_answers(record, np.array([3, 7]), 7)


def dense(model, row, teacher_rows, k):
    """The paper's formula in float64: cross-entropy everywhere, ranks where the teacher spoke."""
    ids = torch.tensor([[*row.prompt, *row.answer]])
    logprobs = model(ids).logits[0, len(row.prompt) - 1 : -1].log_softmax(-1)
    total = -logprobs[torch.arange(len(row.answer)), torch.tensor(row.answer)].sum()
    for place, p in zip(row.places, teacher_rows, strict=True):
        q = logprobs[place].exp().sort(descending=True).values
        q = torch.cat([q[:k], q[k:].sum()[None]])
        total = total + RANK_WEIGHT * (q - F.pad(p, (0, len(q) - len(p)))).abs().sum()
    return total


@pytest.mark.parametrize("packs", [False, True])
def test_the_loss_is_the_dense_one_in_float64(chat, packs):
    model = tiny_model(chat.tokenizer, layers=2)
    generator = torch.Generator().manual_seed(0)
    rows, told = [], []
    for answer, places in (([5, 9, 7, 2], [0, 2, 3]), ([8, 2], [1]), ([11, 2], None)):
        target = None
        if places is not None:
            p = torch.randn(len(places), 9, generator=generator, dtype=torch.float64).softmax(-1)
            top = p.sort(-1, descending=True)
            tail = top.values[:, 4:].sum(-1).log().float()
            target = SparseTarget(
                indices=top.indices[:, :4] + 1000, logprobs=top.values[:, :4].log().float(), tail=tail
            )
            told.append(torch.cat([top.values[:, :4], top.values[:, 4:].sum(-1, keepdim=True)], -1))
        rows.append(ChatRow(prompt=[5, 6, 7], answer=answer, target=target, places=places))
    task = CausalLmTask(model, rows, dev=[], loss=UniversalLogit(), packs=packs)
    found = task.loss(np.arange(3), 0).total * (8 / 3)
    found.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    double = model.double()
    plain = ChatRow(prompt=rows[2].prompt, answer=rows[2].answer, places=[])
    listed = [(rows[0], told[0]), (rows[1], told[1]), (plain, [])]
    wanted = sum(dense(double, row, p, 4) for row, p in listed)
    wanted.backward()
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    for name, p in double.named_parameters():
        torch.testing.assert_close(gradients[name].double(), p.grad, rtol=2e-3, atol=2e-5)


KINDS = ("card", "loan", "travel")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlike")
    for name, count, start in (("train", 18, 0), ("test", 6, 100), ("unlabelled", 9, 200)):
        listed = [{"prompt": f"{TEXTS[i % 5]} {i}", "answer": KINDS[i % 3]} for i in range(start, start + count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    teacher, base = tiny_tokenizer([*TEXTS, *KINDS]), tiny_tokenizer(TEXTS[2:], num_merges=15)
    save_causal_lm(folder / "teacher", tiny_model(teacher, layers=2), teacher)
    save_causal_lm(folder / "base", tiny_model(base, layers=2, seed=3, width=16), base)
    save_causal_lm(folder / "small", tiny_model(teacher, layers=2, seed=3, width=16), teacher)
    return folder


def recipe(folder, base, **training):
    return build_generative(
        {
            "data": {
                **{name: str(folder / f"{name}.jsonl") for name in ("train", "test", "unlabelled")},
                "leakage": "keep",
            },
            "teacher": {"model": str(folder / "teacher"), "num_epochs": 40, "learning_rate": 1e-2, "max_new_tokens": 8},
            "student": {"layers": 1, "base": str(folder / base)},
            "training": {"least_steps": 4, "num_epochs": 1, "precision": "fp32", "top_k": 4, **training},
            "gguf": "none",
            "baseline": False,
        }
    )


@pytest.mark.parametrize("stored", ["top_k", "hidden"])
def test_a_student_of_other_tokens_learns_from_a_run(folder, tmp_path, stored):
    made = recipe(folder, "base", loss="universal_logit", signal="top_k", stored=stored)
    found = run_generative(made, tmp_path / "run", store=folder / "store").result
    compared = found["compared"]
    assert found["signal"] == "top_k" and 0 < compared["num_compared"] <= compared["num_rows"]
    assert 0 < compared["token_share"] <= 1
    # Ids that mean something else can't be compared, even where they are the same numbers.
    assert found["student"]["kl"] is None and found["student"]["num_kl_rows"] == 0
    assert found["student"]["perplexity"] > 1 and found["teacher"]["perplexity"] > 1
    report = (tmp_path / "run" / "report" / "report.md").read_text("utf-8")
    assert "cut from base" in (tmp_path / "run" / "report" / "model_card.md").read_text("utf-8")
    assert f"{100 * compared['token_share']:.1f} %" in report


def test_other_tokens_and_a_loss_on_ids_are_refused_before_the_teacher_is_tuned(folder, tmp_path):
    with pytest.raises(ConfigurationError, match="universal_logit"):
        run_generative(recipe(folder, "base", signal="top_k"), tmp_path / "run", store=folder / "store")
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    with pytest.raises(ConfigurationError, match="on_policy"):
        recipe(folder, "base", loss="universal_logit", on_policy=0.5)
    done = run_generative(recipe(folder, "base", signal="text"), tmp_path / "text", store=folder / "store")
    assert done.result["compared"]["num_compared"] == 0


def test_a_base_with_the_teachers_tokens_learns_by_id_and_writes_for_its_teacher(folder, tmp_path):
    made = recipe(folder, "small", signal="top_k", on_policy=0.5)
    found = run_generative(made, tmp_path / "run", store=folder / "store").result
    assert found["compared"]["token_share"] == 1 and found["student"]["kl"] >= 0
    assert found["student"]["num_parameters"] < found["teacher"]["num_parameters"] / 2
