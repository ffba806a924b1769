"""A chat model behind an OpenAI-compatible API labels rows. N inputs, C logits."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np

from potstill.data.rows import row_digest
from potstill.errors import ConfigurationError
from potstill.files import digest
from potstill.signals.budget import Budget, Meter
from potstill.teachers.base import TeacherContext
from potstill.teachers.openai_client import BadReplyError, Client
from potstill.teachers.openai_content import content_of, expected_input_tokens, name_of
from potstill.teachers.openai_request import (
    CHARACTERS_PER_TOKEN,
    RefusedError,
    default_instructions,
    read_reply,
    request_body,
)
from potstill.types import Answers, Input, LabelSchema

MILLION = 1_000_000
# Tokens of a reply for each field, for forecasts and reservations.
REPLY_TOKENS = 12


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAI:
    """Asks for each row with the labels as an enumeration in a JSON schema; pictures and sounds go along as parts.

    It is asked about the rows themselves alone: views of them would each cost a call.

    Attributes:
        model: its name at the server.
        base_url: address of the API, for example `http://127.0.0.1:8000/v1`.
        api_key_env: name of the environment variable that holds the key; the key itself is written nowhere.
        instructions: system prompt; empty makes one from the names of fields and classes.
        concurrency: calls at once.
        timeout_s: for connecting, and for every read.
        max_attempts: tries of one call, with growing random waits between them.
        price_input: of a million input tokens.
        price_output: of a million output tokens.
        max_calls: limit, retries included; None for none.
        max_tokens: limit, in and out; None for none.
        max_cost: limit, in the currency of the prices; None for none.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    sees_views = False
    kind: Literal["openai"] = "openai"
    model: str
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    instructions: str = ""
    concurrency: int = 4
    timeout_s: float = 60.0
    max_attempts: int = 6
    price_input: float = 0.0
    price_output: float = 0.0
    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"teacher.base_url is {self.base_url!r}; it must start with http:// or https://")
        if self.concurrency < 1 or self.max_attempts < 1 or not self.timeout_s > 0:
            raise ConfigurationError("teacher.concurrency and max_attempts must be at least 1, timeout_s above 0")
        if self.max_cost is not None and self.price_input == self.price_output == 0:
            raise ConfigurationError("teacher.max_cost limits money, so it needs teacher.price_input or price_output")

    def config(self) -> dict[str, Any]:
        """All options; the key is none of them."""
        return asdict(self)

    def prepare(self, context: TeacherContext) -> OpenAITeacher:
        """Reads the key; nothing is asked yet."""
        client = Client(
            base_url=self.base_url.rstrip("/"),
            api_key=os.environ.get(self.api_key_env, ""),
            timeout_s=self.timeout_s,
            max_attempts=self.max_attempts,
        )
        examples = [*context.labelled.inputs[:1], *context.unlabelled.inputs[:1]]
        what = name_of(examples[0]) if examples else "text"
        return OpenAITeacher(self, context.schema, client, what, context.sample_rate)

    def forecast(self, inputs: Sequence[Input], schema: LabelSchema) -> dict[str, Any]:
        """Calls, tokens and cost for distinct inputs, at 3 characters a token and without retries."""
        distinct = {row_digest(value): value for value in inputs}
        tokens = [self.expected_tokens(value, schema) for value in distinct.values()]
        num_input, num_output = sum(t[0] for t in tokens), sum(t[1] for t in tokens)
        return {"calls": len(distinct), "tokens": num_input + num_output, "cost": self.price(num_input, num_output)}

    def expected_tokens(self, value: Input, schema: LabelSchema, sample_rate: int = 16_000) -> tuple[int, int]:
        """Input and output tokens of one call, about."""
        prompt = self.instructions or default_instructions(schema, name_of(value))
        # The schema travels with the prompt and names every class once more.
        around = len(prompt) * 2 // CHARACTERS_PER_TOKEN + 20
        content = expected_input_tokens(value, sample_rate, CHARACTERS_PER_TOKEN)
        return around + content, REPLY_TOKENS * len(schema.fields)

    def price(self, num_input: int, num_output: int) -> float:
        """Money for so many tokens."""
        return (num_input * self.price_input + num_output * self.price_output) / MILLION


class OpenAITeacher:
    """Asks with bounded concurrency, and yields each answer as it comes."""

    def __init__(self, spec: OpenAI, schema: LabelSchema, client: Client, what: str, sample_rate: int) -> None:
        self.schema = schema
        self.num_parameters = None
        self._spec = spec
        self._client = client
        self._sample_rate = sample_rate
        self._instructions = spec.instructions or default_instructions(schema, what)
        self._meter = Meter(Budget(max_calls=spec.max_calls, max_tokens=spec.max_tokens, max_cost=spec.max_cost))

    def identity(self) -> dict[str, Any]:
        """Server, model, and the whole request but the row."""
        body = request_body(self._spec.model, self._instructions, "", self.schema)
        return {"kind": "openai", "base_url": self._client.base_url, "request": digest(body)}

    def answer(self, inputs: Sequence[Input]) -> Iterator[Answers]:
        """Answers row by row in the order in which they come.

        Raises:
            BudgetError: the next call would pass a limit; calls under way are waited for and yielded.
            TeacherUnavailableError: as for a budget.
        """
        stop = threading.Event()
        waiting = iter(range(len(inputs)))
        with (
            self._client.open() as pool,
            concurrent.futures.ThreadPoolExecutor(self._spec.concurrency) as threads,
        ):
            running: set[concurrent.futures.Future[Answers]] = set()
            failure: Exception | None = None
            try:
                while True:
                    while failure is None and len(running) < self._spec.concurrency:
                        position = next(waiting, None)
                        if position is None:
                            break
                        running.add(threads.submit(self._one, pool, inputs[position], position, stop))
                    if not running:
                        break
                    done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                    for future in done:
                        error = future.exception()
                        if error is None:
                            yield future.result()
                        elif isinstance(error, Exception) and failure is None:
                            failure = error
                            stop.set()
            finally:
                stop.set()
            if failure is not None:
                raise failure

    def _one(self, pool: Any, value: Input, position: int, stop: threading.Event) -> Answers:
        expected = self._spec.expected_tokens(value, self.schema, self._sample_rate)
        reserved = (sum(expected), self._spec.price(*expected))
        calls = 1
        self._meter.reserve(*reserved)

        def spend_again() -> None:
            nonlocal calls
            self._meter.reserve(0, 0.0)
            calls += 1

        content = content_of(value, self._sample_rate)
        body = request_body(self._spec.model, self._instructions, content, self.schema)
        logits_1C = np.zeros((1, self.schema.num_logits), np.float32)
        refused: dict[int, str] = {}
        tokens = expected
        try:
            reply = read_reply(
                self._client.post(pool, "/chat/completions", body, stop, spend_again), self._spec.model, self.schema
            )
            logits_1C[0] = reply.logits
            if reply.num_input_tokens:
                tokens = (reply.num_input_tokens, reply.num_output_tokens)
        except (BadReplyError, RefusedError) as error:
            refused[position] = str(error)
        cost = self._spec.price(*tokens)
        self._meter.settle(reserved, sum(tokens), cost)
        return Answers(
            positions=np.array([position]),
            logits=logits_1C,
            refused=refused,
            cost=cost,
            num_calls=calls,
            num_tokens=sum(tokens),
        )
