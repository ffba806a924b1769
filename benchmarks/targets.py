"""Exports the students of finished runs to every target, as `potstill export` does; see README.md."""

import argparse
import importlib
import tempfile
from pathlib import Path

from benchmarks.record import record
from potstill.cli.export import CLASSES
from potstill.errors import PotstillError
from potstill.recipe.exporting import check, export


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--targets", nargs="+", default=sorted(CLASSES), choices=sorted(CLASSES))
    given = parser.parse_args()
    found = []
    for run in given.runs:
        for name in given.targets:
            module, class_name = CLASSES[name]
            target = getattr(importlib.import_module(f"potstill.exporters.{module}"), class_name)()
            for precision in target.precisions:
                line = {"target": name, "precision": precision}
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        made = export(run, target, Path(folder) / "out", precision=precision, allow_slower=True)
                        line |= {k: v for k, v in made.to_json().items() if k not in ("path", "folder")}
                        # What `potstill export` says without --allow-slower.
                        check(name, precision, made.measured, allow_slower=False)
                    except PotstillError as error:
                        line |= {"refused": str(error)}
                found.append({"run": run.name, **line})
                record("targets", found)


if __name__ == "__main__":
    main()
