"""The log-mel front end against a plain reading of its definition in float64."""

from dataclasses import replace

import numpy as np
import pytest

from potstill.errors import DataError
from potstill.runtime.preprocess import KINDS, LogMel
from potstill.runtime.preprocess.log_mel import FLOOR, fitted, mel_filters
from tests.media import RATE, beeps

MEL = LogMel(rate=RATE, seconds=0.3, window=200, hop=80, num_mels=20, mean=-3.0, std=2.0)


def plain_log_mel(samples):
    """Frame by frame and band by band, as the docstring says it."""
    size = 256
    frames = []
    for start in range(0, len(samples) - 200 + 1, 80):
        frame = samples[start : start + 200] * [0.5 - 0.5 * np.cos(2 * np.pi * n / 200) for n in range(200)]
        angles = -2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(200)) / size
        power = np.abs(np.exp(angles) @ frame) ** 2

        def mel(hz):
            return 2595 * np.log10(1 + hz / 700)

        edges = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(mel(20.0), mel(RATE / 2), 22)]
        row = []
        for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
            total = 0.0
            for k in range(size // 2 + 1):
                hz = k * RATE / size
                height = (hz - left) / (centre - left) if hz <= centre else (right - hz) / (right - centre)
                total += max(0.0, height) * 2 / (right - left) * power[k]
            row.append(np.log(total + FLOOR))
        frames.append(row)
    return np.array(frames)


def test_it_is_what_its_definition_says():
    samples = beeps(1, seconds=0.3)[0][0]
    assert np.abs(MEL.spectrum(samples) - plain_log_mel(samples.astype(np.float64))).max() < 1e-3


def test_shapes_and_scaling():
    encoded = MEL.encode([row[0] for row in beeps(3)])
    assert {item.shape for item in encoded} == {(20, MEL.num_frames)}
    batch = MEL.batch(encoded)["pixels"]
    assert batch.shape == (3, 1, 20, MEL.num_frames)
    assert np.allclose(batch[0, 0] * 2.0 - 3.0, encoded[0], atol=1e-4)


def test_a_sound_is_counted_from_its_loudest():
    relative = replace(MEL, dynamic_range=4.0)
    sound = beeps(1)[0][0]
    (found,), (raw,) = relative.encode([sound]), MEL.encode([sound])
    assert (found.max(), found.min()) == (0.0, -4.0)
    assert np.allclose(found, np.maximum(raw - raw.max(), -4.0))
    (softer,) = relative.encode([sound * np.float32(0.5)])
    assert np.abs(softer - found).max() < 0.05
    assert (relative.encode([np.zeros(10, np.float32)])[0] == 0).all()


def test_each_sound_is_encoded_for_itself():
    sounds = [row[0] for row in beeps(4)]
    alone = [MEL.encode([value])[0] for value in sounds]
    assert all(np.array_equal(a, b) for a, b in zip(MEL.encode(sounds), alone, strict=True))


def test_short_sounds_get_silence_and_long_ones_keep_their_loudest_part():
    assert fitted(np.ones(3, np.float32), 5).tolist() == [1, 1, 1, 0, 0]
    assert fitted(np.array([0, 0, 3, 4, 0, 1], np.float32), 2).tolist() == [3, 4]


def test_filters_cover_every_frequency_between_the_ends():
    filters = mel_filters(16_000, 512, 40, 20.0)
    assert (filters >= 0).all()
    assert (filters[2:-1].sum(1) > 0).all()


def test_a_manifest_brings_it_back():
    entry = MEL.to_json()
    assert KINDS["log_mel"].from_entry(entry, {}) == MEL


@pytest.mark.parametrize(
    "change", [{"window": 0}, {"hop": -1}, {"num_mels": 10**6}, {"rate": 1}, {"std": 0.0}, {"dynamic_range": -1}]
)
def test_a_hostile_manifest_is_refused(change):
    with pytest.raises(ValueError, match="of a log-mel spectrum"):
        LogMel.from_entry({**MEL.to_json(), **change}, {})


@pytest.mark.parametrize("value", ["text", np.zeros((2, 2), np.float32), np.zeros(5, np.int16)])
def test_other_inputs_are_refused(value):
    with pytest.raises(DataError, match="this model reads sounds"):
        MEL.encode([value])
