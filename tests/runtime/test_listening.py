"""However a stream is cut, the answers are those of the whole sounds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.errors import BundleError, ConfigurationError, DataError
from potstill.runtime import Model, load
from potstill.runtime.listening import Listener, SileroVoice, voice
from tests.media import RATE


class Loud:
    """Speech is what is loud."""

    window = 80

    def probability(self, window):
        return float(np.abs(window).max() > 0.05)

    def reset(self):
        pass


@pytest.fixture(scope="module")
def model(sound_bundle):
    return load(sound_bundle)


def tone(seconds, pitch=800.0):
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(round(RATE * seconds)) / RATE)).astype(np.float32)


def quiet(seconds):
    return np.zeros(round(RATE * seconds), np.float32)


def heard_of(listener, samples, sizes):
    found, start = [], 0
    while start < len(samples):
        size = sizes[len(found) % len(sizes)] if len(sizes) > 1 else sizes[0]
        found += listener.feed(samples[start : start + size])
        start += size
    return found + listener.finish()


def same(one, other):
    return [(h.start_s, h.end_s, h.prediction) for h in one] == [(h.start_s, h.end_s, h.prediction) for h in other]


STREAM = np.concatenate([quiet(0.4), tone(0.15), quiet(0.6), tone(0.2, 300.0), quiet(0.5), tone(0.18, 1800.0)])


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=5))
def test_chunks_of_any_size_give_the_same_answers(model, sizes):
    whole = heard_of(Listener(model, Loud()), STREAM, [len(STREAM)])
    assert len(whole) == 3
    assert same(heard_of(Listener(model, Loud()), STREAM, sizes), whole)


@pytest.mark.parametrize("activity", [Loud(), None])
@pytest.mark.parametrize("pitch", [300.0, 800.0, 1800.0])
def test_one_utterance_is_answered_as_the_whole_clip(model, activity, pitch):
    clip = np.concatenate([quiet(0.02), tone(0.15, pitch), quiet(0.02)])
    (found,) = heard_of(Listener(model, activity), clip, [37])
    assert found.prediction == model.predict([clip])[0]
    assert (found.start_s, found.end_s) == (0.0, pytest.approx(len(clip) / RATE))


def test_an_utterance_ends_with_a_pause_and_begins_before_its_sound(model):
    seconds = float(model.manifest.preprocess["seconds"])
    first, second, third = heard_of(Listener(model, Loud(), pause_s=0.3), STREAM, [160])
    assert first.end_s == pytest.approx(0.4 + 0.15 + 0.3, abs=0.011)
    assert second.start_s == pytest.approx(max(first.end_s, 1.15 - seconds), abs=0.011)
    assert third.end_s == pytest.approx(len(STREAM) / RATE)


def test_a_voice_without_pause_is_answered_in_pieces(model):
    found = heard_of(Listener(model, Loud(), longest_s=1.0), tone(3.5), [400])
    assert len(found) >= 3
    assert found[0].end_s == found[1].start_s


def test_clicks_and_quiet_are_no_utterances(model):
    click = np.concatenate([quiet(0.5), tone(0.01), quiet(0.5)])
    assert heard_of(Listener(model, Loud()), click, [160]) == []
    assert heard_of(Listener(model, Loud()), quiet(1.0), [160]) == []
    assert heard_of(Listener(model, None), quiet(0.0), [160]) == []


def test_a_listener_hears_a_second_stream_as_it_would_the_first(model):
    listener = Listener(model, Loud())
    first = heard_of(listener, STREAM, [160])
    assert same(heard_of(listener, STREAM, [160]), first)


def test_quiet_hours_need_no_memory(model):
    listener = Listener(model, Loud())
    for _ in range(50):
        listener.feed(quiet(1.0))
    assert sum(map(len, listener._kept)) <= RATE * float(model.manifest.preprocess["seconds"]) + 80


@pytest.mark.parametrize("samples", [np.zeros((2, 3)), np.array([np.nan])])
def test_samples_must_be_samples(model, samples):
    with pytest.raises(DataError, match="finite samples on one axis"):
        Listener(model, None).feed(samples)


def test_only_models_for_sounds_listen(model):
    entry = {"kind": "pixels"}
    texts = Model(replace(model.manifest, preprocess=entry), None, None, "")
    with pytest.raises(DataError, match="only a model for sounds"):
        Listener(texts, None)


def test_silero_says_nothing_of_silence_and_names_what_is_wrong(monkeypatch, tmp_path):
    if voice.importlib.util.find_spec("silero_vad") is None:
        pytest.skip("silero-vad is not installed")
    for rate in (8000, 16000):
        silero = SileroVoice(rate)
        assert max(silero.probability(np.zeros(silero.window, np.float32)) for _ in range(20)) < 0.1
    with pytest.raises(DataError, match="44100"):
        SileroVoice(44100)
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="can't be loaded"):
        SileroVoice(8000, tmp_path / "a.onnx")
    monkeypatch.setattr(voice.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="pip install --no-deps silero-vad"):
        SileroVoice(8000)
