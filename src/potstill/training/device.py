"""Where and in what precision to train."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from potstill.errors import ConfigurationError


def choose_device(wish: str) -> str:
    """`auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ConfigurationError: the device wished for is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wish == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there[wish]:
        have = ", ".join(name for name, is_there in there.items() if is_there)
        raise ConfigurationError(f"--device {wish}: torch finds no such device here. It has: {have}.")
    return wish


def probe_precision(device: str, *, num_threads: int = 1, rows: int = 1024, width: int = 384) -> str:
    """Times one matrix product in fp32 and in bf16 and names the clearly faster one.

    Not every CPU computes in bf16; one that emulates it is many times slower. A caller keeps the answer with the run,
    since a resumed training must not change its mind.
    """
    torch.set_num_threads(num_threads)
    a = torch.ones(rows, width, device=device)
    b = torch.ones(width, 4 * width, device=device)
    a_half, b_half = a.bfloat16(), b.bfloat16()

    def full() -> None:
        (a @ b).sum().item()

    def half() -> None:
        (a_half @ b_half).sum().item()

    return "bf16" if _best_of(half) < 0.8 * _best_of(full) else "fp32"


def _best_of(call: Callable[[], None], repeats: int = 5) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
