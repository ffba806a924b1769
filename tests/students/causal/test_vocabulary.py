import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.errors import ConfigurationError
from potstill.students.causal import trim_bpe, trim_tokenizer
from potstill.students.causal.pre_tokenizer import (
    PRE_TOKENIZERS,
    name_pre_tokenizer,
    read_pre_tokenizer_name,
    with_pre_tokenizer,
)
from tests.lm import SPECIALS, TEXTS, pieces_of, tiny_tokenizer
from tests.toys import toy_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def chat(tokenizer, text):
    return tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False)


@settings(deadline=None, max_examples=60)
@given(chosen=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3), cut=st.integers(0, 40))
def test_the_texts_are_cut_as_before(tokenizer, chosen, cut):
    texts = [text[cut:] for text in chosen]
    small, old_ids = trim_tokenizer(tokenizer, texts)
    assert len(small) == len(old_ids) < len(tokenizer)
    for text in texts:
        assert old_ids[small.encode(text)].tolist() == tokenizer.encode(text)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=40))
def test_any_text_is_still_spelled(tokenizer, text):
    small, _ = trim_tokenizer(tokenizer, TEXTS[:1])
    assert small.decode(small.encode(text, add_special_tokens=False)) == tokenizer.decode(
        tokenizer.encode(text, add_special_tokens=False)
    )


def test_every_kept_piece_can_be_reached_by_kept_merges(tokenizer):
    small, _ = trim_tokenizer(tokenizer, TEXTS[1:3])
    model = json.loads(small.backend_tokenizer.to_str())["model"]
    made = {"".join(pair) for pair in model["merges"]}
    long = {piece for piece in model["vocab"] if len(piece) > 1 and piece not in SPECIALS}
    assert long and long <= made
    # Looking a piece up as a word must not be what finds it: libraries that follow merges alone have to find it too.
    for piece in long:
        assert [token.value for token in small.backend_tokenizer.model.tokenize(piece)] == [piece]


def test_special_tokens_and_the_chat_template_stay_after_saving(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    texts = [chat(tokenizer, text) for text in TEXTS[:2]]
    small, old_ids = trim_tokenizer(tokenizer, texts)
    small.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.eos_token == "<|im_end|>" and again.chat_template == tokenizer.chat_template
    for text in texts:
        ids = again.encode(text)
        assert old_ids[ids].tolist() == tokenizer.encode(text)
        assert again.decode(ids) == text
    assert again.convert_tokens_to_ids("<|im_end|>") == again.eos_token_id < len(old_ids)


def test_pieces_can_be_kept_by_name_and_ids_keep_their_order(tokenizer):
    longest = max(pieces_of(tokenizer), key=lambda piece: (piece not in SPECIALS, len(piece)))
    trimmed = trim_bpe(tokenizer.backend_tokenizer.to_str(), ["x"], keep=[longest])
    assert longest in json.loads(trimmed.tokenizer_json)["model"]["vocab"]
    assert (np.diff(trimmed.old_ids) > 0).all()
    with pytest.raises(ConfigurationError, match="no piece 'never'"):
        trim_bpe(tokenizer.backend_tokenizer.to_str(), ["x"], keep=["never"])


def test_other_tokenizers_are_refused():
    with pytest.raises(ConfigurationError, match="only byte-level BPE"):
        trim_bpe(toy_tokenizer(), ["card"])


@pytest.mark.parametrize("name", sorted(PRE_TOKENIZERS))
def test_a_pre_tokenizer_keeps_its_name_through_saving_and_trimming(tokenizer, tmp_path, name):
    from transformers import AutoTokenizer

    named = with_pre_tokenizer(tokenizer, name)
    small, old_ids = trim_tokenizer(named, ["a rate  of 1200"])
    assert old_ids[small.encode("a rate  of 1200")].tolist() == named.encode("a rate  of 1200")
    small.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert name_pre_tokenizer(again.backend_tokenizer.to_str()) == name


def test_unknown_pre_tokenizers_are_refused(tokenizer):
    with pytest.raises(ConfigurationError, match="rule 'chatglm-bpe'"):
        with_pre_tokenizer(tokenizer, "chatglm-bpe")
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["pre_tokenizer"] = {"type": "Whitespace"}
    with pytest.raises(ConfigurationError, match="no known name"):
        name_pre_tokenizer(json.dumps(content))


def test_the_name_is_read_from_a_file(tmp_path):
    value = b"\x12\0\0\0\0\0\0\0tokenizer.ggml.pre\x08\0\0\0\x06\0\0\0\0\0\0\0smollm rest"
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + value)
    (tmp_path / "none.gguf").write_bytes(b"GGUF")
    assert read_pre_tokenizer_name(tmp_path / "model.gguf") == "smollm"
    assert read_pre_tokenizer_name(tmp_path / "none.gguf") == "default"
