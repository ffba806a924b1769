"""What listening costs: CPU-seconds a second of sound, in chunks of 20 ms, with voice activity and without.

The network has learned nothing: what it computes costs the same, and its answers must be those of the whole sounds.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.record import record
from benchmarks.voice import PAIRS, rows
from potstill import DataOptions
from potstill.data import load_data
from potstill.exporters.bundle import BundleFacts, make_bundle, trace
from potstill.runtime.listening import Listener, SileroVoice
from potstill.students import DsCnn
from potstill.students.base import StudentContext

RATE, CHUNK = 8000, 160


def heard(listener, samples):
    found = [h for start in range(0, len(samples), CHUNK) for h in listener.feed(samples[start : start + CHUNK])]
    return found + listener.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=300)
    given = parser.parse_args()
    options = DataOptions(audio="audio", label=("label",), group="speaker", sample_rate=RATE)
    data = load_data(options, tables=rows(PAIRS[0]))
    context = StudentContext(
        schema=data.schema, transfer_inputs=data.train.inputs, encoder=None, seed=0, sample_rate=RATE
    )
    student = DsCnn(width=40).build(context, dropout=0.0)
    clips = data.test.inputs[: given.clips]
    # Words with half a second between them, as somebody would say them one after the other.
    stream = np.concatenate([part for clip in clips for part in (clip, np.zeros(RATE // 2, np.float32))])
    with tempfile.TemporaryDirectory() as folder:
        facts = BundleFacts(temperatures=[1.0])
        model = make_bundle(Path(folder) / "b", student, trace(student, clips[0]), "fp32", facts, clips[:3])
        started = time.process_time()
        whole = [heard(Listener(model, None), clip) for clip in clips]
        alone = (time.process_time() - started) / (sum(map(len, clips)) / RATE)
        started = time.process_time()
        found = heard(Listener(model, SileroVoice(RATE)), stream)
        listening = (time.process_time() - started) / (len(stream) / RATE)
        expected = model.predict(clips)
        same = [one[0].prediction.label == other.label for one, other in zip(whole, expected, strict=True)]
    result = {
        "clips": len(clips),
        "seconds": len(stream) / RATE,
        "same_label_as_whole_clip": float(np.mean(same)),
        "real_time_factor_model": alone,
        "real_time_factor_with_voice_activity": listening,
        "utterances_heard": len(found),
    }
    print(result)
    record("listen", [result])


if __name__ == "__main__":
    main()
