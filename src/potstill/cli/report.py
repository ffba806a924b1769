"""`potstill report`: the report of a finished run again, for example in Korean."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.output import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `report`."""
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--lang", default="en", choices=["en", "ko"], help="language of the report")


def main(args: argparse.Namespace) -> Result:
    """Writes the report in place."""
    from potstill.recipe.run import REPORT
    from potstill.report import load_content, write_report

    folder = args.run / REPORT
    written = write_report(folder, load_content(folder), language=args.lang)
    found = {name: str(path) for name, path in written.items()}
    return Result({"run_dir": str(args.run), "written": found}, "\n".join(found.values()))
