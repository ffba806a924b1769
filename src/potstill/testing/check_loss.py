"""The contract of a loss, for built-in ones and yours."""

from __future__ import annotations

import torch

from potstill.losses import Loss

NUM_ROWS = 6


def check_loss(loss: Loss, *, num_classes: int = 5, zero_at_teacher: bool = True, seed: int = 0) -> None:
    """Checks what every loss owes its callers.

    One finite float32 value a row; no value below 0; gradient reaches the student and never the target; bf16 in,
    finite out; with `zero_at_teacher`, student == teacher costs nothing and has no gradient.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    torch.manual_seed(seed)
    student = torch.randn(NUM_ROWS, num_classes, requires_grad=True)
    target = _target(loss, num_classes)
    values = loss(student, target)
    assert values.shape == (NUM_ROWS,), f"expected one value a row ({NUM_ROWS},), got {tuple(values.shape)}"
    assert values.dtype == torch.float32, f"expected float32, got {values.dtype}"
    assert bool(torch.isfinite(values).all()), "a value is not finite"
    assert bool((values >= -1e-6).all()), f"a value is below 0: {values.min()}"
    values.sum().backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None and bool((student.grad.abs().sum(-1) > 0).all()), "a row gets no gradient"
    halves = loss(student.detach().bfloat16(), target)
    assert halves.dtype == torch.float32 and bool(torch.isfinite(halves).all()), "bf16 logits don't give finite float32"
    if zero_at_teacher and loss.needs != "labels":
        _check_zero(loss, target)


def _target(loss: Loss, num_classes: int) -> torch.Tensor:
    if loss.needs == "labels":
        return torch.arange(NUM_ROWS) % num_classes
    return torch.randn(NUM_ROWS, num_classes)


def _check_zero(loss: Loss, target: torch.Tensor) -> None:
    same = target.clone().requires_grad_(True)
    values = loss(same, target)
    assert bool((values.abs() < 1e-5).all()), f"student == teacher costs {values.abs().max()}, expected 0"
    values.sum().backward()  # type: ignore[no-untyped-call]
    assert same.grad is not None and float(same.grad.abs().max()) < 1e-4, "student == teacher still gets a gradient"
