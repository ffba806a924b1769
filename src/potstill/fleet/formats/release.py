"""What is signed about a release beside its bytes: the `custom` field of its manifest's target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from potstill.errors import ConfigurationError, UpdateRefusedError
from potstill.fleet.formats.health import HealthRules

BUNDLE_FORMAT = "potstill-bundle/1"
ANY_DEVICE = "any"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseFacts:
    """The custom fields of a release.

    Attributes:
        model: name of the line of models.
        version: counts up with every release; a device never goes down by itself.
        digest: SHA-256 of the manifest, which holds those of all files.
        min_runtime: lowest version of this package that can run it.
        format: of the bundle.
        device_classes: kinds of devices that it is made for; empty for all.
        evaluation_digest: SHA-256 of the evaluation in the manifest.
        license: of the bundle, where known.
        health: what must hold before a device keeps it.
        size_bytes: of all files.
    """

    model: str
    version: int
    digest: str
    min_runtime: str
    evaluation_digest: str
    size_bytes: int
    format: str = BUNDLE_FORMAT
    device_classes: Sequence[str] = ()
    license: str = ""
    health: HealthRules = field(default_factory=HealthRules)

    def to_json(self) -> dict[str, Any]:
        """The custom field."""
        return {
            "model": self.model,
            "version": self.version,
            "digest": self.digest,
            "min_runtime": self.min_runtime,
            "format": self.format,
            "device_classes": list(self.device_classes),
            "evaluation_digest": self.evaluation_digest,
            "license": self.license,
            # The JSON that is signed knows no fractions.
            "health": {name: repr(value) for name, value in self.health.to_json().items()},
            "size_bytes": self.size_bytes,
        }


def parse_release(values: Any) -> ReleaseFacts:
    """Reads the custom field of a release.

    Raises:
        UpdateRefusedError: not in its form; it is signed, so this runtime is too old or the publisher wrong.
    """
    try:
        return ReleaseFacts(
            model=str(values["model"]),
            version=int(values["version"]),
            digest=str(values["digest"]),
            min_runtime=str(values["min_runtime"]),
            format=str(values["format"]),
            device_classes=[str(name) for name in values["device_classes"]],
            evaluation_digest=str(values["evaluation_digest"]),
            license=str(values["license"]),
            health=HealthRules.from_json(values["health"]),
            size_bytes=int(values["size_bytes"]),
        )
    except (KeyError, TypeError, ValueError, ConfigurationError) as error:
        raise UpdateRefusedError(
            f"what is signed about this release is not in a form that this runtime knows: {error!r}. Upgrade with: pip "
            "install --upgrade potstill"
        ) from error


def why_unfit(facts: ReleaseFacts, *, device_class: str, runtime: str) -> str:
    """Why a device can't take this release; empty when it can."""
    if facts.format != BUNDLE_FORMAT:
        return f"it is in format {facts.format!r}, this runtime reads {BUNDLE_FORMAT!r}"
    if _numbers(runtime) < _numbers(facts.min_runtime):
        return f"it needs potstill {facts.min_runtime} or later, this device has {runtime}"
    if facts.device_classes and device_class not in facts.device_classes:
        return f"it is made for {', '.join(facts.device_classes)}, this device is {device_class!r}"
    return ""


def evaluation_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """The evaluation of a manifest, whose digest is signed."""
    found = manifest.get("evaluation")
    return found if isinstance(found, Mapping) else {}


def _numbers(version: str) -> tuple[int, ...]:
    """`1.10.0` after `1.9`; what stands behind the numbers of a pre-release doesn't count."""
    numbers = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
