"""From YAML, or the options of a command line, to a recipe; all mistakes at once, each with its place."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from potstill import students, teachers
from potstill.errors import ConfigurationError, MissingExtraError, Problem
from potstill.recipe.extensions import installed_kinds
from potstill.recipe.recipe import Recipe, usual_teacher
from potstill.recipe.yaml_marks import Marked, Path_, parse_yaml, read_yaml

T = TypeVar("T")
# What people write, and what it is called here.
ALIASES = {"epochs": "num_epochs", "trials": "num_trials", "threads": "num_threads", "lr": "learning_rate"}


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe file; paths of data are relative to it.

    Args:
        path: a YAML file.
        overrides: `section.option=value` each, with the value as in YAML; their paths stay relative to the working
            folder.

    Raises:
        ConfigurationError: holds every problem with file, line and column. A file that is no plain YAML is refused
            before its options are looked at.
    """
    return build_marked(read_marked(path), overrides, _shape(), str(path))


def read_marked(path: Path) -> Marked:
    """The values of a recipe file with their places; paths of data are made relative to the working folder.

    Raises:
        ConfigurationError: no plain YAML, or no mapping.
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
    return marked


def build_recipe(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from nested values, such as a command line gives.

    Raises:
        ConfigurationError: holds every problem.
    """
    return build_marked(unmarked(values), overrides, _shape())


def unmarked(values: Mapping[str, Any]) -> Marked:
    """Values that come from no file, as JSON values."""
    return Marked(json.loads(json.dumps(values)), {}, {})


@dataclass(frozen=True, kw_only=True)
class Shape(Generic[T]):
    """What a kind of recipe is made of.

    Attributes:
        made: its class.
        unions: section -> name of a kind -> class of its options.
        usual_teacher: from the data section to the kind that teacher options without a kind are meant for.
    """

    made: type[T]
    unions: Mapping[str, Mapping[str, type]]
    usual_teacher: Callable[[Any], str]


def _shape() -> Shape[Recipe]:
    unions = {
        "teacher": installed_kinds("potstill.teachers", teachers.KINDS),
        "student": installed_kinds("potstill.students", students.KINDS),
    }
    return Shape(made=Recipe, unions=unions, usual_teacher=_usual_teacher)


def _usual_teacher(data: Any) -> str:
    given = [name for name in ("image", "audio") if isinstance(data, dict) and data.get(name)]
    return usual_teacher(given[0] if given else "text").kind


def build_marked(marked: Marked, overrides: Sequence[str], shape: Shape[T], file: str = "") -> T:
    """A recipe from values with their places.

    Raises:
        ConfigurationError: holds every problem.
    """
    builder = _Builder(marked, file, shape)
    for override in overrides:
        builder.override(override)
    recipe = builder.recipe()
    if builder.problems or recipe is None:
        raise ConfigurationError(problems=sorted(builder.problems, key=lambda p: (p.line, p.column)))
    return recipe


