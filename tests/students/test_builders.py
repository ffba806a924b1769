import numpy as np
import pytest
import torch
import torch.nn.functional as F

from potstill.errors import ConfigurationError
from potstill.exporters.bundle import BundleFacts, make_bundle, trace
from potstill.exporters.onnx import quantize
from potstill.students import BcResNet, Cnn, DsCnn, Encoder, Linear, PixelCnn, ResNet, Static, StudentContext
from potstill.students.base import as_tensors
from potstill.students.linear import usual_linear
from potstill.students.parent import read_parent
from potstill.students.resnet import Block
from potstill.students.wordpiece import find_encoder
from potstill.testing import check_exporter, check_student
from potstill.types import Field, LabelSchema
from tests.media import beeps, pictures
from tests.toys import sentences

SCHEMA = LabelSchema((Field(name="label", classes=("a", "b", "c")),))
TEXTS = [text for text, _ in sentences(60)]
PICTURES = list(np.random.default_rng(0).integers(0, 17, (20, 8, 8)).astype(np.uint8))
PHOTOGRAPHS = [array for array, _ in pictures(20)]
SOUNDS = [samples for samples, _, _ in beeps(20)]
BUILDERS = {
    "cnn": Cnn(width=16, narrow_filters=8, wide_filters=8),
    "static": Static(width=16, hidden=8),
    "encoder": Encoder(layers=(1,)),
    "linear": Linear(num_buckets=2048),
    "linear across words": Linear(num_buckets=2048, across_words=True, least_count=2),
    "pixel_cnn": PixelCnn(filters=4, hidden=16),
    "resnet": ResNet(width=8),
    "ds_cnn": DsCnn(width=16, num_blocks=3),
    "bc_resnet": BcResNet(width=8, num_blocks=1),
}


def inputs_of(kind):
    return {"pixel_cnn": PICTURES, "resnet": PHOTOGRAPHS, "ds_cnn": SOUNDS, "bc_resnet": SOUNDS}.get(kind, TEXTS)


def context(kind, encoder_folder, **changes):
    inputs = inputs_of(kind)
    values = {
        "schema": SCHEMA,
        "transfer_inputs": inputs,
        "encoder": find_encoder(str(encoder_folder)) if encoder_folder else None,
        "seed": 0,
    }
    return StudentContext(**{**values, **changes})


def parameters(student):
    return torch.cat([p.detach().flatten() for p in student.module.parameters()])


@pytest.mark.parametrize("kind", BUILDERS)
def test_the_contract(kind, encoder_folder):
    check_student(BUILDERS[kind], context(kind, encoder_folder))


@pytest.fixture(scope="module", params=BUILDERS)
def traced(request, encoder_folder):
    """A student of random weights, what it is asked, and its graph: tracing takes seconds, precisions share it."""
    kind = request.param
    student = BUILDERS[kind].build(context(kind, encoder_folder), dropout=0.1)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in student.module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    inputs = inputs_of(kind)
    if inputs is TEXTS:
        inputs = [*TEXTS, "x", "one two three four five six seven " * 9]
    return kind, student, inputs, trace(student, inputs[0])


@pytest.mark.parametrize("precision", ["fp32", "int8_weights", "int8"])
def test_a_bundle_predicts_what_the_network_predicts(traced, precision, tmp_path):
    _, student, inputs, model = traced

    def export(student, folder):
        return make_bundle(folder, student, model, precision, BundleFacts(temperatures=[1.0]), inputs)

    check_exporter(export, student, inputs, tmp_path, tolerance=1e-4 if precision == "fp32" else 0.05)


@pytest.mark.parametrize("precision", ["fp32", "int8_weights", "int8"])
def test_a_child_starts_where_its_parent_stands(traced, precision, encoder_folder, tmp_path):
    kind, student, inputs, model = traced
    deployed = make_bundle(tmp_path / "b", student, model, precision, BundleFacts(temperatures=[1.0]), inputs)
    parent = read_parent(tmp_path / "b")
    child = BUILDERS[kind].build(context(kind, encoder_folder, parent=parent, seed=1), dropout=0.1)
    parent.give(child.module)
    child.module.train()
    # int8 that is computed in rounds activations too, which training doesn't.
    tolerance = 0.05 if precision == "int8" else 1e-4
    assert np.abs(child.logits(inputs) - deployed.logits(inputs)).max() < tolerance
    assert child.preprocessor.to_json() == student.preprocessor.to_json()


def test_students_of_pieces_embed_and_others_do_not(traced, tmp_path):
    _, student, inputs, model = traced
    found = make_bundle(tmp_path / "b", student, model, "int8_weights", BundleFacts(temperatures=[1.0]), inputs)
    if student.preprocessor.kind != "text_tokens":
        assert found.manifest.embedding_size is None
        return
    with torch.no_grad():
        batch = as_tensors(student.preprocessor.batch(student.preprocessor.encode(inputs)))
        expected = F.normalize(student.module.eval()(**batch).embedding, dim=1).numpy()
    # The cosine survives the rounding of weights to int8.
    assert (found.embed(inputs) * expected).sum(1).min() > 0.995


def test_the_usual_linear_model_reads_across_words_where_a_character_is_a_syllable():
    assert usual_linear(["오늘 날씨 알려 줘", "카드를 잃어버렸어요"]).across_words
    assert usual_linear(TEXTS) == Linear()


def test_int8_weights_are_about_a_quarter(encoder_folder):
    student = Linear(num_buckets=8192).build(context("linear", encoder_folder), dropout=0.0)
    model = trace(student, TEXTS[0])
    assert len(quantize(model, "int8_weights")) < 0.45 * len(model)


def test_without_an_encoder_the_pieces_are_learned():
    student = BUILDERS["cnn"].build(context("cnn", None, encoder=None), dropout=0.0)
    assert student.logits(["please tell me"]).shape == (1, 3)


@pytest.mark.parametrize(
    ("builder", "changes", "message"),
    [
        (Encoder(layers=(0, 7)), {}, "names layer 7"),
        (Encoder(), {"encoder": None}, "no pretrained encoder"),
        (PixelCnn(), {}, "the inputs are texts"),
    ],
)
def test_options_that_do_not_fit(builder, changes, message, encoder_folder):
    with pytest.raises(ConfigurationError, match=message):
        builder.build(context("cnn", encoder_folder, **changes), dropout=0.0)


@pytest.mark.parametrize(
    ("made", "options"),
    [(Cnn, {"width": 1}), (Static, {"hidden": 0}), (Linear, {"num_buckets": 1}), (Encoder, {"layers": (3, 1)})],
)
def test_options_out_of_range(made, options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        made(**options)


def test_a_shortcut_of_a_residual_net_drops_rows_and_columns_and_adds_empty_channels():
    block = Block(3, 5, stride=2).eval()
    torch.nn.init.zeros_(block.second_norm.weight)
    pixels = torch.rand(2, 3, 6, 6)
    expected = torch.nn.functional.pad(pixels[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
    assert torch.equal(block(pixels), expected)
    assert not any("shortcut" in name for name in block.state_dict())
