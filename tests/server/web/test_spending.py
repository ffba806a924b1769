import pytest

from potstill.server.prices import Price
from potstill.server.usage import Amount, Place
from potstill.server.web.spending import spend

NAMES = {"k1": "shop", "k2": "app"}
PRICES = {"big": Price(10, 20), "small": Price(1, 2)}


def place(model, answerer, key="k1", day=20_000):
    return Place("p", day, key, model, answerer)


FIGURES = {
    place("cascade:ft:x", "student"): Amount(80, 8_000, 800),
    place("cascade:ft:x", "big", day=20_001): Amount(20, 2_000, 200),
    place("ft:x", "student", key="k2", day=20_001): Amount(50, 5_000, 500),
    place("big", "big", key="gone"): Amount(50, 500_000, 100),
}


def test_shares_costs_and_savings():
    found = spend(FIGURES, PRICES, NAMES, days=30)
    assert found.cascade_share == 0.8 and found.local_share == pytest.approx(130 / 200)
    # 13,000 tokens read and 1,300 written by students, at the cheaper teacher's price.
    assert (found.saved.teacher, found.saved.amount) == ("small", pytest.approx((13_000 * 1 + 1_300 * 2) / 1e6))
    by_model = {(use.model, use.answerer): use for use in found.models}
    assert by_model["big", "big"].cost == pytest.approx((500_000 * 10 + 100 * 20) / 1e6)
    assert by_model["cascade:ft:x", "student"].cost is None and by_model["cascade:ft:x", "big"].kind == "teacher"
    assert {use.model: use.calls for use in found.keys} == {"shop": 100, "app": 50, "gone": 50}
    assert [(day.day, day.teacher_tokens, day.student_tokens) for day in found.by_day] == [
        (20_000, 500_100, 8_800),
        (20_001, 2_200, 5_500),
    ]


def test_without_prices_there_are_tokens_alone():
    found = spend(FIGURES, {}, NAMES, days=0)
    assert found.saved is None and all(use.cost is None for use in found.models)
    assert all(day.cost is None for day in found.by_day) and found.local_share is not None


def test_nothing_was_asked():
    found = spend({}, PRICES, NAMES, days=7)
    assert found.local_share is found.cascade_share is found.saved is None and not found.models
