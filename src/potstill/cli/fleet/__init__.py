"""`potstill fleet`: sign releases, roll them out and see how they do."""

from __future__ import annotations

import argparse

from potstill.cli.fleet import collect, init, pause, publish, renew, resume, revoke, rollout, rotate, status
from potstill.cli.output import Result
from potstill.cli.verbs import add_verbs, run_verb

VERBS = {
    "init": ("make a fleet: its keys and the folder that a web server serves", init),
    "publish": ("sign a bundle as the next release and begin its rollout", publish),
    "rollout": ("let rollouts go on as the reports allow, or open a ring by hand", rollout),
    "pause": ("let no further device take the release that is being rolled out", pause),
    "resume": ("go on with a rollout that is held up", resume),
    "revoke": ("take a release back: devices return to the one before", revoke),
    "status": ("show releases, rollouts and how devices do", status),
    "collect": ("take in reports that devices wrote into a folder", collect),
    "renew": ("sign again what would expire", renew),
    "rotate": ("replace the keys of a role, as after a theft", rotate),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of `fleet`."""
    add_verbs(parser, VERBS)


def main(args: argparse.Namespace) -> Result:
    """Runs a verb."""
    return run_verb(args)
