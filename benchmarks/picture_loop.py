"""Pictures per CPU-second of a student's training, against the usual loop with the teacher beside it."""

import argparse
import io
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

from benchmarks import resnet56
from benchmarks.pictures import COLUMNS, THIN, read, teacher
from benchmarks.record import record
from potstill import DataOptions
from potstill.data import load_data
from potstill.data.views import Views
from potstill.losses import CrossEntropy, ForwardKL
from potstill.students.base import StudentContext, as_tensors
from potstill.teachers import TeacherContext
from potstill.training.device import probe_network
from potstill.training.loop import Plan, train
from potstill.training.task import DistillationTask, Term, TransferSet, ViewedInputs, encode_rows
from potstill.types import Silent

BATCH_SIZE, NUM_VIEWS = 64, 4


class Files(Dataset):
    """Decodes, pads, crops, flips and normalises one picture after the other, as tutorials do."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        content, label = self.rows[i]
        picture = ImageOps.expand(Image.open(io.BytesIO(content)).convert("RGB"), 4)
        x, y = random.randrange(9), random.randrange(9)
        picture = picture.crop((x, y, x + 32, y + 32))
        if random.random() < 0.5:
            picture = ImageOps.mirror(picture)
        pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        return (pixels - mean) / std, resnet56.CLASSES.index(label)


def usual(rows, student, num_steps):
    """CPU-seconds a picture, with the fp32 teacher asked in every step."""
    net, big = student.module.train(), resnet56.adapted().eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    batches = iter(DataLoader(Files(rows), batch_size=BATCH_SIZE, shuffle=True))
    started = 0.0
    for step in range(num_steps + 1):
        if step == 1:
            started = time.process_time()
        pixels, labels = next(batches)
        with torch.no_grad():
            target = F.log_softmax(big(pixels), 1)
        logits = net(pixels).logits
        loss = F.cross_entropy(logits, labels) + F.kl_div(
            F.log_softmax(logits, 1), target, log_target=True, reduction="batchmean"
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.process_time() - started) / (num_steps * BATCH_SIZE)


def ours(data, student, num_steps, logits_VNC):
    """The same with views and answers from the store; every other step shows a view."""
    inputs = data.train.inputs
    encoded, lengths = encode_rows(student, inputs)
    views = Views(num_views=NUM_VIEWS, flip=True)
    transfer = TransferSet(
        encoded=encoded,
        lengths=lengths,
        labels=data.train.labels,
        teacher_logits=logits_VNC[0],
        views=ViewedInputs(views=views, inputs=inputs, teacher_logits=logits_VNC[1:]),
    )
    terms = [Term("cross_entropy", 1.0, CrossEntropy()), Term("distillation", 1.0, ForwardKL(temperature=1.0))]
    task = DistillationTask(
        student, transfer, dev_encoded=encoded[:2], dev_labels=data.train.labels[:2], terms=terms, batch_size=BATCH_SIZE
    )
    numerics = probe_network(student.module, as_tensors(student.preprocessor.batch(encoded[:BATCH_SIZE])), "cpu")
    plan = Plan(
        num_steps=num_steps,
        batch_size=BATCH_SIZE,
        learning_rate=0.05,
        optimizer="sgd",
        evaluate_every=num_steps,
        precision=numerics.precision,
        channels_last=numerics.channels_last,
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        train(task, plan, folder=Path(folder), progress=Silent())
        spent = time.process_time() - started
    return spent / (num_steps * BATCH_SIZE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = read("train")[:2560]
    table = {"image": [picture for picture, _ in rows], "label": [label for _, label in rows]}
    data = load_data(DataOptions(**COLUMNS, dev_share=0.02, test_share=0.02), tables={"train": table})
    context = StudentContext(schema=data.schema, transfer_inputs=data.train.inputs, encoder=None, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        asked = teacher().prepare(
            TeacherContext(
                schema=data.schema,
                labelled=data.train,
                dev=data.dev,
                unlabelled=data.unlabelled,
                test=data.test,
                folder=Path(folder),
                seed=0,
                device="cpu",
                progress=Silent(),
            )
        )
    started = time.process_time()
    answers = np.concatenate([part.logits for part in asked.answer(data.train.inputs)])
    fill = (time.process_time() - started) / len(data.train)
    logits_VNC = np.stack([answers] * NUM_VIEWS)
    times = {"ours": [], "usual": []}
    for _ in range(given.rounds):
        times["ours"].append(ours(data, THIN.build(context, dropout=0.0), given.steps, logits_VNC))
        times["usual"].append(usual(rows, THIN.build(context, dropout=0.0), min(given.steps, 35)))
    mine, theirs = (float(np.median(times[name])) for name in ("ours", "usual"))
    whole = {
        f"{epochs} epochs, {students} students": students
        * epochs
        * theirs
        / (NUM_VIEWS * fill + students * epochs * mine)
        for epochs in (4, 24, 60)
        for students in (1, 4)
    }
    found = {"seconds_a_picture": times, "fill_seconds_a_view": fill, "ratio": theirs / mine, "whole_runs": whole}
    print(found)
    record("picture_loop", [found])


if __name__ == "__main__":
    main()
