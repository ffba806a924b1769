"""`potstill init`: a commented recipe for given data."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from potstill.cli.distill import add_data_arguments, recipe_values
from potstill.cli.output import Result
from potstill.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `init`."""
    parser.add_argument("source", help="labelled rows: CSV, TSV, JSONL, Parquet, or a folder of files")
    add_data_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("recipe.yaml"), help="file to write")


def main(args: argparse.Namespace) -> Result:
    """Guesses the columns, and writes the recipe unless there is one."""
    from potstill.data.folders import read_source
    from potstill.data.guess import guess_label, guess_text
    from potstill.files import write_atomic
    from potstill.recipe.load import build_recipe
    from potstill.recipe.write import commented_recipe

    if args.out.exists():
        raise ConfigurationError(f"{args.out} is there already and was not touched. Name another file with --out.")
    recipe = build_recipe(recipe_values(args))
    table = read_source(Path(args.source))
    is_text = recipe.data.modality == "text"
    column = recipe.data.column or guess_text(table, taken=recipe.data.label)
    label = recipe.data.label or (guess_label(table, column),)
    data = replace(
        recipe.data,
        train=_seen_from(args.out.parent, recipe.data.train),
        test=_seen_from(args.out.parent, recipe.data.test),
        unlabelled=_seen_from(args.out.parent, recipe.data.unlabelled),
        text=column if is_text else "",
        label=label,
    )
    try:
        write_atomic(args.out, commented_recipe(replace(recipe, data=data)).encode())
    except OSError as error:
        raise ConfigurationError(
            f"{args.out} can't be written: {error.strerror}. Name another file with --out."
        ) from error
    kind, labels = recipe.data.modality, ", ".join(map(repr, label))
    return Result(
        {"recipe": str(args.out), kind: column, "label": list(label)},
        f"wrote {args.out} ({kind}: {column!r}, label: {labels})\nnext: potstill check {args.out}",
    )


def _seen_from(folder: Path, path: str) -> str:
    """A recipe's paths are relative to the recipe."""
    return os.path.relpath(Path.cwd() / path, folder.resolve()) if path and not Path(path).is_absolute() else path
