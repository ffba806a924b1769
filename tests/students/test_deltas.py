import numpy as np
import pytest

from potstill.students.deltas import keep_most_moved

RANDOM = np.random.default_rng(0)
WHOLE = RANDOM.integers(-126, 127, (40, 30)).astype(np.float32)
WHOLE[:, 0] = 127
STEPS = np.broadcast_to(RANDOM.uniform(0.01, 0.1, (40, 1)).astype(np.float32), WHOLE.shape)
BEFORE = {"rows.weight": WHOLE * STEPS}
STEP_OF = {"rows.weight": STEPS}


def test_weights_that_hardly_moved_stay_and_steps_stay():
    after = BEFORE["rows.weight"] + 0.9 * STEPS
    after[3, 5] += 2.2 * STEPS[3, 5]
    after[4, 0] += 20 * STEPS[4, 0]
    kept = keep_most_moved(BEFORE, {"rows.weight": after}, STEP_OF)
    whole = np.rint(kept.values["rows.weight"] / STEPS)
    assert whole[3, 5] == WHOLE[3, 5] + 3
    assert np.argwhere(whole != WHOLE).tolist() == [[3, 5]] == np.argwhere(kept.moved["rows.weight"]).tolist()


def test_what_moved_least_is_put_back_until_the_delta_fits():
    after = {"rows.weight": BEFORE["rows.weight"] + STEPS * RANDOM.normal(0, 4, WHOLE.shape).astype(np.float32)}
    kept = keep_most_moved(BEFORE, after, STEP_OF, delta_share=0.2)
    moved = (np.rint(kept.values["rows.weight"] / STEPS) - WHOLE)[:, 1:]
    assert kept.dead_zone > 1.5 and 0.15 < kept.share <= 0.2
    assert moved.any() and np.abs(moved[np.abs(moved) > 0]).min() >= 1


def test_fp32_keeps_the_lower_bytes_of_the_parent():
    before = {"head.weight": RANDOM.normal(0, 1, (50, 40)).astype(np.float32), "head.bias": np.zeros(3, np.float32)}
    after = {
        "head.weight": before["head.weight"] + RANDOM.normal(0, 0.1, (50, 40)).astype(np.float32),
        "head.bias": np.array([0.5, -0.25, 1e-6], np.float32),
    }
    kept = keep_most_moved(before, after, {}, delta_share=1.0)
    moved = kept.moved["head.weight"]
    low = [kept.values["head.weight"].view(np.uint32) & 0xFFFF, before["head.weight"].view(np.uint32) & 0xFFFF]
    assert moved.any() and not moved.all() and np.array_equal(*low)
    assert np.array_equal(kept.values["head.weight"][~moved], before["head.weight"][~moved])
    assert kept.values["head.weight"][moved] == pytest.approx(after["head.weight"][moved], rel=2**-7)
    assert kept.values["head.bias"].tolist() == [0.5, -0.25, 0.0]
    narrow = keep_most_moved(before, after, {}, delta_share=0.05)
    assert narrow.share <= 0.05 and narrow.moved["head.weight"].sum() < moved.sum() / 2


def test_a_channel_without_weights_has_no_grid():
    before = {"rows.weight": np.zeros((20, 30), np.float32)}
    steps = {"rows.weight": np.full((20, 30), 1e-12 / 127, np.float32)}
    kept = keep_most_moved(before, {"rows.weight": np.ones((20, 30), np.float32)}, steps)
    assert not kept.values["rows.weight"].any() and kept.share < 1
