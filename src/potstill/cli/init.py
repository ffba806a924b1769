"""`potstill init`: a commented recipe for given data."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from potstill.cli.distill import add_data_arguments, add_generative_arguments, recipe_values
from potstill.cli.distill_text import generative_recipe, is_generative_source
from potstill.cli.output import Result
from potstill.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `init`."""
    parser.add_argument("source", help="labelled rows: CSV, TSV, JSONL, Parquet, or a folder of files")
    add_data_arguments(parser)
    add_generative_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("recipe.yaml"), help="file to write")


def main(args: argparse.Namespace) -> Result:
    """Guesses the columns, and writes the recipe unless there is one."""
    from potstill.files import write_atomic
    from potstill.recipe.write import commented_recipe

    if args.out.exists():
        raise ConfigurationError(f"{args.out} is there already and was not touched. Name another file with --out.")
    recipe, columns = _written(args) if is_generative_source(args) else _sorted(args)
    data = replace(
        recipe.data,
        **{name: _seen_from(args.out.parent, getattr(recipe.data, name)) for name in ("train", "test", "unlabelled")},
    )
    try:
        write_atomic(args.out, commented_recipe(replace(recipe, data=data)).encode())
    except OSError as error:
        raise ConfigurationError(
            f"{args.out} can't be written: {error.strerror}. Name another file with --out."
        ) from error
    said = ", ".join(f"{name}: {_quoted(value)}" for name, value in columns.items())
    return Result({"recipe": str(args.out), **columns}, f"wrote {args.out} ({said})\nnext: potstill check {args.out}")


def _sorted(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The recipe of a student that sorts, and its columns."""
    from potstill.data.folders import read_source
    from potstill.data.guess import guess_label, guess_text
    from potstill.recipe.load import build_recipe

    recipe = build_recipe(recipe_values(args))
    table = read_source(Path(args.source))
    kind = recipe.data.modality
    column = recipe.data.column or guess_text(table, taken=recipe.data.label)
    label = recipe.data.label or (guess_label(table, column),)
    data = replace(recipe.data, text=column if kind == "text" else "", label=label)
    return replace(recipe, data=data), {kind: column, "label": list(label)}


def _written(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The recipe of a student that writes, and its columns."""
    from potstill.data.prompts import load_prompts

    recipe = generative_recipe(args, [])
    load_prompts(recipe.data, seed=recipe.seed)  # that the columns are there, and hold what they should
    names = ("messages",) if not (args.prompt or args.answer) else ("prompt", "answer")
    return recipe, {name: getattr(recipe.data, name) for name in names}


def _quoted(value: Any) -> str:
    return ", ".join(map(repr, value)) if isinstance(value, list) else repr(value)


def _seen_from(folder: Path, path: str) -> str:
    """A recipe's paths are relative to the recipe."""
    return os.path.relpath(Path.cwd() / path, folder.resolve()) if path and not Path(path).is_absolute() else path
