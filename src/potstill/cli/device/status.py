"""`potstill device status`."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.output import Result
from potstill.fleet.device.place import open_device
from potstill.fleet.device.serving import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `device status`."""
    parser.add_argument("device", type=Path, help="folder of the device")


def main(args: argparse.Namespace) -> Result:
    """Shows it."""
    found = describe(open_device(args.device))
    health = found["health"]
    version = f"release {found['version']}" if found["version"] else "nothing installed"
    lines = [
        f"device {found['id']}, cohort {found['cohort']}",
        f"{found['model']}: {version}{', on trial' if found['on_trial'] else ''}",
        f"{health['num_predictions']} predictions, {health['num_errors']} failed",
        *(f"given up: {digest[:12]}: {why}" for digest, why in found["barred"].items()),
        f"{found['num_reports']} reports to deliver",
    ]
    return Result(found, "\n".join(lines))
