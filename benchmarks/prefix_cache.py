"""Labelling prompts that begin alike: CPU-seconds an item with the beginning kept, and computed again.

    OMP_NUM_THREADS=1 python -m benchmarks.prefix_cache [--shared 1000] [--own 32] [--items 16] [--precision bf16]

Both in one process, one token written for each prompt. The marginal cost of an item is what one more prompt
costs once the shared beginning is known; the whole job counts the beginning too.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from potstill.signals.prefixes import PrefixGroup, PrefixPlan, plan_prefixes
from potstill.students.causal import load_causal_lm
from potstill.students.causal.decode import write
from potstill.teachers.causal_lm import packaged_gguf

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def cpu_seconds(model, prompts, plan) -> float:
    started = time.process_time()
    list(write(model, prompts, end=-1, max_new_tokens=1, top_k=16, plan=plan))
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=int, default=1000)
    parser.add_argument("--own", type=int, default=32)
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--alone", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load_causal_lm(args.model or packaged_gguf(), dtype=DTYPES[args.precision])
    random = np.random.default_rng(0)
    start = random.integers(100, len(tokenizer), args.shared).tolist()
    prompts = [[*start, *random.integers(100, len(tokenizer), args.own).tolist()] for _ in range(args.items)]
    few = prompts[: args.alone]
    apart = PrefixPlan(groups=(PrefixGroup(0, tuple(range(len(few)))),), num_tokens=0, num_reused=0, num_alone=0)
    cpu_seconds(model, [prompts[0][:64]], None)
    again = min(cpu_seconds(model, few, apart) for _ in range(args.repeats)) / len(few)
    kept = min(cpu_seconds(model, prompts, plan_prefixes(prompts)) for _ in range(args.repeats))
    beginning = min(cpu_seconds(model, [start], None) for _ in range(args.repeats))
    marginal = (kept - beginning) / args.items
    found = {
        "shared_tokens": args.shared,
        "own_tokens": args.own,
        "items": args.items,
        "again_cpu_s_an_item": round(again, 4),
        "beginning_cpu_s": round(beginning, 4),
        "kept_cpu_s_an_item": round(marginal, 4),
        "speedup_an_item": round(again / marginal, 1),
        "speedup_of_the_job": round(again * args.items / kept, 1),
        "share_reused": round(plan_prefixes(prompts).share_reused, 4),
        "precision": args.precision,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
