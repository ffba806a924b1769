"""Lines of a training file of chats: OpenAI's rules in OpenAI's words, with the number of a line that breaks one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.errors import DataError
from potstill.server.training_files.pictures import MAX_IMAGES, Reader, SkippedImage, is_remote, read_image, url_of

LEAST_EXAMPLES = 10
MOST_IMAGE_EXAMPLES = 50_000
MOST_PROBLEMS = 50
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
KEYS = {"messages", "tools", "parallel_tool_calls", "functions", "potstill"}
MESSAGE_KEYS = {"role", "content", "name", "weight", "tool_calls", "tool_call_id", "function_call", "refusal", "audio"}
PREFERENCE = {"input", "preferred_output", "non_preferred_output"}


class TrainingFileError(DataError):
    """A training file that can't be used.

    Attributes:
        code: OpenAI's code for it.
        lines: numbers of the lines, from 1.
    """

    def __init__(self, message: str, code: str, lines: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.lines = tuple(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One line.

    Attributes:
        line: its number, from 1.
        messages: all before the answer, with pictures that were skipped left out.
        answer: the last message of the assistant that counts.
        extras: what Potstill adds under its own key: `response_format`, and the answer's `logprobs` (as in a choice).
    """

    line: int
    messages: tuple[Mapping[str, Any], ...]
    answer: Mapping[str, Any]
    extras: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrainingFile:
    """A file that was read.

    Attributes:
        examples: its lines.
        skipped: pictures that are left out.
        num_images: pictures that stay.
    """

    examples: tuple[Example, ...]
    skipped: tuple[SkippedImage, ...]
    num_images: int


def read_chat_lines(
    content: bytes, *, least: int = LEAST_EXAMPLES, what: str = "Training", read: Reader = read_image
) -> TrainingFile:
    """Reads and checks a whole file.

    Args:
        content: JSONL.
        least: examples it must have.
        what: `Training` or `Validation`, for messages.
        read: gives the pictures.

    Raises:
        TrainingFileError: it can't be used; the message names up to `MOST_PROBLEMS` lines.
    """
    examples: list[Example] = []
    skipped: list[SkippedImage] = []
    problems: dict[int, str] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            examples.append(_example(_parsed(line, number), number, skipped, read))
        except TrainingFileError as error:
            problems[number] = str(error)
            if len(problems) == MOST_PROBLEMS:
                break
    if problems:
        code = "invalid_file_format"
        raise TrainingFileError(f"Invalid file format. {' '.join(problems.values())}", code, list(problems))
    if len(examples) < least:
        raise TrainingFileError(
            f"{what} file has {len(examples)} example(s), but must have at least {least} examples",
            "invalid_n_examples",
        )
    counts = [_num_images(example) for example in examples]
    if sum(count > 0 for count in counts) > MOST_IMAGE_EXAMPLES:
        message = f"{what} file has more than {MOST_IMAGE_EXAMPLES} examples with images"
        raise TrainingFileError(message, "invalid_n_examples")
    return TrainingFile(examples=tuple(examples), skipped=tuple(skipped), num_images=sum(counts))


def remote_urls(content: bytes) -> list[str]:
    """Addresses of pictures that somebody has to fetch before the file is read; a wrong line has none."""
    found = []
    for number, line in enumerate(content.split(b"\n"), 1):
        # Most files hold none, and needn't be parsed twice.
        if b'"http' not in line.lower():
            continue
        try:
            contents = [message.get("content") for message in _parsed(line, number)["messages"]]
            parts = [part for content in contents if isinstance(content, list) for part in content]
            urls = [url_of(part["image_url"]) for part in parts if part.get("type") == "image_url"]
        except (TrainingFileError, TypeError, KeyError, AttributeError):
            continue
        found += [url for url in urls if is_remote(url)]
    return found


