"""From the options of a command line to a recipe for a student that writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from potstill.errors import ConfigurationError, MissingExtraError, Problem
from potstill.recipe.generative.recipe import TEACHERS, GenerativeRecipe
from potstill.recipe.yaml_marks import parse_yaml


def build_generative(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> GenerativeRecipe:
    """A recipe from nested values.

    Args:
        values: sections and their options.
        overrides: `section.option=value` each, with the value as in YAML.

    Raises:
        ConfigurationError: holds every problem.
    """
    try:
        from pydantic import TypeAdapter, ValidationError
    except ImportError as error:
        raise MissingExtraError("pydantic", "train") from error
    merged: dict[str, Any] = {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}
    for override in overrides:
        _put(merged, override)
    teacher = merged.setdefault("teacher", {})
    kind = teacher.setdefault("kind", "causal_lm")
    if kind not in TEACHERS:
        raise ConfigurationError(f"teacher.kind is {kind!r}; known are {', '.join(TEACHERS)}")
    _refuse_unknown(merged)
    try:
        merged["teacher"] = TypeAdapter(TEACHERS[kind]).validate_python(teacher)
        found: GenerativeRecipe = TypeAdapter(GenerativeRecipe).validate_python(merged)
    except ValidationError as error:
        problems = [Problem(path=".".join(map(str, e["loc"])), message=str(e["msg"])) for e in error.errors()]
        raise ConfigurationError(problems=problems) from error
    return found


def _put(values: dict[str, Any], override: str) -> None:
    dotted, equals, written = override.partition("=")
    names = [name.strip().replace("-", "_") for name in dotted.split(".")]
    if not equals or not all(names) or len(names) > 2:
        raise ConfigurationError(f"--set {override!r} is not understood. Write section.option=value.")
    value = parse_yaml(written, "").values if written.strip() else ""
    target = values.setdefault(names[0], {}) if len(names) == 2 else values
    target[names[-1]] = value


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    """A misspelt option must not be passed over."""
    problems = []
    hints = get_type_hints(GenerativeRecipe)
    for name, value in values.items():
        if name not in hints:
            problems.append(Problem(path=name, message=f"there is no such section; there is {', '.join(hints)}"))
        elif isinstance(value, Mapping):
            hint = TEACHERS[value["kind"]] if name == "teacher" else hints[name]
            known = getattr(hint, "__dataclass_fields__", {})
            problems += [
                Problem(path=f"{name}.{option}", message=f"there is no such option; there is {', '.join(known)}")
                for option in value
                if option not in known
            ]
    if problems:
        raise ConfigurationError(problems=problems)
