"""`potstill fleet resume`."""

from __future__ import annotations

import argparse

from potstill.cli.fleet.options import add_fleet, add_line, fleet_of
from potstill.cli.fleet.rollout import describe
from potstill.cli.output import Result
from potstill.fleet.publisher.rollout import resume
from potstill.fleet.publisher.steer import change


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fleet resume`."""
    add_fleet(parser)
    add_line(parser)


def main(args: argparse.Namespace) -> Result:
    """Signs the change."""
    changed = change(fleet_of(args), args.cohort, args.model, resume)
    return Result(changed.to_json(), describe(changed))
