"""Looking after the store: what is in it, what is damaged, what can go."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from potstill.errors import StoreError
from potstill.files import locked
from potstill.signals.shard import check_shard
from potstill.signals.store import Entry, Store


def describe(entry: Entry) -> dict[str, Any]:
    """What an entry holds, as JSON values; rows of damaged shards don't count."""
    identity = json.loads((entry.folder / "key.json").read_bytes())["identity"]
    return {
        "key": entry.key,
        "kind": str(identity.get("kind", "?")),
        "num_rows": sum(len(check_shard(entry.folder / name, entry.key, entry.codec)[0]) for name in entry.shards()),
        "num_refused": len(entry.refused()),
        "size_bytes": sum(path.stat().st_size for path in entry.folder.iterdir()),
    }


def find_damage(entry: Entry) -> list[str]:
    """One message for every shard that fails its check."""
    try:
        names = entry.shards()
    except StoreError as error:
        return [str(error)]
    messages = []
    for name in names:
        try:
            check_shard(entry.folder / name, entry.key, entry.codec)
        except StoreError as error:
            messages.append(str(error))
    return messages


def clean_entry(entry: Entry, *, damaged: bool, refused: bool) -> list[str]:
    """Seals what dead writers left, and removes what nobody needs.

    Args:
        entry: of the store.
        damaged: drop shards that fail their check, so that their rows are asked again.
        refused: forget refusals, so that their rows are asked again.

    Returns:
        Paths of what was removed.

    Raises:
        StoreError: something is damaged and `damaged` is not set.
    """
    with entry.locked():
        if damaged:
            whole = [path.name for path in sorted(entry.folder.glob("*.shard")) if _is_whole(path, entry)]
            entry.list_shards(whole)
        listed = set(entry.shards())
        gone = [path for path in sorted(entry.folder.glob("*.shard")) if path.name not in listed]
        if refused:
            gone += [path for path in [entry.folder / "refused.jsonl"] if path.exists()]
        for path in gone:
            path.unlink()
    entry.adopt()
    return [str(path) for path in gone]


def describe_teachers(store: Store) -> list[dict[str, Any]]:
    """Teachers whose weights the store keeps, as JSON values."""
    return [{"key": folder.name, "size_bytes": _size(folder)} for folder in _teacher_folders(store)]


def remove_teachers(store: Store) -> list[str]:
    """Removes the weights of all teachers but those in training; their answers stay, and a run trains them again.

    Returns:
        Paths of what was removed.
    """
    gone = []
    for folder in _teacher_folders(store):
        with suppress(BlockingIOError), locked(folder / ".lock", wait=False):
            shutil.rmtree(folder)
            gone.append(str(folder))
    return gone


def _teacher_folders(store: Store) -> list[Path]:
    return sorted(lock.parent for lock in store.teachers.rglob(".lock"))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_whole(path: Path, entry: Entry) -> bool:
    try:
        check_shard(path, entry.key, entry.codec)
    except StoreError:
        return False
    return True
