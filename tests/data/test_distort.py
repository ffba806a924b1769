"""Distortions keep the form of what they change, and mixtures say truly what is in them."""

from dataclasses import replace

import numpy as np
import pytest

from potstill.data.distort import blended, fitted, masked_sound, rand_augmented, recoloured
from potstill.data.views import Views
from potstill.errors import ConfigurationError
from tests.media import beeps, pictures

PICTURES = [array for array, _ in pictures(6, size=24)]
SOUNDS = [samples for samples, _, _ in beeps(6)]


def random(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("change", [recoloured, rand_augmented])
def test_changed_pictures_keep_their_form(change):
    seen = set()
    for seed in range(40):
        changed = change(PICTURES[0], random(seed))
        assert (changed.shape, changed.dtype) == (PICTURES[0].shape, np.uint8)
        assert np.array_equal(changed, change(PICTURES[0].copy(), random(seed)))
        seen.add(changed.tobytes())
    assert len(seen) > 25
    assert change(PICTURES[0][..., 0], random()).shape == (24, 24)


def test_silenced_sounds_keep_their_length_and_lose_energy():
    sound = random().normal(0, 0.1, 8000).astype(np.float32)
    energies = [float((masked_sound(sound, random(seed)) ** 2).sum()) for seed in range(20)]
    assert masked_sound(sound, random()).shape == sound.shape
    assert max(energies) <= float((sound**2).sum()) * 1.0001
    assert min(energies) < 0.9 * float((sound**2).sum())


@pytest.mark.parametrize("inputs", [PICTURES, SOUNDS])
def test_the_share_of_a_pasted_part_is_what_was_pasted(inputs):
    one, other = np.zeros_like(inputs[0]), np.ones_like(inputs[0])
    for seed in range(10):
        mixture, share = blended(one, other, 0.7, cut=True, random=random(seed))
        assert float(mixture.mean()) == pytest.approx(1 - share)
        assert share == pytest.approx(0.7, abs=0.06)


def test_what_shines_through_is_the_weighted_mean():
    mixture, share = blended(PICTURES[0], PICTURES[1], 0.75, cut=False, random=random())
    expected = 0.75 * PICTURES[0].astype(float) + 0.25 * PICTURES[1]
    assert share == 0.75 and mixture.dtype == np.uint8
    assert np.abs(mixture - expected).max() <= 0.5 + 1e-3


def test_inputs_of_other_sizes_are_fitted():
    assert fitted(PICTURES[0], (12, 30, 3)).shape == (12, 30, 3)
    assert fitted(PICTURES[0], (12, 30)) is None
    assert fitted(np.ones(5, np.float32), (3,)).tolist() == [1, 1, 1]
    assert fitted(np.ones(2, np.float32), (3,)).tolist() == [1, 1, 0]


@pytest.mark.parametrize("inputs", [PICTURES, SOUNDS])
@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
@pytest.mark.parametrize("strength", ["light", "colour", "strong"])
def test_a_mixture_is_a_function_of_seed_rows_and_number(inputs, mix, strength):
    views = Views(num_views=4, flip=True, strength=strength, mix=mix, sample_rate=8000)
    partners = set()
    for i in range(len(inputs)):
        shown, again = views.show(inputs, i, 2), views.show([v.copy() for v in inputs], i, 2)
        assert np.array_equal(shown.value, again.value) and shown[1:] == again[1:]
        assert 0.45 <= shown.share <= 1
        assert (shown.share == 1) == (shown.partner == i) or mix == "cutmix"
        assert np.array_equal(views.show(inputs, i, 0).value, inputs[i])
        partners.add(shown.partner)
    assert len(partners) > 1
    plain = replace(views, mix="none")
    assert np.array_equal(plain.show(inputs, 0, 2).value, plain.view(inputs[0], 2))


def test_strong_changes_need_bytes():
    with pytest.raises(ConfigurationError, match="uint8"):
        Views(num_views=2, flip=True, strength="strong").view(PICTURES[0] / np.float32(255), 1)
