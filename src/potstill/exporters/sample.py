"""A minimal app around a bundle, with names, shapes and labels of its manifest: Node, Android, Swift, C."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from typing import Any, Literal

from potstill.errors import ConfigurationError
from potstill.exporters.ort_web import VERSION
from potstill.exporters.web import LIBRARY, case_folds, check_tokenizer, script_files

Sample = Literal["node", "android", "swift", "c"]
# The mobile packages follow onnxruntime's numbers, each in its own time. Both are in public lists (Maven Central, tags
# of the Swift package); neither was built here.
MOBILE = {"android": "1.24.3", "swift": "1.24.2"}
# Operation of LiteRT -> method of the resolver for microcontrollers.
MICRO = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "FULLY_CONNECTED": "AddFullyConnected",
    "LOGISTIC": "AddLogistic",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "RELU": "AddRelu",
    "RESHAPE": "AddReshape",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUM": "AddSum",
    "TRANSPOSE": "AddTranspose",
}
PREPARE = {
    "text_tokens": "The input are the ids of tokenizer.json: cut texts with Hugging Face's tokenizers for this "
    "platform, or ship `--target onnx --tokenizer in-graph`, which takes strings.",
    "pixels": "The input are pixels as (value / scale - mean) / std, channels first, of the model's size; scale, mean "
    "and std stand in manifest.json.",
    "log_mel": "The input is a log-mel spectrum with the numbers of manifest.json.",
}


def node_sample(bundle: Mapping[str, bytes]) -> dict[str, bytes]:
    """A package that predicts with onnxruntime-web; the scripts are those of the browser's page.

    Raises:
        ConfigurationError: a tokenizer that JavaScript doesn't know.
    """
    check_tokenizer(bundle)
    package = {"name": "student", "private": True, "type": "module", "dependencies": {"onnxruntime-web": VERSION}}
    return {
        "package.json": json.dumps(package, indent=2).encode(),
        "main.mjs": _template("main.mjs").encode(),
        "case_folds.json": json.dumps(case_folds(), ensure_ascii=False).encode(),
        **script_files(LIBRARY),
        **{f"bundle/{name}": content for name, content in bundle.items()},
    }


def mobile_sample(bundle: Mapping[str, bytes], kind: Literal["android", "swift"]) -> dict[str, bytes]:
    """One class in Kotlin or Swift around onnxruntime.

    Raises:
        ConfigurationError: several fields, several labels, or n-grams.
    """
    manifest = json.loads(bundle["manifest.json"])
    values = {**_values(manifest), "ORT": MOBILE[kind]}
    values["PIXELS"] = _picture(manifest["preprocess"], kind)
    name = {"android": "Student.kt", "swift": "Student.swift"}[kind]
    quote = _kotlin if kind == "android" else _swift
    values["LABELS"] = ", ".join(map(quote, manifest["schema"][0]["classes"]))
    kept = {path: content for path, content in bundle.items() if path.endswith((".onnx", ".json"))}
    return {name: _filled(_template(name), values).encode(), **kept}


def micro_sample(export: Mapping[str, bytes], operations: Sequence[str]) -> dict[str, bytes]:
    """C++ with a C door for LiteRT for Microcontrollers, and the model as an array.

    Args:
        export: files of a LiteRT export.
        operations: of its model.

    Raises:
        ConfigurationError: texts, or an operation that microcontrollers' runtime doesn't have.
    """
    manifest = json.loads(export["manifest.json"])
    if manifest["model"]["lengths"]:
        raise ConfigurationError(
            "the C sample is for pictures and sounds: LiteRT for Microcontrollers has no lookup of embeddings and no "
            "tokenizer. Use --sample android, swift or node."
        )
    unknown = sorted(set(operations) - set(MICRO))
    if unknown:
        raise ConfigurationError(
            f"LiteRT for Microcontrollers doesn't run {', '.join(unknown)}. Distil a student of kind ds_cnn or resnet."
        )
    content = export["model.tflite"]
    values = _values(manifest)
    classes = manifest["schema"][0]["classes"]
    values |= {
        "LABELS": ", ".join(_c(name) for name in classes),
        "NUM_LABELS": str(len(classes)),
        "NUM_OPS": str(len(set(operations))),
        "ADD_OPS": "\n".join(f"    resolver.{MICRO[name]}();" for name in sorted(set(operations))),
        "NUM_VALUES": str(math.prod(manifest["model"]["inputs"][0]["shape"])),
        "ARENA": str(256 * 1024),
    }
    numbers = ",".join(map(str, content))
    header = f"#pragma once\n#include <cstdint>\nalignas(16) const uint8_t student_model[] = {{{numbers}}};\n"
    return {"student.cc": _filled(_template("student.cc"), values).encode(), "model.h": header.encode()}


def _values(manifest: Mapping[str, Any]) -> dict[str, str]:
    entry, schema = manifest["preprocess"], manifest["schema"]
    if len(schema) != 1 or schema[0]["multi"] or entry["kind"] not in PREPARE:
        raise ConfigurationError(
            "this sample is for one field with one answer, on texts as pieces, pictures or sounds. The Node sample "
            "takes every bundle."
        )
    is_text = entry["kind"] == "text_tokens"
    shape = ["1", "values.size"] if is_text else _shape(entry)
    computes = manifest["model"]["precision"] == "int8" and not is_text
    return {
        "PREPARE": PREPARE[entry["kind"]],
        "INPUT": "ids" if is_text else "pixels",
        "DTYPE": "int32" if is_text else "float32",
        "ARRAY": "IntArray" if is_text else "FloatArray",
        "BUFFER": "IntBuffer" if is_text else "FloatBuffer",
        "SWIFT": "Int32" if is_text else "Float",
        "ELEMENT": "int32" if is_text else "float",
        "SHAPE": "1 x number of ids" if is_text else " x ".join(shape),
        "SHAPE_LONG": ", ".join(f"{side}.toLong()" if is_text else f"{side}L" for side in shape),
        "SHAPE_SWIFT": "1, NSNumber(value: values.count)" if is_text else ", ".join(shape),
        "TEMPERATURE": f"{manifest['calibration']['temperatures'][0]:.6g}",
        "DISABLE": "0" if computes else "1",
    }


def _picture(entry: Mapping[str, Any], kind: str) -> str:
    """A function from red, green and blue to the array, where the student reads colour pictures."""
    if entry["kind"] != "pixels" or entry["channels"] != 3:
        return ""
    name = {"android": "pixels.kt", "swift": "pixels.swift"}[kind]
    values = {"WIDTH": str(entry["width"]), "HEIGHT": str(entry["height"]), "SCALE": f"{entry['scale']:.9g}"}
    suffix = "f" if kind == "android" else ""
    for part in ("mean", "std"):
        values[part.upper()] = ", ".join(f"{float(number):.9g}{suffix}" for number in entry[part])
    return "\n" + _filled(_template(name), values)


def _shape(entry: Mapping[str, Any]) -> list[str]:
    if entry["kind"] == "pixels":
        return ["1", str(entry["channels"]), str(entry["height"]), str(entry["width"])]
    num_samples = round(entry["rate"] * entry["seconds"])
    num_frames = 1 + max(0, num_samples - entry["window"]) // entry["hop"]
    return ["1", "1", str(entry["num_mels"]), str(num_frames)]


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{\{([A-Z_]+)\}\}", lambda match: values[match[1]], template)


def _template(name: str) -> str:
    return (resources("potstill.exporters") / "samples" / name).read_text("utf-8")


def _kotlin(text: str) -> str:
    return json.dumps(text, ensure_ascii=True).replace("$", "\\$")


def _swift(text: str) -> str:
    escaped = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\u{{{ord(c):x}}}" for c in text)
    return f'"{escaped}"'


def _c(text: str) -> str:
    """Octal escapes end after three digits, so that no letter behind one is taken for a part of it."""
    safe = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{safe}"'
