"""`potstill import`: bring to a running server what was made elsewhere."""

from __future__ import annotations

import argparse

from potstill.cli.import_ import completions, names, openai, promptfoo, results
from potstill.cli.output import Result
from potstill.cli.verbs import add_verbs, run_verb

VERBS = {
    "completions": ("keep the lines of a fine-tuning file or of an export as stored completions", completions),
    "openai": ("copy stored completions, evals and fine-tuning jobs from OpenAI's API", openai),
    "results": ("keep the result file of a fine-tuning job that ran elsewhere", results),
    "promptfoo": ("make an eval and its rows from a Promptfoo configuration", promptfoo),
    "names": ("let models answer for the names that other models had", names),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Verbs of `import`."""
    add_verbs(parser, VERBS)


def main(args: argparse.Namespace) -> Result:
    """Runs a verb."""
    return run_verb(args)
