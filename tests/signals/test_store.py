import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from potstill.errors import StoreError
from potstill.signals import Store, capture
from potstill.signals.maintenance import clean_entry, describe, find_damage
from potstill.types import Answers, Field, LabelSchema, Silent

SCHEMA = LabelSchema((Field(name="label", classes=("a", "b", "c")),))


class CountingTeacher:
    """Answers with a function of the text, in batches, and writes down what it was asked."""

    num_parameters = None
    schema = SCHEMA

    def __init__(self, log, *, refuse=(), wait=0.0, name="counting"):
        self.log, self.refuse, self.wait, self.name = log, set(refuse), wait, name

    def identity(self):
        return {"kind": self.name}

    def answer(self, inputs):
        for start in range(0, len(inputs), 3):
            positions = np.arange(start, min(start + 3, len(inputs)))
            with open(self.log, "a") as file:  # noqa: PTH123
                file.writelines(f"{inputs[p]}\n" for p in positions)
            time.sleep(self.wait)
            refused = {int(p): "unknown label" for p in positions if inputs[p] in self.refuse}
            logits = np.stack([logits_of(inputs[p]) for p in positions])
            yield Answers(positions=positions, logits=logits, refused=refused, num_calls=len(positions))


def logits_of(text):
    return np.array([len(text), text.count("a"), 1.0], np.float32)


def asked(log):
    return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def log(tmp_path):
    return tmp_path / "asked"


def test_a_second_run_asks_nothing(tmp_path, log):
    store, teacher = Store(tmp_path / "store"), CountingTeacher(log)
    texts = [f"text {i}" for i in range(10)] + ["text 3"]
    first = capture(teacher, texts, store, Silent())
    second = capture(teacher, texts[::-1], store, Silent())
    assert (first.num_asked, second.num_asked, second.num_reused) == (10, 0, 10)
    assert len(asked(log)) == 10
    np.testing.assert_allclose(first.logits, second.logits[::-1])
    np.testing.assert_allclose(first.logits, np.stack([logits_of(t) for t in texts]), rtol=1e-3)


def test_another_teacher_has_another_entry(tmp_path, log):
    store = Store(tmp_path / "store")
    capture(CountingTeacher(log), ["x"], store, Silent())
    assert capture(CountingTeacher(log, name="other"), ["x"], store, Silent()).num_asked == 1
    assert [describe(e)["num_rows"] for e in store.entries()] == [1, 1]


def test_refusals_are_counted_kept_apart_and_not_asked_again(tmp_path, log):
    store, teacher = Store(tmp_path / "store"), CountingTeacher(log, refuse=["bad"])
    for _ in range(2):
        found = capture(teacher, ["good", "bad"], store, Silent())
        assert found.known.tolist() == [True, False]
        assert found.num_refused == {"unknown label": 1}
    assert asked(log) == ["good", "bad"]
    clean_entry(store.entries()[0], damaged=False, refused=True)
    assert capture(teacher, ["good", "bad"], store, Silent()).num_asked == 1


def damage(path, how, other):
    content = path.read_bytes()
    if how == "flipped byte":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    elif how == "truncated":
        path.write_bytes(content[:-7])
    elif how == "missing":
        path.unlink()
    else:
        path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("how", ["flipped byte", "truncated", "missing", "swapped"])
def test_damage_is_found_and_named_and_repaired(tmp_path, log, how):
    store, teacher = Store(tmp_path / "store"), CountingTeacher(log)
    texts = [f"text {i}" for i in range(5)]
    capture(teacher, texts, store, Silent())
    capture(CountingTeacher(log, name="other"), texts, store, Silent())
    entry = store.entry(teacher.identity(), SCHEMA)
    other = store.entry({"kind": "other"}, SCHEMA)
    shard = next(entry.folder.glob("*.shard"))
    damage(shard, how, next(other.folder.glob("*.shard")))
    with pytest.raises(StoreError, match=shard.name):
        capture(teacher, texts, store, Silent())
    assert shard.name in find_damage(entry)[0]
    assert find_damage(other) == []
    clean_entry(entry, damaged=True, refused=False)
    assert capture(teacher, texts, store, Silent()).num_asked == 5


def run_capture(root, log, texts, wait):
    capture(CountingTeacher(log, wait=wait), texts, Store(root), Silent())


def test_a_killed_capture_goes_on_and_asks_nothing_twice(tmp_path, log):
    texts = [f"text {i}" for i in range(60)]
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=run_capture, args=(tmp_path / "store", log, texts, 0.05))
    process.start()
    while len(asked(log)) < 12:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    before = len(asked(log))
    found = capture(CountingTeacher(log), texts, Store(tmp_path / "store"), Silent())
    assert found.known.all()
    assert 9 <= found.num_reused < 60
    # Only the batch that was in flight may have been asked twice.
    assert len(asked(log)) - len(set(asked(log))) <= 3
    assert before + found.num_asked == len(asked(log))


def test_two_writers_at_once(tmp_path, log):
    context = multiprocessing.get_context("spawn")
    sets = [[f"text {i}" for i in range(30)], [f"text {i}" for i in range(15, 45)]]
    processes = [
        context.Process(target=run_capture, args=(tmp_path / "store", tmp_path / f"log{n}", texts, 0.01))
        for n, texts in enumerate(sets)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = capture(CountingTeacher(log), [f"text {i}" for i in range(45)], Store(tmp_path / "store"), Silent())
    assert found.num_asked == 0
    assert find_damage(Store(tmp_path / "store").entries()[0]) == []


def test_a_torn_journal_gives_its_whole_records(tmp_path, log):
    store, teacher = Store(tmp_path / "store"), CountingTeacher(log)
    entry = store.entry(teacher.identity(), SCHEMA)
    digests = [bytes([i]) * 32 for i in range(3)]
    with entry.write() as writer:
        part = Answers(positions=np.arange(3), logits=np.ones((3, 3), np.float32), refused={})
        writer.keep(digests, part)
        journal = next(entry.folder.glob("*.journal"))
        content = journal.read_bytes()
        for cut in range(len(content)):
            journal.write_bytes(content[:cut])
            assert len(entry.read()) == cut // (len(content) // 3)
        journal.write_bytes(content)
    assert set(entry.read()) == set(digests)
