"""A network of all classes that answers with some and the sum of the others."""

import numpy as np
import torch
from torch import nn

from potstill.signals import project
from potstill.students.base import Student, StudentOutput
from potstill.students.summing import in_service, inner_network
from potstill.types import Field, LabelSchema

ALL = LabelSchema((Field(name="label", classes=("a", "b", "c", "d", "e")),))
SOME = LabelSchema((Field(name="label", classes=("d", "b", "other")),))


class Known(nn.Module):
    """Says what it is given."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 5)

    def forward(self, logits):
        return StudentOutput(logits + 0 * self.head.weight.sum(), logits)


def test_other_gets_the_mass_of_the_rest():
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 5, (20, 5)))
    student = Student(module=Known(), preprocessor=None, schema=ALL)
    served = in_service(student, SOME)
    assert served.schema == SOME and inner_network(served.module) is student.module
    found = served.module(logits=logits)
    expected, _ = project(logits.numpy(), ALL, SOME)
    np.testing.assert_allclose(found.logits.softmax(1).detach(), np.exp(expected), atol=1e-6)
    assert found.embedding is logits
    # Far from 0 nothing overflows.
    assert served.module(logits=logits * 1000).logits.isfinite().all()


def test_what_a_service_keeps_whole_stays_as_it_is():
    student = Student(module=Known(), preprocessor=None, schema=ALL)
    assert in_service(student, ALL) is student
    assert inner_network(student.module) is student.module


def test_all_classes_learn():
    served = in_service(Student(module=Known(), preprocessor=None, schema=ALL), SOME)
    logits = torch.zeros(1, 5, requires_grad=True)
    served.module(logits=logits).logits[0, 2].backward()
    np.testing.assert_allclose(logits.grad, [[1 / 3, 0, 1 / 3, 0, 1 / 3]], atol=1e-6)
