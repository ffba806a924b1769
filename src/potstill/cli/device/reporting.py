"""Reports that go out by the way, after an update or a run; a failure is told and ends nothing."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from potstill.fleet.device.deliver import deliver_patiently
from potstill.fleet.device.place import Device


def add_report_url(parser: argparse.ArgumentParser) -> None:
    """The option `--report-url`."""
    parser.add_argument(
        "--report-url",
        default="",
        metavar="URL",
        help="send reports there in place of where it was enrolled",
    )


def send_reports(device: Device, report_url: str) -> int:
    """Delivers what waits, where the device knows an address; returns how many reports."""
    url = report_url or device.report_url
    if not url:
        return 0
    sent, why = deliver_patiently(replace(device, report_url=url))
    if why:
        sys.stderr.write(f"reports wait for the next time: {why}\n")
    return sent
