"""What `predict` and `evaluate` do with a bundle whose student writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.cli.output import Result, clean
from potstill.data.prompts import Chat, PromptOptions, read_chats
from potstill.errors import DataError, MissingExtraError
from potstill.evaluation.generation import matches
from potstill.evaluation.significance import bootstrap_means, interval
from potstill.runtime.generating import GenerativeBundle, LlamaGenerator, open_bundle
from potstill.runtime.generating.llama import Reply

Answer = Callable[[Chat], str]


@dataclass(frozen=True)
class LlamaAnswer:
    """llama.cpp as an `Answer` that can tell more."""

    llama: LlamaGenerator
    limit: int

    def __call__(self, chat: Chat) -> str:
        """The answer alone."""
        return self.reply(chat).text

    def reply(self, chat: Chat, on_text: Callable[[str], None] | None = None) -> Reply:
        """The answer with its figures."""
        return self.llama.reply(chat.to_json(), max_new_tokens=self.limit, on_text=on_text)


def predict_text(bundle: str, given: str, *, column: str = "", threads: int = 1, live: bool = False) -> Result:
    """The answer to one prompt, or to every row of a file; `live` shows one answer as it is written."""
    opened = open_bundle(bundle)
    answer, engine = _engine(opened, threads)
    path = Path(given)
    if given != "-" and not (len(given) < 4096 and path.is_file()):
        return _one(opened, answer, engine, given, live)
    if given == "-":
        chats = [Chat((("user", line.rstrip("\r\n")),)) for line in sys.stdin if line.strip()]
    elif path.suffix.lower() in (".txt", ""):
        lines = path.read_text("utf-8-sig").splitlines()
        chats = [Chat((("user", line),)) for line in lines if line.strip()]
    else:
        chats = read_chats(path, PromptOptions(prompt=column or "prompt"))
    rows = [{"input": chat.prompt, "answer": answer(chat)} for chat in chats]
    found = {"bundle_digest": opened.digest, "engine": engine, "predictions": rows}
    return Result(found, "\n".join(f"{row['answer']}\t{row['input']}" for row in rows))


def _one(opened: GenerativeBundle, answer: Answer, engine: str, given: str, live: bool) -> Result:
    """One answer, with what it took where llama.cpp gives it."""
    found: dict[str, Any] = {"bundle_digest": opened.digest, "engine": engine, "input": given}
    chat = Chat((("user", given),))
    if not isinstance(answer, LlamaAnswer):
        text = answer(chat)
        return Result({**found, "answer": text}, text)
    reply = answer.reply(chat, (lambda piece: _show(clean(piece))) if live else None)
    found |= {"answer": reply.text, "prompt_tokens": reply.num_prompt_tokens, "cached_tokens": reply.num_cached_tokens}
    first_ms = None if reply.first_s is None else round(1000 * reply.first_s, 3)
    found |= {"completion_tokens": reply.num_new_tokens, "first_token_ms": first_ms}
    return Result(found, "\n" if live else reply.text)


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def evaluate_text(bundle: str, data: Path, *, prompt: str = "", answer: str = "") -> Result:
    """Exact match with its interval on rows that have an answer."""
    opened = open_bundle(bundle)
    options = PromptOptions(prompt=prompt or "prompt", answer=answer or "answer")
    chats = [chat for chat in read_chats(data, options) if chat.answer is not None]
    if not chats:
        raise DataError(f"{data} holds no row with an answer in column {options.answer!r}; nothing can be compared")
    write, engine = _engine(opened, 1)
    right = matches([write(chat) for chat in chats], [chat.answer or "" for chat in chats])
    low, high = interval(bootstrap_means({"student": right}, seed=0)["student"])
    share = float(right.mean())
    found = {
        "bundle_digest": opened.digest,
        "engine": engine,
        "num_rows": len(chats),
        "exact_match": share,
        "accuracy": share,
        "accuracy_ci": [low, high],
    }
    return Result(found, f"{len(chats)} rows: exact match {share:.4f} [{low:.4f}, {high:.4f}], through {engine}")


def _engine(opened: GenerativeBundle, threads: int) -> tuple[Answer, str]:
    """llama.cpp where bundle and installation have it, else transformers.

    Raises:
        MissingExtraError: neither is installed.
    """
    limit = opened.manifest.max_new_tokens
    if opened.gguf and find_spec("xllamacpp"):
        llama = LlamaGenerator(opened.gguf, context_length=opened.manifest.context_length, threads=threads)
        return LlamaAnswer(llama, limit), "llama.cpp"
    if not (find_spec("transformers") and find_spec("torch")):
        raise MissingExtraError("xllamacpp (or torch and transformers)", "llama")
    return _transformers(opened.folder, limit, threads), "transformers"


def _transformers(folder: Path, limit: int, threads: int) -> Answer:
    import torch
    from transformers.utils import logging

    from potstill.students.causal import load_causal_lm
    from potstill.students.causal.chat import ChatTokens
    from potstill.students.causal.decode import write

    logging.disable_progress_bar()
    torch.set_num_threads(threads)
    model, tokenizer = load_causal_lm(folder, dtype=torch.float32)
    tokens = ChatTokens(tokenizer)

    def answer(chat: Chat) -> str:
        prompts: Sequence[Any] = [tokens.prompt(chat.to_json())]
        ((_, written),) = write(model, prompts, end=tokens.end, max_new_tokens=limit)
        return tokens.text(written.ids.tolist())

    return answer
