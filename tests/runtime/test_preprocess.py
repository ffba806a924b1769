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
PIXELS = Pixels(height=4, width=3, channels=3, scale=255.0, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
TOKENS = TextTokens(tokenizer_json=TOKENIZER, max_length=8)


@pytest.mark.parametrize(
    ("kind", "value"), [(TOKENS, "red blue"), (NGRAMS, "red blue"), (PIXELS, np.ones((4, 3, 3), np.uint8))]
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
