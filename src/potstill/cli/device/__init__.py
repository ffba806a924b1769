"""`potstill device`: enrol, update, predict, report."""

from __future__ import annotations

import argparse

from potstill.cli.device import enroll, report, run, status, tuf_client, update
from potstill.cli.output import Result
from potstill.cli.verbs import add_verbs, run_verb

VERBS = {
    "enroll": ("make a device: its key and whom it trusts", enroll),
    "update": ("take the release that is meant for this device", update),
    "run": ("predict with what is installed, and watch how it does", run),
    "status": ("show what is installed", status),
    "report": ("send signed reports, or write them into a folder", report),
    "tuf-client": ("verify any repository of The Update Framework; for its conformance suite", tuf_client),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of `device`."""
    add_verbs(parser, VERBS)


def main(args: argparse.Namespace) -> Result:
    """Runs a verb."""
    return run_verb(args)
