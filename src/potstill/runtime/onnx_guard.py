"""Looks into an ONNX file before anything runs it, with nothing but the wire format of Protocol Buffers.

Field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

from collections.abc import Iterator

from potstill.errors import BundleError

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
MAX_DEPTH = 24

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# What can hold what: message -> {field number: message inside}. Only the ways to a tensor or a node are walked.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
}
_NODE_DOMAIN, _OPSET_DOMAIN, _FUNCTION_DOMAIN = 7, 1, 10
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14


def check_onnx(model: bytes) -> None:
    """Refuses tensors that lie in other files and operators that are not ONNX's own.

    Raises:
        BundleError: not an ONNX file, or one that reaches outside itself.
    """
    found_graph = False
    for number, kind, value in _fields(memoryview(model)):
        found_graph |= number == 7 and kind == _BYTES
        _descend("model", number, kind, value, 0)
    if not found_graph:
        raise BundleError("the model file holds no graph, so it is no ONNX model. Export the student again.")


def _walk(message: str, content: memoryview, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BundleError(f"the model nests graphs more than {MAX_DEPTH} deep; no exporter writes that")
    for number, kind, value in _fields(content):
        if message == "tensor":
            _check_tensor(number, value)
        elif (message, number) in (("node", _NODE_DOMAIN), ("opset", _OPSET_DOMAIN), ("function", _FUNCTION_DOMAIN)):
            _check_domain(value)
        else:
            _descend(message, number, kind, value, depth)


def _descend(message: str, number: int, kind: int, value: int | memoryview, depth: int) -> None:
    inner = _INSIDE.get(message, {}).get(number)
    if inner and kind == _BYTES and isinstance(value, memoryview):
        _walk(inner, value, depth + 1)


def _check_tensor(number: int, value: int | memoryview) -> None:
    if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
        raise BundleError(
            "the model keeps weights in another file. A bundle's model is whole in itself, since such a "
            "reference could read any file of the device. Don't use a bundle from this source."
        )


def _check_domain(value: int | memoryview) -> None:
    domain = bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else str(value)
    if domain not in ALLOWED_DOMAINS:
        raise BundleError(f"the model uses operators of {domain!r}; only those of ONNX itself are run")


def _fields(content: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yields (field number, wire type, value) of one message."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(content, position)
            yield number, kind, value
            continue
        if kind == _BYTES:
            size, position = _varint(content, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise BundleError("the model file is no ONNX model, or is damaged. Copy or download the bundle again.")
        if size > len(content) - position:
            raise BundleError("the model file ends too early. Copy or download the bundle again.")
        yield number, kind, content[position : position + size]
        position += size


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(content) and shift < 70:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise BundleError("the model file is no ONNX model, or is damaged. Copy or download the bundle again.")
