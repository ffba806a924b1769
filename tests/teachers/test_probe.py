"""Pretrained features under a linear head."""

import numpy as np
import pytest
import torch

from potstill.data import DataOptions, load_data
from potstill.errors import ConfigurationError, MissingExtraError, TeacherUnavailableError
from potstill.recipe import Recipe
from potstill.teachers import Network, Probe, efficientnet_lite
from potstill.teachers.efficientnet_lite import EfficientNetLite0, load_pretrained
from tests.media import pictures
from tests.teachers.contexts import make_context, picture_context

needs_weights = pytest.mark.skipif(not efficientnet_lite.is_installed(), reason="the extra `imagenet` is missing")
SPEC = Probe(size=32, precision="fp32", num_threads=1)


@needs_weights
def test_the_head_is_fitted_and_comes_back_the_same(tmp_path):
    context = picture_context(tmp_path)
    teacher = SPEC.prepare(context)
    assert (teacher.student.logits(context.labelled.inputs).argmax(1) == context.labelled.labels[:, 0]).mean() > 0.9
    assert SPEC.prepare(context).identity() == teacher.identity()


@needs_weights
def test_grey_arrays_are_seen_too(tmp_path):
    rows = pictures(40, size=32)
    table = {"image": [array.mean(2).astype(np.uint8) for array, _ in rows], "label": [label for _, label in rows]}
    data = load_data(DataOptions(image="image", label=("label",)), tables={"train": table})
    teacher = SPEC.prepare(make_context(tmp_path, data=data))
    assert teacher.student.preprocessor.channels == 1
    assert teacher.student.logits(data.dev.inputs).shape == (len(data.dev), 3)


@needs_weights
def test_the_published_weights_see_what_they_saw():
    """Features of one picture, kept when the network was compared with the packers' own code: they were equal."""
    grid = torch.arange(3 * 32 * 32, dtype=torch.float32).reshape(1, 3, 32, 32).sin()
    with torch.no_grad():
        found = load_pretrained()(grid)[0]
    assert found.shape == (1280,)
    assert (int(found.argmax()), float(found.max())) == (1206, pytest.approx(3.2240, abs=1e-3))


def test_other_weights_are_refused(monkeypatch):
    if not efficientnet_lite.is_installed():
        pytest.skip("the extra `imagenet` is missing")
    monkeypatch.setattr(efficientnet_lite, "DIGEST", "0" * 64)
    with pytest.raises(TeacherUnavailableError, match="other weights"):
        load_pretrained()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no-such-package")
    with pytest.raises(MissingExtraError, match="imagenet"):
        load_pretrained()


def test_padding_adds_the_odd_row_below():
    network = EfficientNetLite0().eval()
    assert network.conv_stem(torch.zeros(1, 3, 33, 32)).shape[2:] == (17, 16)
    with torch.no_grad():
        network.conv_stem.weight.fill_(1.0)
        seen = network.conv_stem(torch.ones(1, 3, 4, 4))[0, 0]
    assert seen.tolist() == [[27.0, 18.0], [18.0, 12.0]]


def test_texts_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match="texts"):
        SPEC.prepare(make_context(tmp_path))


@pytest.mark.parametrize(("installed", "kind"), [(True, Probe), (False, Network)])
def test_it_is_the_usual_teacher_of_pictures_where_it_is_installed(monkeypatch, installed, kind):
    monkeypatch.setattr("potstill.recipe.recipe.is_installed", lambda: installed)
    assert isinstance(Recipe(data=DataOptions(train="a", image="image")).teacher, kind)
    assert isinstance(Recipe(data=DataOptions(train="a", audio="audio")).teacher, Network)
