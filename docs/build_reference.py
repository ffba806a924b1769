"""Writes docs/reference from the code: `python docs/build_reference.py`. A test fails when it is not up to date."""

from __future__ import annotations

import inspect
import os
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import potstill
from potstill import students, teachers
from potstill.cli.main import COMMANDS, parser_of
from potstill.data.options import DataOptions
from potstill.data.prompts import PromptOptions
from potstill.recipe.generative.recipe import TEACHERS, CausalCut, GenerativeRecipe, GenerativeTraining
from potstill.recipe.recipe import Budget, Controls, Export, Gates, Recipe
from potstill.recipe.write import explanations
from potstill.training.settings import Training

FOLDER = Path(__file__).parent / "reference"
HEAD = "<!-- Written by docs/build_reference.py from the code; don't edit. -->\n"


def pages() -> dict[str, str]:
    """Name -> content of every page."""
    return {"cli.md": _cli(), "recipe.md": _recipe(), "python.md": _python()}


def _cli() -> str:
    # argparse wraps at the terminal's width, which must not decide what stands here.
    os.environ["COLUMNS"] = "100"
    parts = [
        HEAD,
        "# Command line",
        "",
        "Exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 gate not met, 4 budget",
    ]
    parts += [
        "stop, 5 teacher unavailable, 6 data invalid, 7 integrity, 75 preempted and resumable, 130 interrupted.",
        "",
    ]
    for name in COMMANDS:
        parser = parser_of(name)
        choices: Any = next(a.choices for a in parser._actions if a.dest == "command")
        parts += [f"## potstill {name}", "", "```", choices[name].format_help().strip(), "```", ""]
        verbs: Any = next((a.choices for a in choices[name]._actions if a.dest == "verb"), {})
        for verb, one in verbs.items():
            parts += [f"### potstill {name} {verb}", "", "```", one.format_help().strip(), "```", ""]
    return "\n".join(parts)


def _recipe() -> str:
    parts = [
        HEAD,
        "# Recipe",
        "",
        "Every option of every section, with its default. `potstill init` writes them as YAML.",
        "",
    ]
    sections = {
        "(top)": Recipe,
        "data": DataOptions,
        "training": Training,
        "budget": Budget,
        "controls": Controls,
        "gates": Gates,
        "export": Export,
    }
    for name, made in sections.items():
        parts += [f"## {name}", "", *_options(made)]
    for family, kinds in (("teacher", teachers.KINDS), ("student", students.KINDS)):
        for kind in kinds:
            title = f"## {family}: {kind.__dataclass_fields__['kind'].default}"
            parts += [title, "", (kind.__doc__ or "").splitlines()[0], "", *_options(kind)]
    parts += ["# Recipe of a student that writes", "", "`kind: generative` at its top says so.", ""]
    written = {"(top)": GenerativeRecipe, "data": PromptOptions, "student": CausalCut, "training": GenerativeTraining}
    written |= {f"teacher: {name}": made for name, made in TEACHERS.items()}
    for name, made in written.items():
        parts += [f"## written: {name}", "", *_options(made)]
    return "\n".join(parts)


def _options(made: type) -> list[str]:
    words = explanations(made)
    lines = ["| option | default | |", "|---|---|---|"]
    for option in fields(made):
        if option.name == "kind":
            continue
        default = "" if option.default is MISSING else f"`{option.default!r}`"
        lines.append(f"| `{option.name}` | {default} | {words.get(option.name, '').replace('|', chr(92) + '|')} |")
    return [*lines, ""]


def _python() -> str:
    parts = [HEAD, "# Python", "", "The public names of `potstill`. Everything else may change between versions.", ""]
    for name in potstill.__all__:
        found = getattr(potstill, name)
        if not callable(found):
            continue
        signature = "" if inspect.isclass(found) else str(inspect.signature(found))
        parts += [f"## potstill.{name}", "", "```python", f"{name}{signature}", "```", "", "```text"]
        parts += [inspect.getdoc(found) or "", "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    for page, content in pages().items():
        (FOLDER / page).write_text(content, "utf-8")
