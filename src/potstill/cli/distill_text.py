"""`potstill distill` with a prompt column: from rows of prompts and answers to a student that writes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.cli.carry_out import carry_out
from potstill.cli.output import Result, size, table
from potstill.cli.summary import verdict_sentence
from potstill.errors import ConfigurationError

if TYPE_CHECKING:
    from potstill.recipe.generative.recipe import GenerativeRecipe

NAMES = ("teacher", "student", "control", "baseline")
MESSAGES = "messages"
# What belongs to a classifier alone.
FOREIGN = (
    "text",
    "image",
    "audio",
    "group",
    "label",
    "separator",
    "out_of_scope",
    "classes",
    "other",
    "student",
    "budget",
)


def is_generative_source(args: argparse.Namespace) -> bool:
    """Whether the options, or the rows themselves, ask for a student that writes: they name a prompt, or are chats."""
    if args.prompt or args.answer or args.messages or args.layers:
        return True
    path = Path(args.source)
    if args.text or args.label or path.suffix.lower() not in (".jsonl", ".ndjson") or not path.is_file():
        return False
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    try:
        first = json.loads(line)
        return isinstance(first, dict) and isinstance(first.get(MESSAGES), list)
    except (ValueError, RecursionError):
        return False


def generative_recipe(args: argparse.Namespace, overrides: Sequence[str]) -> GenerativeRecipe:
    """The recipe that the options stand for.

    Raises:
        ConfigurationError: options of a classifier are among them.
    """
    from potstill.recipe.generative.load import build_generative

    given = [name for name in FOREIGN if getattr(args, name, None)]
    if given:
        raise ConfigurationError(
            f"--{', --'.join(name.replace('_', '-') for name in given)} belongs to a classifier, and --prompt to a "
            "student that writes. Leave one of them out."
        )
    return build_generative(generative_values(args), overrides)


def distill_text(args: argparse.Namespace, recipe: GenerativeRecipe) -> Result:
    """Runs the recipe, or says what it would take."""
    if args.dry_run:
        from potstill.recipe.generative.forecast import forecast_generative

        found = forecast_generative(recipe)
        return Result(found.to_json(), found.text())
    from potstill.recipe.generative.run import run_generative

    _quiet_libraries()
    return written_result(dict(carry_out(run_generative, recipe, args)))


def _quiet_libraries() -> None:
    """Their bars would break into ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def generative_values(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe that the options stand for; what wasn't given is left out."""
    data = {name: getattr(args, name) for name in ("test", "unlabelled", "prompt", "answer", "messages")}
    values: dict[str, Any] = {"data": {"train": args.source, **{n: v for n, v in data.items() if v}}}
    if getattr(args, "teacher", ""):
        values["teacher"] = _teacher_values(args.teacher)
    if args.layers:
        values["student"] = {"layers": args.layers}
    return values


def _teacher_values(text: str) -> dict[str, Any]:
    """`openai:MODEL@URL`, `recorded:COLUMN`, or a folder or .gguf file."""
    from potstill.cli.distill import teacher_values

    kind, _, rest = text.partition(":")
    if kind in ("openai", "recorded") and rest:
        found = teacher_values(text)
        return {"kind": "recorded", "column": rest} if kind == "recorded" else found
    return {"model": text}


def written_result(result: dict[str, Any]) -> Result:
    """The result line with its human form."""
    rows = [_row(name, result[name]) for name in NAMES if name in result]
    header = ["", "exact match", "95 % interval", "perplexity", "KL", "size", "answer p50", "tokens/s"]
    lines = [table(header, rows), "", verdict_sentence(result)]
    if result["baseline_wins"]:
        lines.append("A linear model on n-grams is at least as accurate on these answers: consider shipping that.")
    if result["gguf"]:
        parity = result["gguf"]["parity"]
        said = f", same first token in llama.cpp for {100 * parity['top_1']:.0f} %" if parity else ""
        lines.append(f"gguf: {size(result['gguf']['size_bytes'])}, {result['gguf']['quantization']}{said}")
    lines += [f"signal: {result['signal']}", f"report: {result['report']}", f"bundle: {result['bundle']}"]
    return Result(result, "\n".join(lines))


def _row(name: str, scores: dict[str, Any]) -> list[str]:
    low, high = scores["accuracy_ci"]
    latency = scores["latency_ms"]
    return [
        name,
        f"{100 * scores['exact_match']:.1f} %",
        f"{100 * low:.1f} - {100 * high:.1f} %",
        _number(scores["perplexity"]),
        _number(scores["kl"]),
        size(scores["size_bytes"]),
        f"{latency['p50']:.1f} ms" if latency else "-",
        "-" if scores["tokens_per_s"] is None else f"{scores['tokens_per_s']:.1f}",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
