"""`potstill fleet status`."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.fleet.options import add_fleet, fleet_of
from potstill.cli.fleet.rollout import describe
from potstill.cli.output import Result, table
from potstill.files import write_atomic
from potstill.fleet.publisher.overview import overview


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fleet status`."""
    add_fleet(parser)
    parser.add_argument("--html", type=Path, help="also write one page with rings, versions, health and rollbacks")


def main(args: argparse.Namespace) -> Result:
    """Shows all lines of models."""
    found = overview(fleet_of(args))
    if args.html:
        from potstill.report.fleet_page import fleet_page

        write_atomic(args.html, fleet_page(found).encode())
    rows = [
        [
            f"{line.rollout.cohort}/{line.rollout.model}",
            describe(line.rollout),
            str(line.num_devices),
            ", ".join(f"{version}: {count}" for version, count in sorted(line.versions.items())) or "-",
            str(line.num_reverted),
        ]
        for line in found.lines
    ]
    text = table(["cohort/model", "rollout", "devices", "versions", "given up"], rows) if rows else "nothing published"
    expiring = [f"{role} expires on {when}" for role, when in found.expires.items()]
    return Result({**found.to_json(), "html": str(args.html or "")}, "\n".join([text, "", *expiring]))
