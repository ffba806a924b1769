from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from potstill.data import DataOptions, load_data
from potstill.errors import ConfigurationError
from potstill.teachers import Encoder, Ensemble, Ngrams, Scratch
from potstill.testing import check_teacher
from tests.teachers.contexts import make_context
from tests.teachers.test_trained import answers_of
from tests.toys import columns, sentences

SMALL = Ngrams(num_buckets=4096, num_threads=1)


@pytest.fixture
def data():
    return load_data(DataOptions(), tables={"train": columns(sentences(240))})


def test_it_learns_and_comes_back_the_same(data, tmp_path):
    context = make_context(tmp_path, data=data)
    teacher = SMALL.prepare(context)
    logits = answers_of(teacher, data.test.inputs)
    assert (logits.argmax(1) == data.test.labels[:, 0]).mean() > 0.8
    again = SMALL.prepare(context)
    assert again.identity() == teacher.identity()
    assert np.array_equal(answers_of(again, data.test.inputs), logits)
    check_teacher(SMALL, context)


def test_the_fit_is_the_optimum(data, tmp_path):
    """scikit-learn's solver comes to the same answers from the same features."""
    teacher = replace(SMALL, strengths=(5.0,)).prepare(make_context(tmp_path, data=data))

    def dense(inputs):
        features = np.zeros((len(inputs), 4096))
        for i, (ids, weights) in enumerate(teacher.student.preprocessor.encode(inputs)):
            features[i, ids] = weights
        return features

    reference = LogisticRegression(C=5.0, max_iter=2000, tol=1e-8).fit(
        dense(data.train.inputs), data.train.labels[:, 0]
    )
    said = torch.from_numpy(answers_of(teacher, data.test.inputs)).softmax(1).numpy()
    np.testing.assert_allclose(said, reference.predict_proba(dense(data.test.inputs)), atol=5e-3)


def test_where_all_rows_teach_some_are_held_out_to_choose(data, tmp_path):
    context = make_context(tmp_path, data=data)
    teacher = SMALL.prepare(replace(context, dev=context.dev.take(np.arange(0))))
    logits = answers_of(teacher, data.test.inputs)
    assert (logits.argmax(1) == data.test.labels[:, 0]).mean() > 0.8


def test_several_labels_a_row(tmp_path):
    rows = [(text, f"{label};{'long' if len(text) > 30 else 'short'}") for text, label in sentences(240)]
    data = load_data(DataOptions(separator=";"), tables={"train": columns(rows)})
    teacher = SMALL.prepare(make_context(tmp_path, data=data))
    said = answers_of(teacher, data.test.inputs) > 0
    assert (said == data.test.labels).mean() > 0.8


@pytest.mark.parametrize("kind", ["ngrams", "scratch"])
def test_folds_answer_rows_that_they_never_saw(kind, data, tmp_path):
    spec = {
        "ngrams": replace(SMALL, num_folds=3),
        "scratch": Scratch(width=64, filters=8, num_epochs=1, precision="fp32", num_threads=1, num_folds=2),
    }[kind]
    teacher = spec.prepare(make_context(tmp_path, data=data))
    assert len(teacher.members) == spec.num_folds
    owner = teacher.members[teacher.held[data.train.digests()[0]]]
    value = data.train.inputs[0]
    np.testing.assert_allclose(answers_of(teacher, [value]), answers_of(owner, [value]), atol=1e-5)


def test_beside_an_encoder_in_an_ensemble(data, encoder_folder, tmp_path):
    encoder = Encoder(model=str(encoder_folder), num_epochs=2, precision="fp32", num_threads=1)
    teacher = Ensemble(members=(SMALL, encoder)).prepare(make_context(tmp_path, data=data))
    parts = [torch.from_numpy(answers_of(member, data.test.inputs)).softmax(1) for member in teacher.members]
    said = torch.from_numpy(answers_of(teacher, data.test.inputs)).softmax(1)
    np.testing.assert_allclose(said, (parts[0] + parts[1]) / 2, atol=1e-4)


def test_strengths_are_checked():
    with pytest.raises(ConfigurationError, match="strengths"):
        Ngrams(strengths=())
    with pytest.raises(ConfigurationError, match="strengths"):
        Ngrams(strengths=(1.0, 0.0))
