"""`potstill evaluate`: a bundle on labelled data; needs nothing but the bare installation."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from potstill.cli.generate import evaluate_text
from potstill.cli.output import Result
from potstill.data.folders import read_source
from potstill.data.guess import guess_label, guess_text
from potstill.data.inputs import read_inputs
from potstill.data.labels import encode_labels, field_values
from potstill.data.options import DataOptions
from potstill.errors import DataError
from potstill.evaluation.metrics import (
    answers,
    balanced_accuracy,
    class_scores,
    is_right,
    macro_f1,
    nll,
    probabilities,
    reliability,
)
from potstill.evaluation.significance import bootstrap_means, interval
from potstill.report.words import sentence
from potstill.runtime import Model, load
from potstill.runtime.generating import is_generative
from potstill.types import OTHER, Finding, FloatArray, IntArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `evaluate`."""
    parser.add_argument("bundle", help="folder or .zip of a bundle")
    parser.add_argument("data", type=Path, help="labelled rows: CSV, TSV, JSONL, Parquet, or a folder of files")
    parser.add_argument(
        "--text",
        "--prompt",
        "--image",
        "--audio",
        dest="column",
        default="",
        help="column of the input; guessed when left out",
    )
    parser.add_argument("--label", "--answer", default="", help="column of the label; guessed when left out")
    parser.add_argument("--separator", default="", help="splits a label cell into several labels")


def main(args: argparse.Namespace) -> Result:
    """Accuracy with interval, macro-F1, NLL and calibration error; of a student that writes, exact match."""
    if is_generative(args.bundle):
        return evaluate_text(args.bundle, args.data, prompt=args.column, answer=args.label)
    model = load(args.bundle)
    table = read_source(args.data)
    column = args.column or (guess_text(table) if model.modality == "text" else model.modality)
    label = args.label or guess_label(table, column)
    rate = int(model.manifest.preprocess.get("rate", 0))
    columns = {model.modality: column}
    options = DataOptions(
        text=columns.get("text", ""),
        image=columns.get("image", ""),
        audio=columns.get("audio", ""),
        label=(label,),
        separator=args.separator,
        sample_rate=rate,
    )
    fields = field_values(table, options)
    if len(model.schema.fields) == 1 and len(fields) == 1:
        fields = {model.schema.fields[0].name: next(iter(fields.values()))}
        field = model.schema.fields[0]
        if OTHER in field.classes:
            known = set(field.classes)
            values = fields[field.name]
            fields = {field.name: [v if not isinstance(v, str) or v in known else OTHER for v in values]}
    table = replace(table, source=str(args.data))
    labels = encode_labels(fields, model.schema, "", table)
    findings: list[Finding] = []
    inputs, usable = read_inputs(table, options, findings)
    rows = usable[(labels[usable] >= 0).any(1)]
    if len(rows) == 0:
        raise DataError(f"{args.data} holds no labelled row in column {label!r}; there is nothing to compare with")
    notes = [sentence(finding, "en") for finding in findings]
    return _judge(model.logits([inputs[i] for i in rows.tolist()]), labels[rows], model, notes)


def _judge(logits: FloatArray, labels: IntArray, model: Model, notes: list[str]) -> Result:
    said = answers(logits, model.schema)
    right = is_right(said, labels)
    low, high = interval(bootstrap_means({"student": right}, seed=0)["student"])
    classes = class_scores(said, labels, model.schema)
    temperatures = model.manifest.temperatures
    data = {
        "bundle_digest": model.digest,
        "num_rows": len(labels),
        "findings": notes,
        "accuracy": float(right.mean()),
        "accuracy_ci": [low, high],
        "balanced_accuracy": balanced_accuracy(classes),
        "macro_f1": macro_f1(classes),
        "nll": nll(logits, labels, model.schema, temperatures),
        "ece": reliability(probabilities(logits, model.schema, temperatures), labels, model.schema)[0],
    }
    text = (
        f"{len(labels)} rows: accuracy {data['accuracy']:.4f} [{low:.4f}, {high:.4f}], macro-F1 "
        f"{data['macro_f1']:.4f}, NLL {data['nll']:.4f}, ECE {data['ece']:.4f}"
    )
    return Result(data, "\n".join([*notes, text]))
