"""`potstill device run`: answers for every line, one line each, while the health of the release is watched."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from potstill.cli.device.reporting import add_report_url, send_reports
from potstill.cli.output import Result, label_text, show
from potstill.errors import DataError, PotstillError
from potstill.fleet.device.deliver import add_health_report
from potstill.fleet.device.place import Device, open_device
from potstill.fleet.device.serving import Serving
from potstill.fleet.device.update import update
from potstill.fleet.formats.assignment import position
from potstill.types import Input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `device run`."""
    parser.add_argument("device", type=Path, help="folder of the device")
    parser.add_argument(
        "input", nargs="?", default="-", help="a text, a file of texts (one a line), a picture, a sound, or - for stdin"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads that one prediction may use")
    add_report_url(parser)
    parser.add_argument("--update-every", type=float, metavar="SECONDS", help="also look for updates while it runs")


def main(args: argparse.Namespace) -> Result:
    """Predicts until the input ends."""
    device = open_device(args.device)
    predictions = []
    looked = time.monotonic()
    # Ten thousand devices that were switched on together don't ask together for ever.
    interval_s = (args.update_every or 0.0) * (0.9 + 0.2 * position(device.id))
    with Serving(device, threads=args.threads) as serving:
        for value, name in _inputs(serving, args.input):
            if interval_s and time.monotonic() - looked >= interval_s:
                looked = time.monotonic()
                _update(device)
                send_reports(device, args.report_url)
            found = serving.predict([value])[0]
            if args.json:
                predictions.append({"input": name, **found.to_json()})
            else:
                show(Result({}, f"{label_text(found.label)}\t{found.probability:.4f}\t{name}"), as_json=False)
        release = serving.release
    sent = 0
    if args.report_url or device.report_url:
        add_health_report(device)
        sent = send_reports(device, args.report_url)
    data = {"version": release.version, "bundle_digest": release.digest, "predictions": predictions}
    return Result({**data, "num_reports": sent}, "")


def _update(device: Device) -> None:
    """A failure of the update is no failure of what runs."""
    try:
        update(device)
    except PotstillError as error:
        sys.stderr.write(f"no update: {error}\n")


def _inputs(serving: Serving, source: str) -> Iterator[tuple[Input, str]]:
    path = Path(source)
    if serving.model.modality != "text":
        if not path.is_file():
            raise DataError(f"there is no file {source}. This model reads {serving.model.modality} files.")
        yield serving.model.read(path), source
    elif source == "-":
        yield from ((line.rstrip("\r\n"),) * 2 for line in sys.stdin if line.strip())
    elif path.suffix == ".txt" and path.is_file():
        yield from ((line,) * 2 for line in path.read_text("utf-8-sig").splitlines() if line.strip())
    else:
        yield source, source
