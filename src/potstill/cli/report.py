"""`potstill report`: the report of a finished run again, for example in Korean."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.output import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `report`."""
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--try", dest="wants_try", action="store_true", help="also a page that runs the student")
    parser.add_argument("--ort-web", type=Path, help="node_modules/onnxruntime-web, where npm is not at hand")
    parser.add_argument("--lang", default="en", choices=["en", "ko"], help="language of the report")


def main(args: argparse.Namespace) -> Result:
    """Writes the report in place; with --try `try.html` beside it, which opens without a server."""
    from potstill.recipe.run import REPORT
    from potstill.report import load_content, write_report
    from potstill.report.generative import is_written_report, load_written_content, write_written_report

    found = {}
    if args.wants_try:
        from potstill.recipe.web import write_try

        found["try"] = str(write_try(args.run, ort_web=args.ort_web, language=args.lang))
    # After it, so that the report can link to it.
    folder = args.run / REPORT
    if is_written_report(folder):
        written = write_written_report(folder, load_written_content(folder), language=args.lang)
    else:
        written = write_report(folder, load_content(folder), language=args.lang)
    found |= {name: str(path) for name, path in written.items()}
    return Result({"run_dir": str(args.run), "written": found}, "\n".join(found.values()))
