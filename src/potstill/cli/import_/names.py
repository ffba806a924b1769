"""`potstill import names`: old names of models, and what answers for them now."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from potstill.cli.import_.api import add_server, server_of
from potstill.cli.import_.reading import parse_json, read_text
from potstill.cli.output import Result
from potstill.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("file", type=Path, help="JSON object of old to new names, or CSV lines of OLD,NEW")
    add_server(parser)


def main(args: argparse.Namespace) -> Result:
    """Puts the names; the server refuses a target that nobody answers for."""
    found = server_of(args).post("/potstill/aliases", {"aliases": read_names(args.file)})
    text = "\n".join(f"{name} -> {target}" for name, target in found["aliases"].items())
    return Result(found, text)


def read_names(path: Path) -> dict[str, str]:
    """Old name -> new name.

    Raises:
        DataError: of another form.
    """
    text = read_text(path)
    if text.lstrip().startswith("{"):
        rows = list(parse_json(text, path).items())
    else:
        rows = [tuple(cell.strip() for cell in row) for row in csv.reader(text.splitlines()) if row]
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or not all(isinstance(cell, str) and cell for cell in row):
            raise DataError(f"{path}, entry {number}: expected an old and a new name, got {str(row)[:200]}")
    return dict(rows)
