"""A child on its parent's grid: the same graph, and a delta within its share."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from potstill.errors import ConfigurationError
from potstill.exporters.bundle import BundleFacts, make_bundle, trace
from potstill.fleet.publisher.deltas import make_deltas
from potstill.students import BcResNet, Encoder, Linear, ResNet, StudentContext
from potstill.students.merged_norm import MergedNorm
from potstill.students.parent import read_parent
from potstill.students.wordpiece import find_encoder
from potstill.types import Field, LabelSchema
from tests.media import beeps, pictures
from tests.toys import sentences

SCHEMA = LabelSchema((Field(name="label", classes=("a", "b", "c")),))
INPUTS = {
    "resnet": [array for array, _ in pictures(40)],
    "bc_resnet": [samples for samples, _, _ in beeps(40)],
    "encoder": [text for text, _ in sentences(60)],
}
BUILDERS = {
    "resnet": ResNet(width=12),
    "bc_resnet": BcResNet(width=16, num_blocks=1),
    "encoder": Encoder(layers=(1,)),
}
FACTS = BundleFacts(temperatures=[1.0])


def context(kind, encoder_folder, **changes):
    encoder = find_encoder(str(encoder_folder)) if kind == "encoder" else None
    values = {"schema": SCHEMA, "transfer_inputs": INPUTS[kind], "encoder": encoder, "seed": 0}
    return StudentContext(**{**values, **changes})


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def moved(module, seed, size):
    """As training would: every weight by a little, some by a lot."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=random)
                parameter.add_(noise**3 * size * parameter.abs().max().clamp(min=0.1))


@pytest.fixture(scope="module", params=BUILDERS)
def family(request, encoder_folder):
    """A student with statistics as after training, and a child of it that learned, with their graphs in fp32."""
    kind = request.param
    student = BUILDERS[kind].build(context(kind, encoder_folder), dropout=0.0)
    moved(student.module, 1, 0.05)
    for norm in student.module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.2, 0.2)
            norm.running_var.uniform_(0.5, 2.0)
    return kind, student, trace(student, INPUTS[kind][0])


@pytest.mark.parametrize("precision", ["fp32", "int8_weights", "int8"])
def test_a_childs_delta_is_within_its_share(family, precision, encoder_folder, tmp_path):
    kind, student, model = family
    inputs = INPUTS[kind]
    make_bundle(tmp_path / "parent", student, model, precision, FACTS, inputs)
    parent = read_parent(tmp_path / "parent", delta_share=0.1)
    child = BUILDERS[kind].build(context(kind, encoder_folder, parent=parent), dropout=0.0)
    parent.give(child.module)
    moved(child.module, 2, 0.02)
    kept = parent.keep_grid(child.module)
    assert 0.05 < kept.share <= 0.1
    child = replace(child, ranges=parent.ranges)
    make_bundle(tmp_path / "child", child, trace(child, inputs[0]), precision, FACTS, inputs[::-1])
    made = make_deltas([files(tmp_path / "parent")], files(tmp_path / "child"))
    (delta,) = (found for found in made if found.file == "model.onnx")
    assert delta.method == "subtract" and delta.share <= 0.1
    # Something of what was learned is there.
    assert np.abs(child.logits(inputs) - student.logits(inputs)).max() > 1e-3
    again = read_parent(tmp_path / "child")
    assert all(np.allclose(again.steps[name], step, rtol=1e-6) for name, step in parent.steps.items())


def test_merged_norms_stay_what_they_are_in_training(family, encoder_folder, tmp_path):
    kind, student, model = family
    if kind == "encoder":
        pytest.skip("an encoder has no batch normalisation")
    make_bundle(tmp_path / "parent", student, model, "fp32", FACTS, INPUTS[kind])
    parent = read_parent(tmp_path / "parent")
    child = BUILDERS[kind].build(context(kind, encoder_folder, parent=parent), dropout=0.0)
    parent.give(child.module)
    before = copy.deepcopy(child.module.state_dict())
    pixels = torch.from_numpy(child.preprocessor.batch(child.preprocessor.encode(INPUTS[kind]))["pixels"])
    found = child.module.train()(pixels).logits
    assert torch.equal(found, child.module.eval()(pixels).logits), "statistics of the batch count for nothing"
    found.sum().backward()
    norms = [norm for norm in child.module.modules() if isinstance(norm, MergedNorm)]
    assert norms and all(norm.weight.grad is None and norm.bias.grad is not None for norm in norms)
    assert all(torch.equal(before[name], tensor) for name, tensor in child.module.state_dict().items())


def test_another_kind_of_student_is_told(family, encoder_folder, tmp_path):
    kind, student, model = family
    make_bundle(tmp_path / "parent", student, model, "fp32", FACTS, INPUTS[kind])
    parent = read_parent(tmp_path / "parent")
    other = {"encoder": ("resnet", ResNet(width=12)), "resnet": ("bc_resnet", BUILDERS["bc_resnet"])}
    name, builder = other.get(kind, ("resnet", ResNet(width=12)))
    with pytest.raises(ConfigurationError, match="reads inputs by"):
        builder.build(context(name, encoder_folder, parent=parent), dropout=0.0)
    if kind == "encoder":
        with pytest.raises(ConfigurationError, match="reads inputs by 'text_tokens'"):
            Linear().build(context(kind, encoder_folder, parent=parent), dropout=0.0)
        return
    with pytest.raises(ConfigurationError, match=r"another network.*resnet, ds_cnn"):
        parent.give(torch.nn.Sequential(torch.nn.BatchNorm1d(3)))
    changed = {"resnet": ResNet(width=12, size=32), "bc_resnet": BcResNet(width=16, num_blocks=1, num_mels=20)}
    with pytest.raises(ConfigurationError, match="to the parent, and this student was to have"):
        changed[kind].build(context(kind, encoder_folder, parent=parent), dropout=0.0)
