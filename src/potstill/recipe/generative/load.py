"""From YAML, or the options of a command line, to a recipe for a student that writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.recipe.generative.recipe import TEACHERS, GenerativeRecipe
from potstill.recipe.load import Shape, build_marked, load_recipe, read_marked, unmarked
from potstill.recipe.recipe import Recipe

KIND = "generative"


def build_generative(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> GenerativeRecipe:
    """A recipe from nested values.

    Args:
        values: sections and their options.
        overrides: `section.option=value` each, with the value as in YAML.

    Raises:
        ConfigurationError: holds every problem.
    """
    return build_marked(unmarked(values), overrides, _shape())


def load_any_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe | GenerativeRecipe:
    """Reads a recipe file of either kind; `kind: generative` at its top says that the student writes.

    Raises:
        ConfigurationError: holds every problem with file, line and column.
    """
    marked = read_marked(path)
    if marked.values.get("kind") != KIND:
        return load_recipe(path, overrides)
    del marked.values["kind"]
    return build_marked(marked, overrides, _shape(), str(path))


def _shape() -> Shape[GenerativeRecipe]:
    return Shape(made=GenerativeRecipe, unions={"teacher": TEACHERS}, usual_teacher=lambda _: "causal_lm")
