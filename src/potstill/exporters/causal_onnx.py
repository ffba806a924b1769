"""A causal language model as ONNX, with a cache of keys and values or without.

Shapes: B batch, T new tokens, P tokens in the cache, S = P + T, L layers, G key-value heads, R query heads of each, H
width of a head, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn

from potstill.errors import ConfigurationError
from potstill.exporters.llama_cpp import TOP, Parity
from potstill.exporters.onnx import OPSET, quiet
from potstill.runtime.generating.onnx_decoder import OnnxDecoder
from potstill.students.causal.cut import count_parameters

KINDS = ("llama", "mistral", "qwen2", "qwen3")
# One file of Protocol Buffers holds 2 GiB.
MOST_PARAMETERS = 500_000_000
LEAST_PROBABILITY = -1e9


class _Decoder(nn.Module):
    """The model's own weights and norms under a forward without branches, which traces to few and plain operations."""

    def __init__(self, model: Any, *, with_cache: bool) -> None:
        super().__init__()
        config = model.config
        self.body = model.model
        self.head = model.lm_head
        self.with_cache = with_cache
        self.groups = int(config.num_key_value_heads)
        self.repeats = int(config.num_attention_heads) // self.groups
        self.width = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past: list[Tensor]) -> Any:
        """Logits B x T x V, and with a cache keys and values of all layers, B x G x S x H each."""
        num_new = input_ids.shape[1]
        rotation = self.body.rotary_emb
        angles_BTH = position_ids[:, :, None].float() * rotation.inv_freq[None, None, :].float()
        angles_BTH = torch.cat([angles_BTH, angles_BTH], -1)
        turn = (angles_BTH.cos() * rotation.attention_scaling, angles_BTH.sin() * rotation.attention_scaling)
        places_S = torch.arange(attention_mask.shape[1])
        sees_TS = places_S[None, :] <= places_S[-num_new:, None]
        sees_BTS = sees_TS[None] & (attention_mask[:, None, :] > 0)
        bias_BTS = torch.where(sees_BTS, 0.0, LEAST_PROBABILITY)
        hidden_BTD = self.body.embed_tokens(input_ids)
        kept = []
        for i, layer in enumerate(self.body.layers):
            cache = (past[2 * i], past[2 * i + 1]) if self.with_cache else None
            said_BTD, keys, values = self._attend(
                layer.self_attn, layer.input_layernorm(hidden_BTD), turn, bias_BTS, cache
            )
            hidden_BTD = hidden_BTD + said_BTD
            hidden_BTD = hidden_BTD + layer.mlp(layer.post_attention_layernorm(hidden_BTD))
            kept += [keys, values]
        logits_BTV = self.head(self.body.norm(hidden_BTD))
        return (logits_BTV, *kept) if self.with_cache else logits_BTV

    def _attend(
        self,
        attention: Any,
        hidden_BTD: Tensor,
        turn: tuple[Tensor, Tensor],
        bias_BTS: Tensor,
        cache: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, num_new = hidden_BTD.shape[:2]

        def heads(projection: Any, norm: str | None) -> Tensor:
            found = projection(hidden_BTD).reshape(batch, num_new, -1, self.width)
            if norm is not None and hasattr(attention, norm):
                found = getattr(attention, norm)(found)
            turned: Tensor = found.transpose(1, 2)
            return turned

        queries = _turned(heads(attention.q_proj, "q_norm"), turn)
        keys, values = _turned(heads(attention.k_proj, "k_norm"), turn), heads(attention.v_proj, None)
        if cache is not None:
            keys, values = torch.cat([cache[0], keys], 2), torch.cat([cache[1], values], 2)
        # Query heads of a group stand in one matrix, so that keys needn't be copied for each.
        queries = queries.reshape(batch, self.groups, self.repeats * num_new, self.width) * self.width**-0.5
        scores = (queries @ keys.transpose(2, 3)).reshape(batch, self.groups, self.repeats, num_new, -1)
        weights = (scores + bias_BTS[:, None, None]).softmax(-1)
        mixed = weights.reshape(batch, self.groups, self.repeats * num_new, -1) @ values
        mixed = mixed.reshape(batch, self.groups * self.repeats, num_new, self.width).transpose(1, 2)
        said_BTD: Tensor = attention.o_proj(mixed.reshape(batch, num_new, -1))
        return said_BTD, keys, values


def _turned(heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cos_BTH, sin_BTH = turn
    first, second = heads.chunk(2, -1)
    return heads * cos_BTH[:, None] + torch.cat([-second, first], -1) * sin_BTH[:, None]


def causal_to_onnx(model: Any, *, with_cache: bool) -> bytes:
    """The model in fp32, batch and lengths dynamic.

    Inputs are `input_ids` and `position_ids` (B x T), `attention_mask` (B x S), and with a cache
    `past_key_values.I.key` and `.value` (B x G x P x H; P is 0 before the first token); outputs are `logits` (B x T x
    V) and `present.I.key` and `.value`: the names that transformers.js and optimum use.

    Args:
        model: of transformers, in fp32 and eval mode.
        with_cache: takes and gives keys and values.

    Raises:
        ConfigurationError: a model that isn't known here, or too large for one file.
    """
    config = model.config
    _check(config, model)
    decoder = _Decoder(model, with_cache=with_cache).eval()
    batch, length, total, past = (torch.export.Dim.DYNAMIC for _ in range(4))
    num_past, num_new = (3 if with_cache else 0), 4
    ids = torch.ones(2, num_new, dtype=torch.long)
    mask = torch.ones(2, num_past + num_new, dtype=torch.long)
    places = torch.arange(num_past, num_past + num_new).expand(2, -1)
    names = [f"{i}.{name}" for i in range(config.num_hidden_layers) for name in ("key", "value")] if with_cache else []
    caches = [torch.zeros(2, decoder.groups, num_past, decoder.width) for _ in names]
    with quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            decoder,
            (ids, mask, places, caches),
            input_names=["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{n}" for n in names)],
            output_names=["logits", *(f"present.{n}" for n in names)],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=(
                {0: batch, 1: length},
                {0: batch, 1: total},
                {0: batch, 1: length},
                [{0: batch, 2: past} for _ in names],
            ),
            verbose=False,
        )
    found: ModelProto = program.model_proto
    _tidy(found)
    return bytes(found.SerializeToString(deterministic=True))


