import json

import numpy as np
import pytest

from potstill.data import DataOptions, load_data
from potstill.errors import GateError
from potstill.students import Cnn, StudentContext
from potstill.students import Encoder as EncoderStudent
from potstill.students.classifier import prototype_head
from potstill.students.wordpiece import find_encoder
from potstill.teachers import Encoder, Ready, Scratch
from potstill.teachers.gate import check_gate
from potstill.teachers.trained import TrainedTeacher, start_head, weights_digest
from potstill.types import UNLABELLED, Field, LabelSchema
from tests.teachers.contexts import make_context
from tests.toys import columns, sentences


def context(tmp_path, data):
    return make_context(tmp_path, data=data)


def specs(encoder_folder):
    return {
        "encoder": Encoder(
            model=str(encoder_folder), num_epochs=15, batch_size=16, learning_rate=1e-3, precision="fp32", num_threads=1
        ),
        "scratch cnn": Scratch(
            width=64, filters=64, num_epochs=20, batch_size=16, precision="fp32", num_threads=1, vocabulary_size=300
        ),
        "scratch transformer": Scratch(
            architecture="transformer",
            width=64,
            num_layers=1,
            num_epochs=20,
            batch_size=16,
            precision="fp32",
            num_threads=1,
        ),
    }


def answers_of(teacher, inputs):
    logits = np.full((len(inputs), teacher.schema.num_logits), np.nan, np.float32)
    seen = np.zeros(len(inputs), int)
    for part in teacher.answer(inputs):
        logits[part.positions] = part.logits
        seen[part.positions] += 1
    assert (seen == 1).all(), "every input is answered once"
    return logits


@pytest.mark.parametrize("kind", ["encoder", "scratch cnn", "scratch transformer"])
def test_teachers_learn_and_come_back_the_same(kind, encoder_folder, tmp_path):
    spec = specs(encoder_folder)[kind]
    data = load_data(DataOptions(), tables={"train": columns(sentences(240))})
    teacher = spec.prepare(context(tmp_path, data))
    logits = answers_of(teacher, data.test.inputs)
    assert (logits.argmax(1) == data.test.labels[:, 0]).mean() > 0.8
    again = spec.prepare(context(tmp_path, data))
    assert again.identity() == teacher.identity()
    assert np.array_equal(answers_of(again, data.test.inputs), logits)


def test_an_encoder_knows_words_that_the_labelled_rows_lack(encoder_folder, tmp_path):
    spec = specs(encoder_folder)["encoder"]
    data = load_data(DataOptions(), tables={"train": columns(sentences(80))})
    teacher = spec.prepare(context(tmp_path, data))
    vocabulary = json.loads((encoder_folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert teacher.student.module.encoder.shape.vocabulary_size == len(vocabulary)
    assert np.isfinite(answers_of(teacher, ["unheard of", "zebra"])).all()


def test_a_ready_teacher_must_know_the_same_classes(encoder_folder, tmp_path):
    data = load_data(DataOptions(), tables={"train": columns(sentences(80))})
    teacher = specs(encoder_folder)["encoder"].prepare(context(tmp_path, data))
    assert Ready(teacher=teacher).prepare(context(tmp_path, data)) is teacher
    texts = [text for text, _ in sentences(80)]
    other = load_data(DataOptions(), tables={"train": {"text": texts, "label": ["x", "y"] * 40}})
    with pytest.raises(Exception, match="same fields and classes"):
        Ready(teacher=teacher).prepare(context(tmp_path, other))


SCHEMA = LabelSchema((Field(name="a", classes=("x", "y")),))


def test_the_gate():
    labels = np.array([[0]] * 8 + [[1]] * 2, np.int32)
    perfect = np.eye(2, dtype=np.float32)[labels[:, 0]]
    lazy = np.tile(np.array([[1, 0]], np.float32), (10, 1))
    assert check_gate(perfect, labels, SCHEMA, None) == 1.0
    with pytest.raises(GateError, match=r"right on 80\.0%.*most frequent"):
        check_gate(lazy, labels, SCHEMA, None)
    assert check_gate(lazy, labels, SCHEMA, 0.8) == pytest.approx(0.8)
    with pytest.raises(GateError, match=r"minimum_accuracy"):
        check_gate(lazy, labels, SCHEMA, 0.9)


def test_cross_fitting_answers_a_row_by_a_teacher_that_never_saw_it(encoder_folder, tmp_path):
    from dataclasses import replace

    from potstill.data.rows import row_digest
    from potstill.testing import check_teacher

    data = load_data(DataOptions(), tables={"train": columns(sentences(160))})
    spec = replace(specs(encoder_folder)["encoder"], num_folds=3, num_epochs=4)
    teacher = spec.prepare(context(tmp_path, data))
    logits = answers_of(teacher, data.train.inputs)
    for i in range(0, len(data.train), 17):
        value = data.train.inputs[i]
        owner = teacher.members[teacher.held[row_digest(value)]]
        np.testing.assert_allclose(logits[i], answers_of(owner, [value])[0], atol=1e-4)
    mean = np.mean([answers_of(member, data.test.inputs) for member in teacher.members], axis=0)
    np.testing.assert_allclose(answers_of(teacher, data.test.inputs), mean, atol=1e-4)
    check_teacher(spec, context(tmp_path, data))


def test_folds_hold_every_label():
    from potstill.data.splits import fold_numbers

    data = load_data(DataOptions(), tables={"train": columns(sentences(160))})
    folds = fold_numbers(data.train.labels, data.train.digests(), 4, seed=0)
    for fold in range(4):
        assert np.bincount(data.train.labels[folds == fold, 0], minlength=4).min() >= 6


def built(builder, rows, encoder_folder):
    """A fresh student for labelled sentences, and the labels as a column."""
    classes = tuple(sorted({label for _, label in rows}))
    schema = LabelSchema((Field(name="label", classes=classes),))
    texts = [text for text, _ in rows]
    encoder = find_encoder(str(encoder_folder))
    context = StudentContext(schema=schema, transfer_inputs=texts, encoder=encoder, seed=0)
    labels = np.array([[classes.index(label)] for _, label in rows], np.int32)
    return builder.build(context, dropout=0.0), texts, labels


def test_a_head_starts_at_the_class_means_of_the_labelled_rows_alone(encoder_folder):
    student, texts, labels = built(EncoderStudent(layers=(1,)), sentences(60), encoder_folder)
    labels[1::2] = UNLABELLED
    start_head(student, texts, labels, "cpu")
    features_ND = TrainedTeacher(student=student, precision="fp32", device="cpu").embedding(texts)
    weights_CD, bias_C = prototype_head(features_ND[::2], labels[::2], student.schema)
    np.testing.assert_allclose(student.module.head.weight.detach(), weights_CD, atol=1e-4)
    np.testing.assert_array_equal(student.module.head.bias.detach(), bias_C)


def test_a_head_keeps_its_start_without_labels_and_in_other_networks(encoder_folder):
    for builder, label in ((EncoderStudent(layers=(1,)), UNLABELLED), (Cnn(width=16), 0)):
        student, texts, labels = built(builder, sentences(30), encoder_folder)
        before = weights_digest(student.module)
        start_head(student, texts, np.full_like(labels, label), "cpu")
        assert weights_digest(student.module) == before
