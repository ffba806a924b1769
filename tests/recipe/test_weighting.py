import numpy as np
import pytest

from potstill.errors import ConfigurationError
from potstill.recipe.weighting import class_weights, row_weights
from potstill.types import Field, LabelSchema

SCHEMA = LabelSchema(fields=(Field(name="label", classes=("cat", "dog", "other")),))
LABELS = np.array([[0]] * 9 + [[1]] * 9 + [[2]] * 79 + [[-1]] * 3, np.int32)


def test_every_class_counts_alike():
    weights_C = class_weights("auto", LABELS, SCHEMA, has_other=True)
    weights_N = row_weights(weights_C, LABELS[:97], None)
    assert weights_N.mean() == pytest.approx(1)
    totals = np.bincount(LABELS[:97, 0], weights=weights_N)
    # One row is added to every class, so that none of them is without.
    assert totals / totals.sum() == pytest.approx(np.full(3, 1 / 3), abs=0.03)


def test_without_a_class_for_the_rest_all_rows_count_alike():
    assert class_weights("auto", LABELS, SCHEMA, has_other=False) is None
    assert class_weights("none", LABELS, SCHEMA, has_other=True) is None
    assert row_weights(None, LABELS, None) is None
    assert class_weights("balanced", LABELS, SCHEMA, has_other=False) is not None


def test_a_row_without_a_label_weighs_what_the_teacher_takes_it_for():
    weights_C = np.array([2.0, 4.0, 1.0])
    labels = np.array([[0], [-1], [-1]], np.int32)
    probabilities = np.array([[0.1, 0.8, 0.1], [0.5, 0.5, 1e-9], [1e-9, 1e-9, 1.0]])
    found = row_weights(weights_C, labels, np.log(probabilities).astype(np.float32))
    assert found == pytest.approx(np.array([2.0, 3.0, 1.0]) / 2, rel=1e-5)


def test_rows_of_several_labels_have_no_weight():
    several = LabelSchema(fields=(Field(name="tags", classes=("a", "b"), multi=True),))
    with pytest.raises(ConfigurationError, match="several labels"):
        class_weights("balanced", LABELS, several, has_other=False)
