"""Where and in what precision to train."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

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

    return "bf16" if _best_of(half, device) < 0.8 * _best_of(full, device) else "fp32"


def compute_type(precision: str) -> torch.dtype:
    """What a model that only answers computes in: a CPU that emulates bf16 is many times slower in it (docs/log.md)."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Numerics:
    """How a network computes while it is trained.

    Attributes:
        precision: `fp32` or `bf16` (autocast).
        channels_last: whether pictures lie in memory with their colours side by side; results differ by rounding alone.
    """

    precision: str
    channels_last: bool = False


def probe_network(module: nn.Module, batch: Mapping[str, Tensor], device: str, *, wish: str = "auto") -> Numerics:
    """Times one training step of a network for pictures in every way and names the fastest.

    No rule holds for all: on one processor bf16 doubled the speed of a residual network and halved that of a
    separable one (docs/log.md). The weights are left as they are.
    """
    precisions = ("fp32", "bf16") if wish == "auto" else (wish,)
    ways = [Numerics(precision=p, channels_last=last) for p in precisions for last in (False, True)]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    times = {}
    for way in ways:
        module.to(device, memory_format=memory_format(way.channels_last))  # type: ignore[call-overload]
        times[way] = _best_of(lambda way=way: _step(module, batch, way, device), device, repeats=4)  # type: ignore[misc]
    module.to(device, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    module.load_state_dict(before)
    module.zero_grad(set_to_none=True)
    return min(ways, key=lambda way: times[way])


def memory_format(channels_last: bool) -> torch.memory_format:
    """Torch's word for the layout."""
    return torch.channels_last if channels_last else torch.contiguous_format


def _step(module: nn.Module, batch: Mapping[str, Tensor], way: Numerics, device: str) -> None:
    arrays = {n: t.to(device, memory_format=memory_format(way.channels_last)) for n, t in batch.items()}
    with torch.autocast(device, torch.bfloat16, enabled=way.precision == "bf16"):
        total = module(**arrays).logits.float().sum()
    total.backward()


def _best_of(call: Callable[[], None], device: str, repeats: int = 5) -> float:
    """Seconds of the fastest call; on a CPU those that it computed, since others may have been at work meanwhile."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    call()
    times = []
    for _ in range(repeats):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)
