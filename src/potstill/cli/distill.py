"""`potstill distill`: from rows, or a recipe, to a student with its report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from potstill.cli.carry_out import carry_out
from potstill.cli.output import Result
from potstill.cli.summary import run_result
from potstill.errors import ConfigurationError

NAMED = ("test", "unlabelled", "text", "image", "audio", "group", "label")
RECIPE_SUFFIXES = (".yaml", ".yml")
SIZES = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "b": 1}
PLAIN_TEACHERS = ("encoder", "scratch", "ngrams", "network", "probe")
TIMES = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say which rows; `init` takes the same."""
    parser.add_argument("--test", default="", help="labelled rows that judge; without it some are held out")
    parser.add_argument("--unlabelled", default="", help="more rows without labels, for the teacher to answer")
    parser.add_argument("--text", default="", help="column of the text; guessed when left out")
    parser.add_argument("--image", default="", help="column of the picture (path or bytes); `image` for a folder")
    parser.add_argument("--audio", default="", help="column of the sound (path or bytes); `audio` for a folder")
    parser.add_argument("--group", default="", help="column, such as the speaker, whose groups no split divides")
    parser.add_argument("--label", action="append", default=[], help="column of the label; repeat for several fields")
    parser.add_argument("--separator", default="", help="splits a label cell into several labels")
    parser.add_argument("--out-of-scope", default="", metavar="LABEL", help='label that means "none of these"')
    parser.add_argument("--classes", default="", help="keep only these classes, separated by commas")
    parser.add_argument("--other", action="store_true", help='add a class "other" for all that is not kept')


def add_generative_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a student that writes."""
    parser.add_argument("--prompt", default="", help="column of the prompt: the student writes instead of classifying")
    parser.add_argument("--answer", default="", help="column of the answer that is wanted; `answer` when left out")
    parser.add_argument("--messages", default="", help="column of a chat, in place of --prompt and --answer")
    parser.add_argument("--layers", type=int, default=0, help="layers of the teacher that a student that writes keeps")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All options of `distill`."""
    parser.add_argument(
        "source", help="labelled rows (CSV, TSV, JSONL, Parquet, a folder of pictures or sounds), or a recipe (.yaml)"
    )
    add_data_arguments(parser)
    add_generative_arguments(parser)
    parser.add_argument(
        "--teacher",
        default="",
        help="encoder, scratch, ngrams, network, probe, several of these joined by +, a model's folder or name, "
        "recorded:COLUMN, openai:MODEL@URL, huggingface:MODEL, FILE.py:FACTORY, FILE.onnx; with --prompt a language "
        "model's folder or .gguf",
    )
    parser.add_argument(
        "--student", default="", help="cnn, static, linear, encoder, resnet, ds_cnn, bc_resnet; chosen when left out"
    )
    parser.add_argument("--budget", default="", metavar="size=5MB,latency=1ms", help="limits that choose the student")
    parser.add_argument("--parent", default="", help="bundle or run that the student goes on from, for small updates")
    parser.add_argument("--seeds", type=int, default=0, help="train student and control as pairs with so many seeds")
    parser.add_argument("--gate", action="append", default=[], metavar="accuracy=0.9", help="what must hold")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="training.num_epochs=20")
    parser.add_argument("--out", type=Path, help="folder of the run; the same one goes on where it stopped")
    parser.add_argument("--store", type=Path, help="folder of the teachers' answers")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])
    parser.add_argument("--lang", default="en", choices=["en", "ko"], help="language of the report")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done and what it would take")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress")


def main(args: argparse.Namespace) -> Result:
    """Builds the recipe and runs it."""
    from potstill.cli.distill_text import distill_text, generative_recipe, is_generative_source
    from potstill.recipe.generative.load import load_any_recipe
    from potstill.recipe.load import build_recipe
    from potstill.recipe.recipe import Recipe

    source = Path(args.source)
    overrides = [*args.overrides, *(f"gates.{gate}" for gate in args.gate)]
    if source.suffix.lower() in RECIPE_SUFFIXES:
        _refuse_mixed(args)
        recipe = load_any_recipe(source, overrides)
        if not isinstance(recipe, Recipe):
            return distill_text(args, recipe)
    elif is_generative_source(args):
        return distill_text(args, generative_recipe(args, overrides))
    else:
        recipe = build_recipe(recipe_values(args), overrides)
    if args.dry_run:
        from potstill.cli.check import describe

        return describe(recipe)
    from potstill.recipe.run import run

    return run_result(carry_out(run, recipe, args))


