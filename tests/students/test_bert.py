import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.errors import ConfigurationError, TeacherUnavailableError
from potstill.runtime.preprocess import TextTokens
from potstill.students.bert import load_bert, mean_pool
from potstill.students.prune import prune_width
from potstill.students.wordpiece import find_encoder, trim_vocabulary
from tests.toys import FILLER, WORDS, sentences

TEXTS = [text for text, _ in sentences(40)]


@pytest.fixture(scope="module")
def encoder(encoder_folder):
    return find_encoder(str(encoder_folder))


def ids_of(tokenizer_json, texts):
    tokens = TextTokens(tokenizer_json=tokenizer_json, max_length=32)
    return torch.from_numpy(tokens.batch(tokens.encode(texts))["ids"]).long()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_forward_is_that_of_hugging_face(encoder):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModel.from_pretrained(encoder.folder, attn_implementation="eager").eval()
    ours = load_bert(encoder).eval()
    ids = ids_of(encoder.tokenizer_json, TEXTS)
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=(ids != 0).long()).last_hidden_state
        found = ours(ids)[-1]
    keep = (ids != 0).unsqueeze(-1)
    assert float(((expected - found) * keep).abs().max()) < 1e-5


def test_padding_changes_nothing(encoder):
    ours = load_bert(encoder).eval()
    ids = ids_of(encoder.tokenizer_json, TEXTS[:1])
    padded = torch.cat([ids, torch.zeros(1, 7, dtype=torch.long)], dim=1)
    with torch.no_grad():
        one, other = mean_pool(ours(ids)[-1], ids), mean_pool(ours(padded)[-1], padded)
    assert torch.allclose(one, other, atol=1e-5)


def test_a_trimmed_vocabulary_cuts_the_same_and_computes_the_same(encoder):
    trimmed = trim_vocabulary(encoder.tokenizer_json, TEXTS, max_length=32)
    whole = load_bert(encoder).eval()
    small = load_bert(encoder, old_ids=trimmed.old_ids).eval()
    old, new = ids_of(encoder.tokenizer_json, TEXTS), ids_of(trimmed.tokenizer_json, TEXTS)
    assert np.array_equal(trimmed.old_ids[new.numpy()], old.numpy())
    assert len(trimmed.old_ids) < whole.shape.vocabulary_size
    with torch.no_grad():
        assert torch.allclose(whole(old)[-1], small(new)[-1], atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(words=st.lists(st.sampled_from([*FILLER, *WORDS["card"], *WORDS["travel"]]), min_size=1, max_size=12))
def test_texts_made_of_known_words_keep_their_pieces(encoder, words):
    """Greedy longest match over fewer pieces can only differ where a piece is missing."""
    trimmed = trim_vocabulary(encoder.tokenizer_json, [" ".join(words)], max_length=32)
    old, new = ids_of(encoder.tokenizer_json, [" ".join(words)]), ids_of(trimmed.tokenizer_json, [" ".join(words)])
    assert np.array_equal(trimmed.old_ids[new.numpy()], old.numpy())


def test_unseen_words_are_still_spelled(encoder):
    trimmed = trim_vocabulary(encoder.tokenizer_json, ["card"], max_length=32)
    pieces = ids_of(trimmed.tokenizer_json, ["me"])
    assert 1 not in pieces.tolist()[0]


def test_layers_and_width_can_be_dropped(encoder):
    ids = ids_of(encoder.tokenizer_json, TEXTS[:2])
    one = load_bert(encoder, layers=(1,))
    assert one.shape.num_layers == 1
    narrow = prune_width(one, num_heads=1, feed_forward=8)
    assert torch.isfinite(narrow(ids)[-1]).all()
    with pytest.raises(ConfigurationError, match="the encoder has"):
        prune_width(load_bert(encoder), num_heads=9, feed_forward=None)


def test_an_encoder_that_is_not_there_says_what_to_do(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TeacherUnavailableError, match=r"no tokenizer\.json, model\.safetensors"):
        find_encoder(str(tmp_path))
