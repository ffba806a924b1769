import numpy as np
import pytest

from potstill.data.views import Views
from potstill.recipe.contest import Lesson
from potstill.recipe.passing_on import passed_on
from potstill.training.task import ViewedInputs
from potstill.types import UNLABELLED, Field, LabelSchema

SCHEMA = LabelSchema(fields=(Field(name="label", classes=("cat", "tiger", "ship")),))
SAID = np.array([[0.8, 0.15, 0.05], [0.7, 0.3, 1e-9], [0.4, 0.6, 1e-9], [1e-9, 1e-9, 1.0], [0.55, 0.45, 1e-9]])
LABELS = np.array([[0], [UNLABELLED], [0], [2], [0]], np.int32)


def lesson(**changes):
    values = {
        "inputs": [np.full((4, 4, 3), 40 * i, np.uint8) for i in range(5)],
        "labels": LABELS,
        "teacher_logits": np.log(SAID).astype(np.float32),
        "known": np.array([True] * 4 + [False]),
        "digest": "",
    }
    return Lesson(**{**values, **changes})


def test_likenesses_are_mean_probabilities_over_the_rows_of_a_class():
    found = dict(passed_on(lesson(), SCHEMA).likenesses)
    # Rows 0 and 2 are labelled cat; row 1 is one to the teacher, and row 4 was never answered.
    assert found.keys() == {"cat"}
    assert [name for name, _ in found["cat"]] == ["tiger", "ship"]
    assert found["cat"][0][1] == pytest.approx((0.15 + 0.3 + 0.6) / 3, abs=1e-6)


def test_examples_are_rows_where_a_right_teacher_was_torn():
    found = passed_on(lesson(), SCHEMA).examples
    assert [int(example.value[0, 0, 0]) for example in found] == [40, 0]
    assert found[0].label == "" and found[1].label == "cat"
    assert found[0].said[0] == ("cat", pytest.approx(0.7, abs=1e-6))


def test_views_come_with_their_own_soft_labels():
    views = Views(num_views=3, flip=True)
    inputs = lesson().inputs
    logits = np.zeros((2, 5, 3), np.float16)
    logits[1, :, 1] = 5
    viewed = ViewedInputs(views=views, inputs=inputs, teacher_logits=logits)
    found = passed_on(lesson(views=viewed), SCHEMA).views
    assert [len(line) for line in found] == [3, 3]
    assert np.array_equal(found[0][2].value, views.view(inputs[1], 2))
    assert found[0][2].said[0][0] == "tiger"
    assert found[0][1].said[0][1] == pytest.approx(1 / 3, abs=1e-3)


def test_nothing_is_told_without_a_teacher_or_a_single_answer():
    several = LabelSchema(fields=(Field(name="tags", classes=("a", "b", "c"), multi=True),))
    assert passed_on(lesson(teacher_logits=None), SCHEMA).likenesses == ()
    assert passed_on(lesson(), several).likenesses == ()
