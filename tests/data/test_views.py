"""Views are pure functions; a cache of answers that is stale or permuted can't be used by mistake."""

from dataclasses import replace

import numpy as np
import pytest

from potstill.data import views as module
from potstill.data.views import Views, may_flip
from tests.media import beeps, pictures

VIEWS = Views(num_views=5, flip=True, sample_rate=8000)
INPUTS = {"picture": pictures(1, size=32)[0][0], "grey": pictures(1, size=32)[0][0][..., 0], "sound": beeps(1)[0][0]}


@pytest.mark.parametrize("kind", INPUTS)
def test_a_view_is_the_same_whenever_it_is_asked_for(kind):
    first = [VIEWS.view(INPUTS[kind], number) for number in range(5)]
    again = [VIEWS.view(INPUTS[kind].copy(), number) for number in reversed(range(5))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0], INPUTS[kind])
    assert len({view.tobytes() for view in first}) == 5


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("change", ["seed", "version"])
def test_another_seed_or_version_gives_other_views(kind, change, monkeypatch):
    before = VIEWS.view(INPUTS[kind], 1)
    other = replace(VIEWS, seed=1) if change == "seed" else VIEWS
    if change == "version":
        monkeypatch.setattr(module, "VERSION", 99)
    assert not np.array_equal(other.view(INPUTS[kind], 1), before)


def test_pictures_keep_their_form():
    view = VIEWS.view(INPUTS["picture"], 1)
    assert view.shape == INPUTS["picture"].shape
    assert view.dtype == np.uint8


def test_nothing_is_mirrored_unasked():
    arrow = np.tile(np.arange(16, dtype=np.uint8), (16, 1))[..., None].repeat(3, 2)
    straight = replace(VIEWS, flip=False, num_views=40)
    slopes = [np.sign(np.diff(straight.view(arrow, n)[8, 4:12, 0].astype(int)).sum()) for n in range(1, 40)]
    assert set(slopes) == {1}
    flipped = replace(VIEWS, num_views=40)
    slopes = [np.sign(np.diff(flipped.view(arrow, n)[8, 4:12, 0].astype(int)).sum()) for n in range(1, 40)]
    assert set(slopes) == {1, -1}


def test_sounds_stay_finite_and_of_about_their_length():
    for number in range(1, 5):
        view = VIEWS.view(INPUTS["sound"], number)
        assert view.dtype == np.float32
        assert np.isfinite(view).all()
        assert 0.4 * len(INPUTS["sound"]) < len(view) < 1.2 * len(INPUTS["sound"]) + 800


def test_letters_are_not_mirrored():
    assert may_flip("auto", INPUTS["picture"])
    assert not may_flip("auto", INPUTS["grey"])
    assert may_flip("yes", INPUTS["grey"])
    assert not may_flip("no", INPUTS["picture"])
