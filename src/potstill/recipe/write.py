"""A recipe as YAML, plain or with a comment for every option."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

from potstill.errors import MissingExtraError
from potstill.recipe.yaml_marks import NUMBER, NUMBER_STARTS, TAG

if TYPE_CHECKING:
    from potstill.recipe.generative.recipe import GenerativeRecipe
    from potstill.recipe.recipe import Recipe

LINE_ENDS = set("\n\r\x85\u2028\u2029")


def recipe_yaml(recipe: Recipe | GenerativeRecipe) -> str:
    """Everything, defaults included; from a file in the working folder it loads back to an equal recipe."""
    return _dump(recipe.to_json(), flow=False, width=120)


def commented_recipe(recipe: Recipe | GenerativeRecipe) -> str:
    """A recipe to start from: every option with what its docstring says of it."""
    lines = ["# A recipe for `potstill distill`. Every option stands here; delete what you don't need."]
    hints, words = get_type_hints(type(recipe)), explanations(type(recipe))
    values = recipe.to_json()
    if "kind" in values:
        lines += ["", "# The student writes.", f"kind: {values['kind']}"]
    for option in fields(recipe):
        value = getattr(recipe, option.name)
        lines += ["", f"# {words[option.name]}"]
        if is_dataclass(value) or is_dataclass(hints[option.name]):
            lines.append(f"{option.name}:")
            lines += _options(type(value), values[option.name])
        else:
            lines.append(f"{option.name}: {_scalar(values[option.name])}")
    return "\n".join(lines) + "\n"


def explanations(made: type) -> dict[str, str]:
    """Option -> its sentence in the `Attributes:` of the class's docstring."""
    text = (made.__doc__ or "").partition("Attributes:")[2]
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        start = re.match(r"^ {8}(\w+): (.*)$", line)
        if start:
            name = start[1]
            found[name] = start[2].strip()
        elif name and line.startswith(" " * 12):
            found[name] += " " + line.strip()
        elif line.strip():
            break
    return found


def _options(made: type, values: Mapping[str, Any]) -> list[str]:
    words = explanations(made)
    lines = []
    for option in fields(made):
        if option.name in words:
            lines.append(f"  # {words[option.name]}")
        lines.append(f"  {option.name}: {_scalar(values[option.name])}")
    return lines


def _scalar(value: Any) -> str:
    return _dump(value, flow=True, width=10_000).removesuffix("...\n").strip("\n")


def _dump(value: Any, *, flow: bool, width: int) -> str:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("pyyaml", "train") from error
    return str(
        yaml.dump(value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width)
    )


@cache
def _dumper() -> type[Any]:
    """PyYAML's safe dumper that loses no text: line ends are escaped, and what our loader takes for a number quoted."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar(f"{TAG}str", value, style='"' if LINE_ENDS & set(value) else None)

    Dumper.add_representer(str, text)
    Dumper.add_implicit_resolver(f"{TAG}float", NUMBER, NUMBER_STARTS)
    return Dumper
