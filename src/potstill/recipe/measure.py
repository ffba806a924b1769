"""Latency of loaded bundles, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from potstill.evaluation.assessment import Latency
from potstill.evaluation.latency import measure_latency
from potstill.runtime import Model
from potstill.types import Input


def measure_models(models: Mapping[str, Model], inputs: Sequence[Input], *, num_calls: int = 200) -> dict[str, Latency]:
    """Times each bundle at batch 1 and 1 thread: the whole prediction, and the network alone.

    Raises:
        ValueError: no inputs.
    """
    prepared = {name: {i: model.prepare(value) for i, value in enumerate(inputs)} for name, model in models.items()}
    position = {id(value): i for i, value in enumerate(inputs)}

    def whole(model: Model) -> Callable[[Input], object]:
        return lambda value: model.predict([value])

    def alone(name: str, model: Model) -> Callable[[Input], object]:
        return lambda value: model.run(prepared[name][position[id(value)]])

    calls = {name: (whole(model), alone(name, model)) for name, model in models.items()}
    return measure_latency(calls, inputs, num_calls=num_calls)
