"""Prompts that begin alike, so that what they share is computed once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

# A shorter beginning costs less to compute again than to take apart.
LEAST_SHARED = 16


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """Prompts with a common beginning.

    Attributes:
        length: tokens that all of them begin with; 0 for prompts that share nothing worth keeping.
        members: positions of the prompts, the shortest rest first.
    """

    length: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PrefixPlan:
    """All prompts in groups.

    Attributes:
        groups: every prompt is in one of them.
        num_tokens: of all prompts.
        num_reused: tokens that need no computing because the group has computed them once.
        num_alone: prompts that share too little with any other.
    """

    groups: tuple[PrefixGroup, ...]
    num_tokens: int
    num_reused: int
    num_alone: int

    @property
    def share_reused(self) -> float:
        """Share of all prompt tokens that is taken from a kept prefix."""
        return self.num_reused / self.num_tokens if self.num_tokens else 0.0


def plan_prefixes(prompts: Sequence[Sequence[int]], *, least: int = LEAST_SHARED) -> PrefixPlan:
    """Groups prompts by what they share, so that the most tokens are saved.

    The prompts, sorted, are the leaves of a trie in order, so a node of it is a run of neighbours. A node at depth d
    with m prompts below saves d * (m - 1) tokens; it is split into its children where they save more together. The
    last token of a prompt is never shared: its logits are what is asked for.

    Args:
        prompts: token ids.
        least: shorter common beginnings count as nothing shared.
    """
    order = sorted(range(len(prompts)), key=lambda i: tuple(prompts[i]))
    shared = [_common(prompts[a], prompts[b]) for a, b in itertools.pairwise(order)]
    groups, alone = [], []
    for start, end in _runs(shared, 0, len(order), least):
        members = tuple(sorted(order[start:end], key=lambda i: (len(prompts[i]), i)))
        if len(members) == 1:
            alone.append(members[0])
        else:
            groups.append(PrefixGroup(_depth(prompts, members, shared[start : end - 1]), members))
    if alone:
        groups.append(PrefixGroup(0, tuple(sorted(alone, key=lambda i: (len(prompts[i]), i)))))
    return PrefixPlan(
        groups=tuple(groups),
        num_tokens=sum(map(len, prompts)),
        num_reused=sum(group.length * (len(group.members) - 1) for group in groups),
        num_alone=len(alone),
    )


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    end = min(len(a), len(b))
    return next((i for i in range(end) if a[i] != b[i]), end)


def _depth(prompts: Sequence[Sequence[int]], members: Sequence[int], shared: Sequence[int]) -> int:
    return min([*shared, *(len(prompts[i]) - 1 for i in members)])


def _runs(shared: Sequence[int], start: int, end: int, least: int) -> list[tuple[int, int]]:
    """Runs of neighbours that make a group each; a prompt that fits nowhere is a run of one."""
    found = []
    todo = [(start, end)]
    while todo:
        start, end = todo.pop()
        if end - start <= 1:
            found += [(start, end)] if end > start else []
            continue
        depth = min(shared[start : end - 1])
        cuts = [i + 1 for i in range(start, end - 1) if shared[i] == depth]
        parts = list(zip([start, *cuts], [*cuts, end], strict=True))
        below = sum(min(shared[a : b - 1]) * (b - a - 1) for a, b in parts if b - a > 1)
        if depth >= least and depth * (end - start - 1) >= below:
            found.append((start, end))
        else:
            todo += reversed(parts)
    return found
