"""Reads YAML into plain values and remembers where each stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from potstill.errors import ConfigurationError, MissingExtraError, Problem

Path_ = tuple[str | int, ...]
MAX_BYTES = 1_000_000
MAX_DEPTH = 20
TAG = "tag:yaml.org,2002:"
# Scalars as in YAML 1.2. PyYAML's 1.1 takes `yes` for true, `12:30` for 750, `2020-01-01` for a date and `1e-3` for
# text, which surprises whoever names classes, columns or learning rates.
INTEGER = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
NUMBER = re.compile(
    r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
NUMBER_STARTS = list("-+.0123456789")
_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")


@dataclass(frozen=True)
class Marked:
    """Plain values with their places.

    Attributes:
        values: dicts, lists and scalars.
        places: path -> (line, column), 1-based, of the value.
        keys: path -> (line, column), 1-based, of the key that leads there.
    """

    values: Any
    places: Mapping[Path_, tuple[int, int]]
    keys: Mapping[Path_, tuple[int, int]]


def read_yaml(path: Path) -> Marked:
    """Reads a file.

    Raises:
        ConfigurationError: not YAML, or YAML with tags, aliases or a key twice; with line and column.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ConfigurationError(f"{path} is {len(content)} bytes; a recipe has at most {MAX_BYTES}")
    try:
        return parse_yaml(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8. Save it as UTF-8.") from error


def parse_yaml(text: str, file: str) -> Marked:
    """Reads a text; see `read_yaml`."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("pyyaml", "train") from error
    try:
        _refuse_what_is_not_plain(text, file)
        node = yaml.compose(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        message = f"this is no YAML: {error.problem or error.context}"
        raise ConfigurationError(problems=[_problem(file, error.problem_mark, message)]) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file} is no YAML: {error}") from error
    reader = _Reader(file)
    values = reader.value(node, ()) if node else {}
    if reader.problems:
        raise ConfigurationError(problems=reader.problems)
    return Marked(values, reader.places, reader.keys)


def _refuse_what_is_not_plain(text: str, file: str) -> None:
    """Looks at the tokens alone, so that nothing hostile is ever built."""
    import yaml

    depth = 0
    for token in yaml.scan(text, Loader=_loader()):
        message = ""
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
            message = "anchors and aliases (& and *) are not read; write it out"
        elif isinstance(token, yaml.TagToken):
            message = "a tag (!) is not read; write plain text, numbers, true or false, and quote text that starts so"
        elif type(token).__name__.endswith(("MappingStartToken", "SequenceStartToken")):
            depth += 1
            if depth > MAX_DEPTH:
                message = f"this is nested more than {MAX_DEPTH} deep"
        elif isinstance(token, yaml.BlockEndToken | yaml.FlowMappingEndToken | yaml.FlowSequenceEndToken):
            depth -= 1
        if message:
            raise ConfigurationError(problems=[_problem(file, token.start_mark, message)])


@cache
def _loader() -> type[Any]:
    """PyYAML's safe loader with the scalars of YAML 1.2."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag == f"{TAG}null"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(f"{TAG}bool", _BOOLEAN, list("tTfF"))
    Loader.add_implicit_resolver(f"{TAG}int", INTEGER, NUMBER_STARTS)
    Loader.add_implicit_resolver(f"{TAG}float", NUMBER, NUMBER_STARTS)
    return Loader


class _Reader:
    def __init__(self, file: str) -> None:
        import yaml

        self.file = file
        self.places: dict[Path_, tuple[int, int]] = {}
        self.keys: dict[Path_, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self._construct = yaml.constructor.SafeConstructor().construct_object
        self._yaml = yaml

    def value(self, node: Any, path: Path_) -> Any:
        self.places[path] = _place(node.start_mark)
        if isinstance(node, self._yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, self._yaml.SequenceNode):
            return [self.value(child, (*path, i)) for i, child in enumerate(node.value)]
        try:
            return self._construct(node)
        except ValueError:
            # Python converts no number of thousands of digits.
            self._refuse(node, f"{node.value[:20]}... is too long for a number")
        return None

    def _mapping(self, node: Any, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                self._refuse(key_node, "the name of an option is one word, not a list or a mapping")
            elif key in found:
                self._refuse(key_node, f"{key!r} stands twice; the first would be lost. Keep one.")
            else:
                self.keys[(*path, key)] = _place(key_node.start_mark)
                found[key] = self.value(value_node, (*path, key))
        return found

    def _refuse(self, node: Any, message: str) -> None:
        self.problems.append(_problem(self.file, node.start_mark, message))


def _place(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _problem(file: str, mark: Any, message: str) -> Problem:
    line, column = _place(mark) if mark else (0, 0)
    return Problem(path="", message=message, file=file, line=line, column=column)
