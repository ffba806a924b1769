"""The trained network of a run on disk: its weights as safetensors and its sizes as JSON, so that it can be rebuilt.

Builders start from transfer sets and pretrained encoders; neither is needed once the weights are known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import nn

from potstill.errors import ConfigurationError, IntegrityError
from potstill.files import canonical_json, digest, write_atomic
from potstill.students.bc_resnet import Broadcasted, BroadcastedNet
from potstill.students.bert import Bert, BertLayer, BertShape
from potstill.students.classifier import EncoderClassifier
from potstill.students.cnn import TextCnn
from potstill.students.ds_cnn import SeparableNet
from potstill.students.linear import LinearNgrams
from potstill.students.pixel_cnn import SmallPictureNet
from potstill.students.resnet import ResidualNet
from potstill.students.static import BagOfPieces
from potstill.students.summing import Summing, inner_network

WEIGHTS, SIZES = "network.safetensors", "network.json"


def keep_network(folder: Path, module: nn.Module) -> bool:
    """Writes a network; returns False, and writes nothing, for a class that isn't one of ours."""
    from safetensors.torch import save

    inner = inner_network(module)
    sizes = _sizes(inner)
    if sizes is None:
        return False
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in inner.state_dict().items()}
    content = save(tensors)
    write_atomic(folder / WEIGHTS, content)
    record: dict[str, Any] = {"network": type(inner).__name__, "sizes": sizes, "weights": digest(content)}
    if isinstance(module, Summing):
        record["summing"] = {"kept": module.kept.tolist(), "rest": module.rest.tolist()}
    write_atomic(folder / SIZES, canonical_json(record))
    return True


def load_network(folder: Path) -> nn.Module:
    """Rebuilds the network that `keep_network` wrote, in evaluation mode.

    Raises:
        ConfigurationError: none was kept there.
        IntegrityError: it is not what was written.
    """
    from safetensors.torch import load

    if not (folder / SIZES).exists():
        raise ConfigurationError(
            f"{folder} holds no network in fp32, which every export but onnx starts from. Runs of an older version "
            "kept none, and students of other packages can't be rebuilt; run the same `potstill distill` command with "
            "another --out, or export to onnx-fp32, onnx-int8 or onnx-int8-weights."
        )
    try:
        record = json.loads((folder / SIZES).read_bytes())
        content = (folder / WEIGHTS).read_bytes()
        if digest(content) != record["weights"]:
            raise ValueError(f"{WEIGHTS} is not what was written")
        module = _make(record["network"], record["sizes"])
        module.load_state_dict(load(content))
        if "summing" in record:
            module = Summing(module, **record["summing"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise IntegrityError(
            f"the network in {folder} can't be read ({error}). Run the same `potstill distill` command with another "
            "--out."
        ) from error
    return module.eval()


def _sizes(module: nn.Module) -> dict[str, Any] | None:
    """What the constructor needs, read off the network itself."""
    found: dict[str, Any] | None = None
    if isinstance(module, TextCnn):
        filters = [module.narrow.out_channels, module.wide.out_channels]
        found = {"pieces": list(module.pieces.weight.shape), "filters": filters}
    elif isinstance(module, BagOfPieces):
        found = {"pieces": list(module.pieces.weight.shape), "hidden": module.hidden.out_features}
    elif isinstance(module, LinearNgrams):
        return {"buckets": module.rows.num_embeddings, "logits": module.rows.embedding_dim}
    elif isinstance(module, EncoderClassifier):
        layers = cast("list[BertLayer]", list(module.encoder.layers))
        found = {"shape": asdict(module.encoder.shape), "head_width": layers[0].head_width}
    elif isinstance(module, ResidualNet | SeparableNet):
        found = {"channels": module.stem.in_channels, "width": module.stem.out_channels, "blocks": len(module.blocks)}
    elif isinstance(module, BroadcastedNet):
        first = cast(Broadcasted, module.blocks[0])
        width = first.bands.out_channels
        found = {"channels": module.stem.in_channels, "width": width, "blocks": len(module.blocks)}
    elif isinstance(module, SmallPictureNet):
        area = module.hidden.in_features // module.second.out_channels
        sizes = {"channels": module.first.in_channels, "filters": module.first.out_channels, "area": area}
        found = {**sizes, "hidden": module.hidden.out_features}
    return found and {**found, "logits": cast(nn.Linear, module.head).out_features}


def _make(name: str, sizes: Mapping[str, Any]) -> nn.Module:
    """A network of these sizes; its weights are about to be replaced."""
    logits = sizes["logits"]
    if name in ("TextCnn", "BagOfPieces"):
        table_VD = np.zeros(sizes["pieces"], np.float32)
        if name == "TextCnn":
            return TextCnn(table_VD, (sizes["filters"][0], sizes["filters"][1]), logits, 0.0)
        return BagOfPieces(table_VD, sizes["hidden"], logits, 0.0)
    if name == "LinearNgrams":
        return LinearNgrams(sizes["buckets"], logits, 0.0)
    if name == "EncoderClassifier":
        return EncoderClassifier(_bert(BertShape(**sizes["shape"]), sizes["head_width"]), logits)
    if name == "ResidualNet":
        return ResidualNet(sizes["channels"], 2 * sizes["blocks"] + 2, sizes["width"], logits, 0.0)
    if name == "SeparableNet":
        return SeparableNet(sizes["channels"], sizes["width"], sizes["blocks"], logits, 0.0)
    if name == "BroadcastedNet":
        return BroadcastedNet(sizes["channels"], sizes["width"], sizes["blocks"] // 4, logits, 0.0)
    if name == "SmallPictureNet":
        # Any height and width of that area after halving: the weights are the same.
        shape = (sizes["channels"], 2, 2 * sizes["area"])
        return SmallPictureNet(shape, sizes["filters"], sizes["hidden"], logits, 0.0)
    raise ValueError(f"an unknown network {name!r}")


def _bert(shape: BertShape, head_width: int) -> Bert:
    """Heads may have been pruned, so the attention is made as wide as what is left of them."""
    bert = Bert(shape)
    inner = shape.num_heads * head_width
    for layer in cast("list[BertLayer]", list(bert.layers)):
        layer.head_width = head_width
        layer.qkv = nn.Linear(shape.width, 3 * inner)
        layer.attention_out = nn.Linear(inner, shape.width)
    return bert