def _parsed(line: bytes, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong(number, f"cannot be parsed. Error: line contains invalid json: {error} (line {number})") from error
    if not isinstance(value, dict):
        raise _wrong(number, "is not a JSON object")
    return value


def _example(value: dict[str, Any], number: int, skipped: list[SkippedImage], read: Reader) -> Example:
    if value.keys() >= PREFERENCE:
        raise _wrong(
            number,
            "is in the preference format, but the specified fine-tuning job is using 'supervised' as the training "
            "method",
        )
    if "messages" not in value:
        raise _wrong(number, "Unexpected file format, expected either prompt/completion pairs or chat messages.")
    strange = value.keys() - KEYS
    if strange:
        raise _wrong(number, f'contains an extra "{min(strange)}".')
    messages = value["messages"]
    if not isinstance(messages, list) or not messages:
        raise _wrong(number, "has no messages")
    for i, message in enumerate(messages, 1):
        _check_message(message, i, number)
    answers = [i for i, m in enumerate(messages) if m["role"] == "assistant" and m.get("weight", 1) == 1]
    if not answers:
        raise _wrong(number, "has no message from the assistant that counts, so there is nothing to learn")
    last = answers[-1]
    return Example(
        line=number,
        messages=tuple(_with_images(messages[:last], number, skipped, read)),
        answer=messages[last],
        extras=dict(value.get("potstill") or {}),
    )


def _check_message(message: Any, i: int, number: int) -> None:
    if not isinstance(message, dict):
        raise _wrong(number, f"message {i} is not a JSON object")
    if "role" not in message:
        raise _wrong(number, f"message {i} Discriminator 'role' is missing in value")
    role = message["role"]
    if role not in ROLES:
        raise _wrong(number, f"message {i} has the role {str(role)[:50]!r}; expected one of {', '.join(ROLES)}")
    strange = message.keys() - MESSAGE_KEYS
    if strange:
        raise _wrong(number, f'message {i} contains an extra "{min(strange)}".')
    if "weight" in message and (role != "assistant" or message["weight"] not in (0, 1)):
        raise _wrong(number, f"message {i} has a weight; it is 0 or 1, on messages of the assistant only")
    content = message.get("content")
    if isinstance(content, list):
        _check_parts(content, role, i, number)
    elif content is None and role != "assistant":
        raise _wrong(number, f"message {i} has no content")
    elif content is None and not (message.get("tool_calls") or message.get("function_call") or message.get("refusal")):
        raise _wrong(number, f"message {i} has neither content nor tool calls")
    elif content is not None and not isinstance(content, str):
        raise _wrong(number, f"message {i} has content that is neither text nor a list of parts")


def _check_parts(parts: list[Any], role: str, i: int, number: int) -> None:
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "image_url" and role != "user":
            raise _wrong(number, f"message {i} has an image, and images are allowed in messages of the user only")
        if kind not in ("text", "image_url", "refusal"):
            raise _wrong(number, f"message {i} has a part of type {str(kind)[:50]!r}; expected text or image_url")
        if kind == "text" and not isinstance(part.get("text"), str):
            raise _wrong(number, f"message {i} has a part of text without text")


def _with_images(
    messages: Sequence[dict[str, Any]], number: int, skipped: list[SkippedImage], read: Reader
) -> list[Mapping[str, Any]]:
    """The messages without pictures that can't be used."""
    found: list[Mapping[str, Any]] = []
    index = 0
    for message in messages:
        content = message.get("content")
        if not isinstance(content, list):
            found.append(message)
            continue
        kept = []
        for part in content:
            if part["type"] == "image_url":
                reason = read(part.get("image_url")).reason
                if reason:
                    skipped.append(SkippedImage(line=number, index=index, reason=reason))
                index += 1
                if reason:
                    continue
            kept.append(part)
        found.append({**message, "content": kept})
    if index > MAX_IMAGES:
        raise _wrong(number, f"has {index} images; at most {MAX_IMAGES} are allowed")
    return found


def _num_images(example: Example) -> int:
    contents = [message.get("content") for message in example.messages]
    return sum(part["type"] == "image_url" for parts in contents if isinstance(parts, list) for part in parts)


def _wrong(number: int, message: str) -> TrainingFileError:
    return TrainingFileError(
        f"Example {number} {message}" if message[0].islower() else f"Example {number}, {message}",
        "invalid_file_format",
        [number],
    )
