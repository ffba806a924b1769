"""What a device tells the publisher, signed with a key that never leaves it.

A device's id is the hash of its public key, so a report proves whose it is without a register. Reports are numbered:
one that comes twice changes nothing, and an old one can't be played again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from potstill.errors import MissingExtraError, ReportError
from potstill.files import canonical_json
from potstill.fleet.formats.figures import parse_figures

FORMAT = "potstill-report"
FORMAT_VERSION = 1
MAX_REPORT_BYTES = 256 * 1024
# Of all samples in a report, as JSON; the rest of a report is small.
MAX_SAMPLES_BYTES = 192 * 1024
# What a sample is called by the kind of its input: a text, or a file in base64.
SAMPLE_KINDS: Final = ("text", "picture", "sound")
EVENTS: Final = ("enrolled", "installed", "committed", "reverted", "refused", "health", "samples")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One report.

    Attributes:
        device: id, see `device_id`.
        sequence: counts up with every report of a device.
        time: UTC, ISO 8601, by the device's clock.
        cohort, model, device_class, runtime: of the device.
        event: what happened: one of `EVENTS`.
        version: release that the event is about; None where there is none.
        digest: of its manifest.
        reason: why, for `reverted` and `refused`.
        health: figures of the window, see `potstill.fleet.formats.figures`.
        samples: inputs that the device's owner agreed to send, each under one of `SAMPLE_KINDS`, with what the student
            said.
    """

    device: str
    sequence: int
    time: str
    cohort: str
    model: str
    device_class: str
    runtime: str
    event: str
    version: int | None = None
    digest: str = ""
    reason: str = ""
    health: Mapping[str, Any] = field(default_factory=dict)
    samples: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What is signed."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **values,
            "health": dict(self.health),
            "samples": [dict(sample) for sample in self.samples],
        }


def device_id(public_key: bytes) -> str:
    """Id of the device that holds the key: the first 128 bits of its hash."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def seal(report: Report, public_key: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The report as it is sent."""
    body = report.to_json()
    return canonical_json(
        {"report": body, "public_key": public_key.hex(), "signature": sign(canonical_json(body)).hex()}
    )


def open_report(content: bytes) -> Report:
    """Checks the signature and reads the report.

    Raises:
        ReportError: too long, not in its form, or not signed by the device that it names.
        MissingExtraError: the package that checks signatures is not installed.
    """
    if len(content) > MAX_REPORT_BYTES:
        raise ReportError(f"a report of {len(content)} bytes; at most {MAX_REPORT_BYTES} are read")
    try:
        sealed: Any = json.loads(content)
        body: Any = sealed["report"]
        public_key, signature = bytes.fromhex(sealed["public_key"]), bytes.fromhex(sealed["signature"])
        signed = canonical_json(body)
        report = _read(body)
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise ReportError(f"a report that is not in its form: {error!r}"[:300]) from error
    if device_id(public_key) != report.device or not _is_signed(public_key, signature, signed):
        raise ReportError(f"a report that says it comes from device {report.device[:64]!r} and is not signed by it")
    return report


def _read(body: Mapping[str, Any]) -> Report:
    if (body["format"], body["format_version"]) != (FORMAT, FORMAT_VERSION):
        raise ValueError(f"it says {body['format']!r}, version {body['format_version']!r}")
    if body["event"] not in EVENTS:
        raise ValueError(f"event {body['event']!r}")
    # Figures that can't be would reach every sum.
    if body["health"]:
        parse_figures(body["health"])
    sequence, version = body["sequence"], body["version"]
    if type(sequence) is not int or sequence < 1 or not (version is None or type(version) is int):
        raise ValueError("numbers in the wrong form")
    texts = ("device", "time", "cohort", "model", "device_class", "runtime", "event", "digest", "reason")
    for name in texts:
        if not isinstance(body[name], str) or len(body[name]) > 2000:
            raise ValueError(f"{name} is no short text")
    return Report(
        **{name: body[name] for name in texts},
        sequence=sequence,
        version=version,
        health=dict(body["health"]),
        samples=tuple(dict(sample) for sample in body["samples"]),
    )


def _is_signed(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise MissingExtraError("cryptography", "device") from error
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
