"""The task of distillation: what one step's loss is, and how good the student is on dev.

Shapes: N rows, B batch, L label columns, C logits, K classes of one field, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from potstill.data.views import Views
from potstill.losses import CrossEntropy, Loss
from potstill.students.base import Student, StudentOutput, as_tensors, encoded_logits
from potstill.students.bert import mean_pool
from potstill.training.batches import steps_per_epoch
from potstill.training.seeds import generator
from potstill.types import FloatArray, Input, IntArray, LabelSchema


class Term(NamedTuple):
    """A loss with its name and weight."""

    name: str
    weight: float
    loss: Loss


class StepLoss(NamedTuple):
    """The loss of one batch.

    Attributes:
        total: weighted sum over the rows of the batch (the loop divides by the batch size).
        parts: unweighted sums by name of the term.
        output: what the student said.
        num_right: labels (or tokens) that it said right, with the dropout and noise of training.
        num_judged: of so many.
    """

    total: Tensor
    parts: dict[str, Tensor]
    output: StudentOutput
    num_right: int = 0
    num_judged: int = 0


class Score(NamedTuple):
    """How a student does on dev.

    Attributes:
        nats: NLL, a row or a token; lower is better, NaN without dev.
        accuracy: share of rows with every field right, or of tokens; NaN where nobody counts.
    """

    nats: float
    accuracy: float = float("nan")


class Task(Protocol):
    """What the loop needs to know of a task."""

    @property
    def trainable(self) -> nn.Module:
        """All that is trained and saved."""
        ...

    @property
    def lengths(self) -> IntArray:
        """Length of each of the N training rows."""
        ...

    def loss(self, positions_B: IntArray, step: int) -> StepLoss:
        """The loss of the rows at these positions."""
        ...

    def score(self) -> Score:
        """How the student does on dev."""
        ...


@dataclass(frozen=True, kw_only=True)
class TransferSet:
    """The rows a student learns from, encoded once.

    Attributes:
        encoded: N encoded inputs.
        lengths: N.
        labels: N x L, `UNLABELLED` where nothing is known.
        teacher_logits: N x C, None for a contender without a teacher.
        known: N, whether the teacher answered this row.
        teacher_embedding: N x D, pooled features of the teacher; None where not asked for.
        teacher_hidden: N x H, pooled hidden states of the teacher's layers that the student took, side by side; None
            where not asked for.
        views: of the rows, where they are pictures or sounds; None trains on the rows alone.
        weights: N, how much a row counts, mean 1; None counts all alike.
    """

    encoded: Sequence[Any]
    lengths: IntArray
    labels: IntArray
    teacher_logits: FloatArray | None = None
    known: IntArray | None = None
    teacher_embedding: FloatArray | None = None
    teacher_hidden: FloatArray | None = None
    views: ViewedInputs | None = None
    weights: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class ViewedInputs:
    """The views of the rows, beside the rows themselves.

    Attributes:
        views: how a view is made.
        inputs: N inputs.
        teacher_logits: V - 1 x N x C, of the views after the first; None for a contender without a teacher.
        known: V - 1 x N, whether the teacher answered; None where it wasn't asked.
    """

    views: Views
    inputs: Sequence[Input]
    teacher_logits: FloatArray | None = None
    known: IntArray | None = None


class _Mixing(NamedTuple):
    """Position of the row that was mixed into each of a batch, and the share of the row itself."""

    partners_B: IntArray
    shares_B: FloatArray


def encode_rows(student: Student, inputs: Sequence[Any]) -> tuple[Sequence[Any], IntArray]:
    """Encoded inputs with their lengths."""
    encoded = student.preprocessor.encode(inputs)
    return encoded, np.array([student.preprocessor.length(item) for item in encoded], np.int64)


class DistillationTask:
    """True labels where they are, the teacher's answers where they are; with no teacher it is a control's task."""

    def __init__(
        self,
        student: Student,
        transfer: TransferSet,
        *,
        dev_encoded: Sequence[Any],
        dev_labels: IntArray,
        terms: Sequence[Term],
        dev_weights: FloatArray | None = None,
        augmentation: float = 0.0,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        self.student = student
        self.transfer = transfer
        self.terms = tuple(terms)
        self.augmentation = augmentation
        self.seed = seed
        self.dev_encoded = dev_encoded
        self.dev_labels = dev_labels
        self.dev_weights = dev_weights
        self._projection = self._make_projection()
        modules: dict[str, nn.Module] = {"student": student.module}
        if self._projection is not None:
            modules["projection"] = self._projection
        self._trainable = nn.ModuleDict(modules)
        self._steps_per_epoch = steps_per_epoch(len(transfer.lengths), batch_size)

    @property
    def trainable(self) -> nn.Module:
        """The student, and the linear map of an embedding loss."""
        return self._trainable

    @property
    def lengths(self) -> IntArray:
        """Length of each row."""
        return self.transfer.lengths

    def _make_projection(self) -> nn.Linear | None:
        target = self.transfer.teacher_embedding
        if target is None:
            return None
        batch = self.student.preprocessor.batch([self.transfer.encoded[0]])
        with torch.no_grad():
            width = self.student.module(**as_tensors(batch)).embedding.shape[1]
        torch.manual_seed(self.seed)
        return nn.Linear(width, target.shape[1], bias=False)

    def loss(self, positions_B: IntArray, step: int) -> StepLoss:
        """Sums over the rows of a batch; a row counts in a term only if it has that term's signal."""
        device = next(self._trainable.parameters()).device
        number = self._view_number(step)
        encoded, mixing = self._shown(positions_B, number)
        batch = self.student.preprocessor.batch(encoded)
        if self.augmentation:
            batch = augment(batch, self.augmentation, generator(self.seed, "augment", step))
        output: StudentOutput = self.student.module(**as_tensors(batch, device))
        parts = {
            term.name: self._label_term(term.loss, output, positions_B, mixing)
            if term.loss.needs == "labels"
            else self._term(term.loss, output, batch, positions_B, number)
            for term in self.terms
        }
        total = torch.stack([term.weight * parts[term.name] for term in self.terms]).sum()
        if mixing is not None:
            return StepLoss(total, parts, output)
        labels_BL = torch.from_numpy(self.transfer.labels[positions_B]).to(device)
        return StepLoss(total, parts, output, *count_right(self.student.schema, output.logits.detach(), labels_BL))

    def _view_number(self, step: int) -> int:
        """Every epoch shows another view, in turns."""
        viewed = self.transfer.views
        return (step // self._steps_per_epoch) % viewed.views.num_views if viewed else 0

    def _shown(self, positions_B: IntArray, number: int) -> tuple[list[Any], _Mixing | None]:
        """What the student is shown of these rows, encoded, and what was mixed into it."""
        viewed = self.transfer.views
        if viewed is None or number == 0:
            return [self.transfer.encoded[i] for i in positions_B], None
        shown = [viewed.views.show(viewed.inputs, int(i), number) for i in positions_B]
        encoded = list(self.student.preprocessor.encode([one.value for one in shown]))
        if viewed.views.mix == "none":
            return encoded, None
        partners, shares = [one.partner for one in shown], [one.share for one in shown]
        return encoded, _Mixing(np.array(partners, np.int64), np.array(shares, np.float32))

    def _answers(self, number: int) -> tuple[FloatArray | None, IntArray | None]:
        """The teacher's logits of a view, N x C, and which are known."""
        viewed = self.transfer.views
        if viewed is None or number == 0 or viewed.teacher_logits is None:
            return self.transfer.teacher_logits, self.transfer.known
        return viewed.teacher_logits[number - 1], None if viewed.known is None else viewed.known[number - 1]

    def _label_term(self, loss: Loss, output: StudentOutput, positions_B: IntArray, mixing: _Mixing | None) -> Tensor:
        """A mixture has the labels of both its rows, by their shares; it has none where either is unlabelled."""
        device, schema, labels = output.logits.device, self.student.schema, self.transfer.labels
        own_BL = torch.from_numpy(labels[positions_B]).to(device).long()
        weights_B = self._weights(positions_B, device)
        if mixing is None:
            return label_sum(loss, schema, output.logits, own_BL, weights_B)
        other_BL = torch.from_numpy(labels[mixing.partners_B]).to(device).long()
        share_B = torch.from_numpy(mixing.shares_B).to(device)
        other_weights_B = self._weights(mixing.partners_B, device)
        total = output.logits.new_zeros((), dtype=torch.float32)
        for known_BL, beside_BL, weight_B, part_B in (
            (own_BL, other_BL, weights_B, share_B),
            (other_BL, own_BL, other_weights_B, 1 - share_B),
        ):
            both_BL = torch.where(beside_BL < 0, beside_BL, known_BL)
            total = total + label_sum(
                loss, schema, output.logits, both_BL, part_B if weight_B is None else part_B * weight_B
            )
        return total

    def _term(
        self, loss: Loss, output: StudentOutput, batch: dict[str, Any], positions_B: IntArray, number: int
    ) -> Tensor:
        device = output.logits.device
        logits_NC, known = self._answers(number)
        mask_B = torch.ones(len(positions_B), device=device)
        if known is not None:
            mask_B = torch.from_numpy(known[positions_B].astype(np.float32)).to(device)
        if (weights_B := self._weights(positions_B, device)) is not None:
            mask_B = mask_B * weights_B
        if loss.needs == "logits":
            assert logits_NC is not None, "a distillation loss without a teacher's logits"
            target_BC = torch.from_numpy(logits_NC[positions_B].astype(np.float32)).to(device)
            return (logit_values(loss, self.student.schema, output.logits, target_BC) * mask_B).sum()
        if loss.needs == "hidden":
            assert self.transfer.teacher_hidden is not None and output.hidden, "no hidden states to compare"
            target_BH = torch.from_numpy(self.transfer.teacher_hidden[positions_B]).to(device)
            return (loss(pooled_hidden(output.hidden, batch["ids"]), target_BH) * mask_B).sum()
        assert self.transfer.teacher_embedding is not None and self._projection is not None, "no features to compare"
        target_BD = torch.from_numpy(self.transfer.teacher_embedding[positions_B].astype(np.float32)).to(device)
        return (loss(self._projection(output.embedding.float()), target_BD) * mask_B).sum()

    def _weights(self, positions_B: IntArray, device: torch.device) -> Tensor | None:
        weights = self.transfer.weights
        return None if weights is None else torch.from_numpy(weights[positions_B]).to(device)

    def score(self) -> Score:
        """NLL on dev in nats a row, fields summed, and accuracy."""
        schema, logits_NC = self.student.schema, encoded_logits(self.student, self.dev_encoded)
        nats = negative_log_likelihood(schema, logits_NC, self.dev_labels, self.dev_weights)
        right, judged = count_right(schema, torch.from_numpy(logits_NC), torch.from_numpy(self.dev_labels))
        return Score(nats, right / judged if judged else float("nan"))


def pooled_hidden(hidden: Sequence[Tensor], ids_BT: Any) -> Tensor:
    """Mean over the tokens of every layer's hidden state (that of the embeddings apart), side by side: B x H."""
    ids = torch.from_numpy(np.ascontiguousarray(ids_BT)).to(hidden[0].device)
    return torch.cat([mean_pool(state.float(), ids) for state in hidden[1:]], dim=1)


def two_class(logits_BK: Tensor) -> Tensor:
    """K sigmoid logits as B * K rows of two classes (no, yes)."""
    flat = logits_BK.reshape(-1)
    return torch.stack([torch.zeros_like(flat), flat], dim=-1)


def label_sum(
    loss: Loss, schema: LabelSchema, logits_BC: Tensor, labels_BL: Tensor, weights_B: Tensor | None = None
) -> Tensor:
    """Sum of a label loss over rows and fields, each row by its weight; negative labels don't count."""
    total = logits_BC.new_zeros((), dtype=torch.float32)
    for field, logit, column in schema.parts():
        target = labels_BL[:, column].reshape(-1)
        logits = two_class(logits_BC[:, logit]) if field.multi else logits_BC[:, logit]
        values = loss(logits, target.clamp(min=0))
        if weights_B is not None:
            values = (values.reshape(len(weights_B), -1) * weights_B[:, None]).reshape(-1)
        total = total + (values * (target >= 0)).sum()
    return total


def logit_values(loss: Loss, schema: LabelSchema, logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """Values of a distillation loss, fields summed, shape B."""
    values_B = logits_BC.new_zeros(len(logits_BC), dtype=torch.float32)
    for field, logit, _ in schema.parts():
        student, teacher = logits_BC[:, logit], target_BC[:, logit]
        if field.multi:
            values_B = values_B + loss(two_class(student), two_class(teacher)).reshape(student.shape).sum(1)
        else:
            values_B = values_B + loss(student, teacher)
    return values_B


def count_right(schema: LabelSchema, logits_BC: Tensor, labels_BL: Tensor) -> tuple[int, int]:
    """Rows whose every known field is right, and rows with a label."""
    is_right_B = (labels_BL >= 0).any(1)
    num_judged = int(is_right_B.sum())
    for field, logit, column in schema.parts():
        own_BK, said_BC = labels_BL[:, column], logits_BC[:, logit]
        said_BK = (said_BC > 0).long() if field.multi else said_BC.argmax(1, keepdim=True)
        is_right_B = is_right_B & ((said_BK == own_BK) | (own_BK < 0)).all(1)
    return int(is_right_B.sum()), num_judged


def negative_log_likelihood(
    schema: LabelSchema, logits_NC: FloatArray, labels_NL: IntArray, weights_N: FloatArray | None = None
) -> float:
    """NLL in nats over the rows that have any label; NaN when none has."""
    known = (labels_NL >= 0).any(1)
    if not known.any():
        return float("nan")
    logits = torch.from_numpy(logits_NC[known])
    labels = torch.from_numpy(labels_NL[known]).long()
    weights = None if weights_N is None else torch.from_numpy(weights_N[known])
    return float(label_sum(CrossEntropy(), schema, logits, labels, weights)) / int(known.sum())


def augment(batch: dict[str, Any], share: float, random: np.random.Generator) -> dict[str, Any]:
    """Label-keeping noise: texts lose a share of their pieces (never the first), pictures move by up to one pixel."""
    if "ids" in batch:
        kept = random.random(batch["ids"].shape) >= share
        kept[:, 0] = True
        return {name: array * kept for name, array in batch.items()}
    pixels = batch["pixels"]
    padded = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    moved = np.empty_like(pixels)
    height, width = pixels.shape[2:]
    for i, (y, x) in enumerate(random.integers(0, 3, (len(pixels), 2))):
        moved[i] = padded[i, :, y : y + height, x : x + width]
    return {"pixels": moved}


def gradient_norms(step: StepLoss) -> dict[str, float]:
    """Norm of each term's gradient with respect to the logits: which signal really steers."""
    norms = {}
    for name, part in step.parts.items():
        (gradient,) = torch.autograd.grad(part, step.output.logits, retain_graph=True, allow_unused=True)
        norms[name] = 0.0 if gradient is None else float(gradient.float().norm())
    return norms
