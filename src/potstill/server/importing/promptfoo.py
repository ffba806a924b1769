"""A Promptfoo configuration as evals of OpenAI's form: prompts become templates, variables rows, assertions criteria.

Source: https://www.promptfoo.dev/docs/configuration/reference. What has no counterpart is named.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from potstill.errors import DataError

Json = dict[str, Any]
VARIABLE = re.compile(r"\{\{-?\s*([A-Za-z_][A-Za-z0-9_.]*)\s*-?\}\}")
OTHER_TEMPLATE = re.compile(r"\{%|\{\{")
CHECKS = {"equals": "eq", "not-equals": "ne", "contains": "like", "icontains": "ilike"}
SIMILARITY = {"similar": ("cosine", 0.75), "rouge-n": ("rouge_1", 0.75), "bleu": ("bleu", 0.5), "gleu": ("gleu", 0.5)}
SIMILARITY |= {"meteor": ("meteor", 0.5)}
JUDGED = ("llm-rubric", "model-graded-closedqa")
OUTPUT = "{{ sample.output_text }}"
MAX_ROWS = 100_000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """One eval.

    Attributes:
        eval: body of `evals.create`.
        rows: each with its `item`.
        messages: templates of what is asked.
    """

    eval: Json
    rows: tuple[Json, ...]
    messages: tuple[Json, ...]

    @property
    def data_source(self) -> Json:
        """Of a run, without its model."""
        source = {"type": "file_content", "content": list(self.rows)}
        asked = {"type": "template", "template": list(self.messages)}
        return {"type": "completions", "source": source, "input_messages": asked}

    def to_json(self) -> Json:
        """What tells it from another."""
        return {"eval": self.eval, "data_source": self.data_source}


@final
@dataclass(slots=True)
class Conversion:
    """All evals, and what could not be taken."""

    evals: list[Converted] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def convert(value: Any, *, judge: str, folder: Path) -> Conversion:
    """Makes an eval for each prompt and each set of assertions that its tests share.

    Args:
        value: of the configuration, or of an export with one.
        judge: model that judges what rubrics say; empty: they are left out.
        folder: that files of the configuration are relative to; nothing outside of it is read.

    Raises:
        DataError: it is no such configuration.
    """
    config = value.get("config", value) if isinstance(value, dict) else None
    if not isinstance(config, dict) or not isinstance(config.get("prompts"), list | str):
        raise DataError("this is no Promptfoo configuration: expected an object with 'prompts' and 'tests'")
    found = Conversion()
    groups: dict[tuple[Any, ...], list[tuple[Json, list[Json]]]] = {}
    for number, test in enumerate(_tests(config, folder), 1):
        for criteria, row in _test(test, config.get("defaultTest"), f"test {number}", judge, found):
            groups.setdefault(tuple(json.dumps(each) for each in criteria), []).append((row, criteria))
            if sum(map(len, groups.values())) > MAX_ROWS:
                raise DataError(f"its tests make more than {MAX_ROWS:,} rows")
    prompts = config["prompts"] if isinstance(config["prompts"], list) else [config["prompts"]]
    for number, prompt in enumerate(prompts, 1):
        messages = _messages(prompt, f"prompt {number}", folder, found)
        name = str(config.get("description") or "Promptfoo")
        for group in groups.values() if messages else ():
            criteria, rows = group[0][1], tuple({"item": row} for row, _ in group)
            schema = {"type": "object", "properties": {"vars": {"type": "object"}, "expected": {"type": "object"}}}
            body: Json = {"name": f"{name} {number}" if len(prompts) > 1 else name, "testing_criteria": criteria}
            body["data_source_config"] = {"type": "custom", "item_schema": schema, "include_sample_schema": True}
            found.evals.append(Converted(eval=body, rows=rows, messages=tuple(messages)))
    return found


def _tests(config: Json, folder: Path) -> Iterator[Json]:
    tests = config.get("tests") or []
    for test in tests if isinstance(tests, list) else [tests]:
        if isinstance(test, str):
            yield from _tests_of_file(test, folder)
        elif isinstance(test, dict):
            yield test
        else:
            raise DataError(f"a test is an object, not {str(test)[:100]!r}")


def _tests_of_file(name: str, folder: Path) -> Iterator[Json]:
    """Lines of a CSV file: variables by their columns, and what is expected in `__expected`."""
    text = _content(name, folder)
    if not name.endswith(".csv"):
        raise DataError(f"tests in {name!r} can't be read; write them into the configuration, or as CSV")
    for row in csv.DictReader(text.splitlines()):
        asserts = [_assertion(str(v)) for k, v in row.items() if k and k.startswith("__expected") and v]
        yield {"vars": {k: v for k, v in row.items() if k and not k.startswith("__")}, "assert": asserts}


def _assertion(text: str) -> Json:
    """`contains:word` or the expected text itself."""
    kind, colon, value = text.partition(":")
    known = colon and kind in (*CHECKS, *SIMILARITY, *JUDGED)
    return {"type": kind, "value": value.strip()} if known else {"type": "equals", "value": text}


def _test(test: Json, default: Any, place: str, judge: str, found: Conversion) -> Iterator[tuple[list[Json], Json]]:
    """Its criteria and its rows; lists of values make a row for each combination."""
    default = default if isinstance(default, dict) else {}
    given = {**_object(default.get("vars")), **_object(test.get("vars"))}
    asserts = [*_list(default.get("assert")), *_list(test.get("assert"))]
    choices = [value if isinstance(value, list) else [value] for value in given.values()]
    for values in itertools.product(*choices):
        named = dict(zip(given, values, strict=True))
        criteria: list[Json] = []
        expected: Json = {}
        for each in asserts:
            criterion = _criterion(each, len(criteria) + 1, judge)
            if isinstance(criterion, str):
                found.left_out.append(f"{place}: {criterion}")
                continue
            expected[f"value_{len(criteria) + 1}"] = _filled(each.get("value"), named)
            criteria.append(criterion)
        if criteria:
            yield criteria, {"vars": named, "expected": expected}
        else:
            found.left_out.append(f"{place}: it has no assertion that could be taken")


def _criterion(value: Any, number: int, judge: str) -> Json | str:
    """A criterion, or why there is none."""
    kind = value.get("type") if isinstance(value, dict) else None
    reference = f"{{{{ item.expected.value_{number} }}}}"
    named = {"name": f"{kind} {number}"}
    if not isinstance(kind, str):
        return f"an assertion without a type: {str(value)[:100]}"
    if isinstance(value.get("value"), list | dict):
        return f"{kind} with several values"
    if kind in CHECKS:
        check = {"input": OUTPUT, "reference": reference, "operation": CHECKS[kind]}
        return {"type": "string_check", **named, **check}
    if kind in SIMILARITY:
        metric, usual = SIMILARITY[kind]
        threshold = value.get("threshold", usual)
        check = {"input": OUTPUT, "reference": reference, "evaluation_metric": metric, "pass_threshold": threshold}
        return {"type": "text_similarity", **named, **check}
    if kind in JUDGED:
        return _judged(named, reference, judge) if judge else f"{kind} needs a model that judges: --judge MODEL"
    return f"{kind} has no counterpart"


def _judged(named: Json, reference: str, judge: str) -> Json:
    asked = "Does the answer do what the rubric says? Answer `pass` or `fail`.\n\nRubric:\n"
    content = f"{asked}{reference}\n\nAnswer:\n{OUTPUT}"
    labels = {"labels": ["pass", "fail"], "passing_labels": ["pass"]}
    return {"type": "label_model", **named, "model": judge, "input": [{"role": "user", "content": content}], **labels}


def _messages(prompt: Any, place: str, folder: Path, found: Conversion) -> list[Json]:
    """What is asked, with its variables as ours."""
    raw = prompt.get("raw") if isinstance(prompt, dict) else prompt
    if not isinstance(raw, str):
        found.left_out.append(f"{place}: it has no text")
        return []
    text = _content(raw, folder) if raw.startswith("file://") else raw
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    chat = isinstance(parsed, list) and all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in parsed)
    messages = parsed if chat and isinstance(parsed, list) else [{"role": "user", "content": text}]
    made = [{"role": str(m.get("role", "user")), "content": VARIABLE.sub(_ours, m["content"])} for m in messages]
    if any(OTHER_TEMPLATE.search(VARIABLE.sub("", m["content"])) for m in messages):
        found.left_out.append(f"{place}: it has more in braces than names of variables")
        return []
    return made


def _ours(match: re.Match[str]) -> str:
    return f"{{{{ item.vars.{match[1]} }}}}"


def _filled(value: Any, variables: Mapping[str, Any]) -> str:
    """What is expected, with this row's variables."""
    text = value if isinstance(value, str) else json.dumps(value)
    return VARIABLE.sub(lambda match: str(variables.get(match[1], match[0])), text)


def _content(name: str, folder: Path) -> str:
    path = (folder / name.removeprefix("file://")).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"{name!r} lies outside of the configuration's folder")
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as UTF-8 text: {error}") from error


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
