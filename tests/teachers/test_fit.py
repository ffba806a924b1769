"""What is trained once is loaded the next time, and only where nothing that matters has changed."""

from dataclasses import replace

import pytest

from potstill.teachers import Network, fit
from potstill.training.device import Numerics
from potstill.types import Silent
from tests.media import pictures
from tests.teachers.contexts import picture_context

TEACHER = Network(depth=8, width=4, num_epochs=2, batch_size=16, num_threads=1)


class Steps(Silent):
    """Counts steps of training."""

    def __init__(self):
        self.count = 0

    def advance(self, count=1):
        self.count += count


def trained(context, teacher=TEACHER):
    """Its identity, and the number of steps that it took."""
    steps = Steps()
    return teacher.prepare(replace(context, progress=steps)).identity(), steps.count


@pytest.fixture
def context(tmp_path):
    return picture_context(tmp_path)


def test_the_same_teacher_is_not_trained_twice(context):
    first, steps = trained(context)
    assert steps > 0
    assert trained(context) == (first, 0)
    assert trained(replace(context, unlabelled=context.dev, test=context.dev)) == (first, 0)


@pytest.mark.parametrize("changed", ["labelled", "dev", "seed", "plan"])
def test_what_matters_trains_anew(context, changed):
    trained(context)
    fewer = range(len(context.labelled) - 1)
    others = {
        "labelled": (replace(context, labelled=context.labelled.take(list(fewer))), TEACHER),
        "dev": (replace(context, dev=context.dev.take([0])), TEACHER),
        "seed": (replace(context, seed=1), TEACHER),
        "plan": (context, replace(TEACHER, learning_rate=1e-3)),
    }
    assert trained(*others[changed])[1] > 0


def test_a_machine_times_once(context, monkeypatch):
    """Timings vary, and with them would the teacher, whose answers would then be asked for again."""
    found = iter([Numerics(precision="fp32", channels_last=True), Numerics(precision="bf16")])
    monkeypatch.setattr(fit, "probe_network", lambda *args, **options: next(found))
    first, _ = trained(context)
    assert trained(context) == (first, 0)


def test_another_number_of_threads_is_the_same_teacher(context):
    first, _ = trained(context)
    assert trained(context, replace(TEACHER, num_threads=2)) == (first, 0)


def test_pictures_that_differ_in_one_dot_are_other_rows(context):
    trained(context)
    inputs = [array.copy() for array, _ in pictures(len(context.labelled))]
    inputs[0][0, 0] ^= 1
    assert trained(replace(context, labelled=replace(context.labelled, inputs=inputs)))[1] > 0
