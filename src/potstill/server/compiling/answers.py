"""Answers from a closed set: found in what a teacher said, and written again in just its form.

An answer is a text, or a JSON object; an object has a field for each path to a value in it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.errors import DataError
from potstill.signals.label_masses import Tokens, label_masses

Path = tuple[str, ...]
Form = tuple[int | None, str, str]
# As teachers write objects: on one line with spaces, without, and indented.
FORMS: tuple[Form, ...] = ((None, ", ", ": "), (None, ",", ":"), (2, ",", ": "), (4, ",", ": "))
MOST_VALUES = 1000
LONGEST_VALUE = 200
# Of a set that is closed every value comes back about twice; a wish list of all its values is no set.
LEAST_REPEATS = 2.0
# Answers in another form, such as refusals, that are left out rather than making the whole file free text.
MOST_STRANGE = 0.05


class NotClosedError(DataError):
    """The answers are free text: a classifier can't give them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerField:
    """One value of an answer.

    Attributes:
        path: keys that lead to it; empty where the answer is a text.
        values: class of the student -> JSON value, in sorted order.
    """

    path: Path
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the student's field."""
        return ".".join(self.path) or "answer"


@dataclass(frozen=True, kw_only=True)
class AnswerForm:
    """How an answer is written.

    Attributes:
        fields: with two values or more: what the student says.
        template: the object with every constant in it; None where the answer is a text.
        form: indent and separators of the JSON.
    """

    fields: tuple[AnswerField, ...]
    template: Mapping[str, Any] | None
    form: Form = FORMS[0]

    def write(self, labels: Mapping[str, str]) -> str:
        """The text of an answer with these classes, by the field's name."""
        if self.template is None:
            return str(self.fields[0].values[labels[self.fields[0].name]])
        whole = json.loads(json.dumps(self.template))
        for field in self.fields:
            place = whole
            for key in field.path[:-1]:
                place = place[key]
            place[field.path[-1]] = field.values[labels[field.name]]
        return _dump(whole, self.form)

    def read(self, text: str) -> dict[str, str] | None:
        """Classes by the field's name; None for an answer in another form."""
        if self.template is None:
            return {self.fields[0].name: text.strip()} if text.strip() in self.fields[0].values else None
        flat = _flat_object(text)
        if flat is None:
            return None
        found = {}
        for field in self.fields:
            name = _class_of(flat.get(field.path))
            if name not in field.values:
                return None
            found[field.name] = name
        return found

    def soft(self, text: str, labels: Mapping[str, str], tokens: Tokens) -> dict[str, dict[str, float]]:
        """Probabilities of the classes of each field whose value the answer's tokens can be followed to.

        Args:
            text: an answer of this form.
            labels: what it says.
            tokens: of the answer, with their log-probabilities.
        """
        found = {}
        for field in self.fields:
            start = self._place(text, field)
            if start is None:
                continue
            # The token of the opening quote differs with what stands before it, and says nothing where all have one.
            has_quote = self.template is not None and all(isinstance(value, str) for value in field.values.values())
            skipped = 1 if has_quote else 0
            spellings = {name: self._spelled(value)[skipped:] for name, value in field.values.items()}
            said = spellings[labels[field.name]]
            masses = label_masses(list(spellings.values()), said, text, tokens, start + skipped)
            if masses is not None:
                found[field.name] = dict(zip(spellings, masses.tolist(), strict=True))
        return found

    def _spelled(self, value: Any) -> str:
        return str(value) if self.template is None else json.dumps(value, ensure_ascii=False)

    def _place(self, text: str, field: AnswerField) -> int | None:
        """Where a field's value begins; None where its key stands more than once."""
        if self.template is None:
            return len(text) - len(text.lstrip())
        keys = list(re.finditer(re.escape(json.dumps(field.path[-1], ensure_ascii=False)) + r"\s*:\s*", text))
        return keys[0].end() if len(keys) == 1 else None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        fields = [{"path": list(field.path), "values": dict(field.values)} for field in self.fields]
        return {"fields": fields, "template": self.template, "form": list(self.form)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AnswerForm:
        """Reads what `to_json` wrote."""
        fields = tuple(AnswerField(path=tuple(f["path"]), values=dict(f["values"])) for f in value["fields"])
        indent, item, key = value["form"]
        return cls(fields=fields, template=value["template"], form=(indent, item, key))


def find_form(answers: Sequence[str], schemas: Sequence[Any] = ()) -> AnswerForm:
    """The closed set that these answers come from.

    Args:
        answers: texts.
        schemas: JSON schemas that the teacher was given, one an answer where it is known; their enums count as closed
            however rarely a value occurs.

    Raises:
        NotClosedError: there is none; the message says which part is free.
    """
    objects = [_flat_object(answer) for answer in answers]
    num_objects = sum(flat is not None for flat in objects)
    if num_objects < (1 - MOST_STRANGE) * len(answers):
        return _text_form(answers)
    keys = Counter(frozenset(flat) for flat in objects if flat is not None)
    common = keys.most_common(1)[0][0]
    order = next(tuple(flat) for flat in objects if flat is not None and flat.keys() == common)
    rows = [flat for flat in objects if flat is not None and flat.keys() == common]
    if len(rows) < (1 - MOST_STRANGE) * len(answers):
        raise NotClosedError(f"the answers are JSON objects of {len(keys)} different shapes")
    closed = _closed_paths(schemas)
    fields, template = [], dict[str, Any]()
    for path in order:
        values = {_class_of(row[path]): row[path] for row in rows}
        if len(values) > 1:
            _check_closed(".".join(path), [_class_of(row[path]) for row in rows], is_enum=path in closed)
            fields.append(AnswerField(path=path, values=dict(sorted(values.items()))))
        _put(template, path, rows[0][path])
    if not fields:
        raise NotClosedError("every answer is the same, so there is nothing to learn")
    form = max(FORMS, key=lambda form: sum(_is_written(answer, form) for answer in answers))
    return AnswerForm(fields=tuple(fields), template=template, form=form)


def _text_form(answers: Sequence[str]) -> AnswerForm:
    texts = [answer.strip() for answer in answers]
    if len(set(texts)) == 1:
        raise NotClosedError("every answer is the same, so there is nothing to learn")
    _check_closed("", texts, is_enum=False)
    return AnswerForm(fields=(AnswerField(path=(), values={text: text for text in sorted(set(texts))}),), template=None)


def _check_closed(name: str, values: Sequence[str], *, is_enum: bool) -> None:
    what = f"the field {name!r} of the answers" if name else "the answer"
    distinct = set(values)
    if len(distinct) > MOST_VALUES:
        raise NotClosedError(f"{what} has {len(distinct)} different values")
    if is_enum:
        return
    longest = max(map(len, distinct))
    if longest > LONGEST_VALUE:
        raise NotClosedError(f"{what} is up to {longest} characters long")
    if len(values) < LEAST_REPEATS * len(distinct):
        raise NotClosedError(f"{what} has {len(distinct)} different values in {len(values)} rows")


def _flat_object(text: str) -> dict[Path, Any] | None:
    """Path -> value of a JSON object, in its order; None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found: dict[Path, Any] = {}
    if not isinstance(value, dict) or not value or not _flatten(value, (), found):
        return None
    return found


def _flatten(value: Mapping[str, Any], path: Path, found: dict[Path, Any]) -> bool:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            if not _flatten(item, (*path, key), found):
                return False
        else:
            found[(*path, key)] = item
    return len(path) < 8


def _class_of(value: Any) -> str:
    """Name of a class: a text stands for itself unless it could be taken for another value."""
    if isinstance(value, str):
        plain = value.strip() == value and value not in ("", "true", "false", "null")
        if plain and value[0] not in '{["' and not _is_number(value):
            return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _put(target: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        target = target.setdefault(key, {})
    target[path[-1]] = value


def _closed_paths(schemas: Sequence[Any]) -> set[Path]:
    """Paths that the commonest of these schemas limits to an enum, a constant or a boolean."""
    texts = Counter(json.dumps(schema, sort_keys=True) for schema in schemas if isinstance(schema, dict))
    found: set[Path] = set()
    if texts:
        _walk_schema(json.loads(texts.most_common(1)[0][0]), (), found)
    return found


def _walk_schema(schema: Any, path: Path, found: set[Path]) -> None:
    if not isinstance(schema, dict) or len(path) > 8:
        return
    if "enum" in schema or "const" in schema or schema.get("type") == "boolean":
        found.add(path)
    for key, part in (schema.get("properties") or {}).items():
        _walk_schema(part, (*path, key), found)


def _dump(value: Any, form: Form) -> str:
    indent, item, key = form
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=(item, key))


def _is_written(text: str, form: Form) -> bool:
    try:
        return _dump(json.loads(text), form) == text.strip()
    except ValueError:
        return False
