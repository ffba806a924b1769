"""From OpenAI's JSON to graders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from potstill.server.graders.grading import Grader, GraderError
from potstill.server.graders.label_model import LabelModel
from potstill.server.graders.multi import Multi
from potstill.server.graders.python_code import PythonCode
from potstill.server.graders.score_model import ScoreModel
from potstill.server.graders.string_check import StringCheck
from potstill.server.graders.text_similarity import TextSimilarity

KINDS: Mapping[str, tuple[type, tuple[str, ...], tuple[str, ...]]] = {
    # type: its class, what it needs, what it may have besides
    "string_check": (StringCheck, ("name", "input", "reference", "operation"), ()),
    "text_similarity": (TextSimilarity, ("name", "input", "reference", "evaluation_metric"), ("pass_threshold",)),
    "label_model": (LabelModel, ("name", "model", "input", "labels", "passing_labels"), ("sampling_params",)),
    "score_model": (ScoreModel, ("name", "model", "input"), ("range", "pass_threshold", "sampling_params")),
    "python": (PythonCode, ("name", "source"), ("pass_threshold",)),
}


def parse_grader(value: Any) -> Grader:
    """A grader from its JSON form.

    Raises:
        GraderError: an unknown type, or a field that is missing or of another form.
    """
    if not isinstance(value, Mapping):
        raise GraderError(f"a grader is a JSON object with a type, not {type(value).__name__}")
    kind = value.get("type")
    if kind == "multi":
        return _multi(value)
    if not isinstance(kind, str) or kind not in KINDS:
        raise GraderError(f"a grader of type {kind!r} is not known; there are {', '.join([*KINDS, 'multi'])}")
    made, needed, optional = KINDS[kind]
    missing = [name for name in needed if value.get(name) is None]
    if missing:
        raise GraderError(f"the {kind} grader {value.get('name', '')!r} lacks {', '.join(missing)}")
    options = {name: _plain(name, value[name]) for name in (*needed, *optional) if value.get(name) is not None}
    found: Grader = made(**options)
    return found


def _multi(value: Mapping[str, Any]) -> Multi:
    graders = value.get("graders")
    if not isinstance(graders, Mapping) or not isinstance(value.get("calculate_output"), str):
        raise GraderError("a multi grader needs graders, an object of graders by name, and calculate_output, a formula")
    if "type" in graders:
        # The SDK's types let a single grader stand where a map belongs.
        graders = {str(graders.get("name")): graders}
    return Multi(
        name=str(value.get("name", "multi")),
        graders={str(name): parse_grader(item) for name, item in graders.items()},
        calculate_output=value["calculate_output"],
        pass_threshold=_number("pass_threshold", value.get("pass_threshold", 0.5)),
    )


def _plain(name: str, value: Any) -> Any:
    if name in ("labels", "passing_labels"):
        return tuple(_text(name, item) for item in _list(name, value))
    if name == "input" and not isinstance(value, str):
        return tuple(_list(name, value))
    if name == "range":
        numbers = tuple(_number(name, item) for item in _list(name, value))
        if len(numbers) != 2:
            raise GraderError(f"range is {value!r}; it is two numbers")
        return numbers
    if name == "pass_threshold":
        return _number(name, value)
    if name == "sampling_params":
        return dict(value)
    return _text(name, value)


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise GraderError(f"{name} is a list, not {type(value).__name__}")
    return list(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise GraderError(f"{name} is text, not {type(value).__name__}")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GraderError(f"{name} is {value!r}; it is a number")
    return float(value)
