"""Which rows stand in which step: a pure function of seed and epoch, with rows of like length together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from potstill.training.seeds import generator
from potstill.types import IntArray

# Rows are sorted by length inside a window of this many batches: long enough that padding nearly vanishes, short
# enough that the order stays random.
WINDOW = 50


def epoch_batches(lengths_N: IntArray, batch_size: int, *, seed: int, epoch: int) -> list[IntArray]:
    """All rows once, in random batches of similar length.

    Returns:
        Arrays of row positions. A last batch smaller than half a batch joins the one before, so that every step
        weighs about as much.
    """
    random = generator(seed, "epoch", epoch)
    order = random.permutation(len(lengths_N))
    batches: list[IntArray] = []
    for start in range(0, len(order), batch_size * WINDOW):
        window = order[start : start + batch_size * WINDOW]
        window = window[np.argsort(lengths_N[window], kind="stable")]
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    if len(batches) > 1:
        small = [i for i, batch in enumerate(batches) if len(batch) < batch_size / 2]
        for i in reversed(small):
            batches[i - 1] = np.concatenate([batches[i - 1], batches.pop(i)])
    return [batches[i] for i in random.permutation(len(batches))]


def steps_per_epoch(num_rows: int, batch_size: int) -> int:
    """How many batches `epoch_batches` gives."""
    return len(epoch_batches(np.zeros(num_rows, np.int32), batch_size, seed=0, epoch=0))


def batch_stream(lengths_N: IntArray, batch_size: int, *, seed: int, start: int) -> Iterator[tuple[int, IntArray]]:
    """Yields (step, row positions) for ever, from step `start` on."""
    per_epoch = steps_per_epoch(len(lengths_N), batch_size)
    step = start
    while True:
        epoch, offset = divmod(step, per_epoch)
        for batch in epoch_batches(lengths_N, batch_size, seed=seed, epoch=epoch)[offset:]:
            yield step, batch
            step += 1
