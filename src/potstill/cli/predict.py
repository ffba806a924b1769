"""`potstill predict`: a bundle's answers; needs nothing but the bare installation."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from potstill.cli.generate import predict_text
from potstill.cli.output import Result, label_text
from potstill.errors import DataError
from potstill.runtime import Model, Prediction, load
from potstill.runtime.generating import is_generative

BLOCK = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `predict`."""
    parser.add_argument("bundle", help="folder or .zip of a bundle")
    parser.add_argument(
        "input",
        nargs="?",
        default="-",
        help="a text, a file (one text a line, CSV, JSONL), a picture, a sound, a folder of them, or - for stdin",
    )
    parser.add_argument("--text", default="", help="column of the text or prompt in a CSV or JSONL file")
    parser.add_argument("--threads", type=int, default=1, help="threads that one prediction may use")


def main(args: argparse.Namespace) -> Result:
    """Predicts one text, or every row of a file."""
    if is_generative(args.bundle):
        live = sys.stdout.isatty() and not args.json
        return predict_text(args.bundle, args.input, column=args.text, threads=args.threads, live=live)
    model = load(args.bundle, threads=args.threads)
    path = Path(args.input)
    if model.modality != "text":
        return _files(model, path)
    if args.input != "-" and not _is_file(path):
        return _one(model.predict([args.input])[0], args.input)
    texts = _stdin() if args.input == "-" else _texts(path, args.text)
    found = []
    for block in _blocks(texts):
        found += [{"input": text, **p.to_json()} for text, p in zip(block, model.predict(block), strict=True)]
    lines = [f"{label_text(row['label'])}\t{row['probability']:.4f}\t{row['input']}" for row in found]
    return Result({"bundle_digest": model.digest, "predictions": found}, "\n".join(lines))


def _files(model: Model, path: Path) -> Result:
    """Pictures or sounds: one, or all of a folder; a file that can't be read is said and passed over in a folder."""
    if _is_file(path):
        return _one(model.predict([model.read(path)])[0], str(path))
    if not path.is_dir():
        raise DataError(f"there is no file or folder {path}. This model reads {model.modality} files.")
    found, unread = [], []
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        try:
            value = model.read(file)
        except DataError as error:
            unread.append({"input": str(file), "error": str(error)})
            continue
        found.append({"input": str(file), **model.predict([value])[0].to_json()})
    lines = [f"{label_text(row['label'])}\t{row['probability']:.4f}\t{row['input']}" for row in found]
    lines += [f"not read: {row['input']}: {row['error']}" for row in unread]
    return Result({"bundle_digest": model.digest, "predictions": found, "unread": unread}, "\n".join(lines))


def _one(prediction: Prediction, text: str) -> Result:
    best = sorted(prediction.probabilities.items(), key=lambda item: -_probability(item[1]))[:3]
    lines = [f"{label_text(prediction.label)}  {prediction.probability:.4f}"]
    if all(isinstance(value, float) for _, value in best):
        lines += [f"  {name}  {value:.4f}" for name, value in best[1:]]
    if prediction.in_scope is False:
        lines.append("  looks like none of the classes")
    return Result({"input": text, **prediction.to_json()}, "\n".join(lines))


def _probability(value: Any) -> float:
    return value if isinstance(value, float) else 0.0


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False  # a text that is too long or too odd for a name


def _stdin() -> Iterator[str]:
    for line in sys.stdin:
        if line.strip():
            yield line.rstrip("\r\n")


def _texts(path: Path, column: str) -> list[str]:
    if path.suffix.lower() in (".txt", ""):
        return [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    from potstill.data.guess import guess_text
    from potstill.data.readers import read_table

    table = read_table(path)
    values = table.column(column or guess_text(table), "--text")
    empty = [int(line) for line, value in zip(table.line_numbers, values, strict=True) if not isinstance(value, str)]
    if empty:
        raise DataError(f"{path}: no text on lines {', '.join(map(str, empty[:5]))}. Remove them, or name the column.")
    return list(values)


def _blocks(texts: Iterator[str] | list[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for text in texts:
        block.append(text)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block
