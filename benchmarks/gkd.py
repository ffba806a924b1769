"""A training step on stored top-64 signals against TRL's GKDTrainer, which asks the teacher at every step.

Same student (8 layers of the packaged teacher, whole vocabulary), same rows of GSM8K cut to 128 tokens, four a step,
fp32, AdamW. GKD runs off-policy (lmbda 0) with forward KL (beta 0), its cheapest setting. Each runs in a process of its
own; time is CPU-seconds a step of one thread (the median after the first), memory the peak of the process. Asking the
teacher once for what is stored is given apart: `capture_cpu_seconds_a_step`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

from benchmarks.loss_head import resident
from benchmarks.token_store import DATA, read_teacher

ROWS, LENGTH = 4, 128


def batches(tokenizer, num_steps):
    """Ids of shape rows x length for each step; rows are GSM8K texts one after the other."""
    ids = []
    for line in DATA.read_text("utf-8").splitlines():
        row = json.loads(line)
        ids += tokenizer.encode(f"{row['question']}\n{row['answer']}\n")
        if len(ids) >= num_steps * ROWS * LENGTH:
            return torch.tensor(ids[: num_steps * ROWS * LENGTH]).view(num_steps, ROWS, LENGTH)
    raise SystemExit(f"{DATA} is too short")


def prepare(folder, num_steps):
    """Writes student, teacher, rows and stored signals for the two processes; returns the cost of the signals."""
    from potstill.students.causal import cut_causal_lm, map_layers, save_causal_lm

    model, tokenizer = read_teacher()
    student = cut_causal_lm(model, layers=map_layers(30, 8))
    save_causal_lm(folder / "teacher", model, tokenizer, dtype=torch.float32)
    save_causal_lm(folder / "student", student, tokenizer, dtype=torch.float32)
    rows = batches(tokenizer, num_steps)
    started = time.process_time()
    kept = []
    with torch.no_grad():
        for ids in rows:
            logs = torch.log_softmax(model(input_ids=ids).logits[:, :-1].flatten(0, 1), -1)
            best = logs.topk(64, -1)
            tail = logs.scatter(1, best.indices, float("-inf")).logsumexp(-1)
            kept.append({"indices": best.indices, "logprobs": best.values, "tail": tail})
    seconds = time.process_time() - started
    from safetensors.torch import save_file

    tensors = {f"{i}.{name}": value.contiguous() for i, step in enumerate(kept) for name, value in step.items()}
    save_file({"rows": rows, **tensors}, folder / "signals.safetensors")
    return seconds / num_steps


def ours(folder, num_steps):
    from safetensors.torch import load_file

    from potstill.losses.tokens import ForwardKL, SparseTarget, TokenTerm, head_loss
    from potstill.students.causal import load_causal_lm

    tensors = load_file(folder / "signals.safetensors")
    model, _ = load_causal_lm(folder / "student")
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    seconds, losses = [], []
    for step in range(num_steps):
        started = time.process_time()
        hidden = model.model(input_ids=tensors["rows"][step], use_cache=False).last_hidden_state[:, :-1]
        target = SparseTarget(**{name: tensors[f"{step}.{name}"] for name in ("indices", "logprobs", "tail")})
        term = TokenTerm(name="kl", loss=ForwardKL(), target=target)
        loss = head_loss(hidden.flatten(0, 1), model.lm_head.weight, [term]).total / len(target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.process_time() - started)
        losses.append(loss.item())
    return seconds, losses


def gkd(folder, num_steps):
    warnings.simplefilter("ignore")
    from datasets import Dataset
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    rows = load_file(folder / "signals.safetensors")["rows"].flatten(0, 1).tolist()
    student, teacher = (
        AutoModelForCausalLM.from_pretrained(folder / n, dtype="float32") for n in ("student", "teacher")
    )
    seconds = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *args, **kwargs):
            self.started = time.process_time()

        def on_step_end(self, *args, **kwargs):
            seconds.append(time.process_time() - self.started)

    def collate(picked):
        ids = torch.tensor([row["ids"] for row in picked])
        prompts = {"prompts": ids[:, :1], "prompt_attention_mask": torch.ones_like(ids[:, :1])}
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone(), **prompts}

    settings = GKDConfig(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=ROWS,
        max_steps=num_steps,
        lmbda=0.0,
        beta=0.0,
        temperature=1.0,
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = GKDTrainer(
        model=student,
        teacher_model=teacher,
        args=settings,
        data_collator=collate,
        train_dataset=Dataset.from_dict({"ids": rows}),
        processing_class=AutoTokenizer.from_pretrained(folder / "student"),
        callbacks=[Clock()],
    )
    trainer._get_train_sampler = lambda *args: torch.utils.data.SequentialSampler(rows)
    trainer.train()
    return seconds, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--child", default="")
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.child:
        seconds, losses = {"ours": ours, "gkd": gkd}[args.child](args.folder, args.steps)
        found = {"cpu_seconds_a_step": round(statistics.median(seconds[1:]), 3)}
        print(json.dumps(found | {"peak_bytes": resident("VmHWM"), "losses": [round(loss, 3) for loss in losses]}))
        return
    from benchmarks.record import record

    runs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        capture = prepare(folder, args.steps)
        for child in ("ours", "gkd"):
            command = [sys.executable, "-m", "benchmarks.gkd", "--child", child, "--folder", name]
            command += ["--steps", str(args.steps)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
            runs[child] = json.loads(output.splitlines()[-1])
            print(child, runs[child], flush=True)
    runs["capture_cpu_seconds_a_step"] = round(capture, 3)
    runs["time_gkd_over_ours"] = round(runs["gkd"]["cpu_seconds_a_step"] / runs["ours"]["cpu_seconds_a_step"], 2)
    runs["memory_ours_over_gkd"] = round(runs["ours"]["peak_bytes"] / runs["gkd"]["peak_bytes"], 3)
    print(runs)
    record("gkd", [{"steps": args.steps, **runs}])


if __name__ == "__main__":
    main()
