import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.errors import ConfigurationError, StoreError
from potstill.signals.tokens import TokenCodec, TokenFormat, TokenRecord

pytest.importorskip("zstandard")


def form(kind="top_k", width=4, vocabulary_size=97):
    return TokenFormat(kind=kind, width=width, vocabulary_size=vocabulary_size, tokenizer="t", template="c")


def record(form, seed, num_tokens=9, first=3, text=""):
    random = np.random.default_rng(seed)
    n = num_tokens - first
    given = {
        "ids": random.integers(0, form.vocabulary_size, num_tokens).astype(np.int32),
        "ends": np.cumsum(random.integers(0, 9, num_tokens)),
        "first": first,
        "text": text,
    }
    logits = random.normal(size=(n, form.vocabulary_size)) * 3
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    if form.kind == "top_k":
        indices = np.argsort(-p, -1)[:, : form.width]
        kept = np.take_along_axis(p, indices, 1)
        tail = np.log(np.maximum(1 - kept.sum(1), 1e-9))
        given |= {"indices": indices.astype(np.int32), "logprobs": np.log(kept).astype(np.float32), "tail": tail}
    elif form.kind == "sampled":
        counts = np.stack([random.multinomial(form.width, row) for row in p]) if n else np.zeros((0, 97), int)
        indices = np.argsort(-counts, -1, kind="stable")[:, : form.width]
        kept = np.take_along_axis(counts, indices, 1)
        with np.errstate(divide="ignore"):
            given |= {"indices": np.where(kept > 0, indices, -1), "logprobs": np.log(kept / form.width)}
    elif form.kind == "hidden":
        given["hidden"] = random.normal(size=(n, form.width)).astype(np.float32)
    return TokenRecord(**given)


FORMS = [form(), form(width=97), form("sampled", 12), form("hidden", 6), form("text", 0), form(vocabulary_size=70_000)]


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f"{f.kind}-{f.width}-{f.vocabulary_size}")
@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=4),
    text=st.text(max_size=5).filter(lambda t: t.isprintable()),
)
def test_a_shard_gives_back_its_rows_and_a_row_its_record(form, seed, sizes, text):
    codec = TokenCodec(form)
    records = [record(form, seed + i, max(a, b), min(a, b), text) for i, (a, b) in enumerate(sizes)]
    rows = [codec.encode(r) for r in records]
    assert codec.unpack(codec.pack(rows), len(rows)) == rows
    for before, row in zip(records, rows, strict=True):
        after = codec.decode(row)
        after.check(form)
        assert after.ids.tolist() == before.ids.tolist() and after.ends.tolist() == before.ends.tolist()
        assert (after.first, after.text) == (before.first, text)
        check_signal(form, before, after)


def check_signal(form, before, after):
    if form.kind == "hidden":
        np.testing.assert_allclose(after.hidden, before.hidden, rtol=1e-3, atol=1e-4)
    if form.kind == "sampled":
        assert after.indices.tolist() == before.indices.tolist()
        np.testing.assert_allclose(np.exp(after.logprobs), np.exp(before.logprobs), atol=1e-6)
    if form.kind == "top_k":
        assert after.indices.tolist() == before.indices.tolist()
        p, q = np.exp(before.logprobs.astype(float)), np.exp(after.logprobs.astype(float))
        total = np.abs(p - q).sum(1) + np.abs(np.exp(before.tail) - np.exp(after.tail))
        assert (total < 1 / 16).all()
        np.testing.assert_allclose(q.sum(1) + np.exp(after.tail), 1, atol=1e-5)


def test_kept_tokens_come_back_from_the_most_probable_on():
    given = record(form(), 0)
    shuffled = TokenRecord(
        ids=given.ids,
        ends=given.ends,
        first=given.first,
        indices=given.indices[:, ::-1],
        logprobs=given.logprobs[:, ::-1],
        tail=given.tail,
    )
    codec = TokenCodec(form())
    assert codec.encode(shuffled) == codec.encode(given)


def test_draws_are_kept_exactly_so_that_their_mean_is_the_distribution():
    sampled = form("sampled", 10)
    codec = TokenCodec(sampled)
    p = np.array([0.6, 0.3, 0.1])
    random = np.random.default_rng(0)
    counts = random.multinomial(10, p, size=4000)
    order = np.argsort(-counts, 1, kind="stable")
    kept = np.take_along_axis(counts, order, 1)
    padding = ((0, 0), (0, 7))
    indices = np.pad(np.where(kept > 0, order, -1), padding, constant_values=-1)
    with np.errstate(divide="ignore"):
        logprobs = np.log(np.pad(kept, padding) / 10)
    given = TokenRecord(ids=np.zeros(4000, np.int32), ends=np.arange(4000), first=0, indices=indices, logprobs=logprobs)
    back = codec.decode(codec.encode(given))
    mean = [np.exp(back.logprobs[back.indices == token]).sum() / 4000 for token in range(3)]
    assert mean == pytest.approx((counts.mean(0) / 10).tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": None}, "has indices of shape None"),
        ({"tail": np.zeros(2)}, "tail of shape"),
        ({"ends": np.arange(9)[::-1]}, "run backwards"),
        ({"first": 10}, "shape"),
        ({"ids": np.full(9, 97, np.int32)}, "padding of the head"),
    ],
)
def test_a_record_that_is_not_as_promised_is_refused(change, message):
    given = record(form(), 0)
    names = ("ids", "ends", "first", "indices", "logprobs", "tail")
    with pytest.raises(StoreError, match=message):
        TokenCodec(form()).encode(TokenRecord(**{**{name: getattr(given, name) for name in names}, **change}))


def test_another_tokenizer_template_or_vocabulary_is_refused():
    form().require(tokenizer="t", template="c", vocabulary_size=97)
    for change in ({"tokenizer": "u"}, {"template": "d"}, {"vocabulary_size": 98}):
        with pytest.raises(StoreError, match=f"{next(iter(change))} .* learn noise"):
            form().require(**{"tokenizer": "t", "template": "c", "vocabulary_size": 97, **change})


@pytest.mark.parametrize(
    ("kind", "width", "message"),
    [
        ("logits", 3, "known are top_k"),
        ("top_k", 0, "can't keep 0"),
        ("text", 3, "can't keep 3"),
        ("top_k", 98, "of a vocabulary of 97"),
        ("sampled", 256, "at most 255"),
    ],
)
def test_formats_that_make_no_sense_are_refused(kind, width, message):
    with pytest.raises(ConfigurationError, match=message):
        form(kind, width)


def test_a_shard_of_another_number_of_records_is_found():
    codec = TokenCodec(form())
    with pytest.raises(StoreError, match="holds 1"):
        codec.unpack(codec.pack([codec.encode(record(form(), 0))]), 2)
