"""What `predict` and `evaluate` do with a bundle whose student writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.cli.output import Result
from potstill.data.prompts import Chat, PromptOptions, read_chats
from potstill.errors import DataError, MissingExtraError
from potstill.evaluation.generation import matches
from potstill.evaluation.significance import bootstrap_means, interval
from potstill.runtime.generating import GenerativeBundle, LlamaGenerator, open_bundle

Answer = Callable[[Chat], str]


def predict_text(bundle: str, given: str, *, column: str = "", threads: int = 1) -> Result:
    """The answer to one prompt, or to every row of a file."""
    opened = open_bundle(bundle)
    answer, engine = _engine(opened, threads)
    path = Path(given)
    if given != "-" and not (len(given) < 4096 and path.is_file()):
        text = answer(Chat((("user", given),)))
        return Result({"bundle_digest": opened.digest, "engine": engine, "input": given, "answer": text}, text)
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
        return lambda chat: llama.reply(chat.to_json(), max_new_tokens=limit).text, "llama.cpp"
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
