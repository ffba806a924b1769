"""Small stand-ins: sentences of four intents, and an encoder of random weights in Hugging Face's layout."""

import json
import string

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from potstill.students.wordpiece import SPECIAL_PIECES

WORDS = {
    "card": ["card", "plastic", "chip", "pin"],
    "loan": ["loan", "interest", "borrow", "mortgage"],
    "travel": ["flight", "hotel", "trip", "luggage"],
    "weather": ["rain", "sunny", "storm", "forecast"],
}
FILLER = ["please", "tell", "me", "about", "my", "the", "a", "now", "can", "you", "what", "is"]


def sentences(num_rows, seed=0, noise=0.0):
    """(text, label) pairs; `noise` is the share of wrong labels."""
    random = np.random.default_rng(seed)
    names = sorted(WORDS)
    rows = []
    for i in range(num_rows):
        label = names[i % len(names)]
        words = [*random.choice(FILLER, 5), *random.choice(WORDS[label], 2)]
        random.shuffle(words)
        said = names[random.integers(len(names))] if random.random() < noise else label
        rows.append((f"{' '.join(words)} {i}", said))
    return rows


def columns(rows):
    return {"text": [text for text, _ in rows], "label": [label for _, label in rows]}


def toy_tokenizer():
    """A WordPiece tokenizer of the words above and single characters, the same on every call."""
    words = sorted({*FILLER, *(word for group in WORDS.values() for word in group)})
    characters = [*string.ascii_lowercase, *string.digits]
    pieces = [
        *SPECIAL_PIECES,
        *characters,
        *(f"##{c}" for c in characters),
        *(w for w in words if len(w) > 1),
        "zebra",
        "##quux",
    ]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    tokenizer.add_special_tokens(list(SPECIAL_PIECES))
    return tokenizer.to_str()


def tiny_encoder(folder, *, width=32, layers=2):
    """Writes config.json, tokenizer.json and model.safetensors of a random BERT."""
    torch.manual_seed(0)
    tokenizer = toy_tokenizer()
    size = len(json.loads(tokenizer)["model"]["vocab"])
    state = {
        "embeddings.word_embeddings.weight": torch.randn(size, width),
        "embeddings.position_embeddings.weight": torch.randn(64, width) * 0.1,
        "embeddings.token_type_embeddings.weight": torch.randn(2, width) * 0.1,
        "embeddings.LayerNorm.weight": torch.ones(width),
        "embeddings.LayerNorm.bias": torch.zeros(width),
    }
    for i in range(layers):
        layer = f"encoder.layer.{i}."
        for name in ("query", "key", "value"):
            state |= _linear(f"{layer}attention.self.{name}", width, width)
        state |= _linear(f"{layer}attention.output.dense", width, width)
        state |= _norm(f"{layer}attention.output.LayerNorm", width)
        state |= _linear(f"{layer}intermediate.dense", width, 2 * width)
        state |= _linear(f"{layer}output.dense", 2 * width, width)
        state |= _norm(f"{layer}output.LayerNorm", width)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "vocab_size": size,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * width,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(tokenizer)
    return folder


def _linear(name, inputs, outputs):
    weight = torch.randn(outputs, inputs) / inputs**0.5
    return {f"{name}.weight": weight, f"{name}.bias": torch.randn(outputs) * 0.01}


def _norm(name, width):
    return {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}
