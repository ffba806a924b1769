"""Reports to the publisher: over the network, or as files in a folder that somebody carries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from potstill.errors import ReportError, ServerUnavailableError
from potstill.files import write_atomic
from potstill.fleet.device.health import read_figures
from potstill.fleet.device.place import Device, signing_key
from potstill.fleet.device.samples import clear_samples, read_samples
from potstill.fleet.device.state import read_state, save_state, with_report
from potstill.fleet.device.update import alone
from potstill.fleet.formats.report import Report, seal

TIMEOUT_S = 30
FIRST_WAIT_S, NUM_TRIES = 1.0, 4


def add_health_report(device: Device) -> None:
    """Queues the figures of what runs, and the samples that its owner agreed to send."""
    with alone(device):
        state = read_state(device)
        current = state.current
        samples = read_samples(device) if device.consent else []
        health = read_figures(device, current.digest).summary() if current else {}
        event = "health" if current else "enrolled"
        save_state(device, with_report(state, device, event, current, health=health, samples=samples))
        if samples:
            clear_samples(device)


def deliver(device: Device, folder: Path | None = None) -> int:
    """Sends what was not delivered yet; returns how many reports.

    A report that was received twice, because the answer was lost, is counted once by the publisher.

    Args:
        device: whose reports.
        folder: where they are written as files, in place of the network.

    Raises:
        ServerUnavailableError: the server can't be reached or has no time; the reports are kept.
        ReportError: it refuses them; they are kept, too.
    """
    public_key, sign = signing_key(device)
    sent = 0
    for values in read_state(device).reports:
        sealed = seal(_report(values), public_key, sign)
        if folder is not None:
            write_atomic(folder / f"{device.id}-{values['sequence']:012d}.json", sealed)
        else:
            _post(device.report_url, sealed)
        sent += 1
        _forget(device, int(values["sequence"]))
    return sent


def deliver_patiently(
    device: Device,
    *,
    wait: Callable[[float], None] = time.sleep,
    chance: Callable[[], float] = random.random,
) -> tuple[int, str]:
    """Sends what was not delivered yet, and tries again where that fails.

    Waits are of random length and grow on average, so that devices whose server was away don't come back together.
    What runs never depends on a report: what can't be delivered is kept for the next time.

    Returns:
        How many reports were delivered, and why the rest was not; empty when all were.
    """
    before, why = len(read_state(device).reports), ""
    for turn in range(NUM_TRIES):
        if turn:
            wait(FIRST_WAIT_S * 2 ** (turn - 1) * 2 * chance())
        try:
            deliver(device)
        except ReportError as error:
            why = str(error)
            break
        except ServerUnavailableError as error:
            why = str(error)
        else:
            why = ""
            break
    return before - len(read_state(device).reports), why


def _report(values: Mapping[str, Any]) -> Report:
    return Report(**{**values, "samples": tuple(values.get("samples", ()))})


def _forget(device: Device, sequence: int) -> None:
    with alone(device):
        state = read_state(device)
        left = tuple(report for report in state.reports if report["sequence"] > sequence)
        save_state(device, replace(state, reports=left))


def _post(url: str, content: bytes) -> None:
    import urllib3

    if not url:
        raise ServerUnavailableError(
            "this device knows no address for reports. Give --report-url, or a folder with --to."
        )
    try:
        answer = urllib3.request(
            "POST", url, body=content, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_S, retries=False
        )
    except urllib3.exceptions.HTTPError as error:
        raise ServerUnavailableError(f"{url} can't be reached: {error}. The reports are kept.") from error
    if 400 <= answer.status < 500 and answer.status not in (408, 429):
        raise ReportError(
            f"{url} refuses a report with status {answer.status}: {answer.data[:200]!r}. The reports are kept; look at "
            "the address of reports and at the device's key."
        )
    if answer.status >= 300:
        raise ServerUnavailableError(
            f"{url} answers a report with status {answer.status}: {answer.data[:200]!r}. The reports are kept."
        )
