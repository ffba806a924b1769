"""`potstill store`: the kept answers of teachers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from potstill.cli.output import Result, size, table
from potstill.errors import StoreError
from potstill.signals import Store, default_root
from potstill.signals.maintenance import (
    clean_entry,
    describe,
    describe_teachers,
    find_damage,
    remove_teachers,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `store`."""
    parser.add_argument("action", choices=["ls", "verify", "gc"])
    parser.add_argument("--store", type=Path, help="folder of the answers; the user's when left out")
    parser.add_argument("--damaged", action="store_true", help="gc: drop shards that fail their check")
    parser.add_argument(
        "--refused", action="store_true", help="gc: forget refusals, so that these rows are asked again"
    )
    parser.add_argument(
        "--teachers", action="store_true", help="gc: drop the weights of trained teachers; their answers stay"
    )


def main(args: argparse.Namespace) -> Result:
    """Lists, checks or cleans."""
    store = Store(args.store or default_root())
    if args.action == "ls":
        return _list(store)
    if args.action == "verify":
        return _verify(store)
    removed = [
        name for entry in store.entries() for name in clean_entry(entry, damaged=args.damaged, refused=args.refused)
    ]
    removed += remove_teachers(store) if args.teachers else []
    return Result({"removed": removed}, "\n".join(removed) or "nothing to remove")


def _list(store: Store) -> Result:
    found: list[dict[str, Any]] = [describe(entry) for entry in store.entries()]
    rows = [
        [e["key"][:12], e["kind"], f"{e['num_rows']:,}", f"{e['num_refused']:,}", size(e["size_bytes"])] for e in found
    ]
    text = table(["key", "teacher", "rows", "refused", "size"], rows) if rows else f"no answers in {store.root}"
    weights = describe_teachers(store)
    if weights:
        total = sum(item["size_bytes"] for item in weights)
        text += f"\n\nweights of {len(weights)} trained teachers: {size(total)}"
    return Result({"store": str(store.root), "entries": found, "teachers": weights}, text)


def _verify(store: Store) -> Result:
    damage: dict[str, list[str]] = {str(entry.folder): find_damage(entry) for entry in store.entries()}
    wrong = [message for messages in damage.values() for message in messages]
    if wrong:
        raise StoreError("\n".join(wrong))
    return Result(
        {"store": str(store.root), "num_entries": len(damage)}, f"{len(damage)} teachers, all answers are whole"
    )