class _Builder(Generic[T]):
    """Validates values against our dataclasses with pydantic, and builds them."""

    def __init__(self, marked: Marked, file: str, shape: Shape[T]) -> None:
        self.problems: list[Problem] = []
        self._marked = marked
        self._file = file
        self._overridden: set[Path_] = set()
        self._shape = shape

    def override(self, text: str) -> None:
        """Puts one `section.option=value` into the values, in place."""
        dotted, equals, written = text.partition("=")
        names = tuple(name.strip().replace("-", "_") for name in dotted.split("."))
        if not equals or not all(names):
            self._say(f"--set {text!r} is not understood. Write section.option=value.")
            return
        try:
            value = parse_yaml(written, "").values if written.strip() else ""
        except ConfigurationError as error:
            self._say(f"--set {text!r}: {'; '.join(p.message for p in error.problems) or error}")
            return
        target = self._marked.values
        for name in names[:-1]:
            if target.get(name) is None:
                target[name] = {}
            target = target[name]
            if not isinstance(target, dict):
                self._say(f"--set {text!r}: {name!r} is a value and has no options")
                return
        # The file may name the same option by its other name.
        for name in [n for n in target if ALIASES.get(n, n) == ALIASES.get(names[-1], names[-1])]:
            del target[name]
        target[names[-1]] = value
        self._overridden.add(names)

    def recipe(self) -> T | None:
        """The recipe, or None with `problems` filled."""
        values = dict(self._marked.values)
        sections: dict[str, Any] = {}
        hints = get_type_hints(self._shape.made)
        self._unknown([name for name in values if name not in hints], list(hints), ())
        for name in [n for n in values if n in hints]:
            built = self._section(name, hints[name], values[name])
            if built is not None:
                sections[name] = built
        if "data" not in values:
            self._problem((), "`data` is missing: it names the training rows, as in `data: {train: train.csv}`")
        elif "data" in sections and not sections["data"].train:
            self._problem(("data",), "`train` is missing: it names the training rows, as in `train: train.csv`")
        if self.problems:
            return None
        made: T | None = self._made(self._shape.made, {name: (name, value) for name, value in sections.items()}, ())
        return made

    def _section(self, name: str, hint: Any, value: Any) -> Any:
        path: Path_ = (name,)
        if name == "teacher" and isinstance(value, dict):
            value = {"kind": self._shape.usual_teacher(self._marked.values.get("data")), **value}
        if name in self._shape.unions:
            return None if value is None else self._of_kind(self._shape.unions[name], value, path)
        if is_dataclass(hint):
            return self._object(hint, value, path)
        return self._scalar(hint, value, path)

    def _of_kind(self, kinds: Mapping[str, type], value: Any, path: Path_) -> Any:
        if not isinstance(value, dict) or "kind" not in value:
            self._problem(path, f"expected a mapping with `kind`, one of {', '.join(sorted(kinds))}")
            return None
        kind = value["kind"]
        if not isinstance(kind, str) or kind not in kinds:
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
        known = [f.name for f in fields(made) if f.init]
        written = self._written(value, known, path)
        self._unknown([name for name in value if _meant(name, known) not in known], known, path)
        before = len(self.problems)
        hints = get_type_hints(made)
        options: dict[str, tuple[str, Any]] = {}
        for option in fields(made):
            name = written.get(option.name)
            if name is not None:
                options[option.name] = name, self._option(hints[option.name], value[name], (*path, name))
            elif option.init and option.default is MISSING and option.default_factory is MISSING:
                self._problem(path, f"`{option.name}` is missing")
        return None if len(self.problems) > before else self._made(made, options, path)

    def _written(self, value: Mapping[str, Any], known: Sequence[str], path: Path_) -> dict[str, str]:
        """Option -> the name that it was given under."""
        found: dict[str, str] = {}
        for name in value:
            option = _meant(name, known)
            if option in found:
                self._problem((*path, name), f"this is the same option as {found[option]!r}; keep one", at_key=True)
            elif option in known:
                found[option] = name
        return found

    def _option(self, hint: Any, value: Any, path: Path_) -> Any:
        item = get_args(hint)[0] if get_origin(hint) is tuple else None
        if item is teachers.TeacherSpec:
            listed = value if isinstance(value, list) else [value]
            return tuple(self._of_kind(self._shape.unions["teacher"], v, (*path, i)) for i, v in enumerate(listed))
        if item is not None and not isinstance(value, list):
            # One column or one class needs no brackets.
            value = [value]
        return self._scalar(hint, value, path)

    def _scalar(self, hint: Any, value: Any, path: Path_) -> Any:
        try:
            from pydantic import ConfigDict, TypeAdapter, ValidationError
        except ImportError as error:
            raise MissingExtraError("pydantic", "train") from error
        try:
            # JSON mode is strict about types and still takes lists for tuples and whole numbers for floats.
            adapter = TypeAdapter(hint, config=ConfigDict(allow_inf_nan=False))
            return adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            for found in error.errors():
                inner = tuple(part for part in found["loc"] if _leads_on(part, value))
                self._problem((*path, *inner), _explained(found, hint))
        return None

    def _made(self, made: Any, options: Mapping[str, tuple[str, Any]], path: Path_) -> Any:
        """Builds a dataclass from option -> (name that it was given under, value)."""
        try:
            return made(**{option: value for option, (_, value) in options.items()})
        except ConfigurationError as error:
            named = next((word for word in re.findall(r"\w+", str(error)) if word in options), None)
            self._problem((*path, options[named][0]) if named else path, str(error))
            return None

    def _unknown(self, names: Iterable[str], known: Sequence[str], path: Path_) -> None:
        for name in names:
            near = _near(name, known) or f"; there are: {', '.join(known)}"
            self._problem((*path, name), f"there is no such option{near}", at_key=True)

    def _problem(self, path: Path_, message: str, *, at_key: bool = False) -> None:
        dotted = ".".join(map(str, path))
        if any(path[: len(names)] == names for names in self._overridden):
            self.problems.append(Problem(path=dotted, message=f"{message} (from --set)"))
            return
        places = self._marked.keys if at_key else self._marked.places
        known = next((places[path[:n]] for n in range(len(path), -1, -1) if path[:n] in places), (0, 0))
        self.problems.append(Problem(path=dotted, message=message, file=self._file, line=known[0], column=known[1]))

    def _say(self, message: str) -> None:
        self.problems.append(Problem(path="", message=message))


def _meant(name: str, known: Sequence[str]) -> str:
    return name if name in known else ALIASES.get(name, name)


def _leads_on(part: str | int, value: Any) -> bool:
    """Whether a step of pydantic's is one in the values, too, and not the name of a type."""
    return isinstance(part, int) or (isinstance(value, dict) and part in value)


def _explained(found: Any, hint: Any) -> str:
    """What pydantic says of one value, in our words."""
    value = found["input"]
    message = str(found["msg"]).replace("Input should be", "expected") + f", got {value!r}"
    if found["type"] == "string_type" and not isinstance(value, dict | list):
        return f"{message}; put it in quotes to make it text"
    if found["type"] == "bool_type":
        return f"{message}; write true or false"
    if found["type"] == "literal_error":
        return message + _near(str(value), [name for name in get_args(hint) if isinstance(name, str)])
    return message


def _near(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(ALIASES.get(name, name), known, n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""
