"""A causal language model as one GGUF file, for llama.cpp and all that is built on it."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch

from potstill.errors import ConfigurationError, MissingExtraError
from potstill.files import sync_folder
from potstill.students.causal import load_causal_lm
from potstill.students.causal.pre_tokenizer import name_pre_tokenizer
from potstill.types import FloatArray

Quantization = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]
# Model type in transformers -> architecture in llama.cpp.
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
# With these llama.cpp turns neighbouring numbers of a head, transformers numbers half a head apart.
PERMUTED = ("llama",)
# The embedding, which is the head too where they are tied, feels rounding most.
LEAST_EMBEDDING = "q8_0"


def export_gguf(folder: Path, out: Path, quantization: Quantization = "q8_0") -> dict[str, Any]:
    """Writes a folder in Hugging Face's layout as a GGUF file; the file is whole or not there.

    Matrices are rounded, norms and biases stay fp32. A matrix whose rows aren't multiples of the block of 32 stays f16.
    Tokenizer and chat template go into the file; whether llama.cpp computes the same is for `check_gguf` to say.

    Args:
        folder: of the model (`save_causal_lm`).
        out: of the file; replaced if it is there.
        quantization: K-quants are missing because the `gguf` package can't make them.

    Returns:
        Path, size in bytes, number of tensors of each type, tokenizer rule: JSON values for a report.

    Raises:
        MissingExtraError: `gguf` or transformers is not installed.
        ConfigurationError: an architecture, a tokenizer or a rotation that isn't known here.
    """
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError("gguf", "lm") from error
    if quantization not in get_args(Quantization):
        raise ConfigurationError(f"quantization is {quantization!r}; known are {', '.join(get_args(Quantization))}")
    model, tokenizer = load_causal_lm(folder)
    architecture = _architecture(model.config)
    pre_tokenizer = name_pre_tokenizer(tokenizer.backend_tokenizer.to_str())
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    os.close(handle)
    try:
        writer = gguf.GGUFWriter(draft, architecture)
        _add_shape(writer, model.config, quantization)
        _add_tokenizer(writer, tokenizer, model.config.vocab_size, pre_tokenizer)
        types = _add_tensors(writer, model, quantization)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        Path(draft).chmod(0o644)
        Path(draft).replace(out)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_folder(out.parent)
    return {
        "path": str(out),
        "size_bytes": out.stat().st_size,
        "quantization": quantization,
        "tensor_types": dict(types),
        "architecture": architecture,
        "pre_tokenizer": pre_tokenizer,
        "vocabulary_size": int(model.config.vocab_size),
    }


def _architecture(config: Any) -> str:
    if config.model_type not in ARCHITECTURES:
        raise ConfigurationError(
            f"a model of type {config.model_type!r} can't be written as GGUF here; known are "
            f"{', '.join(ARCHITECTURES)}. Use the folder of safetensors with llama.cpp's own converter."
        )
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != "default" or getattr(config, "mlp_bias", False):
        raise ConfigurationError(
            f"the model turns positions by the rule {rope.get('rope_type')!r} or has biases in its feed-forward; "
            "neither is written here, and leaving it out would give another model. Use llama.cpp's own converter."
        )
    return ARCHITECTURES[config.model_type]


def _add_shape(writer: Any, config: Any, quantization: Quantization) -> None:
    import gguf

    head_width = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)
    writer.add_rope_dimension_count(head_width)
    writer.add_rope_freq_base(float((config.rope_parameters or {}).get("rope_theta", 10_000.0)))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    file_type = "ALL_F32" if quantization == "f32" else f"MOSTLY_{quantization.upper()}"
    writer.add_file_type(gguf.LlamaFileType[file_type])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokenizer(writer: Any, tokenizer: Any, vocabulary_size: int, pre_tokenizer: str) -> None:
    """Pieces in order of their ids; embeddings without a piece get a name that no text has."""
    import gguf

    content = json.loads(tokenizer.backend_tokenizer.to_str())
    pieces = {number: piece for piece, number in content["model"]["vocab"].items()}
    types = dict.fromkeys(pieces, gguf.TokenType.NORMAL)
    for token in content["added_tokens"]:
        pieces[token["id"]] = token["content"]
        types[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    ids = range(vocabulary_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list([pieces.get(i, f"[PAD{i}]") for i in ids])
    writer.add_token_types([types.get(i, gguf.TokenType.UNUSED) for i in ids])
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
    writer.add_token_merges(merges)
    for name in ("bos", "eos", "unk", "pad"):
        if (number := getattr(tokenizer, f"{name}_token_id")) is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(tokenizer.encode("x")[:1] == [tokenizer.bos_token_id])
    writer.add_bool("tokenizer.ggml.add_space_prefix", False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _add_tensors(writer: Any, model: Any, quantization: Quantization) -> Counter[str]:
    """Adds all weights; returns how many there are of each type."""
    import gguf

    config = model.config
    architecture = ARCHITECTURES[config.model_type]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers)
    found: Counter[str] = Counter()
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = tensor.detach().to(torch.float32).numpy()
        if architecture in PERMUTED and (heads := _heads_of(name, config)):
            values = _permuted(values, heads)
        place = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if place is None:
            raise ConfigurationError(f"the weight {name} has no place in llama.cpp's {architecture}")
        kind = _type_of(place, values, quantization)
        raw = gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind.upper()])
        writer.add_tensor(place, raw, raw_dtype=gguf.GGMLQuantizationType[kind.upper()])
        found[kind] += 1
    return found


def _type_of(place: str, values: FloatArray, quantization: Quantization) -> Quantization:
    if values.ndim < 2:
        return "f32"
    kinds = get_args(Quantization)
    is_embedding = place in ("token_embd.weight", "output.weight")
    if is_embedding and kinds.index(quantization) > kinds.index(LEAST_EMBEDDING):
        quantization = cast("Quantization", LEAST_EMBEDDING)
    return "f16" if quantization.startswith("q") and values.shape[1] % 32 else quantization


def _heads_of(name: str, config: Any) -> int:
    """How many heads the rows of a weight are made of; 0 where no position turns them."""
    if ".q_proj." in name:
        return int(config.num_attention_heads)
    return int(config.num_key_value_heads) if ".k_proj." in name else 0


def _permuted(values: FloatArray, heads: int) -> FloatArray:
    """Rows of each head so that those which are turned together stand side by side."""
    split = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(values.shape))
