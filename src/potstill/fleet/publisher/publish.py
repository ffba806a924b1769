"""A bundle as a release: its files as targets, what is promised about it beside them, and its rollout."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from potstill import __version__
from potstill.errors import ConfigurationError
from potstill.files import digest
from potstill.fleet.formats.health import HealthRules
from potstill.fleet.formats.names import check_word, release_target
from potstill.fleet.formats.release import ReleaseFacts, parse_release
from potstill.fleet.publisher.deltas import Delta, make_deltas
from potstill.fleet.publisher.place import Fleet
from potstill.fleet.publisher.repository import alone, commit, read_target, read_targets, write_target
from potstill.fleet.publisher.rollout import Rollout, begin, read_rollout, save_rollout, signed_assignment
from potstill.runtime import load
from potstill.runtime.manifest import NAME, parse_manifest
from potstill.runtime.safe_zip import read_files

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Targets

# A device further behind downloads whole files.
NUM_DELTA_PARENTS = 3


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A release that was signed.

    Attributes:
        facts: what is signed about it.
        deltas: from files of earlier releases.
        rollouts: one a cohort.
    """

    facts: ReleaseFacts
    deltas: Sequence[Delta]
    rollouts: Sequence[Rollout]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            **self.facts.to_json(),
            "health": self.facts.health.to_json(),
            "deltas": [delta.to_json() for delta in self.deltas],
            "rollouts": [rollout.to_json() for rollout in self.rollouts],
        }


def publish(
    fleet: Fleet,
    bundle: Path | None,
    *,
    model: str,
    cohorts: Sequence[str] = (),
    again: int | None = None,
    device_classes: Sequence[str] = (),
    min_runtime: str = __version__,
    health: HealthRules | None = None,
    rings: Sequence[float] = (),
) -> Published:
    """Signs a bundle as the next release of a model, and begins its rollout at the first ring.

    Args:
        fleet: whose targets keys are at hand.
        bundle: folder or zip of a bundle; None with `again`.
        model: name of the line of models.
        cohorts: that get it; all when empty.
        again: version whose bytes are released once more under a new version, which is how a rollback is made.
        device_classes: kinds of devices that it is made for; empty for all.
        min_runtime: lowest version of this package that can run it.
        health: what must hold before a device keeps it.
        rings: shares of the devices, growing to 1; see `begin`.

    Raises:
        BundleError: the bundle is damaged, or fails its own test.
        ConfigurationError: keys are missing, an unknown cohort, or another rollout is under way.
    """
    check_word("model", model)
    chosen = list(cohorts) or list(fleet.cohorts)
    if unknown := sorted(set(chosen) - set(fleet.cohorts)):
        raise ConfigurationError(f"there is no cohort {unknown[0]!r}; the cohorts are {', '.join(fleet.cohorts)}")
    if (bundle is None) == (again is None):
        raise ConfigurationError("give either a bundle or the version that is released again")
    with alone(fleet):
        releases = releases_of(fleet, model)
        before = [read_rollout(fleet, cohort, model) for cohort in chosen]
        version = max(releases, default=0) + 1
        # A second rollout must not begin over a first; nothing is signed when one can't.
        started = [begin(rollout, version, rings) for rollout in before]
        files = read_release(fleet, releases, model, again) if again is not None else _checked(bundle)
        facts = _facts(model, version, files, device_classes, min_runtime, health or HealthRules())
        metadata, deltas = _with_release(fleet, facts, files, releases)
        assigned = dict(signed_assignment(fleet, rollout) for rollout in started)
        commit(fleet, {"targets": metadata, **assigned})
        for rollout in started:
            save_rollout(fleet, rollout)
    return Published(facts=facts, deltas=deltas, rollouts=started)


def releases_of(fleet: Fleet, model: str) -> dict[int, ReleaseFacts]:
    """Version -> what is signed about every release of a model."""
    found = {}
    for path, target in read_targets(fleet).signed.targets.items():
        if path.startswith(f"releases/{model}/") and path.endswith(f"/{NAME}"):
            facts = parse_release(target.custom)
            found[facts.version] = facts
    return found


def read_release(fleet: Fleet, releases: dict[int, ReleaseFacts], model: str, version: int) -> dict[str, bytes]:
    """The files of a release.

    Raises:
        ConfigurationError: there is no such release.
        IntegrityError: a file is missing or damaged.
    """
    if version not in releases:
        raise ConfigurationError(
            f"there is no release {version} of {model!r}; there are {', '.join(map(str, sorted(releases))) or 'none'}"
        )
    start = release_target(model, version, "")
    targets = read_targets(fleet).signed.targets
    return {
        path.removeprefix(start): read_target(fleet, path, target.hashes["sha256"])
        for path, target in targets.items()
        if path.startswith(start)
    }


def _checked(bundle: Path | None) -> dict[str, bytes]:
    """The files of a bundle that passed its own test here."""
    assert bundle is not None, "checked by the caller"
    model = load(bundle)
    if not model.manifest.probes:
        raise ConfigurationError(
            f"{bundle} holds no probe inputs, so a device could not test it before switching. Export it again with "
            "this version."
        )
    model.self_test()
    return read_files(bundle)


def _facts(
    model: str,
    version: int,
    files: dict[str, bytes],
    device_classes: Sequence[str],
    min_runtime: str,
    health: HealthRules,
) -> ReleaseFacts:
    manifest = parse_manifest(files[NAME])
    return ReleaseFacts(
        model=model,
        version=version,
        digest=hashlib.sha256(files[NAME]).hexdigest(),
        min_runtime=min_runtime,
        device_classes=tuple(device_classes),
        evaluation_digest=digest(dict(manifest.evaluation)),
        license=manifest.licenses.get("bundle", ""),
        health=health,
        size_bytes=sum(map(len, files.values())),
    )


def _with_release(
    fleet: Fleet, facts: ReleaseFacts, files: dict[str, bytes], releases: dict[int, ReleaseFacts]
) -> tuple[Metadata[Targets], list[Delta]]:
    """The targets with a release and its deltas in them, to be signed; the bytes are written."""
    from tuf.api.metadata import TargetFile

    metadata = read_targets(fleet)
    parents = [read_release(fleet, releases, facts.model, version) for version in sorted(releases)[-NUM_DELTA_PARENTS:]]
    deltas = make_deltas(parents, files)
    contents = {release_target(facts.model, facts.version, name): content for name, content in files.items()}
    customs: dict[str, Any] = {release_target(facts.model, facts.version, NAME): facts.to_json()}
    for delta in deltas:
        contents[delta.target] = delta.content
        customs[delta.target] = delta.custom
    for path, content in contents.items():
        target = TargetFile.from_data(path, content, ["sha256"])
        if path in customs:
            target.unrecognized_fields["custom"] = customs[path]
        metadata.signed.targets[path] = target
        write_target(fleet, path, content, target.hashes["sha256"])
    return metadata, deltas
