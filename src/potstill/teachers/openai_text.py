"""A teacher of students that write, not at hand: behind an OpenAI-compatible API, or answers of an earlier day."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, final

from potstill.errors import ConfigurationError, DataError
from potstill.files import digest
from potstill.signals.budget import Budget, Meter
from potstill.signals.token_capture import TokenPart, TokenSample
from potstill.signals.tokens import TokenFormat
from potstill.teachers.base import check_least
from potstill.teachers.openai_client import BadReplyError, Client
from potstill.teachers.openai_request import RefusedError
from potstill.teachers.openai_tokens import AnswerReader

if TYPE_CHECKING:
    from potstill.data.prompts import Chat
    from potstill.students.causal.chat import ChatTokens

MILLION = 1_000_000
MOST_LOGPROBS = 20
CHARACTERS_A_TOKEN = 3


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAIText:
    """Asks for an answer to each chat.

    Attributes:
        model: its name at the server.
        base_url: address of the API, for example `http://127.0.0.1:8000/v1`.
        api_key_env: name of the environment variable that holds the key; the key itself is written nowhere.
        instructions: a system turn put before chats that have none; empty puts none.
        max_new_tokens: longest answer.
        top_logprobs: alternatives asked for with each token, at most 20, from a server that gives them. Its model has
            the tokenizer of the student's base, such as a larger one of its family; of another tokenizer
            `training.loss=universal_logit` learns by rank. 0 takes the text alone, from any.
        concurrency: calls at once.
        timeout_s: for connecting, and for every read.
        max_attempts: tries of one call, with growing random waits between them.
        price_input: of a million input tokens.
        price_output: of a million output tokens.
        max_calls: limit, retries included; None for none.
        max_tokens: limit, in and out; None for none.
        max_cost: limit, in the currency of the prices; None for none.
    """

    kind: Literal["openai"] = "openai"
    model: str
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    instructions: str = ""
    max_new_tokens: int = 256
    top_logprobs: int = 0
    concurrency: int = 4
    timeout_s: float = 60.0
    max_attempts: int = 6
    price_input: float = 0.0
    price_output: float = 0.0
    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"teacher.base_url is {self.base_url!r}; it must start with http:// or https://")
        if not 0 <= self.top_logprobs <= MOST_LOGPROBS:
            raise ConfigurationError(f"teacher.top_logprobs is {self.top_logprobs}; servers give 0 to {MOST_LOGPROBS}")
        if self.max_cost is not None and self.price_input == self.price_output == 0:
            raise ConfigurationError("teacher.max_cost limits money, so it needs teacher.price_input or price_output")
        check_least(concurrency=(self.concurrency, 1), max_attempts=(self.max_attempts, 1))
        check_least(max_new_tokens=(self.max_new_tokens, 1), timeout_s=(self.timeout_s, 0.001))

    def config(self) -> dict[str, Any]:
        """All options; the key is none of them."""
        return asdict(self)

    def price(self, num_input: int, num_output: int) -> float:
        """Money for so many tokens."""
        return (num_input * self.price_input + num_output * self.price_output) / MILLION


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedText:
    """Answers that stand in the rows already.

    Attributes:
        column: that holds them, in unlabelled and test rows.
        logprobs: column of their log-probabilities, as an API gives them (`choices[0].logprobs`, with `top_logprobs`);
            what they teach is chosen by `training.loss` as for an API. Empty learns from texts.
        max_new_tokens: longest answer of the student.
    """

    kind: Literal["recorded"] = "recorded"
    column: str
    logprobs: str = ""
    max_new_tokens: int = 256

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)


def text_form(chat: ChatTokens, width: int) -> TokenFormat:
    """Answers as text, or with alternatives in the vocabulary of the student's base."""
    tokenizer = chat.tokenizer
    return TokenFormat(
        kind="top_k" if width else "text",
        width=width,
        vocabulary_size=len(tokenizer),
        tokenizer=digest(tokenizer.backend_tokenizer.to_str().encode()),
        template=digest(str(tokenizer.chat_template).encode()),
    )


@dataclass(frozen=True)
class RecordedTextTeacher:
    """Answers by looking them up.

    Attributes:
        spec: names the columns.
        chat: tokens of the student's base.
        chats: all rows with such columns.
        by_rank: keep how likely alternatives were and not which; its tokens may be any.
    """

    spec: RecordedText
    chat: ChatTokens
    chats: Sequence[Chat]
    by_rank: bool = False

    @property
    def form(self) -> TokenFormat:
        """Text, or as many alternatives as servers give."""
        return text_form(self.chat, MOST_LOGPROBS if self.spec.logprobs else 0)

    def identity(self) -> dict[str, Any]:
        """The columns and all that stands in them."""
        cells = [(chat.to_json(), *self._cells(chat)) for chat in self.chats]
        if not self.spec.logprobs:
            return {"kind": "recorded", "answers": digest([[asked, text] for asked, text, _ in cells])}
        # As Python writes them: JSON has no -inf, which some servers give.
        return {"kind": "recorded", "answers": digest(repr(cells).encode()), "by_rank": self.by_rank}

    def in_text(self) -> RecordedTextTeacher:
        """The same, whose texts alone are asked for."""
        return replace(self, spec=replace(self.spec, logprobs=""), by_rank=False)

    def _cells(self, chat: Chat) -> tuple[str, Any]:
        """The answer and its log-probabilities."""
        columns = chat.columns or {}
        value = columns.get(self.spec.column)
        return "" if value is None else str(value).strip(), columns.get(self.spec.logprobs)

    def answer_tokens(self, samples: Sequence[TokenSample]) -> Iterator[TokenPart]:
        """All at once; rows without an answer, or without log-probabilities that are wanted, are refused and counted.

        Raises:
            DataError: no row has an answer.
        """
        said = {self.chat.text_of(chat.to_json()): self._cells(chat) for chat in self.chats}
        if not any(text for text, _ in said.values()):
            raise DataError(f"no row holds an answer in the column {self.spec.column!r} (teacher.column)")
        reader = AnswerReader(chat=self.chat, width=self.form.width, by_rank=self.by_rank)
        records, refused = {}, {}
        for i, sample in enumerate(samples):
            text, logprobs = said.get(sample.text, ("", None))
            try:
                if not text:
                    raise RefusedError("no recorded answer")
                records[i] = reader.read(sample, text, logprobs)
            except RefusedError as error:
                refused[i] = str(error)
        yield TokenPart(records=records, refused=refused)


