"""From YAML, or the options of a command line, to a recipe; all mistakes at once, each with its place."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from potstill import students, teachers
from potstill.errors import ConfigurationError, MissingExtraError, Problem
from potstill.recipe.extensions import installed_kinds
from potstill.recipe.recipe import Recipe
from potstill.recipe.yaml_marks import Marked, Path_, parse_yaml, read_yaml

# What people write, and what it is called here.
ALIASES = {"epochs": "num_epochs", "trials": "num_trials", "threads": "num_threads", "lr": "learning_rate"}


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe file; paths of data are relative to it.

    Args:
        path: a YAML file.
        overrides: `section.option=value` each, with the value as in YAML.

    Raises:
        ConfigurationError: holds every problem with file, line and column.
    """
    marked = read_yaml(path)
    values = marked.values
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} holds no recipe: expected sections such as `data:` and `training:`")
    data = values.get("data")
    if isinstance(data, dict):
        for name in ("train", "test", "unlabelled"):
            if isinstance(data.get(name), str) and data[name]:
                data[name] = str(path.parent / data[name])
    return _build(Marked(values, marked.places, marked.keys), overrides, str(path))


def build_recipe(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from nested values, such as a command line gives.

    Raises:
        ConfigurationError: holds every problem.
    """
    return _build(Marked(json.loads(json.dumps(values)), {}, {}), overrides, "")


def _build(marked: Marked, overrides: Sequence[str], file: str) -> Recipe:
    for override in overrides:
        _apply(marked.values, override)
    builder = _Builder(marked, file)
    recipe = builder.recipe()
    if builder.problems or recipe is None:
        raise ConfigurationError(problems=sorted(builder.problems, key=lambda p: (p.line, p.column)))
    return recipe


def _apply(values: dict[str, Any], override: str) -> None:
    """Puts one `section.option=value` into the values, in place."""
    path, equals, text = override.partition("=")
    names = [name.strip().replace("-", "_") for name in path.split(".")]
    if not equals or not all(names):
        raise ConfigurationError(f"--set {override!r} is not understood. Write section.option=value.")
    target = values
    for name in names[:-1]:
        found = target.setdefault(name, {})
        if not isinstance(found, dict):
            raise ConfigurationError(f"--set {override!r}: {name!r} is a value and has no options")
        target = found
    target[names[-1]] = parse_yaml(text, f"--set {override}").values if text.strip() else ""


class _Builder:
    """Validates values against our dataclasses with pydantic, and builds them."""

    def __init__(self, marked: Marked, file: str) -> None:
        self.problems: list[Problem] = []
        self._marked = marked
        self._file = file
        self._unions = {
            "teacher": installed_kinds("potstill.teachers", teachers.KINDS),
            "student": installed_kinds("potstill.students", students.KINDS),
        }

    def recipe(self) -> Recipe | None:
        """The recipe, or None with `problems` filled."""
        values = dict(self._marked.values)
        sections: dict[str, Any] = {}
        hints = get_type_hints(Recipe)
        self._unknown(values, [f.name for f in fields(Recipe)], ())
        for name in [n for n in values if n in hints]:
            built = self._section(name, hints[name], values[name])
            if built is not None:
                sections[name] = built
        if "data" not in values:
            self._problem((), "`data` is missing: it names the training rows, as in `data: {train: train.csv}`")
        if self.problems:
            return None
        made: Recipe | None = self._made(Recipe, sections, ())
        return made

    def _section(self, name: str, hint: Any, value: Any) -> Any:
        path: Path_ = (name,)
        if name in self._unions:
            return None if value is None else self._of_kind(self._unions[name], value, path)
        if is_dataclass(hint):
            return self._object(hint, value, path)
        return self._scalar(hint, value, path)

    def _of_kind(self, kinds: Mapping[str, type], value: Any, path: Path_) -> Any:
        if not isinstance(value, dict) or "kind" not in value:
            self._problem(path, f"expected a mapping with `kind`, one of {', '.join(sorted(kinds))}")
            return None
        kind = value["kind"]
        if kind not in kinds:
            near = _near(str(kind), list(kinds)) or "."
            self._problem((*path, "kind"), f"there is no kind {kind!r}{near} There are: {', '.join(sorted(kinds))}")
            return None
        return self._object(kinds[kind], value, path)

    def _object(self, made: Any, value: Any, path: Path_) -> Any:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            self._problem(path, f"expected options, got {value!r}")
            return None
        value = {ALIASES.get(n, n) if ALIASES.get(n) in made.__dataclass_fields__ else n: v for n, v in value.items()}
        self._unknown(value, [f.name for f in fields(made) if f.init], path)
        before = len(self.problems)
        hints = get_type_hints(made)
        options: dict[str, Any] = {}
        for option in fields(made):
            if not option.init:
                continue
            if option.name in value:
                options[option.name] = self._option(hints[option.name], value[option.name], (*path, option.name))
            elif option.default is MISSING and option.default_factory is MISSING:
                self._problem(path, f"`{option.name}` is missing")
        return None if len(self.problems) > before else self._made(made, options, path)

    def _option(self, hint: Any, value: Any, path: Path_) -> Any:
        item = get_args(hint)[0] if get_origin(hint) is tuple else None
        if item is not None and getattr(item, "__name__", "") == "TeacherSpec":
            listed = value if isinstance(value, list) else [value]
            return tuple(self._of_kind(self._unions["teacher"], v, (*path, i)) for i, v in enumerate(listed))
        if item is not None and not isinstance(value, list):
            # One column or one class needs no brackets.
            value = [value]
        return self._scalar(hint, value, path)

    def _scalar(self, hint: Any, value: Any, path: Path_) -> Any:
        try:
            from pydantic import TypeAdapter, ValidationError
        except ImportError as error:
            raise MissingExtraError("pydantic", "train") from error
        try:
            # JSON mode is strict about types and still takes lists for tuples and whole numbers for floats.
            return TypeAdapter(hint).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            for found in error.errors():
                inner = tuple(part for part in found["loc"] if isinstance(part, int))
                self._problem((*path, *inner), f"{found['msg'].lower()}, got {found['input']!r}")
        return None

    def _made(self, made: Any, options: Mapping[str, Any], path: Path_) -> Any:
        try:
            return made(**options)
        except ConfigurationError as error:
            named = next((name for name in options if name in str(error)), None)
            self._problem((*path, named) if named else path, str(error))
            return None

    def _unknown(self, value: Mapping[str, Any], known: Sequence[str], path: Path_) -> None:
        for name in value:
            if name not in known:
                near = _near(name, known)
                self._problem((*path, name), f"there is no such option{near}", at_key=True)

    def _problem(self, path: Path_, message: str, *, at_key: bool = False) -> None:
        places = self._marked.keys if at_key else self._marked.places
        known = next((places[path[:n]] for n in range(len(path), -1, -1) if path[:n] in places), (0, 0))
        dotted = ".".join(map(str, path))
        self.problems.append(Problem(path=dotted, message=message, file=self._file, line=known[0], column=known[1]))


def _near(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(ALIASES.get(name, name), known, n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""
