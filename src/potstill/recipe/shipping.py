"""Contenders as bundles, measured the same way in one process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from potstill import __version__
from potstill.evaluation.assessment import Contender, Latency
from potstill.evaluation.calibration import fit_temperatures
from potstill.evaluation.memory import peak_memory_bytes
from potstill.evaluation.out_of_scope import choose_threshold
from potstill.exporters.bundle import BundleFacts, make_bundle, trace
from potstill.exporters.precisions import Precision
from potstill.recipe.field import Trained
from potstill.recipe.measure import measure_models
from potstill.runtime import Model, load
from potstill.runtime.bundle import pack, size_of, write_bundle
from potstill.runtime.manifest import NAME, Threshold
from potstill.students.base import Student
from potstill.types import FloatArray, Input, IntArray, LabelSchema

NUM_LATENCY_INPUTS = 50
CREATED_BY = f"potstill {__version__}"


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A contender as a bundle.

    Attributes:
        name: of the contender.
        title: what it is.
        folder: of its bundle.
        model: the bundle, loaded.
        network: that it was made from.
    """

    name: str
    title: str
    folder: Path
    model: Model
    network: Student


def calibrated(
    dev_logits: FloatArray, dev_labels: IntArray, schema: LabelSchema, licenses: dict[str, str]
) -> BundleFacts:
    """Temperatures and threshold from dev rows; rows marked out of scope may be among them."""
    inside = (dev_labels >= 0).any(1)
    chosen = choose_threshold(dev_logits, dev_labels, schema)
    return BundleFacts(
        temperatures=fit_temperatures(dev_logits[inside], dev_labels[inside], schema),
        threshold=Threshold(score=chosen[0], value=chosen[1]) if chosen else None,
        licenses=licenses,
        created_by=CREATED_BY,
    )


def ship(
    name: str, title: str, network: Student, folder: Path, precision: Precision, probes: Sequence[Input]
) -> Shipped:
    """Exports a contender that is only compared: without calibration, which the assessment fits by itself."""
    facts = BundleFacts(temperatures=[1.0] * len(network.schema.fields), created_by=CREATED_BY)
    model = make_bundle(folder, network, trace(network, probes[0]), precision, facts, probes)
    return Shipped(name=name, title=title, folder=folder, model=model, network=network)


def measure(shipped: Sequence[Shipped], inputs: Sequence[Input]) -> dict[str, Latency]:
    """Latency of all bundles, in turns."""
    return measure_models({item.name: item.model for item in shipped}, inputs[:NUM_LATENCY_INPUTS])


def as_contender(item: Shipped, latency: Latency, test_inputs: Sequence[Input]) -> Contender:
    """A bundle's answers and measures; its own runtime predicts. Logits on dev are left to the caller."""
    return Contender(
        name=item.name,
        title=item.title,
        dev_logits=np.zeros((0, item.network.schema.num_logits), np.float32),
        test_logits=item.model.logits(test_inputs),
        num_parameters=item.network.num_parameters,
        size_bytes=size_of(item.folder),
        latency=latency,
        peak_memory_bytes=peak_memory_bytes(item.folder),
    )


def from_trial(item: Trained, test_inputs: Sequence[Input]) -> Contender:
    """A trained network that is judged and not shipped."""
    network = item.result.student
    return Contender(
        name=item.name,
        title=item.title,
        dev_logits=item.dev_logits,
        test_logits=network.logits(test_inputs),
        num_parameters=network.num_parameters,
    )


def rebundle(source: Path, target: Path, evaluation: dict[str, Any]) -> str:
    """A bundle's files under a manifest with another evaluation, and as one zip beside it; returns the digest."""
    model = load(source)
    files = {path.name: path.read_bytes() for path in source.iterdir() if path.name != NAME}
    found = write_bundle(target, replace(model.manifest, evaluation=evaluation), files)
    load(target).self_test()
    pack(target, target.with_suffix(".zip"))
    return found
