"""`potstill fleet renew`: metadata that would expire is signed again; a task for a clock."""

from __future__ import annotations

import argparse

from potstill.cli.fleet.options import add_fleet, fleet_of
from potstill.cli.output import Result
from potstill.fleet.publisher.steer import renew


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fleet renew`."""
    add_fleet(parser, offline=True)
    parser.add_argument("--days", type=float, default=3.0, help="sign again what expires within these days")


def main(args: argparse.Namespace) -> Result:
    """Signs again what is due; the timestamp always."""
    signed, left = renew(fleet_of(args), days=args.days)
    lines = [f"signed: {', '.join(signed)}"]
    lines += [
        f"{role} expires on {when}, and its keys are not here. Run this with --keys." for role, when in left.items()
    ]
    return Result({"signed": signed, "needs_offline_keys": left}, "\n".join(lines))
