"""`potstill export`: the student of a finished run for another runtime, or in another precision."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.cli.output import Result, size, table
from potstill.errors import ConfigurationError

if TYPE_CHECKING:
    from potstill.exporters.target import Target
    from potstill.recipe.exporting import Export

BUNDLES = {"onnx-fp32": "fp32", "onnx-int8": "int8", "onnx-int8-weights": "int8_weights"}
ROUNDINGS = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
SAMPLES = ("android", "c", "node", "swift")
# Each needs packages of its own, so its file is read when it is asked for.
CLASSES = {
    "coreml": ("coreml", "CoreML"),
    "executorch": ("executorch", "ExecuTorch"),
    "litert": ("litert", "LiteRT"),
    "onnx": ("onnx_file", "Onnx"),
    "openvino": ("openvino", "OpenVINO"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `export`."""
    parser.add_argument("run", type=Path, help="folder of a run")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--target", choices=sorted([*BUNDLES, *CLASSES, "gguf", "web"]), help="what it is for")
    what.add_argument("--sample", choices=SAMPLES, help="a minimal app around the bundle (c: around the litert export)")
    parser.add_argument(
        "--tokenizer", choices=["beside", "in-graph"], default="beside", help="onnx: a file, or inside the model"
    )
    parser.add_argument(
        "--precision", choices=["fp32", "int8", "int8_weights"], help="left out: int8 where the target computes in it"
    )
    parser.add_argument(
        "--cache", choices=["past", "none"], help="onnx of students that write: keys and values in and out (past)"
    )
    parser.add_argument("--rounding", choices=ROUNDINGS, help="gguf: of the weights; that of the bundle when left out")
    parser.add_argument("--allow-slower", action="store_true", help="write an int8 model although fp32 is faster")
    parser.add_argument("--ort-web", type=Path, help="web: node_modules/onnxruntime-web, where npm is not at hand")
    parser.add_argument("--lang", default="en", choices=["en", "ko"], help="web: language of the page")
    parser.add_argument("--out", type=Path, help="folder that is written; RUN/exports/TARGET when left out")


def main(args: argparse.Namespace) -> Result:
    """Converts, checks through the target's own runtime, and writes; nothing is written where a check fails."""
    writes = _check_kind(args)
    name = args.target or f"sample-{args.sample}"
    target = args.out or args.run / "exports" / (f"{name}-{args.tokenizer}" if args.tokenizer == "in-graph" else name)
    if args.sample:
        from potstill.recipe.sampling import write_sample

        files = write_sample(args.run, args.sample, target)
        return Result({"sample": args.sample, "path": str(target), "files": files}, "\n".join([str(target), *files]))
    if args.target in BUNDLES:
        return _bundle(args.run, BUNDLES[args.target], target, args.target)
    if args.tokenizer == "in-graph" and args.target != "onnx":
        raise ConfigurationError(f"--tokenizer in-graph is for --target onnx; {args.target} has no tokenizer inside")
    if args.target == "gguf":
        return _gguf(args, target)
    if args.target == "web":
        return _web(args, target)
    if writes:
        return _writer_onnx(args, target)
    from potstill.cli.progress import TerminalProgress
    from potstill.recipe.exporting import export

    found = export(
        args.run,
        _target(args),
        target,
        precision=_precision(args),
        allow_slower=args.allow_slower,
        progress=TerminalProgress(),
    )
    return Result(found.to_json(), _text(found))


def _target(args: argparse.Namespace) -> Target:
    import importlib

    module, name = CLASSES[args.target]
    options = {"tokenizer": args.tokenizer} if args.target == "onnx" else {}
    made: Target = getattr(importlib.import_module(f"potstill.exporters.{module}"), name)(**options)
    return made


def _precision(args: argparse.Namespace) -> Any:
    """For onnx the one that the run has chosen by size and speed, else that of the target."""
    if args.precision or args.target != "onnx":
        return args.precision
    from potstill.recipe.run import RESULT

    path = args.run / RESULT
    return json.loads(path.read_bytes())["precision"] if path.exists() else None


def _bundle(run: Path, precision: str, target: Path, name: str) -> Result:
    """The bundle of that precision, which the run made and measured, with the run's evaluation in it."""
    from potstill.recipe.run import RESULT
    from potstill.recipe.shipping import rebundle
    from potstill.runtime.bundle import size_of

    source = run / "contenders" / "student" / precision
    if not (run / RESULT).exists() or not source.is_dir():
        raise ConfigurationError(f"{run} is not a finished run. Run `potstill distill ... --out {run}` first.")
    result = json.loads((run / RESULT).read_bytes())
    digest = rebundle(source, target, result)
    num_bytes = size_of(target)
    data = {"bundle": str(target), "bundle_digest": digest, "target": name, "size_bytes": num_bytes}
    return Result(data, f"{target} ({size(num_bytes)})")


def _web(args: argparse.Namespace, target: Path) -> Result:
    from potstill.recipe.web import export_web

    found = export_web(args.run, target, ort_web=args.ort_web, language=args.lang)
    lines = [
        f"{found['path']} ({size(found['size_bytes'])} with {found['runtime']}; serve the folder)",
        *found["notes"],
    ]
    if found["agreement"] is not None:
        lines.append(
            f"in Node on {found['num_rows']} held-out rows: agreement {found['agreement']:.4f}, accuracy "
            f"{found['accuracy']:.4f}, KL {found['kl']:.2g}, {found['cpu_ms']:.3f} ms of CPU (fp32 "
            f"{found['fp32_cpu_ms']:.3f})"
        )
    return Result(found, "\n".join(lines))


