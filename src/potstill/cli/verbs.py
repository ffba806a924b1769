"""Commands that have verbs of their own, as `potstill fleet publish`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from types import ModuleType

from potstill.cli.output import Result


def add_verbs(parser: argparse.ArgumentParser, verbs: Mapping[str, tuple[str, ModuleType]]) -> None:
    """Adds verbs: name -> (summary, module with `add_arguments` and `main`)."""
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (summary, module) in verbs.items():
        one = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        # Before or behind the verb; left out here it must not undo what stands before.
        one.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print the result as one line of JSON"
        )
        module.add_arguments(one)
        one.set_defaults(verb_main=module.main)


def run_verb(args: argparse.Namespace) -> Result:
    """Runs the verb that was given."""
    result: Result = args.verb_main(args)
    return result
