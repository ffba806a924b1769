import pytest

from potstill.server.errors import ApiError
from potstill.server.rates import SAVE_EVERY_S, Rates


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def spend(rates, name, count):
    for _ in range(count):
        rates.take(name)


def test_an_empty_bucket_stays_empty_over_a_restart_and_fills_meanwhile(tmp_path):
    clock, file = Clock(), tmp_path / "rates" / "reports.json"

    def opened():
        return Rates(a_second=1.0, at_once=3, file=file, clock=clock)

    rates = opened()
    spend(rates, "one", 3)
    spend(rates, "two", 1)
    rates.save()
    again = opened()
    with pytest.raises(ApiError) as refused:
        again.take("one")
    assert refused.value.headers["retry-after"] == "1"
    spend(again, "two", 2)
    again.save()
    clock.now += 2
    later = opened()
    spend(later, "one", 2)
    with pytest.raises(ApiError):
        later.take("one")


def test_a_killed_server_forgets_a_minute_at_most(tmp_path):
    clock, file = Clock(), tmp_path / "reports.json"
    rates = Rates(a_second=0.001, at_once=3, file=file, clock=clock)
    spend(rates, "one", 2)
    assert not file.exists()
    clock.now += SAVE_EVERY_S + 1
    rates.take("two")
    again = Rates(a_second=0.001, at_once=3, file=file, clock=clock)
    spend(again, "one", 1)
    with pytest.raises(ApiError):
        again.take("one")


def test_full_buckets_are_not_kept_and_damage_is_no_failure(tmp_path):
    clock, file = Clock(), tmp_path / "reports.json"
    rates = Rates(a_second=1.0, at_once=3, file=file, clock=clock)
    spend(rates, "one", 1)
    clock.now += 5
    rates.save()
    assert b"one" not in file.read_bytes()
    file.write_bytes(b'{"buckets": [[1]]}')
    spend(Rates(a_second=1.0, at_once=3, file=file, clock=clock), "one", 3)
    clock.now -= 100
    rates.take("one")
