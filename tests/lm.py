"""A small causal language model of random weights, with a byte-level BPE tokenizer learned from a few sentences."""

import json
from collections import Counter

import pytest
import torch

from potstill.types import Silent

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEXTS = [
    "please tell me about my new card, the chip is broken",
    "what is the rate of a loan? I borrow 1200 now",
    "the flight and the hotel are booked; luggage isn't",
    "rain or storm, tell me the forecast\nfor today",
    "system user assistant: the answer is card",
]


def learn_merges(texts, count):
    """Byte pair encoding as in its paper; ties go to the pair that comes first."""
    from tokenizers import pre_tokenizers

    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    parts = {word: list(word) for word in words}
    merges = []
    for _ in range(count):
        pairs = Counter()
        for word, number in words.items():
            for pair in zip(parts[word], parts[word][1:], strict=False):
                pairs[pair] += number
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for pieces in parts.values():
            i = 0
            while i < len(pieces) - 1:
                if (pieces[i], pieces[i + 1]) == best:
                    pieces[i : i + 2] = ["".join(best)]
                i += 1
    return merges


def tiny_tokenizer(texts=TEXTS, num_merges=200):
    """A Hugging Face tokenizer with special tokens and a chat template."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    merges = learn_merges(texts, num_merges)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = dict.fromkeys([*SPECIALS, *alphabet, *("".join(pair) for pair in merges)])
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in SPECIALS])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizer.to_str()),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )


def tiny_model(
    tokenizer,
    *,
    layers=3,
    width=32,
    heads=4,
    groups=2,
    feed_forward=48,
    tied=True,
    padded=0,
    seed=0,
    positions=256,
):
    """A Llama of random weights; `padded` embeddings beyond the vocabulary, as some models have."""
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer) + padded,
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        head_dim=width // heads,
        max_position_embeddings=positions,
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    return transformers.LlamaForCausalLM(config).eval()


def pieces_of(tokenizer):
    return json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]


class Interrupting(Silent):
    """Progress that ends the run at one of its steps, as Ctrl-C does."""

    def __init__(self, step):
        self.left = step

    def advance(self, count=1):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
