"""A real bundle from a hand-made network, so that these tests need no torch."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from potstill.runtime.bundle import write_bundle
from potstill.runtime.manifest import Manifest, Threshold
from potstill.types import Field, LabelSchema

TOKENIZER = """{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
"pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null, "model": {"type": "WordLevel",
"vocab": {"[PAD]": 0, "[UNK]": 1, "red": 2, "blue": 3, "빨강": 4}, "unk_token": "[UNK]"}}"""
SCHEMA = LabelSchema((Field(name="colour", classes=("blue", "red")),))


def network(domain="", external=False, embeds=False):
    """Logits are sums of one row a token: `red` and `빨강` speak for red, `blue` for blue. So is its embedding."""
    table = np.array([[0, 0], [0, 0], [0, 4], [4, 0], [0, 4]], np.float32)
    tensor = numpy_helper.from_array(table, "table")
    if external:
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../../../../etc/passwd"
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["logits"], keepdims=0),
    ]
    if domain:
        nodes.append(helper.make_node("Evil", ["logits"], ["more"], domain=domain))
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])]
    if embeds:
        nodes.append(helper.make_node("Identity", ["logits"], ["text_embedding"]))
        outputs.append(helper.make_tensor_value_info("text_embedding", TensorProto.FLOAT, ["batch", 2]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", "length"])],
        outputs,
        [tensor, numpy_helper.from_array(np.array([1], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def manifest(**changes):
    values = {
        "schema": SCHEMA,
        "preprocess": {"kind": "text_tokens", "max_length": 8, "file": "tokenizer.json"},
        "precision": "fp32",
        "temperatures": [2.0],
        "threshold": Threshold(score="max_logit", value=1.0),
        "probes": [{"input": "red blue red", "logits": [4.0, 8.0]}],
        "tolerance": 1e-4,
    }
    return Manifest(**{**values, **changes})


def make_bundle(folder, *, model=None, **changes):
    files = {"model.onnx": model or network(), "tokenizer.json": TOKENIZER.encode()}
    write_bundle(folder, manifest(**changes), files)
    return folder
