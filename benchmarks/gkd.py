"""A step of distillation from stored signals beside one of TRL's GKDTrainer, and the whole of three epochs.

    python -m benchmarks.gkd --peer VENV/bin/python     (that environment: pip install -r benchmarks/gkd_peers.txt)

Teacher: the packaged SmolLM2-135M in bf16. Student: its first eight layers with the whole vocabulary (56.6M), which
GKDTrainer needs. Rows: GSM8K, exactly 128 tokens each, four a step, AdamW, fp32 weights under bf16 autocast, one
thread, forward KL at temperature 1. GKDTrainer asks the teacher in every step (`lmbda=0, beta=0`: off-policy, its
cheapest setting); we ask it once (top-64 and the rest, through the store) and then train without it. Both run in the
peer's environment, in processes of their own, in turns.

Two cases: `text`, a prompt of a few tokens so that nearly all tokens are learned, and `answers`, the question as a
prompt, of which we compute no logits. CPU-seconds count from the end of the imports, loading included; a step's are the
median without the first three. Memory is the peak of the whole process.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, LENGTH, BATCH, EPOCHS, TOP_K = 32, 128, 4, 3, 64
DATA = Path(os.environ.get("POTSTILL_DATA", "../shared/data")) / "gsm8k" / "train.jsonl"
RATE = 1e-3


def prepare(folder):
    import torch

    from potstill.students.causal import cut_causal_lm, load_causal_lm, save_causal_lm
    from potstill.teachers.causal_lm import packaged_gguf

    model, tokenizer = load_causal_lm(packaged_gguf())
    save_causal_lm(folder / "teacher", model, tokenizer)
    save_causal_lm(folder / "student", cut_causal_lm(model, layers=range(8)), tokenizer, dtype=torch.float32)
    for case in ("text", "answers"):
        rows = []
        for line in DATA.read_text("utf-8").splitlines():
            row = json.loads(line)
            prompt = tokenizer.encode("Problem:\n" if case == "text" else row["question"] + "\n")
            answer = tokenizer.encode((row["question"] + "\n" if case == "text" else "") + row["answer"])
            if len(prompt) < LENGTH // 2 and len(prompt) + len(answer) >= LENGTH:
                rows.append([prompt, answer[: LENGTH - len(prompt)]])
        (folder / f"{case}.json").write_text(json.dumps(rows[:ROWS]))


def peak_bytes():
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def told(started, steps, **more):
    """What a child found; `steps` are the clock at the end of each."""
    import statistics

    each = [b - a for a, b in itertools.pairwise(steps[2:])]
    found = {"cpu_seconds": time.process_time() - started, "peak_bytes": peak_bytes(), **more}
    if each:
        found |= {"step_cpu_seconds": statistics.median(each), "num_steps": len(steps)}
    print(json.dumps(found))


def gkd(folder, case):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    torch.set_num_threads(1)
    started, steps = time.process_time(), []
    rows = json.loads((folder / f"{case}.json").read_text())

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            steps.append(time.process_time())

    def collate(given):
        ids = torch.tensor([row["prompt"] + row["answer"] for row in given])
        labels = torch.tensor([[-100] * len(row["prompt"]) + row["answer"] for row in given])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}

    from datasets import Dataset

    trainer = GKDTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder / "student", dtype=torch.float32),
        teacher_model=AutoModelForCausalLM.from_pretrained(folder / "teacher", dtype=torch.bfloat16),
        args=GKDConfig(
            output_dir=str(folder / "out"),
            lmbda=0.0,
            beta=0.0,
            temperature=1.0,
            per_device_train_batch_size=BATCH,
            num_train_epochs=EPOCHS,
            learning_rate=RATE,
            bf16=True,
            use_cpu=True,
            gradient_checkpointing=False,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        data_collator=collate,
        train_dataset=Dataset.from_list([{"prompt": prompt, "answer": answer} for prompt, answer in rows]),
        processing_class=AutoTokenizer.from_pretrained(folder / "student"),
        callbacks=[Clock()],
    )
    trainer.train()
    spent = time.process_time()
    batch = collate([{"prompt": p, "answer": a} for p, a in rows[:BATCH]])
    peak = peak_bytes()
    student = AutoModelForCausalLM.from_pretrained(folder / "student", dtype=torch.float32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        loss = float(trainer.compute_loss(student, batch))
        last = float(trainer.compute_loss(trainer.model, batch))
    told(started + time.process_time() - spent, steps, first_loss=loss, last_loss=last, peak_bytes=peak)


def sample_of(row):
    from potstill.signals import TokenSample

    prompt, answer = row
    return TokenSample(text=repr(row), ids=[*prompt, *answer], first=len(prompt))


class Scorer:
    """The teacher, asked about texts that stand there."""

    def __init__(self, model, tokenizer):
        from potstill.files import digest
        from potstill.signals.tokens import TokenFormat

        self.model = model
        self.form = TokenFormat(
            kind="top_k", width=TOP_K, vocabulary_size=len(tokenizer), tokenizer=digest("x"), template=digest("x")
        )

    def identity(self):
        return {"kind": "benchmark"}

    def answer_tokens(self, samples):
        import numpy as np
        import torch

        from potstill.signals import TokenPart
        from potstill.signals.tokens import TokenRecord
        from potstill.students.causal.decode import answer_logprobs

        prompts, answers = [s.ids[: s.first] for s in samples], [s.ids[s.first :] for s in samples]
        for i, logs in answer_logprobs(self.model, prompts, answers):
            kept, indices = logs.topk(TOP_K, -1)
            tail = torch.log1p(-kept.double().exp().sum(-1).clamp(max=1 - 1e-12)).float()
            sample = samples[i]
            yield TokenPart(
                records={
                    i: TokenRecord(
                        ids=np.array(sample.ids, np.int32),
                        ends=np.arange(1, len(sample.ids) + 1),
                        first=sample.first,
                        indices=indices.int().numpy(),
                        logprobs=kept.numpy(),
                        tail=tail.numpy(),
                    )
                }
            )


def stored(folder, case, teacher):
    from potstill.signals import Store, capture_tokens
    from potstill.types import Silent

    rows = json.loads((folder / f"{case}.json").read_text())
    return rows, capture_tokens(teacher, [sample_of(row) for row in rows], Store(folder / f"store-{case}"), Silent())


def capture(folder, case):
    import torch

    from potstill.students.causal import load_causal_lm

    torch.set_num_threads(1)
    started = time.process_time()
    _, found = stored(folder, case, Scorer(*load_causal_lm(folder / "teacher", dtype=torch.bfloat16)))
    told(started, [], num_asked=found.num_asked)


def ours(folder, case):
    import numpy as np
    import torch
    from transformers import AutoTokenizer

    from potstill.losses.tokens import SparseTarget
    from potstill.students.causal import load_causal_lm
    from potstill.training.causal_lm_task import CausalLmTask
    from potstill.training.chat_rows import ChatRow
    from potstill.training.loop import Plan, train
    from potstill.types import Silent

    torch.set_num_threads(1)
    started, steps = time.process_time(), []

    class Clock(Silent):
        def advance(self, count=1):
            steps.append(time.process_time())

    rows, found = stored(folder, case, Scorer(None, AutoTokenizer.from_pretrained(folder / "teacher")))
    assert found.num_asked == 0, "the teacher was asked before"
    listed = []
    for (prompt, answer), record in zip(rows, found, strict=True):
        target = SparseTarget(
            indices=torch.from_numpy(record.indices.astype(np.int64)),
            logprobs=torch.from_numpy(record.logprobs.astype(np.float32)),
            tail=torch.from_numpy(record.tail.astype(np.float32)),
        )
        listed.append(ChatRow(prompt=prompt, answer=answer, target=target))
    model, _ = load_causal_lm(folder / "student")
    task = CausalLmTask(model, listed, dev=[])

    def loss():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            total = float(task.loss(np.arange(BATCH), 0).total)
        return total * float(np.mean([len(row.answer) for row in listed])) / sum(len(r.answer) for r in listed[:BATCH])

    plan = Plan(
        num_steps=EPOCHS * len(rows) // BATCH,
        batch_size=BATCH,
        learning_rate=RATE,
        evaluate_every=1000,
        precision="bf16",
        num_threads=1,
        checkpoint_every_s=1e9,
    )
    before = time.process_time()
    first = loss()
    started += time.process_time() - before
    with tempfile.TemporaryDirectory(dir=folder) as stage:
        train(task, plan, folder=Path(stage), progress=Clock())
    spent, peak = time.process_time(), peak_bytes()
    last = loss()
    told(started + time.process_time() - spent, steps, first_loss=first, last_loss=last, peak_bytes=peak)


def child(python, name, folder, case=""):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [python, "-m", "benchmarks.gkd", "--child", name, "--folder", str(folder), "--case", case]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1]) if name != "prepare" else {}


def compared(runs):
    """Of each case, the medians of all turns, and ours against GKDTrainer's."""
    import statistics

    found = {}
    for case in dict.fromkeys(run["case"] for run in runs):
        of = [run for run in runs if run["case"] == case]

        def middle(name, key, of=of):
            return statistics.median(run[name][key] for run in of)

        whole = middle("capture", "cpu_seconds") + middle("ours", "cpu_seconds")
        found[case] = {
            "step_cpu_seconds": {name: middle(name, "step_cpu_seconds") for name in ("gkd", "ours")},
            "step_cpu_ratio": middle("gkd", "step_cpu_seconds") / middle("ours", "step_cpu_seconds"),
            "peak_bytes": {name: middle(name, "peak_bytes") for name in ("gkd", "ours", "capture")},
            "memory_ratio": middle("ours", "peak_bytes") / middle("gkd", "peak_bytes"),
            "whole_cpu_seconds": {"gkd": middle("gkd", "cpu_seconds"), "ours": whole},
            "whole_cpu_ratio": middle("gkd", "cpu_seconds") / whole,
        }
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="Python of the environment with TRL")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--cases", nargs="+", default=["text", "answers"])
    parser.add_argument("--child", default="")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--case", default="")
    args = parser.parse_args()
    if args.child:
        given = [args.folder] if args.child == "prepare" else [args.folder, args.case]
        {"prepare": prepare, "gkd": gkd, "capture": capture, "ours": ours}[args.child](*given)
        return
    from benchmarks.record import record

    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        child(sys.executable, "prepare", folder)
        for turn in range(args.turns):
            for case in args.cases:
                shutil.rmtree(folder / f"store-{case}", ignore_errors=True)
                line = {"case": case, "turn": turn, "load": os.getloadavg()[0]}
                for name in ("gkd", "capture", "ours"):
                    line[name] = child(args.peer, name, folder, case)
                runs.append(line)
                print(json.dumps(line), flush=True)
    sizes = {"rows": ROWS, "tokens_a_row": LENGTH, "batch": BATCH, "epochs": EPOCHS, "top_k": TOP_K}
    command = [args.peer, "-c", "import importlib.metadata as m; print(m.version('trl'), m.version('transformers'))"]
    trl, transformers = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    found = compared(runs)
    print(json.dumps(found, indent=1))
    record("gkd", runs, compared=found, sizes=sizes, peer={"trl": trl, "transformers": transformers})


if __name__ == "__main__":
    main()