def _tidy(model: ModelProto) -> None:
    """Leaves no trace of this machine, and gives axes names that say what they are."""
    graph = model.graph
    del model.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.value_info[:]  # speaks of the axes by their old names
    axes = {"input_ids": {1: "length"}, "position_ids": {1: "length"}, "attention_mask": {1: "total"}}
    for value in (*graph.input, *graph.output):
        named = axes.get(value.name, {1: "length"} if value.name == "logits" else {})
        if value.name.startswith(("past", "present")):
            named = {2: "past" if value.name.startswith("past") else "total"}
        for axis, name in {0: "batch", **named}.items():
            value.type.tensor_type.shape.dim[axis].dim_param = name


@torch.inference_mode()
def compare_next(decoder: OnnxDecoder, model: Any, prompts: Sequence[Sequence[int]]) -> tuple[Parity, float]:
    """The next token of each prompt by onnxruntime and by the model, and the largest logit of the model, in size.

    Args:
        decoder: the ONNX file.
        model: that it was made from.
        prompts: token ids.
    """
    same, overlaps, divergences, difference, largest = 0, [], [], 0.0, 0.0
    for ids in prompts:
        ours_V = model(input_ids=torch.tensor([list(ids)])).logits[0, -1].float().double()
        theirs_V = torch.from_numpy(decoder.next_logits(ids)).double()
        difference = max(difference, float((ours_V - theirs_V).abs().max()))
        largest = max(largest, float(ours_V.abs().max()))
        tops = [set(logits_V.topk(TOP).indices.tolist()) for logits_V in (ours_V, theirs_V)]
        overlaps.append(len(tops[0] & tops[1]) / TOP)
        same += int(ours_V.argmax()) == int(theirs_V.argmax())
        ours_V, theirs_V = ours_V.log_softmax(-1), theirs_V.log_softmax(-1)
        divergences.append(float((ours_V.exp() * (ours_V - theirs_V)).sum()))
    count = len(prompts)
    parity = Parity(
        num_prompts=count,
        top_1=same / count,
        top_5=sum(overlaps) / count,
        difference=difference,
        kl=sum(divergences) / count,
    )
    return parity, largest


def _check(config: Any, model: Any) -> None:
    if config.model_type not in KINDS:
        raise ConfigurationError(
            f"a model of type {config.model_type!r} can't be written as ONNX here; known are {', '.join(KINDS)}. Use "
            "the folder of safetensors in the bundle."
        )
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    window = getattr(config, "sliding_window", None) or config.max_position_embeddings
    if rope not in ("default", "linear", "llama3") or window < config.max_position_embeddings:
        raise ConfigurationError(
            f"the model turns positions by the rule {rope!r} or looks back over a sliding window; neither is written "
            "here, and leaving it out would give another model. Use the folder of safetensors in the bundle."
        )
    if (number := count_parameters(model)) > MOST_PARAMETERS:
        raise ConfigurationError(
            f"the student has {number:,} parameters, and one ONNX file holds {MOST_PARAMETERS:,} in fp32. Export it "
            "with --target gguf."
        )
