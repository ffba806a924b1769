"""`potstill fleet collect`: reports as files, as from a USB stick."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.fleet.options import add_fleet, fleet_of
from potstill.cli.output import Result
from potstill.errors import ConfigurationError, ReportError
from potstill.fleet.publisher.inbox import accept_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fleet collect`."""
    add_fleet(parser)
    parser.add_argument("folder", type=Path, help="with the reports (.json)")


def main(args: argparse.Namespace) -> Result:
    """Takes in every report that is signed by its device; the files are left alone."""
    fleet = fleet_of(args)
    if not args.folder.is_dir():
        raise ConfigurationError(f"{args.folder} is no folder")
    new, refused = 0, []
    for path in sorted(args.folder.glob("*.json")):
        try:
            new += accept_report(fleet, path.read_bytes()).is_new
        except ReportError as error:
            refused.append({"file": path.name, "error": str(error)})
    lines = [f"{new} new reports", *(f"refused: {row['file']}: {row['error']}" for row in refused)]
    return Result({"num_new": new, "refused": refused}, "\n".join(lines))
