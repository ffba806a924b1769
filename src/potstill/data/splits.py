"""Deterministic, stratified splits: a row's place follows from its own bytes, not from where it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from potstill.types import IntArray


def stratified_split(
    labels_NL: IntArray, digests: Sequence[bytes], share: float, *, seed: int
) -> tuple[IntArray, IntArray]:
    """Positions of (the rest, the share), both ascending.

    Each combination of labels gives its share, at least one row where it has two or more. Combinations with a single
    row are pooled. The order inside is that of a hash of seed and row, so a file in another order splits alike.
    """
    keys = _keys(digests, f"split/{seed}/")
    _, strata = np.unique(labels_NL, axis=0, return_inverse=True)
    strata = strata.reshape(-1)
    sizes = np.bincount(strata) if len(strata) else np.zeros(0, np.int64)
    strata = np.where(sizes[strata] < 2, len(sizes), strata)
    taken = np.zeros(len(labels_NL), bool)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        rows = rows[np.argsort(keys[rows], kind="stable")]
        count = round(share * len(rows))
        if len(rows) >= 2:
            count = min(max(count, 1), len(rows) - 1)
        taken[rows[:count]] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def group_split(groups: Sequence[str], share: float, *, seed: int) -> tuple[IntArray, IntArray]:
    """Positions of (the rest, the share), where no group stands on both sides.

    Groups are taken in the order of a hash of seed and name until the share is nearly reached; at least one is taken
    and at least one is left.

    Args:
        groups: the group of each row, two or more different ones.
        share: wished for; whole groups rarely meet it exactly.
        seed: of the order.
    """
    names = sorted(set(groups))
    keys = _keys([name.encode() for name in names], f"groups/{seed}/")
    sizes = {name: groups.count(name) for name in names}
    wanted, taken, total = share * len(groups), set[str](), 0
    for i in np.argsort(keys, kind="stable"):
        name = names[i]
        closer = abs(total + sizes[name] - wanted) < abs(total - wanted)
        if not taken or (closer and len(taken) < len(names) - 1):
            taken.add(name)
            total += sizes[name]
    inside = np.array([name in taken for name in groups])
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def fold_numbers(labels_NL: IntArray, digests: Sequence[bytes], num_folds: int, *, seed: int) -> IntArray:
    """The fold of each row, 0 to `num_folds` - 1: every combination of labels is dealt out evenly."""
    keys = _keys(digests, f"folds/{seed}/")
    _, strata = np.unique(labels_NL, axis=0, return_inverse=True)
    order = np.lexsort((keys, strata.reshape(-1)))
    folds = np.empty(len(labels_NL), np.int64)
    # Dealt out in one go over all strata, so that small ones don't all begin with the same fold.
    folds[order] = np.arange(len(labels_NL)) % num_folds
    return folds


def _keys(digests: Sequence[bytes], salt: str) -> IntArray:
    """A number for each row that looks random and follows from its bytes."""
    return np.array([int.from_bytes(hashlib.sha256(salt.encode() + d).digest()[:8], "big") for d in digests], np.uint64)
