"""What of an input leaves a device."""

import base64
from dataclasses import replace

import numpy as np
import pytest

from potstill.fleet.device.place import Device
from potstill.fleet.device.samples import keep_sample, read_samples
from potstill.fleet.formats.report import MAX_REPORT_BYTES, MAX_SAMPLES_BYTES
from potstill.runtime import Prediction
from potstill.runtime.media import read_picture, read_sound
from potstill.runtime.preprocess import HashedNgrams, LogMel, Pixels

UNSURE = Prediction(label="red", probability=0.4, probabilities={"red": 0.4}, in_scope=None)
SEES = Pixels(height=8, width=8, channels=3, scale=255.0, mean=(0.5,) * 3, std=(0.2,) * 3)
HEARS = LogMel(rate=8000, seconds=0.5, window=200, hop=80, num_mels=20)
READS = HashedNgrams(num_buckets=64, word_ngrams=(1, 1), char_ngrams=(2, 2), idf=None)
RANDOM = np.random.default_rng(0)


@pytest.fixture
def device(tmp_path):
    return Device(folder=tmp_path, id="0" * 32, source="", cohort="default", model="m", device_class="", consent=True)


def photograph():
    return RANDOM.integers(0, 256, (40, 30, 3)).astype(np.uint8)


def test_a_picture_goes_as_the_student_saw_it(device):
    picture = photograph()
    keep_sample(device, picture, UNSURE, None, SEES)
    keep_sample(device, picture, UNSURE, None, SEES)
    (sample,) = read_samples(device)
    sent = read_picture(base64.b64decode(sample["picture"]))
    assert np.array_equal(sent, SEES.encode([picture])[0]) and sample["label"] == "red"
    # What comes back is to the student what it was.
    assert np.array_equal(SEES.batch(SEES.encode([sent]))["pixels"], SEES.batch(SEES.encode([picture]))["pixels"])


def test_a_sound_goes_as_its_loudest_part(device):
    sound = np.zeros(16_000, np.float32)
    sound[9000:10_000] = RANDOM.normal(0, 0.1, 1000)
    keep_sample(device, sound, UNSURE, None, HEARS)
    (sample,) = read_samples(device)
    sent = read_sound(base64.b64decode(sample["sound"]), 8000)
    assert len(sent) == 4000
    assert np.sum(sent**2) == pytest.approx(np.sum(sound**2), rel=1e-2)


def test_what_has_no_file_stays(device):
    keep_sample(device, np.zeros((8, 8), np.uint8), UNSURE, None, replace(SEES, channels=1, mean=(0.5,), std=(0.2,)))
    keep_sample(device, RANDOM.random((8, 8, 3)), UNSURE, None, SEES)
    keep_sample(device, "x" * 3000, UNSURE, None, READS)
    sure = Prediction(label="red", probability=0.99, probabilities={"red": 0.99}, in_scope=True)
    keep_sample(device, photograph(), sure, None, SEES)
    assert read_samples(device) == []


@pytest.mark.parametrize("reader", [READS, HEARS])
def test_all_samples_together_fit_a_report(device, reader):
    for i in range(60):
        value = f"{i} " + "가" * 1900 if reader is READS else RANDOM.normal(0, 0.1, 4000).astype(np.float32)
        keep_sample(device, value, UNSURE, None, reader)
    assert 10 < len(read_samples(device)) < 60
    assert (device.folder / "samples.json").stat().st_size <= MAX_SAMPLES_BYTES < 0.8 * MAX_REPORT_BYTES
