"""A minimal app around what a run ships, as a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from potstill.errors import ConfigurationError
from potstill.exporters.sample import Sample, micro_sample, mobile_sample, node_sample
from potstill.files import write_atomic
from potstill.recipe.run import BUNDLE
from potstill.runtime import load


def write_sample(run_folder: Path, sample: Sample, out: Path) -> list[str]:
    """Writes the app and returns the names of its files.

    Raises:
        ConfigurationError: no bundle or LiteRT export there, or one that the sample can't run.
    """
    if sample == "c":
        from potstill.exporters.litert import operations

        folder = run_folder / "exports" / "litert"
        if not folder.is_dir():
            raise ConfigurationError(
                f"the C sample needs {folder}. Run `potstill export {run_folder} --target litert` first."
            )
        export = {path.name: path.read_bytes() for path in folder.iterdir()}
        files = micro_sample(export, operations(export["model.tflite"]))
    else:
        folder = run_folder / BUNDLE
        load(folder)
        bundle = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        files = node_sample(bundle) if sample == "node" else _mobile(bundle, sample)
    shutil.rmtree(out, ignore_errors=True)
    for name, content in files.items():
        write_atomic(out / name, content)
    return sorted(files)


def _mobile(bundle: dict[str, bytes], sample: Literal["android", "swift"]) -> dict[str, bytes]:
    return mobile_sample(bundle, sample)
