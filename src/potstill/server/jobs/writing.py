"""The training of a job whose student writes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from potstill.data.prompts import PromptOptions
from potstill.errors import MissingExtraError
from potstill.exporters.gguf import export_gguf
from potstill.files import write_atomic
from potstill.recipe.generative.recipe import CausalCut, GenerativeRecipe, GenerativeTraining
from potstill.recipe.generative.run import run_generative
from potstill.recipe.run import Run
from potstill.server.compiling.free_text import WrittenRow
from potstill.server.jobs.curve import Curve, results_csv
from potstill.server.jobs.request import JobRequest, hyperparameters
from potstill.server.jobs.telling import NUM_CHECKPOINTS, Say, checkpoints_of, event
from potstill.server.jobs.training import CHECKPOINT_EVERY_S, Watched
from potstill.students.causal import load_tokenizer
from potstill.students.causal.chat import ChatTokens
from potstill.teachers.causal_lm import packaged_gguf
from potstill.teachers.openai_text import RecordedText
from potstill.teachers.openai_tokens import can_be_ranked, share_with_ids

MESSAGES, TEACHER, LOGPROBS = "messages", "@teacher", "@logprobs"
MOST_LAYERS = 8
LONGEST_ANSWER = 1024
# Of a teacher with the base's tokens; a model may now and then say a word in other pieces than its tokenizer would.
LEAST_ALIKE = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What a student is cut from.

    Attributes:
        name: in the API.
        path: folder or .gguf file; empty takes the packaged one.
    """

    name: str
    path: str


def train_writer(
    request: JobRequest, base: Base, rows: Sequence[WrittenRow], held: Sequence[WrittenRow], folder: Path, say: Say
) -> None:
    """Trains the student of a job, or goes on where it was interrupted.

    Raises:
        PotstillError: it can't be trained.
        PreemptedError: it was asked to stop.
    """
    rows = [row if can_be_ranked(row.answer.strip(), row.logprobs) else replace(row, logprobs=None) for row in rows]
    write_chats(folder / "train.jsonl", rows)
    write_chats(folder / "test.jsonl", held)
    source = Path(base.path) if base.path else packaged_gguf()
    recipe = make_recipe(request, source, rows, folder, has_test=bool(held))
    num_sure = sum(row.logprobs is not None for row in rows)
    if num_sure:
        event(
            say,
            "logprobs",
            f"Log-probabilities of {num_sure} of {len(rows)} answers say how sure their teacher was, compared by "
            f"{'rank' if recipe.training.loss == 'universal_logit' else 'token'}; dev rows choose between learning "
            "from them and from the texts alone",
        )
    event(say, "student", f"Student: {recipe.student.layers} layers of {base.name}")
    curve = Curve(folder / "run", say)
    done = run_generative(recipe, folder / "run", progress=Watched(curve), device="cpu", store=folder / "store")
    curve.finish()
    if done.result["gguf"] is None:
        raise MissingExtraError("gguf", "lm")
    _finish(say, rows, recipe, curve, done, _base_gguf(source, folder))


def write_chats(path: Path, rows: Sequence[WrittenRow]) -> None:
    """Rows as potstill reads them; the answer is the label and what the teacher said."""
    lines = [
        {
            MESSAGES: [*row.messages, {"role": "assistant", "content": row.answer}],
            TEACHER: row.answer.strip(),
            LOGPROBS: row.logprobs,
        }
        for row in rows
    ]
    write_atomic(path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def make_recipe(
    request: JobRequest, base: Path, rows: Sequence[WrittenRow], folder: Path, *, has_test: bool
) -> GenerativeRecipe:
    """The recipe of a job: the file's answers are both the gold ones and what the teacher said.

    Log-probabilities of a teacher whose tokens are those of the base are compared by id, all others by rank.
    """
    wanted = hyperparameters(request)
    sure = [(row.answer.strip(), row.logprobs) for row in rows if row.logprobs is not None]
    is_unlike = bool(sure) and share_with_ids(ChatTokens(load_tokenizer(base)), sure) < LEAST_ALIKE
    training = GenerativeTraining(
        signal="auto" if sure else "text",
        loss="universal_logit" if is_unlike else "forward_kl",
        checkpoint_every_s=CHECKPOINT_EVERY_S,
        num_checkpoints=NUM_CHECKPOINTS,
    )
    if wanted["n_epochs"] != "auto":
        training = replace(training, num_epochs=wanted["n_epochs"], least_steps=1)
    if wanted["batch_size"] != "auto":
        training = replace(training, batch_size=wanted["batch_size"])
    if wanted["learning_rate_multiplier"] != "auto":
        training = replace(training, learning_rate=training.learning_rate * wanted["learning_rate_multiplier"])
    # A token is a byte at least; an answer may be somewhat longer than the longest that was seen.
    longest = max(len(row.answer.encode()) for row in rows)
    return GenerativeRecipe(
        data=PromptOptions(
            train=str(folder / "train.jsonl"), test=str(folder / "test.jsonl") if has_test else "", messages=MESSAGES
        ),
        teacher=RecordedText(
            column=TEACHER, logprobs=LOGPROBS if sure else "", max_new_tokens=min(LONGEST_ANSWER, longest + 8)
        ),
        student=CausalCut(base=str(base), layers=min(MOST_LAYERS, num_layers(base))),
        training=training,
        baseline=False,
        seed=request.seed or 0,
    )


def num_layers(path: Path) -> int:
    """Layers of a language model on disk.

    Raises:
        MissingExtraError: `gguf` is not installed.
    """
    if path.is_dir():
        return int(json.loads((path / "config.json").read_bytes())["num_hidden_layers"])
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MissingExtraError("gguf", "lm") from error
    fields = GGUFReader(path).fields
    architecture = fields["general.architecture"].contents()
    return int(fields[f"{architecture}.block_count"].contents())


def _base_gguf(base: Path, folder: Path) -> str:
    """The base as a file for llama.cpp, so that it can be asked beside its student."""
    if base.is_file():
        return str(base)
    path = folder / "base.gguf"
    if not path.exists():
        export_gguf(base, path, "q8_0")
    return str(path)


def _finish(
    say: Say,
    rows: Sequence[WrittenRow],
    recipe: GenerativeRecipe,
    curve: Curve,
    done: Run,
    base_gguf: str,
) -> None:
    result = dict(done.result)
    passes = max(1, round(curve.num_steps * recipe.training.batch_size / len(rows)))
    perplexity = result["student"]["perplexity"]
    shipped = {"full_valid_loss": math.log(perplexity)} if perplexity else {}
    say(
        {
            "kind": "done",
            "model_kind": "writer",
            "task": {"version": 1, "base_gguf": base_gguf},
            "checkpoints": checkpoints_of(result, done.folder, curve.at, shipped),
            "csv": results_csv(curve.points),
            "trained_tokens": passes * _count_tokens(rows, Path(result["bundle"])),
            "hyperparameters": {
                "n_epochs": passes,
                "batch_size": recipe.training.batch_size,
                "learning_rate_multiplier": recipe.training.learning_rate / GenerativeTraining().learning_rate,
            },
            "result": result,
        }
    )


def _count_tokens(rows: Sequence[WrittenRow], bundle: Path) -> int:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    texts = [turn["content"] for row in rows for turn in row.messages] + [row.answer for row in rows]
    return sum(len(found.ids) for found in tokenizer.encode_batch(texts, add_special_tokens=False))