@dataclass(frozen=True)
class OpenAITextTeacher:
    """Asks a block of chats at once, and yields each block as it is answered.

    Attributes:
        spec: who and how.
        chat: tokens of the student's base.
        messages: rendered text -> the chat as messages.
        by_rank: keep how likely alternatives were and not which; its tokens may be any.
    """

    spec: OpenAIText
    chat: ChatTokens
    messages: Mapping[str, Sequence[Mapping[str, str]]]
    by_rank: bool = False
    _meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        limits = Budget(max_calls=self.spec.max_calls, max_tokens=self.spec.max_tokens, max_cost=self.spec.max_cost)
        object.__setattr__(self, "_meter", Meter(limits))

    @property
    def form(self) -> TokenFormat:
        """Text, or the alternatives that were asked for."""
        return text_form(self.chat, self.spec.top_logprobs)

    def identity(self) -> dict[str, Any]:
        """Server, model, and the whole request but the chat."""
        asked = {"kind": "openai", "base_url": self.spec.base_url, "request": digest(self._body([]))}
        return {**asked, "alternatives": "ranks"} if self.by_rank else asked

    def in_text(self) -> OpenAITextTeacher:
        """The same, asked for texts alone; both spend of one budget."""
        found = replace(self, spec=replace(self.spec, top_logprobs=0), by_rank=False)
        object.__setattr__(found, "_meter", self._meter)
        return found

    def _body(self, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        spec = self.spec
        turns = list(messages)
        if spec.instructions and not any(turn["role"] == "system" for turn in turns):
            turns.insert(0, {"role": "system", "content": spec.instructions})
        body = {"model": spec.model, "messages": turns, "temperature": 0, "seed": 0, "max_tokens": spec.max_new_tokens}
        return {**body, "logprobs": True, "top_logprobs": spec.top_logprobs} if spec.top_logprobs else body

    def answer_tokens(self, samples: Sequence[TokenSample]) -> Iterator[TokenPart]:
        """One call a chat.

        Raises:
            BudgetError: the next call would pass a limit; parts that were yielded stay valid.
            TeacherUnavailableError: as for a budget.
        """
        spec, stop = self.spec, threading.Event()
        client = Client(
            base_url=spec.base_url.rstrip("/"),
            api_key=os.environ.get(spec.api_key_env, ""),
            timeout_s=spec.timeout_s,
            max_attempts=spec.max_attempts,
        )
        reader = AnswerReader(chat=self.chat, width=spec.top_logprobs, by_rank=self.by_rank)
        with client.open() as pool, concurrent.futures.ThreadPoolExecutor(spec.concurrency) as threads:
            for start in range(0, len(samples), spec.concurrency):
                block = range(start, min(start + spec.concurrency, len(samples)))
                running = [threads.submit(self._one, client, pool, samples[i], i, reader, stop) for i in block]
                concurrent.futures.wait(running)
                failures = [error for done in running if (error := done.exception()) is not None]
                yield from (done.result() for done in running if done.exception() is None)
                if failures:
                    stop.set()
                    raise failures[0]

    def _one(
        self, client: Client, pool: Any, sample: TokenSample, position: int, reader: AnswerReader, stop: Any
    ) -> TokenPart:
        expected = (len(sample.text) // CHARACTERS_A_TOKEN, self.spec.max_new_tokens)
        reserved = (sum(expected), self.spec.price(*expected))
        self._meter.reserve(*reserved)
        calls = 1

        def spend_again() -> None:
            nonlocal calls
            self._meter.reserve(0, 0.0)
            calls += 1

        records, refused, tokens = {}, {}, expected
        try:
            body = self._body(self.messages[sample.text])
            reply = client.post(pool, "/chat/completions", body, stop, spend_again)
            text, logprobs, tokens = _read(reply, expected)
            records[position] = reader.read(sample, text, logprobs)
        except (BadReplyError, RefusedError) as error:
            refused[position] = str(error)
        cost = self.spec.price(*tokens)
        self._meter.settle(reserved, sum(tokens), cost)
        return TokenPart(records=records, refused=refused, cost=cost, num_calls=calls, num_tokens=sum(tokens))


def _read(reply: Any, expected: tuple[int, int]) -> tuple[str, Any, tuple[int, int]]:
    """Text, log-probabilities as they came, and tokens in and out.

    Raises:
        RefusedError: it can't be used.
    """
    try:
        (choice,) = reply["choices"]
        message, usage = choice["message"], reply.get("usage") or {}
        if message.get("refusal"):
            raise RefusedError("the model refused")
        if choice.get("finish_reason") not in ("stop", None):
            raise RefusedError(f"finish_reason {choice['finish_reason']}")
        text = message["content"].strip()
        logprobs = choice.get("logprobs")
        counts = [usage.get("prompt_tokens", expected[0]), usage.get("completion_tokens", expected[1])]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RefusedError("no chat completion") from None
    if not text:
        raise RefusedError("an empty answer")
    return text, logprobs, (int(counts[0]), int(counts[1]))
