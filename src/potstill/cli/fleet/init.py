"""`potstill fleet init`: keys and first metadata."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.fleet.options import add_passphrase
from potstill.cli.output import Result
from potstill.fleet.publisher.keys import passphrase_from
from potstill.fleet.publisher.place import create_fleet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fleet init`."""
    parser.add_argument("fleet", type=Path, help="new folder")
    parser.add_argument("--cohort", action="append", default=[], help="group of devices; `default` when left out")
    parser.add_argument("--offline-keys", type=Path, help="folder for the keys of root and targets, as a USB stick")
    parser.add_argument("--num-keys", type=int, default=3, help="keys of root and of targets")
    parser.add_argument("--threshold", type=int, default=2, help="how many of them must sign")
    add_passphrase(parser)


def main(args: argparse.Namespace) -> Result:
    """Makes a fleet."""
    fleet = create_fleet(
        args.fleet,
        cohorts=args.cohort or ["default"],
        offline_keys=args.offline_keys,
        num_keys=args.num_keys,
        threshold=args.threshold,
        passphrase=passphrase_from(args.passphrase_file),
    )
    offline = fleet.keys[0]
    root = fleet.metadata / "1.root.json"
    data = {
        "fleet": str(fleet.folder),
        "repository": str(fleet.repository),
        "root": str(root),
        "offline_keys": str(offline),
        "cohorts": list(fleet.cohorts),
    }
    text = (
        f"serve:          {fleet.repository}\ngive to devices: {root}\nkeep offline:   {offline}  (two copies, in two "
        "places; never in the folder that is served)"
    )
    return Result(data, text)
