"""Layer drop and vocabulary trim of a Llama-like causal language model of Hugging Face."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from potstill.errors import ConfigurationError
from potstill.types import IntArray

Spread = Literal["first", "even"]


def map_layers(num_layers: int, num_kept: int, spread: Spread = "first") -> tuple[int, ...]:
    """Which layers of the teacher stay, counted from 0.

    `first` keeps the lowest ones: a head that reads a lower layer learns faster than layers that miss what stood
    between them. `even` spreads them from the first to the last.

    Raises:
        ConfigurationError: more are to stay than there are.
    """
    if not 0 < num_kept <= num_layers:
        raise ConfigurationError(f"student.layers is {num_kept}; the teacher has {num_layers}, and one must stay")
    if spread == "first" or num_kept == 1:
        return tuple(range(num_kept))
    return tuple(round(i * (num_layers - 1) / (num_kept - 1)) for i in range(num_kept))


def cut_causal_lm(
    model: Any, *, layers: Sequence[int] | None = None, old_ids: IntArray | None = None, tokenizer: Any = None
) -> Any:
    """A new model in fp32 that holds copies of some layers and some rows of the embedding.

    A head that is tied to the embedding stays tied. Rows of the embedding that the tokenizer doesn't know (a padded
    vocabulary) go with the rest.

    Args:
        model: with `model.layers`, `model.embed_tokens` and `lm_head`, as Llama, Mistral and Qwen have them.
        layers: the layer map, in order; None keeps all.
        old_ids: for each new id the old one (`trim_tokenizer`); None keeps all.
        tokenizer: the student's, to take the ids of its special tokens over; needed with `old_ids`.

    Raises:
        ConfigurationError: the layer map or the ids don't fit, or the model is built in another way.
    """
    _check_shape(model)
    kept = tuple(range(len(model.model.layers))) if layers is None else tuple(layers)
    if not kept or sorted(set(kept)) != list(kept) or not 0 <= kept[0] <= kept[-1] < len(model.model.layers):
        raise ConfigurationError(
            f"student.layers is {list(kept)}; name layers from 0 to {len(model.model.layers) - 1}, each once, in order"
        )
    config = plain_config(model.config)
    config.num_hidden_layers = len(kept)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[i] for i in kept]
    state = _layer_state(model, kept)
    if old_ids is not None:
        state = _trim_rows(state, model, old_ids)
        config.vocab_size = len(old_ids)
        _renumber_specials(config, tokenizer)
    return build(type(model), config, state, generation_config=None if old_ids is not None else model.generation_config)


def plain_config(config: Any) -> Any:
    """A copy that says fp32 and nothing of the file that the model came from."""
    plain = copy.deepcopy(config)
    plain.dtype = torch.float32
    # A model read from GGUF claims to be quantised and then refuses to be saved.
    if hasattr(plain, "quantization_config"):
        del plain.quantization_config
    return plain


def build(kind: type[Any], config: Any, state: dict[str, torch.Tensor], *, generation_config: Any = None) -> Any:
    """A model of that class with these weights, a tied head tied again."""
    with torch.random.fork_rng(devices=[]):
        model = kind(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    unfilled = [name for name in missing if name != "lm_head.weight" or not config.tie_word_embeddings]
    assert not unfilled and not unexpected, f"weights don't fit: {unfilled} missing, {unexpected} unknown"
    model.tie_weights()
    if generation_config is not None:
        model.generation_config = copy.deepcopy(generation_config)
    return model.eval()


def _check_shape(model: Any) -> None:
    body = getattr(model, "model", None)
    if not all(hasattr(body, name) for name in ("layers", "embed_tokens", "norm")) or not hasattr(model, "lm_head"):
        raise ConfigurationError(
            f"a {type(model).__name__} can't be cut: layers, embedding and head are looked for where Llama, Mistral, "
            "Qwen and SmolLM have them. Give a small model of your own as the student instead."
        )


def _layer_state(model: Any, kept: Sequence[int]) -> dict[str, torch.Tensor]:
    """Weights in fp32 with layers renamed to their new places; a tied head is left out."""
    places = {old: new for new, old in enumerate(kept)}
    state = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        parts = name.split(".")
        if parts[:2] == ["model", "layers"]:
            if int(parts[2]) not in places:
                continue
            parts[2] = str(places[int(parts[2])])
        state[".".join(parts)] = tensor.detach().float().clone()
    return state


def _trim_rows(state: dict[str, torch.Tensor], model: Any, old_ids: IntArray) -> dict[str, torch.Tensor]:
    num_rows = model.get_input_embeddings().weight.shape[0]
    if int(old_ids.max()) >= num_rows:
        raise ConfigurationError(
            f"the tokenizer has an id {int(old_ids.max())} and the model {num_rows} embeddings: they don't belong "
            "together. Give the tokenizer that was saved with the model."
        )
    rows = torch.from_numpy(old_ids)
    names = {"model.embed_tokens.weight", "lm_head.weight", "lm_head.bias"}
    return {name: tensor[rows].clone() if name in names else tensor for name, tensor in state.items()}


def _renumber_specials(config: Any, tokenizer: Any) -> None:
    assert tokenizer is not None, "with old_ids goes the tokenizer that they belong to"
    for name in ("bos", "eos", "pad"):
        setattr(config, f"{name}_token_id", getattr(tokenizer, f"{name}_token_id"))


def count_parameters(model: nn.Module) -> int:
    """Parameters, a tied head counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
