from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import BundleError, DataError
from potstill.runtime.preprocess import KINDS, HashedNgrams, Pixels, TextTokens
from tests.runtime.bundles import TOKENIZER

NGRAMS = HashedNgrams(
    num_buckets=512, word_ngrams=(1, 2), char_ngrams=(2, 3), idf=np.linspace(1, 2, 512, dtype=np.float32)
)
ACROSS = HashedNgrams(num_buckets=2**16, word_ngrams=(1, 1), char_ngrams=(1, 3), idf=None, across_words=True)
PIXELS = Pixels(height=4, width=3, channels=3, scale=255.0, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
TOKENS = TextTokens(tokenizer_json=TOKENIZER, max_length=8)


@pytest.mark.parametrize(
    ("kind", "value"),
    [(TOKENS, "red blue"), (NGRAMS, "red blue"), (ACROSS, "red blue"), (PIXELS, np.ones((4, 3, 3), np.uint8))],
)
def test_saved_preprocessing_does_the_same(tmp_path, kind, value):
    entry = kind.save(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = KINDS[entry["kind"]].from_entry(entry, files)
    assert again.to_json() == kind.to_json()
    one, other = kind.batch(kind.encode([value])), again.batch(again.encode([value]))
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_ngrams_have_length_one_and_batches_change_nothing(texts):
    encoded = NGRAMS.encode(texts)
    batch = NGRAMS.batch(encoded)
    for i, (ids, weights) in enumerate(encoded):
        assert (np.diff(ids) > 0).all()
        np.testing.assert_array_equal(batch["ids"][i, : len(ids)], ids)
        assert not batch["weights"][i, len(ids) :].any()
        if texts[i].split():
            assert np.linalg.norm(weights) == pytest.approx(1, abs=1e-5)


def test_ngrams_across_words_see_which_words_meet_and_how_a_text_ends():
    def buckets(kind, text):
        return set(kind.encode([text])[0][0].tolist())

    inside = replace(ACROSS, across_words=False)
    assert buckets(inside, "ab cd") == buckets(inside, "cd ab")
    assert buckets(ACROSS, "ab cd") != buckets(ACROSS, "cd ab")
    # "b", " ", "c" beside what each word has alone; the ends are marked, so a text is more than a part of one.
    assert buckets(ACROSS, "ab cd") - buckets(ACROSS, "ab") - buckets(ACROSS, "cd")
    assert not buckets(ACROSS, "ab") <= buckets(ACROSS, "ab cd")
    assert ACROSS.encode([" \n"])[0][0].tolist() == [0]


def test_buckets_without_weight_are_not_looked_at():
    idf = np.zeros(512, np.float32)
    seen = NGRAMS.encode(["red blue"])[0][0]
    idf[seen[0]] = 1
    ids, weights = replace(NGRAMS, idf=idf).encode(["red blue"])[0]
    assert ids.tolist() == [seen[0]]
    np.testing.assert_allclose(weights, [1.0])
    ids, weights = replace(NGRAMS, idf=np.zeros(512, np.float32)).encode(["red blue"])[0]
    assert (ids.tolist(), weights.tolist()) == ([0], [0.0])


def test_pixels_are_scaled_by_channel():
    pictures = PIXELS.batch(PIXELS.encode([np.full((4, 3, 3), 255, np.uint8)]))["pixels"]
    assert pictures.shape == (1, 3, 4, 3)
    np.testing.assert_allclose(pictures[0, :, 0, 0], [(1 - 0.5) / 0.2, (1 - 0.4) / 0.2, (1 - 0.3) / 0.1], rtol=1e-5)


def test_wrong_inputs_are_named():
    with pytest.raises(DataError, match=r"shape \(2, 2\)"):
        PIXELS.encode([np.ones((2, 2))])
    with pytest.raises(DataError, match="reads text"):
        NGRAMS.encode([np.ones(2)])


def test_a_tokenizer_must_pad_with_0():
    with pytest.raises(BundleError, match="at id 0"):
        TextTokens(tokenizer_json=TOKENIZER.replace('"[PAD]": 0', '"pad": 0'), max_length=8).encode(["red"])
    with pytest.raises(BundleError, match="can't be read"):
        TextTokens(tokenizer_json="{}", max_length=8).encode(["red"])
