"""Options that the verbs of `potstill fleet` share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from potstill.errors import ConfigurationError
from potstill.fleet.publisher.keys import PASSPHRASE, passphrase_from
from potstill.fleet.publisher.place import Fleet, open_fleet


def add_fleet(parser: argparse.ArgumentParser, *, offline: bool = False) -> None:
    """The fleet, and where its offline keys are."""
    parser.add_argument("fleet", type=Path, help="folder of the fleet")
    if offline:
        parser.add_argument(
            "--keys", type=Path, action="append", default=[], help="further folder of keys, as a USB stick"
        )
        add_passphrase(parser)


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Where the passphrase of encrypted keys stands."""
    parser.add_argument("--passphrase-file", type=Path, help=f"file of the passphrase; {PASSPHRASE} when left out")


def add_line(parser: argparse.ArgumentParser) -> None:
    """Which rollout is meant."""
    parser.add_argument("--model", required=True, help="name of the line of models")
    parser.add_argument("--cohort", default="default", help="group of devices")


def fleet_of(args: argparse.Namespace) -> Fleet:
    """The fleet that was named."""
    passphrase = passphrase_from(getattr(args, "passphrase_file", None))
    return open_fleet(args.fleet, keys=getattr(args, "keys", ()), passphrase=passphrase)


def shares(text: str) -> Sequence[float]:
    """`5,25,100` as shares.

    Raises:
        ConfigurationError: another form.
    """
    try:
        found = [float(part.strip().rstrip("%")) / 100 for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or not all(0 < share <= 1 for share in found):
        raise ConfigurationError(f"{text!r} are no percentages. Write them with commas, as in 5,25,100.")
    return found
