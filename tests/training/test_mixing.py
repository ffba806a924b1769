"""A mixture has the labels of both its rows."""

import numpy as np
import pytest
import torch

from potstill.data.views import Views
from potstill.losses import CrossEntropy
from potstill.students.base import StudentOutput
from potstill.training.task import DistillationTask, Term, TransferSet, ViewedInputs
from potstill.types import UNLABELLED, Field, LabelSchema
from tests.media import pictures

SCHEMA = LabelSchema(fields=(Field(name="label", classes=("blue", "green", "red")),))
ROWS = pictures(12)
INPUTS = [array for array, _ in ROWS]
LABELS = np.array([[("blue", "green", "red").index(name)] for _, name in ROWS], np.int32)


class Means(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.05))

    def forward(self, pixels):
        logits = pixels.float().mean((1, 2)) * self.scale
        return StudentOutput(logits, logits)


class Rows:
    schema = SCHEMA

    def __init__(self):
        self.module = Means()
        self.preprocessor = self

    def encode(self, inputs):
        return inputs

    def batch(self, encoded):
        return {"pixels": np.stack(encoded)}


def task_of(labels, mix="mixup"):
    views = Views(num_views=2, flip=False, mix=mix)
    transfer = TransferSet(
        encoded=INPUTS,
        lengths=np.ones(len(INPUTS), np.int64),
        labels=labels,
        views=ViewedInputs(views=views, inputs=INPUTS),
    )
    terms = [Term("cross_entropy", 1.0, CrossEntropy())]
    # One step an epoch, so that step 1 shows view 1.
    return views, DistillationTask(
        Rows(), transfer, dev_encoded=INPUTS, dev_labels=labels, terms=terms, batch_size=len(INPUTS)
    )


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_the_loss_is_that_of_both_labels_by_their_shares(mix):
    views, task = task_of(LABELS, mix)
    found = task.loss(np.arange(len(INPUTS)), 1)
    expected = 0.0
    for i, log_p in enumerate(torch.log_softmax(found.output.logits.detach().double(), 1)):
        shown = views.show(INPUTS, i, 1)
        expected -= shown.share * log_p[LABELS[i, 0]] + (1 - shown.share) * log_p[LABELS[shown.partner, 0]]
    assert float(found.total.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_a_mixture_with_an_unlabelled_row_has_no_label():
    labels = LABELS.copy()
    views, task = task_of(labels)
    i = next(i for i in range(len(INPUTS)) if views.show(INPUTS, i, 1).partner != i)
    assert float(task.loss(np.array([i]), 1).total.detach()) > 0
    labels[views.show(INPUTS, i, 1).partner] = UNLABELLED
    assert float(task.loss(np.array([i]), 1).total.detach()) == 0
