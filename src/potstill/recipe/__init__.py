"""The recipe: a typed description of a run, and `run`, which joins the stages."""

from potstill.recipe.field import Reference
from potstill.recipe.recipe import Budget, Controls, Export, Gates, Recipe
from potstill.recipe.run import Run, run

__all__ = ["Budget", "Controls", "Export", "Gates", "Recipe", "Reference", "Run", "run"]
