"""The tokenizer inside the ONNX graph: a string goes in, logits come out (onnxruntime-extensions, `BertTokenizer`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from potstill.errors import ConfigurationError, MissingExtraError
from potstill.types import FloatArray

FILE = "model_text.onnx"
DOMAIN = "ai.onnx.contrib"


@dataclass(frozen=True)
class TextModel:
    """A network that reads strings.

    Attributes:
        content: the model.
        ids: what its tokenizer makes of a text.
        logits: what the whole of it makes of a text, 1 x C.
    """

    content: bytes
    ids: Callable[[str], list[int]]
    logits: Callable[[str], FloatArray]


def with_tokenizer(model_bytes: bytes, tokenizer_json: str, max_length: int) -> TextModel:
    """Puts the tokenizer before a network whose one input is `ids`.

    Raises:
        MissingExtraError: without onnxruntime-extensions.
        ConfigurationError: a tokenizer other than WordPiece.
    """
    try:
        from onnxruntime_extensions import get_library_path
    except ImportError as error:
        raise MissingExtraError("onnxruntime-extensions", "onnx") from error
    head, constants = _tokenizer_nodes(json.loads(tokenizer_json), max_length)
    text = helper.make_tensor_value_info("text", TensorProto.STRING, [1])
    model = onnx.load_from_string(model_bytes)
    graph = model.graph
    del graph.input[:]
    graph.input.append(text)
    graph.initializer.extend(constants)
    for node in reversed(head):
        graph.node.insert(0, node)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT32, [1, None])
    alone = helper.make_model(
        helper.make_graph(head, "tokenizer", [text], [ids], constants),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)],
        ir_version=model.ir_version,
    )
    tokenizer, network = (_session(m, get_library_path()) for m in (alone, model))

    def cut(value: str) -> list[int]:
        return [int(i) for i in tokenizer.run(None, {"text": np.array([value], object)})[0][0]]

    def run(value: str) -> FloatArray:
        logits: FloatArray = network.run(None, {"text": np.array([value], object)})[0]
        return logits

    return TextModel(bytes(model.SerializeToString(deterministic=True)), cut, run)


def _session(model: ModelProto, library: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.register_custom_ops_library(library)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _tokenizer_nodes(content: dict[str, Any], max_length: int) -> tuple[list[Any], list[TensorProto]]:
    model, normalizer = content["model"], content.get("normalizer") or {}
    splitter = (content.get("pre_tokenizer") or {}).get("type")
    if model.get("type", "WordPiece") != "WordPiece" or splitter != "BertPreTokenizer":
        raise ConfigurationError(
            "onnxruntime-extensions has an operation for WordPiece as BERT cuts it, and this student's tokenizer is "
            f"{model.get('type')} after {splitter}. Ship tokenizer.json beside the model: leave --tokenizer out."
        )
    is_bert = normalizer.get("type") == "BertNormalizer"
    lowers = bool(normalizer.get("lowercase", True)) if is_bert else True
    strips = normalizer.get("strip_accents") if is_bert else False
    vocabulary = sorted(model["vocab"], key=model["vocab"].__getitem__)
    cut = helper.make_node(
        "BertTokenizer",
        ["text"],
        ["all_ids", "token_types", "attention"],
        domain=DOMAIN,
        vocab_file="\n".join(vocabulary),
        do_lower_case=int(lowers),
        strip_accents=int(lowers if strips is None else strips),
        tokenize_chinese_chars=int(is_bert and normalizer.get("handle_chinese_chars", True)),
        unk_token=model["unk_token"],
        # It insists on one; trimmed vocabularies have none, and no text is masked here.
        mask_token=model["unk_token"],
        suffix_indicator=model.get("continuing_subword_prefix", "##"),
    )
    names = {"zero": [0], "last": [-1], "end": [np.iinfo(np.int64).max], "room": [max_length - 1]}
    constants = [numpy_helper.from_array(np.array(v, np.int64), f"text_{name}") for name, v in names.items()]
    # The rest of a long text is not read, and its closing piece stays.
    nodes = [
        cut,
        helper.make_node("Slice", ["all_ids", "text_zero", "text_last"], ["open_ids"]),
        helper.make_node("Slice", ["open_ids", "text_zero", "text_room"], ["read_ids"]),
        helper.make_node("Slice", ["all_ids", "text_last", "text_end"], ["closing_id"]),
        helper.make_node("Concat", ["read_ids", "closing_id"], ["flat_ids"], axis=0),
        helper.make_node("Unsqueeze", ["flat_ids", "text_zero"], ["wide_ids"]),
        helper.make_node("Cast", ["wide_ids"], ["ids"], to=TensorProto.INT32),
    ]
    return nodes, constants
