"""From chats to a task for a student, and back: the data chooses what the student is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from potstill.data.duplicates import normal_form
from potstill.errors import DataError
from potstill.server.compiling.answers import AnswerForm, NotClosedError, find_form
from potstill.server.compiling.prompts import PromptForm, find_prompt_form
from potstill.server.training_files import Example
from potstill.signals.label_masses import checked_tokens


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that is needed to ask a student like its teacher, and to answer in the teacher's form."""

    prompt: PromptForm
    answer: AnswerForm

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {"version": 1, "prompt": self.prompt.to_json(), "answer": self.answer.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Task:
        """Reads what `to_json` wrote."""
        return cls(prompt=PromptForm.from_json(value["prompt"]), answer=AnswerForm.from_json(value["answer"]))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the task.

    Attributes:
        line: of the file.
        input: text, or the `image_url` of a picture.
        labels: class by the field's name.
        fits: whether the prompt has the template of the others.
        soft: probabilities of the classes, of the fields for which the answer's log-probabilities say them.
    """

    line: int
    input: Any
    labels: Mapping[str, str]
    fits: bool
    soft: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A training file as a task.

    Attributes:
        task: for training and for answering.
        rows: usable rows.
        strange_lines: lines whose answer has another form, and those without a usable input.
        num_duplicates: rows that repeat an earlier one with the same answer.
        conflicts: pairs of lines with the same input and different answers.
    """

    task: Task
    rows: tuple[Row, ...]
    strange_lines: tuple[int, ...]
    num_duplicates: int
    conflicts: tuple[tuple[int, int], ...]

    def sentences(self) -> list[str]:
        """What was found, for the events of a job."""
        answer, prompt = self.task.answer, self.task.prompt
        shape = ", ".join(f"{part.name} ({len(part.values)} values)" for part in answer.fields)
        kind = "image" if prompt.modality == "image" else "text"
        said = [f"Answers come from a closed set: {shape}. Chosen: a {kind} classifier"]
        constant = len(prompt.first) + len(prompt.last)
        if constant or prompt.before or prompt.after:
            affix = len(prompt.before) + len(prompt.after)
            said.append(f"Left out what every prompt repeats: {constant} message(s), {affix} character(s) of template")
        num_soft = sum(bool(row.soft) for row in self.rows)
        if num_soft:
            said.append(
                f"{num_soft} of {len(self.rows)} row(s) have soft labels, from their answers' log-probabilities"
            )
        if self.num_duplicates or self.conflicts:
            said.append(f"Found {self.num_duplicates} duplicate(s) and {len(self.conflicts)} conflicting answer(s)")
        if self.strange_lines:
            shown = ", ".join(map(str, self.strange_lines[:10]))
            said.append(f"Left out {len(self.strange_lines)} line(s) of another form: {shown}")
        return said


def compile_chats(examples: Sequence[Example]) -> Compiled:
    """Finds the task behind chats.

    Raises:
        NotClosedError: the answers are free text.
        DataError: the prompts can't be read by a student.
    """
    answers = [answer_text(example) for example in examples]
    try:
        form = find_form(answers, [_schema(example) for example in examples])
    except NotClosedError as error:
        raise NotClosedError(
            f"The answers are no closed set: {error}. A classifier gives answers of an enum, a boolean or a small set "
            "of texts, or JSON objects of these; free text needs a student that writes."
        ) from error
    task = Task(prompt=find_prompt_form([example.messages for example in examples]), answer=form)
    rows, strange = read_rows(task, examples)
    duplicates, conflicts = _repeats(rows)
    return Compiled(task=task, rows=tuple(rows), strange_lines=strange, num_duplicates=duplicates, conflicts=conflicts)


def read_rows(task: Task, examples: Sequence[Example]) -> tuple[list[Row], tuple[int, ...]]:
    """Further examples as rows of a task, and the lines that don't fit it."""
    rows, strange = [], []
    for example in examples:
        labels = task.answer.read(answer_text(example))
        try:
            value, fits = task.prompt.take(example.messages)
        except DataError:
            labels = None
        if labels is None:
            strange.append(example.line)
        else:
            rows.append(
                Row(line=example.line, input=value, labels=labels, fits=fits, soft=_soft(task, example, labels))
            )
    return rows, tuple(strange)


def num_leaks(rows: Sequence[Row], held_out: Sequence[Row]) -> int:
    """Held-out rows that stand in the training rows too."""
    known = {_key(row) for row in rows}
    return sum(_key(row) in known for row in held_out)


def answer_text(example: Example) -> str:
    """What the assistant said."""
    content = example.answer.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _soft(task: Task, example: Example, labels: Mapping[str, str]) -> dict[str, dict[str, float]]:
    tokens = checked_tokens(example.extras.get("logprobs"))
    return task.answer.soft(answer_text(example), labels, tokens) if tokens else {}


def _schema(example: Example) -> Any:
    form = example.extras.get("response_format")
    return ((form or {}).get("json_schema") or {}).get("schema") if isinstance(form, Mapping) else None


def _repeats(rows: Sequence[Row]) -> tuple[int, tuple[tuple[int, int], ...]]:
    first: dict[str, Row] = {}
    duplicates, conflicts = 0, []
    for row in rows:
        earlier = first.setdefault(_key(row), row)
        if earlier is not row and earlier.labels == row.labels:
            duplicates += 1
        elif earlier is not row:
            conflicts.append((earlier.line, row.line))
    return duplicates, tuple(conflicts)


def _key(row: Row) -> str:
    return normal_form(row.input) or row.input if isinstance(row.input, str) else str(row.input)
