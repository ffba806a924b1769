"""What of a run is done: a folder a stage, named by the hash of all that goes into it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import IntegrityError
from potstill.files import canonical_json, digest, write_atomic

DONE = "done.json"


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        folder: where its files lie.
        key: hash of everything that goes in.
    """

    folder: Path
    key: str

    def result(self) -> dict[str, Any] | None:
        """What the stage found when it was done, or None when it isn't.

        Raises:
            IntegrityError: the record is there and can't be read.
        """
        path = self.folder / DONE
        if not path.exists():
            return None
        try:
            record = json.loads(path.read_bytes())
            if record["key"] == self.key and record["digest"] == digest(record["result"]):
                return dict(record["result"])
        except (ValueError, KeyError, TypeError):
            pass
        raise IntegrityError(
            f"{path} is not what was written, so what this stage found is lost. Remove {self.folder} and run the "
            "same command again; the other stages are kept."
        )

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Records that the stage is done."""
        record = {"key": self.key, "digest": digest(result), "result": result}
        write_atomic(self.folder / DONE, canonical_json(record))
        return result


def stage(run_folder: Path, name: str, ingredients: dict[str, Any]) -> Stage:
    """The stage of that name for these ingredients (JSON values)."""
    key = digest(ingredients)
    return Stage(run_folder / "stages" / f"{name}-{key[:12]}", key)
