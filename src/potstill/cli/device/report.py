"""`potstill device report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.output import Result
from potstill.fleet.device.deliver import add_health_report, deliver
from potstill.fleet.device.place import open_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `device report`."""
    parser.add_argument("device", type=Path, help="folder of the device")
    parser.add_argument("--to", type=Path, help="write the reports into this folder in place of sending them")


def main(args: argparse.Namespace) -> Result:
    """Adds how it does now, and delivers all that was not delivered."""
    device = open_device(args.device)
    add_health_report(device)
    sent = deliver(device, args.to)
    return Result({"num_reports": sent}, f"{sent} reports delivered")
