"""`potstill import results`: the result file of a fine-tuning job that ran elsewhere."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from potstill.cli.import_.api import add_server, server_of
from potstill.cli.import_.reading import read_text
from potstill.cli.output import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("file", type=Path, help="CSV with the columns step, train_loss, train_accuracy, ...")
    parser.add_argument("--base", required=True, help="model that the job started from")
    parser.add_argument("--model", default=None, help="model that it made: ft:...")
    parser.add_argument("--job", default="", help="its id, ftjob-...; made from the file when left out")
    add_server(parser)


def main(args: argparse.Namespace) -> Result:
    """Makes a finished job with the file's curve."""
    text = read_text(args.file)
    named = hashlib.sha256(f"{args.base}\n{args.model}\n{text}".encode()).hexdigest()[:24]
    job = {"id": args.job or f"ftjob-{named}", "model": args.base, "fine_tuned_model": args.model}
    value = {"job": {**job, "status": "succeeded"}, "results_csv": text}
    found = server_of(args).post("/potstill/imports/jobs", value)
    return Result(found, f"{found['job_id']}: {'added' if found['added'] else 'known already'}")
