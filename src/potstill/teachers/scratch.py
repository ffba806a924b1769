"""A teacher trained here from nothing, for languages and jargon that have no pretrained encoder at hand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np
import torch

from potstill.errors import ConfigurationError
from potstill.runtime.preprocess import TextTokens
from potstill.students.base import Student
from potstill.students.bert import Bert, BertShape
from potstill.students.classifier import EncoderClassifier
from potstill.students.cnn import TextCnn
from potstill.students.tokenizer import learn_tokenizer
from potstill.teachers.base import TeacherContext, check_least
from potstill.teachers.fit import fit, settled_precision, usual_threads
from potstill.teachers.folds import FoldTeacher, cross_fit
from potstill.teachers.trained import TrainedTeacher
from potstill.training.batches import steps_per_epoch
from potstill.training.loop import Plan


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Scratch:
    """Learns a tokenizer and a network from the labelled rows alone.

    Attributes:
        architecture: `cnn` (wide convolutions over small pieces) or `transformer`.
        vocabulary_size: pieces of the learned tokenizer.
        unit: of the tokenizer: parts of words, or characters; `auto` looks at the script.
        width: of the embeddings.
        filters: of each kind of convolution.
        num_layers: of the transformer.
        num_epochs: passes over the labelled rows; None takes about 600,000 rows' worth, at least 5 and at most 40.
        batch_size: rows a step.
        learning_rate: peak.
        dropout: share of features dropped.
        word_dropout: share of pieces replaced by padding.
        max_length: pieces of a text that are read.
        precision: `auto` times fp32 and bf16 once and takes the faster.
        num_folds: above 1, as many teachers are trained, each without one fold of the labelled rows; it answers those,
            and the mean of all answers the rest.
        num_threads: of torch while it trains and answers; 0 takes OMP_NUM_THREADS, else the machine's cores, four at
            most.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["scratch"] = "scratch"
    architecture: Literal["cnn", "transformer"] = "cnn"
    vocabulary_size: int = 8000
    unit: Literal["auto", "pieces", "characters"] = "auto"
    width: int = 256
    filters: int = 512
    num_layers: int = 4
    num_epochs: int | None = None
    batch_size: int = 64
    learning_rate: float = 1e-3
    dropout: float = 0.4
    word_dropout: float = 0.1
    max_length: int = 64
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_folds: int = 1
    num_threads: int = 0
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        if self.width % 64 or self.width < 64:
            raise ConfigurationError(f"teacher.width is {self.width}; it must be a multiple of 64, the width of a head")
        check_least(
            vocabulary_size=(self.vocabulary_size, 64),
            filters=(self.filters, 8),
            num_layers=(self.num_layers, 1),
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

    def prepare(self, context: TeacherContext) -> TrainedTeacher | FoldTeacher:
        """Trains, or loads what was trained before in the same folder."""
        if self.num_folds > 1:
            return cross_fit(self._train, context, self.num_folds)
        return self._train(context)

    def _train(self, context: TeacherContext) -> TrainedTeacher:
        precision = settled_precision(context.folder, self.precision, context.device)
        texts = [str(text) for text in context.labelled.inputs]
        tokenizer_json = learn_tokenizer(texts, vocabulary_size=self.vocabulary_size, unit=self.unit)
        tokens = TextTokens(tokenizer_json=tokenizer_json, max_length=self.max_length)
        module = self._network(tokenizer_json, context.schema.num_logits, context.seed)
        student = Student(module=module, preprocessor=tokens, schema=context.schema)
        fit(student, self._plan(len(texts), precision, context.seed), context, augmentation=self.word_dropout)
        return TrainedTeacher(student=student, precision=precision, device=context.device)

    def _network(self, tokenizer_json: str, num_logits: int, seed: int) -> TextCnn | EncoderClassifier:
        from tokenizers import Tokenizer

        size = Tokenizer.from_str(tokenizer_json).get_vocab_size()
        torch.manual_seed(seed)
        if self.architecture == "cnn":
            table_VD = np.random.default_rng(seed).normal(0, 0.5, (size, self.width)).astype(np.float32)
            table_VD[0] = 0
            return TextCnn(table_VD, (self.filters, self.filters), num_logits, self.dropout)
        shape = BertShape(
            vocabulary_size=size,
            width=self.width,
            num_layers=self.num_layers,
            num_heads=self.width // 64,
            feed_forward=4 * self.width,
            max_positions=max(self.max_length, 8),
        )
        return EncoderClassifier(Bert(shape, dropout=self.dropout), num_logits)

    def _plan(self, num_rows: int, precision: str, seed: int) -> Plan:
        num_epochs = self.num_epochs or int(np.clip(round(600_000 / max(num_rows, 1)), 5, 40))
        per_epoch = steps_per_epoch(num_rows, self.batch_size)
        return Plan(
            num_steps=num_epochs * per_epoch,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            evaluate_every=per_epoch,
            patience=4,
            precision=precision,
            seed=seed,
            num_threads=self.num_threads or usual_threads(),
        )
