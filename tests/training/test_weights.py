"""Rows that count more than others."""

import numpy as np
import torch

from potstill.losses import CrossEntropy, ForwardKL
from potstill.students.base import StudentOutput
from potstill.training.task import DistillationTask, Term, TransferSet, count_right
from potstill.types import Field, LabelSchema

SCHEMA = LabelSchema(fields=(Field(name="label", classes=("a", "b")),))
INPUTS = [np.eye(2, dtype=np.float32)[i % 2] for i in range(4)]
LABELS = np.array([[0], [1], [0], [-1]], np.int32)
LOGITS = np.array([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [0.0, 1.0]], np.float32)


class Straight(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, values):
        return StudentOutput(values * self.scale, values)


class Rows:
    """A student whose inputs are its features."""

    schema = SCHEMA

    def __init__(self):
        self.module = Straight()
        self.preprocessor = self

    def batch(self, encoded):
        return {"values": np.stack(encoded)}


def losses(weights, positions):
    transfer = TransferSet(
        encoded=INPUTS, lengths=np.ones(4, np.int64), labels=LABELS, teacher_logits=LOGITS, weights=weights
    )
    terms = [Term("cross_entropy", 1.0, CrossEntropy()), Term("distillation", 0.5, ForwardKL(temperature=1.0))]
    task = DistillationTask(Rows(), transfer, dev_encoded=INPUTS, dev_labels=LABELS, terms=terms)
    return task.loss(np.array(positions), 0)


def test_a_weight_of_two_is_a_row_that_comes_twice():
    weighted = losses(np.array([1, 2, 1, 2], np.float32), [0, 1, 2, 3])
    repeated = losses(None, [0, 1, 1, 2, 3, 3])
    assert set(weighted.parts) == {"cross_entropy", "distillation"}
    for name, part in weighted.parts.items():
        torch.testing.assert_close(part, repeated.parts[name])
        assert float(part.detach()) > 0


def test_equal_weights_change_nothing():
    plain, weighted = losses(None, [0, 1, 3]), losses(np.ones(4, np.float32), [0, 1, 3])
    torch.testing.assert_close(plain.total, weighted.total)


def test_a_row_is_right_where_every_known_field_is():
    schema = LabelSchema(
        fields=(Field(name="one", classes=("a", "b", "c")), Field(name="many", classes=("x", "y"), multi=True))
    )
    logits = torch.tensor([[2.0, 1, 0, 1, -1], [2.0, 1, 0, 1, -1], [2.0, 1, 0, 1, 1], [0.0, 1, 0, 1, 1]])
    labels = torch.tensor([[0, 1, 0], [1, 1, 0], [0, -1, -1], [-1, -1, -1]])
    assert count_right(schema, logits, labels) == (2, 3)


def test_a_step_counts_its_labelled_rows():
    found = losses(None, [0, 1, 2, 3])
    assert (found.num_right, found.num_judged) == (3, 3)
