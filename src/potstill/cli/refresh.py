"""`potstill refresh`: a round of the loop, from what devices sent back to the first ring."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.fleet.options import add_line, add_passphrase, fleet_of, shares
from potstill.cli.output import Result
from potstill.cli.progress import TerminalProgress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `refresh`."""
    parser.add_argument("run", type=Path, help="folder of the run whose bundle is deployed")
    parser.add_argument("--fleet", type=Path, required=True, help="folder of the fleet")
    add_line(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the new run")
    parser.add_argument("--min-rows", type=int, default=20, help="returned rows below which nothing is done")
    parser.add_argument("--max-drop", type=float, default=0.01, help="accuracy that the new student may lose")
    parser.add_argument("--rings", default="", metavar="5,25,100", help="percentages of the devices, one after another")
    parser.add_argument("--keys", type=Path, action="append", default=[], help="further folder of keys")
    add_passphrase(parser)
    parser.add_argument("--store", type=Path, help="folder of the teachers' answers")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress")


def main(args: argparse.Namespace) -> Result:
    """Does one round, or nothing where too little came back."""
    from potstill.recipe.refresh import refresh

    progress = TerminalProgress(quiet=args.quiet)
    progress.listen()
    try:
        done = refresh(
            args.run,
            fleet_of(args),
            model=args.model,
            cohort=args.cohort,
            out=args.out,
            min_rows=args.min_rows,
            max_drop=args.max_drop,
            rings=shares(args.rings) if args.rings else (),
            store=args.store,
            progress=progress,
        )
    finally:
        progress.close()
    data = {
        "did": done.did,
        "num_rows": done.num_rows,
        "num_changed": done.num_changed,
        "drift": done.drift.to_json(),
        "run": str(done.run.folder) if done.run else "",
        "release": done.published.to_json() if done.published else None,
    }
    drift = "; ".join(done.drift.found) or "no drift found"
    if done.published is None:
        return Result(data, f"{done.num_rows} rows came back, fewer than {args.min_rows}: nothing done; {drift}")
    released = done.published
    text = (
        f"{done.num_rows} rows came back, {done.num_changed} are answered otherwise now; {drift}\n"
        f"release {released.facts.version} of {released.facts.model}: {released.rollouts[0].log[-1]['what']}"
    )
    return Result(data, text)
