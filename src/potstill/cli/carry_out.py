"""Runs a recipe into its folder, with progress on stderr."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from potstill.cli.progress import TerminalProgress


class _Named(Protocol):
    def digest(self) -> str: ...


def carry_out(run: Callable[..., Any], recipe: _Named, args: argparse.Namespace) -> Mapping[str, Any]:
    """The result line.

    Args:
        run: `run` or `run_generative`.
        recipe: of that kind.
        args: options of `distill`; without a folder, source and recipe name one.
    """
    progress = TerminalProgress(quiet=args.quiet)
    progress.listen()
    out = args.out or Path("runs") / f"{Path(args.source).stem}-{recipe.digest()[:8]}"
    try:
        done = run(
            recipe,
            out,
            progress=progress,
            store=args.store,
            device=args.device,
            language=args.lang,
            command=shlex.join(["potstill", *sys.argv[1:]]),
        )
    finally:
        progress.close()
    result: Mapping[str, Any] = done.result
    return result
