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
_SCALARS = {
    "tag:yaml.org,2002:str",
    "tag:yaml.org,2002:int",
    "tag:yaml.org,2002:float",
    "tag:yaml.org,2002:bool",
    "tag:yaml.org,2002:null",
}


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
        raise ConfigurationError(f"{path} is not UTF-8") from error


def parse_yaml(text: str, file: str) -> Marked:
    """Reads a text; see `read_yaml`."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("pyyaml", "train") from error
    try:
        loader = _loader()
        for token in yaml.scan(text, Loader=loader):
            if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
                raise _problem(file, token.start_mark, "anchors and aliases (& and *) are not read; write it out")
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        raise _problem(file, error.problem_mark, f"this is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(f"{file} is no YAML: {error}") from error
    reader = _Reader(file)
    return Marked(reader.value(node, ()) if node else {}, reader.places, reader.keys)


@cache
def _loader() -> type[Any]:
    """PyYAML's safe loader, that also takes 1e-3 for a number, as YAML 1.2 and everybody does."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )
    return Loader


class _Reader:
    def __init__(self, file: str) -> None:
        import yaml

        self.file = file
        self.places: dict[Path_, tuple[int, int]] = {}
        self.keys: dict[Path_, tuple[int, int]] = {}
        self._construct = yaml.constructor.SafeConstructor().construct_object
        self._yaml = yaml

    def value(self, node: Any, path: Path_) -> Any:
        self.places[path] = _place(node.start_mark)
        if len(path) > MAX_DEPTH:
            raise _problem(self.file, node.start_mark, f"this is nested more than {MAX_DEPTH} deep")
        if isinstance(node, self._yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, self._yaml.SequenceNode):
            return [self.value(child, (*path, i)) for i, child in enumerate(node.value)]
        if node.tag not in _SCALARS:
            raise _problem(self.file, node.start_mark, f"{node.tag} is not read; write text, numbers, true or false")
        return self._construct(node)

    def _mapping(self, node: Any, path: Path_) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in found:
                raise _problem(self.file, key_node.start_mark, f"{key!r} stands twice; the first would be lost")
            self.keys[(*path, key)] = _place(key_node.start_mark)
            found[key] = self.value(value_node, (*path, key))
        return found


def _place(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _problem(file: str, mark: Any, message: str) -> ConfigurationError:
    line, column = _place(mark) if mark else (0, 0)
    return ConfigurationError(problems=[Problem(path="", message=message, file=file, line=line, column=column)])
