"""`potstill device enroll`."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.output import Result
from potstill.errors import ConfigurationError
from potstill.fleet.device.deliver import add_health_report
from potstill.fleet.device.place import enroll
from potstill.fleet.formats.release import ANY_DEVICE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `device enroll`."""
    parser.add_argument("device", type=Path, help="new folder")
    parser.add_argument("--source", required=True, help="address of the repository, or a folder with a copy of it")
    parser.add_argument(
        "--root", type=Path, required=True, help="root metadata, by a way you trust; the newest that you have"
    )
    parser.add_argument("--model", required=True, help="name of the line of models")
    parser.add_argument("--cohort", default="default", help="group of devices")
    parser.add_argument("--device-class", default=ANY_DEVICE, help="kind of device")
    parser.add_argument("--report-url", default="", help="address that takes reports")
    parser.add_argument(
        "--consent", action="store_true", help="the owner agrees that some inputs are sent back for teaching"
    )


def main(args: argparse.Namespace) -> Result:
    """Makes a device."""
    try:
        root = args.root.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the root can't be read: {error}") from error
    device = enroll(
        args.device,
        source=args.source,
        root=root,
        model=args.model,
        cohort=args.cohort,
        device_class=args.device_class,
        report_url=args.report_url,
        consent=args.consent,
    )
    add_health_report(device)
    return Result(device.to_json(), f"device {device.id}")
