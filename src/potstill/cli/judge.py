"""`potstill judge`: a model judges the written answers of a run, two contenders at a time."""

from __future__ import annotations

import argparse
import os
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cli.output import Result
from potstill.errors import ConfigurationError

if TYPE_CHECKING:
    from potstill.evaluation.pairwise import Ask

NUM_ROWS = 100
MAX_TOKENS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `judge`."""
    parser.add_argument("run", type=Path, help="folder of a run whose student writes")
    parser.add_argument("--by", required=True, help="openai:MODEL@URL, or a language model's folder or .gguf")
    parser.add_argument("--first", default="student", help="contender that is scored; `student` when left out")
    parser.add_argument("--second", default="control", help="the other one; `control` when left out")
    parser.add_argument("--rows", type=int, default=NUM_ROWS, help="test rows that are judged, each in two calls")
    parser.add_argument("--dry-run", action="store_true", help="say how many calls and tokens that is, and ask nobody")
    parser.add_argument("--api-key-env", default="OPENAI_API_KEY", help="variable that holds the judge's key")


def main(args: argparse.Namespace) -> Result:
    """Reads the answers from the run's report, and asks the judge in both orders."""
    from potstill.evaluation.pairwise import judge_pairs, questions
    from potstill.recipe.run import REPORT
    from potstill.report.generative import load_written_content

    found = load_written_content(args.run / REPORT).assessment
    for name in (args.first, args.second):
        if name not in found.texts:
            raise ConfigurationError(f"there is no contender {name!r} in this run; there is {', '.join(found.texts)}")
    if args.rows < 1:
        raise ConfigurationError(f"--rows is {args.rows}; at least one row is judged")
    picked = sorted(random.Random(0).sample(range(found.num_test), min(args.rows, found.num_test)))
    prompts, first, second = (
        [told[i] for i in picked] for told in (found.prompts, found.texts[args.first], found.texts[args.second])
    )
    if args.dry_run:
        from potstill.recipe.generative.forecast import CHARACTERS_A_TOKEN

        asked = questions(prompts, first, second)[1]
        num_tokens = sum(len(question) // CHARACTERS_A_TOKEN + MAX_TOKENS for question in asked)
        values = {"num_rows": len(picked), "num_calls": len(asked), "num_tokens": num_tokens}
        return Result(values, f"{len(picked)} rows, {len(asked)} calls, about {num_tokens:,} tokens")
    ask = _endpoint(args) if args.by.startswith("openai:") else _local(Path(args.by))
    score = judge_pairs(prompts, first, second, ask)
    low, high = score.score_ci
    text = (
        f"{args.first} against {args.second} on {score.num_rows} prompts: {score.wins} won, {score.ties} tied, "
        f"{score.losses} lost; {100 * score.score:.1f} % [{100 * low:.1f}, {100 * high:.1f}], p {score.p_value:.3g}\n"
        f"of the ties {score.num_equal} answers are equal, in {score.num_swayed} the judge went by the place, and "
        f"{score.num_unread} replies could not be read"
    )
    return Result({"first": args.first, "second": args.second, "judge": args.by, **score.to_json()}, text)


def _endpoint(args: argparse.Namespace) -> Ask:
    """A judge behind an OpenAI-compatible API."""
    from potstill.cli.distill import teacher_values
    from potstill.teachers.openai_client import BadReplyError, Client

    values = teacher_values(args.by)
    key = os.environ.get(args.api_key_env, "")
    client = Client(base_url=values["base_url"].rstrip("/"), api_key=key, timeout_s=60.0, max_attempts=6)
    stop = threading.Event()

    def ask(questions: Sequence[str]) -> list[str | None]:
        def one(question: str) -> str | None:
            body = {
                "model": values["model"],
                "messages": [{"role": "user", "content": question}],
                "temperature": 0,
                "max_tokens": MAX_TOKENS,
            }
            try:
                reply = client.post(pool, "/chat/completions", body, stop, lambda: None)
                return str(reply["choices"][0]["message"]["content"])
            except (BadReplyError, KeyError, IndexError, TypeError):
                return None

        with client.open() as pool, ThreadPoolExecutor(4) as threads:
            return list(threads.map(one, questions))

    return ask


def _local(path: Path) -> Ask:
    """A language model at hand."""
    from potstill.data.prompts import Chat
    from potstill.recipe.generative.contest import write_texts
    from potstill.students.causal import load_causal_lm
    from potstill.students.causal.chat import settle_template

    if not path.exists():
        raise ConfigurationError(f"--by {path}: there is no such model. Give a folder, a .gguf, or openai:MODEL@URL")
    model, tokenizer = load_causal_lm(path)
    chat = settle_template(tokenizer, is_tuned=False)

    def ask(questions: Sequence[str]) -> Sequence[str | None]:
        return write_texts(model, chat, [Chat((("user", question),)) for question in questions], MAX_TOKENS)

    return ask
