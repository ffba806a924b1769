"""The command line: one file a command, loaded when it is used, so that a bare installation can predict."""

from __future__ import annotations

import argparse
import importlib
import json
import keyword
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

from potstill import __version__
from potstill.cli.output import Result, clean, show
from potstill.errors import PotstillError

COMMANDS = {
    "distill": "distil a small student from a teacher and data",
    "demo": "the main job on data that comes with the installation",
    "check": "validate a recipe and forecast its cost",
    "init": "write a commented recipe for given data",
    "evaluate": "measure a bundle on labelled data",
    "judge": "let a model judge the written answers of a run, two contenders at a time",
    "predict": "predict with a bundle",
    "listen": "answer what is said in a file or into a microphone",
    "report": "write the report of a run again, in another language",
    "export": "write the student of a run for another runtime, as a page or as a small app",
    "store": "list, verify and clean the kept answers of teachers",
    "runs": "list runs",
    "fleet": "sign releases, roll them out to devices and see how they do",
    "refresh": "learn from what devices sent back, and publish to the first ring",
    "device": "take, watch and run the releases of a fleet",
    "serve": "OpenAI's distillation API on this machine",
    "import": "bring to a running server what was made elsewhere",
}
USAGE_ERROR, INTERRUPTED = 2, 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong without repeating the whole usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        sys.stderr.write(f"{self.prog}: {message}\nRun `{self.prog} --help` to see what it takes.\n")
        raise SystemExit(USAGE_ERROR)


def parser_of(command: str | None) -> argparse.ArgumentParser:
    """The parser; only the module of the command that is used is imported."""
    parser = _Parser(prog="potstill", description="Distil a big model into a small one that your device can run.")
    parser.add_argument("--version", action="version", version=f"potstill {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        one = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        one.add_argument("--json", action="store_true", help="print the result as one line of JSON")
        if name == command:
            # A file can't have the name of a keyword.
            module = importlib.import_module(
                f"potstill.cli.{name}_" if keyword.iskeyword(name) else f"potstill.cli.{name}"
            )
            module.add_arguments(one)
            one.set_defaults(main=module.main)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns the exit code."""
    if not arguments:
        # Whoever types the bare name wants to know what there is.
        parser_of(None).print_help(sys.stderr)
        return USAGE_ERROR
    command = next((word for word in arguments if word in COMMANDS), None)
    args = parser_of(command).parse_args(arguments)
    try:
        result: Result = args.main(args)
        show(result, as_json=args.json)
    except PotstillError as error:
        _fail(error, error.exit_code, args)
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; what was done is kept, and the same command goes on\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say, and stdout must not be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        _unexpected(error, args)
        return 1
    return 0


def _fail(error: Exception, exit_code: int, args: argparse.Namespace) -> None:
    if args.debug:
        traceback.print_exc()
    sys.stderr.write(f"error: {clean(str(error))}\n")
    if args.json:
        found = {"error": type(error).__name__, "message": str(error), "exit_code": exit_code}
        show(Result({**found, "problems": _problems(error)}, ""), as_json=True)


def _problems(error: Exception) -> list[dict[str, object]]:
    names = ("path", "message", "file", "line", "column")
    return [{name: getattr(problem, name) for name in names} for problem in getattr(error, "problems", ())]


def _unexpected(error: Exception, args: argparse.Namespace) -> None:
    """A bug of ours: a short message, and the traceback in a file for whoever mends it."""
    text = traceback.format_exc()
    with tempfile.NamedTemporaryFile(
        "w", prefix="potstill-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(text)
    if args.debug:
        sys.stderr.write(text)
    sys.stderr.write(
        f"unexpected error: {type(error).__name__}: {clean(str(error))[:500]}\nThis is a bug in Potstill. The "
        f"traceback is in {file.name}; please report it.\n"
    )
    if args.json:
        sys.stdout.write(json.dumps({"schema_version": 1, "error": type(error).__name__, "exit_code": 1}) + "\n")


def run() -> None:
    """Entry point of the `potstill` script."""
    for stream in (sys.stdout, sys.stderr):
        # A Windows or C-locale console that can't show Hangul gets escapes, not a crash.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    raise SystemExit(main(sys.argv[1:]))