def recipe_values(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe that the options stand for, as nested values; what wasn't given is left out."""
    data = {
        "train": args.source,
        "test": args.test,
        "unlabelled": args.unlabelled,
        "text": args.text,
        "image": args.image,
        "audio": args.audio,
        "group": args.group,
        "label": args.label,
        "separator": args.separator,
        "out_of_scope": args.out_of_scope,
        "classes": [name.strip() for name in args.classes.split(",") if name.strip()],
        "other": args.other,
    }
    if not (args.text or args.image or args.audio) and (kind := _folder_kind(args.source)):
        data[kind] = kind
    values: dict[str, Any] = {"data": {name: value for name, value in data.items() if value}}
    if getattr(args, "teacher", ""):
        values["teacher"] = teacher_values(args.teacher)
    if getattr(args, "student", ""):
        values["student"] = {"kind": args.student}
    if getattr(args, "budget", ""):
        values["budget"] = budget_values(args.budget)
    if getattr(args, "parent", ""):
        values["parent"] = args.parent
    if getattr(args, "seeds", 0):
        values["num_seeds"] = args.seeds
    return values


def _folder_kind(source: str) -> str | None:
    """`image` or `audio` for a folder of such files."""
    if not Path(source).is_dir():
        return None
    from potstill.data.folders import folder_kind

    return folder_kind(Path(source))


def teacher_values(text: str) -> dict[str, Any]:
    """`--teacher` as the section of a recipe.

    Raises:
        ConfigurationError: a form that isn't known.
    """
    members = [{"kind": part.strip()} for part in text.split("+")]
    if all(member["kind"] in PLAIN_TEACHERS for member in members):
        return members[0] if len(members) == 1 else {"kind": "ensemble", "members": members}
    kind, _, rest = text.partition(":")
    if kind == "recorded" and rest:
        return {"kind": "recorded", "label_column": rest}
    if kind == "openai" and rest:
        model, _, url = rest.partition("@")
        if not url:
            raise ConfigurationError(
                f"--teacher {text} names no address. Write openai:MODEL@URL, for example "
                "openai:my-model@http://127.0.0.1:8000/v1"
            )
        return {"kind": "openai", "model": model, "base_url": url}
    if kind == "huggingface" and rest:
        return {"kind": "huggingface", "model": rest}
    file, _, factory = text.rpartition(":")
    if file.endswith(".py"):
        return {"kind": "module", "file": file, "factory": factory}
    if text.endswith(".py"):
        return {"kind": "module", "file": text}
    if text.endswith(".onnx"):
        return {"kind": "onnx", "file": text}
    return {"kind": "encoder", "model": text}


def budget_values(text: str) -> dict[str, Any]:
    """`size=5MB,latency=1ms` as the section of a recipe.

    Raises:
        ConfigurationError: another form.
    """
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, _, amount = part.strip().partition("=")
        units, target = (SIZES, "size_bytes") if name == "size" else (TIMES, "latency_ms")
        number = amount.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
        unit = amount.strip()[len(number) :].strip().lower()
        try:
            value = float(number) * units[unit]
        except (ValueError, KeyError):
            value = 0.0
        if name not in ("size", "latency") or value <= 0:
            raise ConfigurationError(
                f"--budget {text!r}: {part!r} is not understood. Write size=5MB (b, kB, MB, GB), latency=1ms (us, "
                "ms, s), or both with a comma."
            )
        found[target] = int(value) if target == "size_bytes" else value
    return found


def _refuse_mixed(args: argparse.Namespace) -> None:
    given = [
        name
        for name in (*NAMED, "teacher", "student", "budget", "parent", "prompt", "answer", "messages", "layers")
        if getattr(args, name)
    ]
    if given:
        raise ConfigurationError(
            f"--{', --'.join(given)} can't be combined with a recipe, which says this itself. Change the recipe, "
            "or use --set."
        )
