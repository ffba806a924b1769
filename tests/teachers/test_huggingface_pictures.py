"""A picture classifier as transformers keeps it, tiny."""

import json

import numpy as np
import pytest

from potstill.errors import DataError, TeacherUnavailableError
from potstill.teachers import HuggingFace
from tests.teachers.contexts import picture_context

SEEN = {"do_resize": True, "size": {"height": 24, "width": 20}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2] * 3}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classifier")
    config = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(["Red", "extra", "blue", "GREEN"])),
    )
    transformers.ResNetForImageClassification(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(SEEN))
    return folder


def test_it_sees_as_its_files_say_and_answers_in_the_order_of_the_data(classifier, tmp_path):
    import torch
    from transformers import AutoModelForImageClassification

    context = picture_context(tmp_path)
    teacher = HuggingFace(model=str(classifier)).prepare(context)
    pixels = teacher.student.preprocessor
    assert (pixels.height, pixels.width, pixels.mean, pixels.std) == (24, 20, (0.4, 0.5, 0.6), (0.2,) * 3)
    batch = pixels.batch(pixels.encode(context.labelled.inputs[:5]))["pixels"]
    model = AutoModelForImageClassification.from_pretrained(classifier).eval()
    with torch.no_grad():
        expected = model(torch.from_numpy(batch)).logits.numpy()[:, [2, 3, 0]]
    np.testing.assert_allclose(teacher.student.logits(context.labelled.inputs[:5]), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "side"),
    [
        ({"size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": 32}, (32, 32)),
        ({"size": {"shortest_edge": 36}}, (36, 36)),
        ({"size": 28}, (28, 28)),
    ],
)
def test_sizes_are_written_in_many_ways(classifier, tmp_path, change, side):
    for path in classifier.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**SEEN, **change}))
    pixels = HuggingFace(model=str(tmp_path)).prepare(picture_context(tmp_path)).student.preprocessor
    assert (pixels.height, pixels.width) == side


def test_what_is_missing_is_said(classifier, tmp_path):
    with pytest.raises(TeacherUnavailableError, match="picture classifier"):
        HuggingFace(model=str(tmp_path)).prepare(picture_context(tmp_path))
    with pytest.raises(DataError, match="The data has blue, green, red; the model has"):
        HuggingFace(model=str(classifier), label_map={"Red": "pink"}).prepare(picture_context(tmp_path))
