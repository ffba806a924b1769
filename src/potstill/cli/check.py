"""`potstill check`: is a recipe right, and what will it take?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cli.output import Result

if TYPE_CHECKING:
    from potstill.recipe.generative.recipe import GenerativeRecipe
    from potstill.recipe.recipe import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    parser.add_argument("recipe", type=Path, help="a recipe (.yaml)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="training.num_epochs=20")


def main(args: argparse.Namespace) -> Result:
    """Validates, resolves and forecasts."""
    from potstill.recipe.generative.load import load_any_recipe

    return describe(load_any_recipe(args.recipe, args.overrides))


def describe(recipe: Recipe | GenerativeRecipe) -> Result:
    """The resolved recipe, its hash and its forecast; `distill --dry-run` shows the same."""
    from potstill.recipe.forecast import forecast
    from potstill.recipe.generative.forecast import forecast_generative
    from potstill.recipe.recipe import Recipe
    from potstill.recipe.write import recipe_yaml

    found = forecast(recipe) if isinstance(recipe, Recipe) else forecast_generative(recipe)
    text = f"{recipe_yaml(recipe)}\nhash: {recipe.digest()}\n{found.text()}"
    return Result({"recipe": recipe.to_json(), "hash": recipe.digest(), "forecast": found.to_json()}, text)
