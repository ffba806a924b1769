"""The walk on a few real rows, and, among the slow tests, on five hundred."""

import pytest

from tests.server.walking import real_rows, walk


def test_a_small_walk(tmp_path, shared_data):
    rows = real_rows(shared_data, per_class=16, num_classes=4)
    right, _ = walk(tmp_path, rows[:48], rows[48:], "potstill-static", {"n_epochs": 10})
    # Four classes: guessing is right on 4 of 16.
    assert right["teacher"] == 16 and right["student"] > 6


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_five_hundred_real_rows(tmp_path, shared_data):
    rows = real_rows(shared_data, per_class=35, num_classes=20)
    right, _ = walk(tmp_path, rows[:500], rows[500:], "potstill-auto", {})
    assert right["teacher"] == len(rows) - 500
    assert right["base"] < right["student"] and right["student"] > 0.5 * right["teacher"]
