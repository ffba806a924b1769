"""`potstill runs`: what runs there are and what came of them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from potstill.cli.output import Result, size, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `runs`."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs"), help="folder that holds runs")


def main(args: argparse.Namespace) -> Result:
    """Lists the runs under a folder."""
    folders = sorted(path.parent for path in args.folder.glob("*/recipe.json")) if args.folder.is_dir() else []
    found = [_describe(folder) for folder in folders]
    if not found:
        return Result({"runs": []}, f"no runs in {args.folder}")
    rows = [
        [
            run["run_dir"],
            run["state"],
            f"{100 * run['accuracy']:.1f} %" if run["accuracy"] is not None else "-",
            run["verdict"] or "-",
            size(run["size_bytes"]),
        ]
        for run in found
    ]
    return Result({"runs": found}, table(["run", "state", "accuracy", "verdict", "size"], rows))


def _describe(folder: Path) -> dict[str, Any]:
    found = {"run_dir": str(folder), "state": "unfinished", "accuracy": None, "verdict": None, "size_bytes": None}
    path = folder / "result.json"
    if not path.exists():
        return found
    try:
        result = json.loads(path.read_bytes())
        student = result["student"]
        return {
            **found,
            "state": "finished",
            "accuracy": student["accuracy"],
            "verdict": result["verdict"],
            "size_bytes": student["size_bytes"],
        }
    except (ValueError, KeyError, TypeError):
        return {**found, "state": "damaged"}
