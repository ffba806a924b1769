"""A network in an ONNX file as the teacher of pictures."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from potstill.errors import ConfigurationError, TeacherUnavailableError
from potstill.teachers import OnnxFile
from potstill.testing import check_teacher
from tests.teachers.contexts import picture_context


def colours(path, *, batch="n", side="s", names=("pixels",), kind=TensorProto.FLOAT):
    """Its logits are the mean of red, green and blue."""
    inputs = [helper.make_tensor_value_info(name, kind, [batch, 3, side, side]) for name in names]
    output = helper.make_tensor_value_info("logits", kind, [batch, 3])
    node = helper.make_node("ReduceMean", [names[0]], ["logits"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph([node], "colours", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return str(path)


def spec(path, **changes):
    values = {"file": path, "classes": ("Red", "green", "BLUE"), "mean": (0.0,) * 3, "std": (0.02,) * 3}
    return OnnxFile(**{**values, "num_threads": 1, **changes})


@pytest.mark.parametrize(("batch", "side"), [("n", "s"), (4, "s"), (1, 12), ("n", 16)])
def test_it_answers_in_the_order_of_the_data(tmp_path, batch, side):
    context = picture_context(tmp_path)
    teacher = spec(colours(tmp_path / "a.onnx", batch=batch, side=side)).prepare(context)
    if isinstance(side, int):
        assert teacher.preprocessor.height == side
    logits = np.concatenate([part.logits for part in teacher.answer(context.labelled.inputs)])
    means = np.stack([value.mean((0, 1)) for value in context.labelled.inputs])[:, ::-1]
    assert (logits.argmax(1) == means.argmax(1)).mean() > 0.9
    check_teacher(spec(colours(tmp_path / "a.onnx", batch=batch, side=side)), context)


def test_another_file_is_another_teacher(tmp_path):
    context = picture_context(tmp_path)
    one = spec(colours(tmp_path / "a.onnx")).prepare(context).identity()
    other = spec(colours(tmp_path / "b.onnx", batch=2)).prepare(context).identity()
    assert one != other


@pytest.mark.parametrize(
    ("made", "changes", "said"),
    [
        ({}, {"file": "/nowhere/a.onnx"}, "can't be loaded"),
        ({"names": ("pixels", "mask")}, {}, "takes pixels: tensor"),
        ({"side": 12}, {"size": 16}, "fails on a row"),
        ({}, {"classes": ("red", "green", "blue", "violet")}, "gives 3 logits, and 4 classes"),
    ],
)
def test_what_fails_is_said(tmp_path, made, changes, said):
    path = colours(tmp_path / "a.onnx", **made)
    with pytest.raises(TeacherUnavailableError, match=said):
        spec(path, **changes).prepare(picture_context(tmp_path))


def test_odd_options_are_refused():
    with pytest.raises(ConfigurationError, match="one number a channel"):
        OnnxFile(file="a.onnx", std=(0.0, 1.0, 1.0))
