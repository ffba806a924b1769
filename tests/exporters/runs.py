"""The folder of a finished run without its training: a student of random weights, and labels that it gives itself."""

import json
from dataclasses import replace

import numpy as np
import torch

from potstill.evaluation.metrics import answers
from potstill.exporters.bundle import BundleFacts, make_bundle, trace
from potstill.exporters.source import keep_source
from potstill.report.storage import save_content
from potstill.runtime.manifest import Threshold
from potstill.students import BcResNet, Cnn, DsCnn, Encoder, Linear, PixelCnn, ResNet, Static, StudentContext
from potstill.students.wordpiece import find_encoder
from potstill.types import Field, LabelSchema
from tests.media import RATE, beeps, pictures
from tests.report.content import make_content
from tests.toys import sentences

BUILDERS = {
    "cnn": Cnn(width=16, narrow_filters=32, wide_filters=16),
    "static": Static(width=16, hidden=16),
    "encoder": Encoder(layers=(0, 1), num_heads=1, feed_forward=32),
    "linear": Linear(num_buckets=2048),
    "pixel_cnn": PixelCnn(filters=8, hidden=16),
    "resnet": ResNet(width=8),
    "ds_cnn": DsCnn(width=16, num_blocks=3),
    "bc_resnet": BcResNet(width=8, num_blocks=1),
}
SCHEMA = LabelSchema((Field(name="label", classes=("card", "loan", "travel")),))
NUM_ROWS, NUM_HELD_OUT = 120, 40


def inputs_of(kind):
    if kind in ("ds_cnn", "bc_resnet"):
        return [samples for samples, _, _ in beeps(NUM_ROWS)]
    if kind in ("resnet", "pixel_cnn"):
        return [array for array, _ in pictures(NUM_ROWS)]
    return [text for text, _ in sentences(NUM_ROWS)]


def student_of(kind, encoder_folder=None, inputs=None):
    inputs = inputs or inputs_of(kind)
    context = StudentContext(
        schema=SCHEMA,
        transfer_inputs=inputs,
        encoder=find_encoder(str(encoder_folder)) if encoder_folder else None,
        seed=0,
        sample_rate=RATE,
    )
    student = BUILDERS[kind].build(context, dropout=0.0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in student.module.parameters():
            # Answers that are clear, so that rounding changes few of them.
            spread = float(parameter.std()) if parameter.numel() > 1 else 1.0
            parameter.add_(0.3 * spread * torch.randn_like(parameter) + 1e-3)
    student.module.eval()
    return student


def finished_run(folder, kind, encoder_folder=None, inputs=None, temperature=1.5):
    inputs = inputs or inputs_of(kind)
    student = student_of(kind, encoder_folder, inputs)
    home = folder / "contenders" / "student"
    facts = BundleFacts(temperatures=[temperature], threshold=Threshold(score="max_logit", value=-1e9))
    make_bundle(home / "fp32", student, trace(student, inputs[0]), "fp32", facts, inputs)
    keep_source(home, student, inputs)
    # Of random weights some answers are ties; rounding may turn those, so the surest rows are the held-out ones.
    logits_NC = student.logits(inputs)
    margin_N = np.diff(np.sort(logits_NC, axis=1)[:, -2:], axis=1)[:, 0] / np.abs(logits_NC).max()
    sure = np.argsort(-margin_N, kind="stable")[:NUM_HELD_OUT]
    inputs = [inputs[i] for i in sure]
    content = make_content(num_classes=3, num_rows=len(inputs), inputs=inputs)
    labels = answers(logits_NC[sure], SCHEMA)
    content = replace(content, assessment=replace(content.assessment, schema=SCHEMA, test_labels=labels))
    save_content(folder / "report", replace(content, sample_rate=RATE if inputs[0].__class__ is np.ndarray else 0))
    (folder / "result.json").write_text(json.dumps({"precision": "int8_weights"}))
    return folder
