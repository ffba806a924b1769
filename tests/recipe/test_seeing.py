"""Teacher and student look at the same views; the store gives back the answer to that view and no other."""

import numpy as np
import pytest

from potstill.data import DataOptions, load_data
from potstill.data.views import Views
from potstill.recipe.seeing import answer_views
from potstill.signals import Store
from potstill.types import Answers, Silent
from tests.media import pictures


class Meaner:
    """Its logits are the mean colour of what it is shown, so an answer tells which input it belongs to."""

    num_parameters = 0

    def __init__(self, schema):
        self.schema = schema
        self.num_asked = 0

    def identity(self):
        return {"kind": "meaner"}

    def answer(self, inputs):
        self.num_asked += len(inputs)
        yield Answers(
            positions=np.arange(len(inputs)),
            logits=np.stack([value.mean((0, 1)) for value in inputs]).astype(np.float32),
            refused={},
        )


@pytest.fixture
def data():
    rows = pictures(30)
    table = {"image": [array for array, _ in rows], "label": [label for _, label in rows]}
    return load_data(DataOptions(image="image", label=("label",)), tables={"train": table})


def seen(data, store, teacher, **changes):
    views = Views(**{"num_views": 4, "flip": True, **changes})
    return views, answer_views(teacher, views, data.train.inputs, data, store, Silent())


def matches(views, found, inputs):
    """Whether every kept answer is that of the very view that a student would be shown."""
    return all(
        np.allclose(found.viewed.teacher_logits[number - 1, i], views.view(value, number).mean((0, 1)), rtol=2e-3)
        for number in range(1, views.num_views)
        for i, value in enumerate(inputs)
    )


def test_answers_belong_to_the_views(data, tmp_path):
    views, found = seen(data, Store(tmp_path), Meaner(data.schema))
    assert found.viewed.known.all()
    assert matches(views, found, data.train.inputs)


def test_a_permuted_or_stale_cache_would_be_noticed(data, tmp_path):
    """The proof that the check above can fail."""
    views, found = seen(data, Store(tmp_path), Meaner(data.schema))
    assert not matches(views, found, data.train.inputs[::-1])
    other = Views(num_views=4, flip=True, seed=1)
    assert not matches(other, found, data.train.inputs)


def test_rows_in_another_order_find_their_own_answers_and_cost_nothing(data, tmp_path):
    seen(data, Store(tmp_path), Meaner(data.schema))
    teacher = Meaner(data.schema)
    views = Views(num_views=4, flip=True)
    turned = data.train.inputs[::-1]
    found = answer_views(teacher, views, turned, data, Store(tmp_path), Silent())
    assert teacher.num_asked == 0
    assert matches(views, found, turned)


def test_another_seed_is_asked_anew(data, tmp_path):
    seen(data, Store(tmp_path), Meaner(data.schema))
    teacher = Meaner(data.schema)
    views, found = seen(data, Store(tmp_path), teacher, seed=5)
    assert teacher.num_asked > 0
    assert matches(views, found, data.train.inputs)
