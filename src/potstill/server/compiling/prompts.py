"""What changes from prompt to prompt: system prompts, examples and templates that every row repeats are left out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from potstill.errors import DataError

Message = Mapping[str, Any]
# A message that so many rows have at the same place is part of the template.
SHARED = 0.95
# A beginning or end that all texts share by chance is short.
LEAST_AFFIX = 8


@dataclass(frozen=True, kw_only=True)
class PromptForm:
    """What every prompt repeats.

    Attributes:
        modality: what the changing part is.
        first: canonical JSON of the messages that prompts start with.
        last: of those that they end with.
        before: text that the changing message starts with.
        after: text that it ends with.
    """

    modality: Literal["text", "image"]
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    before: str = ""
    after: str = ""

    def take(self, messages: Sequence[Message]) -> tuple[Any, bool]:
        """The changing part of a prompt, and whether the rest is as in training.

        A prompt of another template gives its best guess: everything but the messages that are known.

        Returns:
            Text, or the `image_url` of the picture.

        Raises:
            DataError: there is nothing to answer.
        """
        known = [canonical(message) for message in messages]
        fits = (
            len(known) > len(self.first) + len(self.last)
            and tuple(known[: len(self.first)]) == self.first
            and tuple(known[len(known) - len(self.last) :]) == self.last
        )
        middle = list(messages[len(self.first) : len(messages) - len(self.last)])
        if not fits:
            fixed = {*self.first, *self.last}
            middle = [m for m, name in zip(messages, known, strict=True) if name not in fixed]
            middle = [m for m in middle if m.get("role") not in ("system", "developer")] or middle
        if self.modality == "image":
            return _picture(middle), fits
        text = rendered(middle)
        has_affixes = text.startswith(self.before) and text.endswith(self.after)
        if has_affixes and len(text) >= len(self.before) + len(self.after):
            text = text[len(self.before) : len(text) - len(self.after)]
        else:
            fits = False
        if not text.strip():
            raise DataError("the prompt holds no text that this model could answer; it reads what changes in a prompt")
        return text, fits

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "first": list(self.first), "last": list(self.last)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PromptForm:
        """Reads what `to_json` wrote."""
        return cls(**{**value, "first": tuple(value["first"]), "last": tuple(value["last"])})


def find_prompt_form(prompts: Sequence[Sequence[Message]]) -> PromptForm:
    """What these prompts repeat.

    Raises:
        DataError: text and pictures change together, or nothing changes at all.
    """
    listed = [[canonical(message) for message in prompt] for prompt in prompts]
    first = _shared(listed)
    rest = [names[len(first) :] if tuple(names[: len(first)]) == first else names for names in listed]
    last = _shared([names[::-1] for names in rest])[::-1]
    form = PromptForm(modality="text", first=first, last=last)
    middles = [prompt[len(first) : len(prompt) - len(last)] for prompt in prompts]
    if any(_pictures(middle) for middle in middles):
        return _picture_form(form, middles)
    texts = [rendered(middle) for middle in middles if middle]
    if len(set(texts)) < 2:
        raise DataError("every prompt of the file is the same, so there is nothing to tell apart")
    before = _affix(texts)
    after = _affix([text[len(before) :][::-1] for text in texts])[::-1]
    return PromptForm(modality="text", first=first, last=last, before=before, after=after)


def canonical(message: Message) -> str:
    """One form for equal messages; a list of one text is that text, and `developer` is `system`."""
    content = message.get("content")
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    role = "system" if message.get("role") == "developer" else message.get("role")
    rest = {name: message[name] for name in ("tool_calls", "tool_call_id", "name") if message.get(name)}
    return json.dumps({"role": role, "content": content, **rest}, sort_keys=True, ensure_ascii=False)


def rendered(messages: Sequence[Message]) -> str:
    """Messages as one text; a single one without its role."""
    texts = [(str(message.get("role")), _text(message)) for message in messages]
    return texts[0][1] if len(texts) == 1 else "\n".join(f"{role}: {text}" for role, text in texts)


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if part.get("type") == "text")
    if content:
        return str(content)
    calls = message.get("tool_calls")
    return json.dumps(calls, ensure_ascii=False, sort_keys=True) if calls else ""


def _shared(listed: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The longest run of messages that nearly all rows start with, leaving each at least one message."""
    found: list[str] = []
    while True:
        place = len(found)
        here = Counter(names[place] for names in listed if len(names) > place + 1 and list(names[:place]) == found)
        if not here:
            return tuple(found)
        name, count = here.most_common(1)[0]
        if count < SHARED * len(listed):
            return tuple(found)
        found.append(name)


def _affix(texts: Sequence[str]) -> str:
    """What all texts start with, up to the end of a word; empty where that is short enough to be chance."""
    low, high = min(texts), max(texts)
    shared = low[: next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]
    if any(len(text) == len(shared) for text in texts):
        shared = shared[:-1]
    ends = [match.end() for match in re.finditer(r"\W", shared)]
    shared = shared[: ends[-1]] if ends else ""
    return shared if len(shared) >= LEAST_AFFIX else ""


def _pictures(messages: Sequence[Message]) -> list[Any]:
    contents = [message.get("content") for message in messages]
    return [
        part.get("image_url")
        for parts in contents
        if isinstance(parts, list)
        for part in parts
        if part.get("type") == "image_url"
    ]


def _picture(messages: Sequence[Message]) -> Any:
    found = _pictures(messages)
    if len(found) != 1:
        raise DataError(f"the prompt holds {len(found)} images; this model answers for one image")
    return found[0]


def _picture_form(form: PromptForm, middles: Sequence[Sequence[Message]]) -> PromptForm:
    numbers = Counter(len(_pictures(middle)) for middle in middles)
    if set(numbers) - {0, 1}:
        raise DataError(f"prompts hold up to {max(numbers)} images; a student of images reads one")
    if len({rendered(middle) for middle in middles}) > 1:
        raise DataError("both text and image change from prompt to prompt; a student reads one of them")
    return PromptForm(modality="image", first=form.first, last=form.last)
