import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.errors import DataError
from potstill.runtime.media import read_sound, sound_rate
from potstill.runtime.media.sounds import MAX_SECONDS, resampled
from tests.media import RATE, beeps, wav_of

SOUND = beeps(1)[0][0]


def test_a_sound_is_read_as_it_was_saved():
    assert np.abs(read_sound(wav_of(SOUND), RATE) - SOUND).max() < 1e-4
    assert sound_rate(wav_of(SOUND)) == RATE


def test_channels_are_averaged():
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1)
    assert np.allclose(read_sound(wav_of(stereo, channels=2), RATE), 0.125, atol=1e-4)


def test_another_rate_keeps_the_pitch():
    time = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 500 * time).astype(np.float32)
    doubled = resampled(tone, RATE, 2 * RATE)
    assert len(doubled) == 2 * RATE
    assert np.abs(np.fft.rfft(doubled)).argmax() == 500


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all", wav_of(SOUND)[:30]])
def test_what_is_no_sound_is_refused(content):
    with pytest.raises(DataError, match=r"no whole sound|no samples"):
        read_sound(content, RATE)
    assert sound_rate(content) in (0, RATE)


def test_an_hour_is_no_clip():
    with pytest.raises(DataError, match="cut it"):
        read_sound(wav_of(np.zeros(int((MAX_SECONDS + 1) * 1000)), rate=1000), 1000)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(data):
    damaged = bytearray(wav_of(SOUND[:200]))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    try:
        found = read_sound(bytes(damaged), RATE)
    except DataError:
        return
    assert found.ndim == 1
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