def _text(found: Export) -> str:
    measured = found.measured
    lines = [f"{found.path} ({size(found.size_bytes)}, {found.precision}, {found.runtime})"]
    if measured.agreement is not None:
        lines.append(
            f"on {measured.num_rows} held-out rows: agreement {measured.agreement:.4f}, accuracy "
            f"{measured.accuracy:.4f} (fp32 student {measured.fp32_accuracy:.4f}), KL {measured.kl:.2g}"
        )
        lines.append(f"one input: {measured.cpu_ms:.3f} ms of CPU, in fp32 {measured.fp32_cpu_ms:.3f} ms")
    rows = [[g.name + (" (fp32!)" if g.is_fp32_embedding else ""), g.dtype, size(g.size_bytes)] for g in found.groups]
    if rows:
        lines.append(table(["weights", "as", "bytes"], rows))
    nodes = found.nodes
    if nodes.delegated is not None:
        left = f", left: {', '.join(nodes.names)}" if nodes.names else ""
        lines.append(f"operations delegated {nodes.delegated}, undelegated {nodes.undelegated}{left}")
    elif nodes.partitions is not None:
        lines.append(f"pieces taken by the accelerated backend: {nodes.partitions}")
    lines += [f"{row['what']}: {row['value']} ms, {row['source']}" for row in found.to_json()["device_table"]]
    return "\n".join([*lines, *found.notes])


def _gguf(args: argparse.Namespace, target: Path) -> Result:
    from potstill.cli.progress import TerminalProgress
    from potstill.recipe.generative.exporting import export_writer

    found = export_writer(
        args.run, target, quantization=args.rounding, allow_slower=args.allow_slower, progress=TerminalProgress()
    ).to_json()
    lines = [
        f"{found['path']} ({size(found['size_bytes'])}, {found['precision']}, {found['runtime']})",
        f"next token: the most probable is the student's on {found['top_1']:.4f} of the prompts, of the five most "
        f"probable {found['top_5']:.4f} are; KL {found['kl']:.2g}",
        f"on {found['num_rows']} held-out rows: the answer of f32 on {found['agreement']:.4f}, exact match "
        f"{found['accuracy']:.4f} (f32 {found['fp32_accuracy']:.4f})",
        *(f"{row['what']}: {row['value']:.3f} ms, {row['source']}" for row in found["device_table"]),
        *found["notes"],
    ]
    return Result(found, "\n".join(lines))


def _writer_onnx(args: argparse.Namespace, target: Path) -> Result:
    from potstill.cli.progress import TerminalProgress
    from potstill.recipe.generative.onnx_exporting import export_writer_onnx

    found = export_writer_onnx(
        args.run,
        target,
        precision=args.precision or "fp32",
        with_cache=args.cache != "none",
        allow_slower=args.allow_slower,
        progress=TerminalProgress(),
    ).to_json()
    token = ", ".join(f"{value:.3f} ms {name}" for name, value in found["token_cpu_ms"].items())
    lines = [
        f"{found['path']} ({size(found['size_bytes'])}, {found['precision']}, {found['runtime']})",
        f"next token: the most probable is the student's on {found['top_1']:.4f} of the prompts, of the five most "
        f"probable {found['top_5']:.4f} are; largest difference of a logit {found['largest_difference']:.2g}",
        f"on {found['num_rows']} held-out rows: the student's answer on {found['agreement']:.4f}, exact match "
        f"{found['accuracy']:.4f} (fp32 in torch {found['fp32_accuracy']:.4f})",
        f"a further token: {token}",
        *(f"{row['what']}: {row['value']:.3f} ms, {row['source']}" for row in found["device_table"]),
        *found["notes"],
    ]
    return Result(found, "\n".join(lines))


def _check_kind(args: argparse.Namespace) -> bool:
    """Whether the student writes; such a one goes to llama.cpp and onnxruntime alone, all others not to llama.cpp."""
    from potstill.recipe.run import RESULT

    path = args.run / RESULT
    if not path.exists():
        if args.target == "gguf":
            raise ConfigurationError(
                f"{args.run} is not a finished run. Run `potstill distill ... --out {args.run}` first."
            )
        return False
    writes = bool(json.loads(path.read_bytes()).get("kind") == "generative")
    if args.rounding and args.target != "gguf":
        raise ConfigurationError("--rounding is for --target gguf; the other targets have --precision")
    if args.cache and not (writes and args.target == "onnx"):
        raise ConfigurationError("--cache is for --target onnx of a student that writes. Leave it out.")
    if writes and (args.target not in ("gguf", "onnx") or args.tokenizer == "in-graph"):
        raise ConfigurationError(
            f"the student of {args.run} writes, so it goes to llama.cpp or onnxruntime, tokenizer beside it: --target "
            "gguf or onnx. Its bundle holds model.gguf and model.safetensors already."
        )
    if args.target == "gguf" and not writes:
        raise ConfigurationError(
            f"the student of {args.run} sorts its inputs into classes; gguf is for students that write. Choose another "
            "--target."
        )
    return writes
