"""Latency of several models, measured side by side so that a noisy machine is noisy for all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from potstill.evaluation.assessment import Latency
from potstill.types import Input

Call = Callable[[Input], object]
NUM_WARM_UP = 5
# A call slower than this is repeated less often; a median of 30 is enough there.
SLOW_S = 0.02


def measure_latency(
    calls: Mapping[str, tuple[Call, Call]], inputs: Sequence[Input], *, num_calls: int = 200, threads: int = 1
) -> dict[str, Latency]:
    """Times one input at a time, in turns over the models.

    CPU time of this thread is taken, not wall time: with one thread it is the time a call needs on an idle core,
    whatever else the machine does.

    Args:
        calls: name -> (the whole prediction, the model alone on prepared input).
        inputs: real inputs; they are used in turn.
        num_calls: calls a model; slow models get fewer, 30 at least.
        threads: threads that the backends were allowed, for the record. With more than one, wall time is taken.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    whole: dict[str, list[float]] = {name: [] for name in calls}
    model: dict[str, list[float]] = {name: [] for name in calls}
    for predict, run in calls.values():
        for value in inputs[:NUM_WARM_UP]:
            predict(value)
            run(value)
    for i in range(num_calls):
        value = inputs[i % len(inputs)]
        for name, (predict, run) in calls.items():
            if i >= 30 and whole[name][0] > SLOW_S:
                continue
            if not whole[name] or whole[name][0] <= SLOW_S:
                # The model before may have emptied the caches; whoever comes after it must not pay for that.
                predict(value)
            whole[name].append(_time(predict, value, clock))
            model[name].append(_time(run, value, clock))
    return {
        name: Latency(
            p50=_milliseconds(whole[name], 0.5),
            p95=_milliseconds(whole[name], 0.95),
            threads=threads,
            model_p50=_milliseconds(model[name], 0.5),
            num_calls=len(whole[name]),
        )
        for name in calls
    }


def interleaved_cpu_ms(calls: Mapping[str, Sequence[Callable[[], object]]], *, num_calls: int) -> dict[str, float]:
    """Median CPU time of each in milliseconds, in turns; threads that a runtime starts by itself are counted too.

    Args:
        calls: name -> ready calls, used in turn.
        num_calls: of each; a quarter more warm up.
    """
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(-(num_calls // 4), num_calls):
        for name, ready in calls.items():
            call = ready[i % len(ready)]
            # Whoever ran before has emptied the caches.
            call()
            start = time.process_time()
            call()
            if i >= 0:
                spent[name].append(time.process_time() - start)
    return {name: _milliseconds(times, 0.5) for name, times in spent.items()}


def _time(call: Call, value: Input, clock: Callable[[], float]) -> float:
    start = clock()
    call(value)
    return clock() - start


def _milliseconds(seconds: Sequence[float], quantile: float) -> float:
    return round(float(np.quantile(seconds, quantile)) * 1000, 4)
