"""`potstill import completions`: lines of files as stored completions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from potstill.cli.import_.api import add_server, server_of
from potstill.cli.import_.sending import said, send_lines
from potstill.cli.output import Result
from potstill.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="+",
        help='JSONL: {"messages": [...]} as for fine-tuning, or with "completion" beside the messages that it answers',
    )
    parser.add_argument("--model", default="", help="who answered, where the lines don't say it")
    parser.add_argument("--teacher", default="", help="kept with each row for its licence; the model when left out")
    parser.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help="added to each row")
    add_server(parser)


def main(args: argparse.Namespace) -> Result:
    """Sends all lines; a line that is there already is passed over."""
    query = {"model": args.model, "teacher": args.teacher}
    for pair in args.metadata:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise DataError(f"--metadata {pair}: expected KEY=VALUE")
        query[f"metadata[{key}]"] = value
    found = send_lines(server_of(args), _lines(args.file), **query)
    return Result(found, said(found))


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        try:
            with path.open("rb") as file:
                yield from file
        except OSError as error:
            raise DataError(f"{path} can't be read: {error.strerror}") from error
