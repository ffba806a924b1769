"""`potstill export`: the student of a finished run in another precision."""

from __future__ import annotations

import argparse
from pathlib import Path

from potstill.cli.output import Result, size
from potstill.errors import ConfigurationError

TARGETS = {"onnx-fp32": "fp32", "onnx-int8": "int8", "onnx-int8-weights": "int8_weights"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `export`."""
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("--target", required=True, choices=sorted(TARGETS), help="form of the bundle")
    parser.add_argument("--out", type=Path, help="folder of the bundle; RUN/exports/TARGET when left out")


def main(args: argparse.Namespace) -> Result:
    """Copies the bundle of that precision, which the run made and measured, with the run's evaluation in it."""
    import json

    from potstill.recipe.run import RESULT
    from potstill.recipe.shipping import rebundle
    from potstill.runtime.bundle import size_of

    _refuse_writer(args.run / RESULT)
    source = args.run / "contenders" / "student" / TARGETS[args.target]
    if not (args.run / RESULT).exists() or not source.is_dir():
        raise ConfigurationError(
            f"{args.run} is not a finished run. Run `potstill distill ... --out {args.run}` first."
        )
    target = args.out or args.run / "exports" / args.target
    result = json.loads((args.run / RESULT).read_bytes())
    digest = rebundle(source, target, result)
    num_bytes = size_of(target)
    data = {"bundle": str(target), "bundle_digest": digest, "target": args.target, "size_bytes": num_bytes}
    return Result(data, f"{target} ({size(num_bytes)})")


def _refuse_writer(result: Path) -> None:
    """A student that writes has all its forms in one bundle."""
    import json

    if result.exists() and json.loads(result.read_bytes()).get("kind") == "generative":
        raise ConfigurationError(
            f"the bundle of {result.parent} holds every form of its student already: model.gguf and model.safetensors. "
            "For another rounding run `potstill distill` with --set gguf=q4_0 and another --out."
        )
