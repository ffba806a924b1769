"""`potstill demo`: the main job on data that comes with the installation."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.output import Result
from potstill.cli.progress import TerminalProgress
from potstill.cli.summary import run_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `demo`."""
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder of the run")
    parser.add_argument("--seed", type=int, default=0, help="which 50 digits are labelled")
    parser.add_argument("--lang", default="en", choices=["en", "ko"], help="language of the report")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress")


def main(args: argparse.Namespace) -> Result:
    """Runs it and predicts one digit with the bundle."""
    from potstill.demo import demo, show_one

    progress = TerminalProgress(quiet=args.quiet)
    progress.listen()
    try:
        done = demo(args.out, seed=args.seed, language=args.lang, progress=progress)
    finally:
        progress.close()
    found = run_result(done.result)
    return Result(found.data, f"{found.text}\n\n{show_one(done)}")
