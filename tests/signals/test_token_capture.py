import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from potstill.errors import StoreError
from potstill.signals import Store, TokenPart, TokenSample, capture_tokens
from potstill.signals.maintenance import clean_entry, describe, find_damage
from potstill.signals.tokens import TokenFormat, TokenRecord
from potstill.types import Silent

pytest.importorskip("zstandard")
FORM = TokenFormat(kind="top_k", width=2, vocabulary_size=300, tokenizer="t", template="c")


class CountingTeacher:
    """Scores every token after the first with a function of it, and writes down what it was asked."""

    def __init__(self, log, *, wait=0.0, refuse=(), form=FORM, wrong=False):
        self.log, self.wait, self.refuse, self.form, self.wrong = log, wait, set(refuse), form, wrong

    def identity(self):
        return {"kind": "counting"}

    def answer_tokens(self, samples):
        for start in range(0, len(samples), 3):
            part = range(start, min(start + 3, len(samples)))
            with self.log.open("a") as file:
                file.writelines(f"{samples[i].text}\n" for i in part)
            time.sleep(self.wait)
            refused = {i: "cut off" for i in part if samples[i].text in self.refuse}
            records = {i: self.record(samples[i]) for i in part if i not in refused}
            yield TokenPart(records=records, refused=refused, num_calls=len(part), num_tokens=7, cost=0.5)

    def record(self, sample):
        ids = np.array(sample.ids, np.int32) + self.wrong
        n = len(ids) - sample.first
        return TokenRecord(
            ids=ids,
            ends=np.arange(1, len(ids) + 1),
            first=sample.first,
            indices=np.stack([ids[sample.first :], np.zeros(n)], 1).astype(np.int32),
            logprobs=np.log(np.tile([0.7, 0.2], (n, 1))),
            tail=np.log(np.full(n, 0.1)),
        )


def samples(count, start=0):
    return [TokenSample(text=f"text {i}", ids=[*f"text {i}".encode()], first=2) for i in range(start, start + count)]


def asked(log):
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def log(tmp_path):
    return tmp_path / "asked"


def test_a_record_is_found_by_sample_and_tokens_whatever_its_place(tmp_path, log):
    store, teacher = Store(tmp_path / "store"), CountingTeacher(log)
    first = capture_tokens(teacher, [*samples(7), samples(7)[3]], store, Silent())
    again = capture_tokens(teacher, samples(7)[::-1], store, Silent())
    assert (first.num_asked, again.num_asked, again.num_reused) == (7, 0, 7)
    assert first.spend()["num_tokens"] == 21 and first.cost == 1.5
    for sample, record in zip(samples(7)[::-1], again, strict=True):
        assert record.ids.tolist() == list(sample.ids)
        assert record.indices[:, 0].tolist() == list(sample.ids)[2:]
        np.testing.assert_allclose(np.exp(record.logprobs), [[0.7, 0.2]] * record.num_signals, atol=0.02)
    # Other tokens of the same text, and another place where scoring begins, are other questions.
    same_text = TokenSample(text="text 1", ids=[1, 2, 3], first=2)
    same_ids = TokenSample(text="text 1", ids=samples(7)[1].ids, first=3)
    assert capture_tokens(teacher, [same_text, same_ids], store, Silent()).num_asked == 2


def test_another_tokenizer_template_or_vocabulary_has_another_entry(tmp_path, log):
    store = Store(tmp_path / "store")
    capture_tokens(CountingTeacher(log), samples(1), store, Silent())
    for change in ({"tokenizer": "u"}, {"template": "d"}, {"vocabulary_size": 301}, {"width": 2, "tokenizer": "v"}):
        form = TokenFormat(**{**FORM.to_json(), **change})
        assert capture_tokens(CountingTeacher(log, form=form), samples(1), store, Silent()).num_asked == 1
    assert [describe(entry)["num_rows"] for entry in store.entries()] == [1] * 5
    assert [find_damage(entry) for entry in store.entries()] == [[]] * 5


def test_refusals_are_counted_and_not_asked_again(tmp_path, log):
    store, teacher = Store(tmp_path / "store"), CountingTeacher(log, refuse=["text 1"])
    for _ in range(2):
        found = capture_tokens(teacher, samples(3), store, Silent())
        assert found[1] is None and found[0] is not None and found.num_refused == {"cut off": 1}
    assert len(asked(log)) == 3


def test_a_flipped_byte_is_found_and_named_and_repaired(tmp_path, log):
    store, teacher = Store(tmp_path / "store"), CountingTeacher(log)
    capture_tokens(teacher, samples(4), store, Silent())
    entry = store.entries()[0]
    shard = next(entry.folder.glob("*.shard"))
    content = bytearray(shard.read_bytes())
    content[-9] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=shard.name):
        capture_tokens(teacher, samples(4), store, Silent())
    assert shard.name in find_damage(entry)[0]
    clean_entry(entry, damaged=True, refused=False)
    assert capture_tokens(teacher, samples(4), store, Silent()).num_asked == 4


def test_a_teacher_that_answers_about_other_tokens_is_found_out(tmp_path, log):
    found = capture_tokens(CountingTeacher(log, wrong=True), samples(1), Store(tmp_path / "store"), Silent())
    with pytest.raises(StoreError, match="of other tokens"):
        found[0]


def run_capture(root, log, wait):
    capture_tokens(CountingTeacher(log, wait=wait), samples(60), Store(root), Silent())


def test_a_killed_capture_goes_on_and_asks_nothing_twice(tmp_path, log):
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=run_capture, args=(tmp_path / "store", log, 0.05))
    process.start()
    while len(asked(log)) < 12:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    before = len(asked(log))
    found = capture_tokens(CountingTeacher(log), samples(60), Store(tmp_path / "store"), Silent())
    assert all(record is not None for record in found)
    assert 9 <= found.num_reused < 60
    # Only the batch that was in flight may have been asked twice.
    assert len(asked(log)) - len(set(asked(log))) <= 3
    assert before + found.num_asked == len(asked(log))


def test_a_torn_journal_gives_its_whole_records(tmp_path, log):
    store, teacher = Store(tmp_path / "store"), CountingTeacher(log)
    entry = store.token_entry(teacher.identity(), FORM)
    rows = {bytes([i]) * 32: entry.codec.encode(teacher.record(samples(1, start=10**i)[0])) for i in range(3)}
    with entry.write() as writer:
        writer.keep_rows(rows, {})
        journal = next(entry.folder.glob("*.journal"))
        content = journal.read_bytes()
        ends = np.cumsum([4 + 32 + len(row) + 4 for row in rows.values()])
        assert ends[-1] == len(content)
        for cut in range(len(content)):
            journal.write_bytes(content[:cut])
            assert len(entry.rows()) == int((ends <= cut).sum())
        journal.write_bytes(content)
    assert entry.rows() == rows
