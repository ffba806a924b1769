"""`potstill fleet rotate`: new keys for a role."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.fleet.options import add_fleet, fleet_of
from potstill.cli.output import Result
from potstill.fleet.publisher.repository import alone, rotate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fleet rotate`."""
    add_fleet(parser, offline=True)
    parser.add_argument("role", help="root, targets, snapshot, timestamp, or cohort-NAME")
    parser.add_argument("--to", type=Path, help="folder for new offline keys; FLEET/keys/offline when left out")


def main(args: argparse.Namespace) -> Result:
    """Makes new keys, and signs that the old ones count no more."""
    fleet = fleet_of(args)
    with alone(fleet):
        made = [str(path) for path in rotate(fleet, args.role, folder=args.to)]
    return Result({"role": args.role, "keys": made}, f"new keys of {args.role}: {', '.join(made)}")
