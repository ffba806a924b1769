"""The user's own network as a teacher."""

import numpy as np
import pytest

from potstill.data import DataOptions, load_data
from potstill.errors import ConfigurationError, DataError, TeacherUnavailableError
from potstill.teachers import Module
from tests.media import pictures
from tests.teachers.contexts import make_context

# Its logits are the mean of each colour: red, green, blue, and one class that the data doesn't have.
CODE = """
import torch

class Colours(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(8.0))

    def forward(self, pixels):
        brightest = pixels.amax((2, 3))
        return torch.cat([brightest, torch.full((len(pixels), 1), 99.0)], dim=1) * self.scale

def make():
    return Colours()

def broken():
    raise OSError("no weights here")

def text():
    return "not a module"
"""
CLASSES = ("Red", "green", "BLUE", "violet")


@pytest.fixture
def context(tmp_path):
    rows = pictures(60)
    table = {"image": [array for array, _ in rows], "label": [label for _, label in rows]}
    data = load_data(DataOptions(image="image", label=("label",)), tables={"train": table})
    (tmp_path / "mine.py").write_text(CODE)
    return make_context(tmp_path, data=data)


def spec(context, **changes):
    values = {"file": str(context.folder / "mine.py"), "classes": CLASSES, "precision": "fp32", "num_threads": 1}
    return Module(**{**values, **changes})


def accuracy(teacher, rows):
    logits = teacher.student.logits(rows.inputs)
    return (logits.argmax(1) == rows.labels[:, 0]).mean()


def test_its_classes_are_put_into_the_data_order(context):
    teacher = spec(context, mean=(0.0,) * 3, std=(1.0,) * 3).prepare(context)
    assert context.schema.fields[0].classes == ("blue", "green", "red")
    assert accuracy(teacher, context.labelled) > 0.9


def test_it_has_a_normalisation_of_its_own(context):
    plain = spec(context).prepare(context).student.preprocessor
    other = spec(context, mean=(0.5,) * 3, std=(0.5,) * 3, size=16).prepare(context).student.preprocessor
    assert plain.mean == (0.485, 0.456, 0.406)
    assert (other.height, other.width, other.std) == (16, 16, (0.5,) * 3)


def test_fine_tuning_changes_it_and_comes_back_the_same(context):
    before = spec(context).prepare(context)
    tuned = spec(context, num_epochs=3, batch_size=16).prepare(context)
    again = spec(context, num_epochs=3, batch_size=16).prepare(context)
    assert tuned.identity() == again.identity()
    assert tuned.identity() != before.identity()


def test_its_code_is_part_of_its_identity(context):
    before = spec(context).prepare(context).identity()
    (context.folder / "mine.py").write_text(CODE + "\n# another thought\n")
    assert spec(context).prepare(context).identity() != before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"factory": "broken"}, "OSError: no weights here"),
        ({"factory": "nobody"}, "can't be made: AttributeError"),
        ({"factory": "text"}, "returned a str"),
        ({"file": "/nowhere/else.py"}, "can't be made: FileNotFoundError"),
        ({"classes": (*CLASSES, "a", "b"), "label_map": {"a": "red", "Red": "c"}}, "fails on two rows"),
    ],
)
def test_what_fails_is_said(context, changes, said):
    with pytest.raises(TeacherUnavailableError, match=said):
        spec(context, **changes).prepare(context)


def test_other_classes_are_refused_with_both_lists(context):
    with pytest.raises(DataError, match=r"The data has blue, green, red; the model has x, y"):
        spec(context, classes=("x", "y")).prepare(context)


def test_odd_options_are_refused():
    with pytest.raises(ConfigurationError, match="names a function"):
        Module(file="a.py", factory="no function")
    with pytest.raises(ConfigurationError, match="one number a channel"):
        Module(file="a.py", std=(0.0, 1.0, 1.0))


def test_what_it_says_of_a_row_does_not_depend_on_its_company(context):
    teacher = spec(context).prepare(context)
    together = np.concatenate([part.logits for part in teacher.answer(context.labelled.inputs[:6])])
    alone = np.concatenate([teacher.student.logits([value]) for value in context.labelled.inputs[:6]])
    assert np.allclose(together, alone, atol=1e-5)
