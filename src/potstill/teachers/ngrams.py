"""A teacher of n-grams: no network, some seconds of work, and hard to beat where endings and set phrases decide.

Shapes: N rows, C logits, V buckets, M entries of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data.rows import Rows
from potstill.data.splits import fold_numbers
from potstill.errors import ConfigurationError
from potstill.losses import CrossEntropy
from potstill.runtime.preprocess import HashedNgrams
from potstill.students.base import Student
from potstill.students.linear import LinearNgrams, ngram_student
from potstill.teachers.base import TeacherContext, check_least
from potstill.teachers.fit import student_context, usual_threads, working_folder
from potstill.teachers.folds import FoldTeacher, cross_fit
from potstill.teachers.trained import TrainedTeacher
from potstill.training.checkpoint import Checkpoint, load_newest, save_checkpoint
from potstill.training.task import label_sum, negative_log_likelihood
from potstill.types import IntArray

# Where all rows teach, one part in so many is held out to choose the strength.
HELD_OUT = 10
MOST_ITERATIONS = 60
MANY = 1000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ngrams:
    """TF-IDF of hashed word and character n-grams under softmax regression, fitted to its optimum.

    Beside a network in an `ensemble` it errs elsewhere, so the two are better than each; it is also the cheapest
    teacher for a language that no encoder at hand knows.

    Attributes:
        num_buckets: rows of the table; n-grams that fall together share one.
        word_ngrams: lengths of word n-grams, from and to.
        char_ngrams: lengths of character n-grams, from and to.
        across_words: whether character n-grams run across words, over the whole text with its ends marked.
        least_count: labelled texts that a bucket must stand in, else it isn't looked at; None takes 2 from a thousand
            labelled rows on. N-grams that came once are most of a text's weight, and say little about the next one.
        strengths: of the fit, tried in turn: the larger, the closer to the labelled rows (the inverse of the weight of
            the squared weights, scikit-learn's `C`).
        num_folds: above 1, as many teachers are fitted, each without one fold of the labelled rows; it answers those,
            and the mean of all answers the rest.
        num_threads: of torch while it is fitted; 0 takes OMP_NUM_THREADS, else the machine's cores, four at most.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["ngrams"] = "ngrams"
    num_buckets: int = 262_144
    word_ngrams: tuple[int, int] = (1, 2)
    char_ngrams: tuple[int, int] = (1, 5)
    across_words: bool = True
    least_count: int | None = None
    strengths: tuple[float, ...] = (3.0, 10.0, 30.0)
    num_folds: int = 1
    num_threads: int = 0
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_least(
            num_buckets=(self.num_buckets, 16), num_folds=(self.num_folds, 1), num_threads=(self.num_threads, 0)
        )
        if not self.strengths or not min(self.strengths) > 0:
            raise ConfigurationError(
                f"teacher.strengths is {list(self.strengths)}; expected at least one number, and all above 0"
            )

    def config(self) -> dict[str, Any]:
        """All options."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def prepare(self, context: TeacherContext) -> TrainedTeacher | FoldTeacher:
        """Fits, or loads what was fitted before in the same folder."""
        if self.num_folds > 1:
            return cross_fit(self._fit, context, self.num_folds)
        return self._fit(context)

    def _fit(self, context: TeacherContext) -> TrainedTeacher:
        torch.set_num_threads(self.num_threads or usual_threads())
        ngrams = HashedNgrams(
            num_buckets=self.num_buckets,
            word_ngrams=self.word_ngrams,
            char_ngrams=self.char_ngrams,
            across_words=self.across_words,
            idf=None,
        )
        least_count = self.least_count or (2 if len(context.labelled) >= MANY else 1)
        student = ngram_student(student_context(context), ngrams, least_count=least_count)
        settings = {"strengths": list(self.strengths), "iterations": MOST_ITERATIONS, "torch": torch.__version__}
        with working_folder(student, settings, context) as folder:
            kept = load_newest(folder)
            if kept is None:
                strength = _fit_best(student, self.strengths, context)
                tensors = {"model": dict(student.module.state_dict())}
                save_checkpoint(folder, Checkpoint(step=1, tensors=tensors, state={"strength": strength}))
            else:
                student.module.load_state_dict(kept.tensors["model"])
        return TrainedTeacher(student=replace(student, module=student.module.eval()), precision="fp32", device="cpu")


def _fit_best(student: Student, strengths: Sequence[float], context: TeacherContext) -> float:
    """Fits in place with the strength that is best on dev, or on rows held out where all of dev teaches."""
    labelled, dev = context.labelled, context.dev
    context.progress.stage("teacher: n-grams", len(strengths) + (len(dev) == 0))
    is_held_out = len(dev) == 0
    if is_held_out:
        fold_N = fold_numbers(labelled.labels, labelled.digests(), HELD_OUT, seed=context.seed)
        labelled, dev = (labelled.take(np.flatnonzero(part)) for part in (fold_N != 0, fold_N == 0))
    best, best_score, kept = strengths[0], float("inf"), {}
    bags = _Bags.of(student, labelled)
    for strength in sorted(strengths):
        # Each fit starts from the one before, which was held tighter.
        _solve(student, bags, labelled.labels, strength)
        score = negative_log_likelihood(student.schema, student.logits(dev.inputs), dev.labels)
        if score < best_score:
            best, best_score = strength, score
            kept = {name: tensor.clone() for name, tensor in student.module.state_dict().items()}
        context.progress.advance()
    student.module.load_state_dict(kept or student.module.state_dict())
    if is_held_out:
        bags = _Bags.of(student, context.labelled)
        _solve(student, bags, context.labelled.labels, best)
        context.progress.advance()
    return best


@dataclass(frozen=True, kw_only=True)
class _Bags:
    """The rows' entries by row and by bucket, so that both products of the fit are sums over neighbours.

    Attributes:
        ids_M: bucket of each entry, row after row.
        weights_M: its weight.
        starts_N: where a row starts.
        rows_M: row of each entry, bucket after bucket.
        bucket_weights_M: its weight in that order.
        starts_V: where a bucket starts.
    """

    ids_M: Tensor
    weights_M: Tensor
    starts_N: Tensor
    rows_M: Tensor
    bucket_weights_M: Tensor
    starts_V: Tensor

    @classmethod
    def of(cls, student: Student, rows: Rows) -> _Bags:
        assert isinstance(student.preprocessor, HashedNgrams), "built above"
        encoded = student.preprocessor.encode(rows.inputs)
        counts_N = np.array([len(ids) for ids, _ in encoded])
        ids_M = np.concatenate([ids for ids, _ in encoded]).astype(np.int64)
        weights_M = np.concatenate([weights for _, weights in encoded])
        order = np.argsort(ids_M, kind="stable")
        rows_M = np.repeat(np.arange(len(encoded)), counts_N)[order]
        starts_V = np.searchsorted(ids_M[order], np.arange(student.preprocessor.num_buckets))
        starts_N = np.cumsum(counts_N) - counts_N
        arrays = (ids_M, weights_M, starts_N, rows_M, weights_M[order], starts_V)
        return cls(**dict(zip(cls.__dataclass_fields__, map(torch.from_numpy, arrays), strict=True)))

    def sums_by_row(self, table_VC: Tensor) -> Tensor:
        """The rows times a table: N x C."""
        return F.embedding_bag(self.ids_M, table_VC, self.starts_N, mode="sum", per_sample_weights=self.weights_M)

    def sums_by_bucket(self, table_NC: Tensor) -> Tensor:
        """The transposed rows times a table: V x C."""
        return F.embedding_bag(
            self.rows_M, table_NC, self.starts_V, mode="sum", per_sample_weights=self.bucket_weights_M
        )


def _solve(student: Student, bags: _Bags, labels_NL: IntArray, strength: float) -> None:
    """Mean cross-entropy plus the squared weights, by L-BFGS over all rows; convex, so nothing random decides."""
    module, labels = student.module, torch.from_numpy(labels_NL).long()
    assert isinstance(module, LinearNgrams), "built above"
    table_VC, bias_C = module.rows.weight, module.bias
    optimizer = torch.optim.LBFGS(
        module.parameters(), max_iter=MOST_ITERATIONS, history_size=8, line_search_fn="strong_wolfe"
    )

    @torch.no_grad()
    def objective() -> Tensor:
        # By hand: the gradient of a table lookup sorts all entries again in every step.
        logits_NC = (bags.sums_by_row(table_VC) + bias_C).requires_grad_()
        with torch.enable_grad():
            likelihood = label_sum(CrossEntropy(), student.schema, logits_NC, labels) / len(labels)
            (slope_NC,) = torch.autograd.grad(likelihood, logits_NC)
        pull = 1 / (strength * len(labels))
        table_VC.grad = bags.sums_by_bucket(slope_NC) + pull * table_VC
        bias_C.grad = slope_NC.sum(0)
        return likelihood.detach() + 0.5 * pull * table_VC.square().sum()

    optimizer.step(objective)  # type: ignore[no-untyped-call]
