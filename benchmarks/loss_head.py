"""Memory and time of the loss on a language model's head: ours, the plain way, and checkpointed chunks.

Forward KL from a teacher to a student of the same sizes, gradients of the states and of the head; products in fp32, or
with --bf16 in bf16, which is slower on processors that have no instructions for it. Each
variant runs in processes of its own, in turns; memory is the peak above what stood before, time is CPU-seconds of one
thread; both are the least of all turns.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

VARIANTS = ("naive", "checkpointed", "ours", "ours_top_64", "naive_top_64")


def divergence(student_logits, teacher_logits):
    student_log, teacher_log = F.log_softmax(student_logits.float(), -1), F.log_softmax(teacher_logits.float(), -1)
    return F.kl_div(student_log, teacher_log, log_target=True, reduction="sum")


def bucketed(student_logits, indices, logprobs, tail):
    """KL over the kept tokens and one bucket for the rest."""
    student_log = F.log_softmax(student_logits.float(), -1).gather(1, indices)
    rest = torch.log1p(-student_log.exp().sum(-1).clamp(max=1 - 1e-6))
    kept = (logprobs.exp() * (logprobs - student_log)).sum()
    return kept + (tail.exp() * (tail - rest)).sum()


def inputs(args):
    torch.manual_seed(0)
    hidden = torch.randn(args.positions, args.width).requires_grad_(True)
    head = (torch.randn(args.vocabulary, args.width) * 0.05).requires_grad_(True)
    teacher_hidden = torch.randn(args.positions, args.width)
    teacher_head = torch.randn(args.vocabulary, args.width) * 0.05
    return hidden, head, teacher_hidden, teacher_head


def kept_of(teacher_hidden, teacher_head):
    """The 64 most probable tokens, their log-probabilities, and the log of the rest."""
    found = [torch.log_softmax(part @ teacher_head.T, -1).topk(64) for part in teacher_hidden.split(64)]
    logs = torch.cat([best.values for best in found])
    return torch.cat([best.indices for best in found]), logs, torch.log1p(-logs.exp().sum(-1))


def loss_of(variant, args, hidden, head, teacher_hidden, teacher_head, kept):
    from potstill.losses.tokens import ForwardKL, HeadTarget, SparseTarget, TokenTerm, head_loss

    if variant == "naive":
        return divergence(hidden @ head.T, teacher_hidden @ teacher_head.T)
    if variant == "naive_top_64":
        return bucketed(hidden @ head.T, *kept)
    if variant == "checkpointed":
        total = 0
        for student, teacher in zip(hidden.split(128), teacher_hidden.split(128), strict=True):
            total = total + checkpoint(
                lambda s, t: divergence(s @ head.T, t @ teacher_head.T), student, teacher, use_reentrant=False
            )
        return total
    target = HeadTarget(hidden=teacher_hidden, head=teacher_head)
    if variant == "ours_top_64":
        target = SparseTarget(indices=kept[0], logprobs=kept[1], tail=kept[2])
    terms = [TokenTerm(name="kl", loss=ForwardKL(), target=target)]
    return head_loss(hidden, head, terms, group=args.group).total


def resident(name):
    """VmRSS or VmHWM of this process in bytes, as Linux counts."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def forget_peak():
    """Gives freed memory back and lets the high-water mark begin anew."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def measure(args):
    """In the child: once in full."""
    torch.set_num_threads(1)
    given = inputs(args)
    kept = kept_of(*given[2:]) if "top_64" in args.child else None
    few = torch.zeros(64, args.width, requires_grad=True)
    (few @ torch.zeros(args.width, 64)).sum().backward()
    forget_peak()
    before, started = resident("VmRSS"), time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
        total = loss_of(args.child, args, *given, kept)
    total.backward()
    seconds = time.process_time() - started
    norms = [float(given[i].grad.norm()) for i in (0, 1)]
    print(
        json.dumps(
            {"extra_bytes": resident("VmHWM") - before, "cpu_seconds": seconds, "loss": total.item(), "norms": norms}
        )
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--group", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--variants", nargs="+", default=VARIANTS)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--child", default="")
    args = parser.parse_args()
    if args.child:
        return measure(args)
    from benchmarks.record import record

    sizes = [f"--{name}={getattr(args, name)}" for name in ("positions", "vocabulary", "width", "group")]
    sizes += ["--bf16"] if args.bf16 else []
    found = {variant: [] for variant in args.variants}
    for _ in range(args.turns):
        for variant in args.variants:
            command = [sys.executable, "-m", "benchmarks.loss_head", *sizes, "--child", variant]
            found[variant].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    runs = {
        variant: {
            "extra_mb": round(min(run["extra_bytes"] for run in turns) / 1e6, 1),
            "cpu_seconds": round(min(run["cpu_seconds"] for run in turns), 3),
            "loss": turns[0]["loss"],
            "gradient_norms": turns[0]["norms"],
        }
        for variant, turns in found.items()
    }
    for variant, run in runs.items():
        base = runs["naive_top_64" if "top_64" in variant else "naive"]
        run["memory_ratio"] = round(run["extra_mb"] / base["extra_mb"], 3)
        run["time_ratio"] = round(run["cpu_seconds"] / base["cpu_seconds"], 3)
        print(variant, run)
    settings = {name: value for name, value in vars(args).items() if name not in ("child", "variants")}
    record("loss_head", [{**settings, **runs}])
    return None


if __name__ == "__main__":
    main()
