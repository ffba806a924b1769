"""`potstill device update`."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.device.reporting import add_report_url, send_reports
from potstill.cli.output import Result, size
from potstill.fleet.device.place import from_source, open_device
from potstill.fleet.device.update import update


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `device update`."""
    parser.add_argument("device", type=Path, help="folder of the device")
    add_report_url(parser)
    parser.add_argument(
        "--source", default="", help="another place this time, as a copy of the repository on a USB stick"
    )


def main(args: argparse.Namespace) -> Result:
    """Updates once."""
    device = open_device(args.device)
    done = update(from_source(device, args.source) if args.source else device)
    lines = [f"{done.did}: {done.reason}"]
    if done.ways:
        ways = ", ".join(f"{name} {way}" for name, way in done.ways.items())
        lines.append(f"downloaded {size(done.downloaded_bytes)}: {ways}")
    sent = send_reports(device, args.report_url)
    return Result({**done.to_json(), "num_reports": sent}, "\n".join(lines))
