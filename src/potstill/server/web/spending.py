"""What a project asked teachers and students, and what that cost: the figures behind the page of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from potstill.server.cascade import PREFIX
from potstill.server.prices import Price, price_of
from potstill.server.usage import NOTHING, Amount, Place
from potstill.server.web.views.keys import Day, Saved, Spend, Use

STUDENT = "student"
NUM_SHOWN = 200
Figures = Mapping[Place, Amount]


def spend(figures: Figures, prices: Mapping[str, Price], names: Mapping[str, str], *, days: int) -> Spend:
    """Everything that the page shows.

    Args:
        figures: of a project.
        prices: of teachers.
        names: key's id -> its name.
        days: that the figures are of; 0 is all.
    """
    cascade = [item for item in figures.items() if item[0].model.startswith(PREFIX)]
    return Spend(
        days=days,
        models=_uses(figures, prices, lambda place: (place.model, _kind(place), place.answerer)),
        keys=_uses(figures, prices, lambda place: (names.get(place.key, place.key), "", "")),
        by_day=_by_day(figures, prices),
        local_share=_local_share(figures.items()),
        cascade_share=_local_share(cascade),
        saved=_saved(figures, prices),
    )


def _uses(figures: Figures, prices: Mapping[str, Price], named: Callable[[Place], tuple[str, str, str]]) -> list[Use]:
    sums: dict[tuple[str, str, str], tuple[Amount, float | None]] = {}
    for place, amount in figures.items():
        name = named(place)
        known, cost = sums.get(name, (NOTHING, None))
        sums[name] = known.plus(amount), _sum(cost, _cost(place, amount, prices))
    found = [
        Use(
            model=model,
            kind=kind,
            answerer=answerer,
            calls=amount.calls,
            prompt_tokens=amount.prompt_tokens,
            answer_tokens=amount.answer_tokens,
            cost=cost,
        )
        for (model, kind, answerer), (amount, cost) in sums.items()
    ]
    return sorted(found, key=lambda use: -use.calls)[:NUM_SHOWN]


def _by_day(figures: Figures, prices: Mapping[str, Price]) -> list[Day]:
    found: dict[int, Day] = {}
    for place, amount in figures.items():
        before = found.get(place.day, Day(day=place.day))
        tokens = amount.prompt_tokens + amount.answer_tokens
        is_local = place.answerer == STUDENT
        found[place.day] = Day(
            day=place.day,
            teacher_tokens=before.teacher_tokens + (0 if is_local else tokens),
            student_tokens=before.student_tokens + (tokens if is_local else 0),
            cost=_sum(before.cost, _cost(place, amount, prices)),
        )
    return [found[day] for day in sorted(found)]


def _saved(figures: Figures, prices: Mapping[str, Price]) -> Saved | None:
    """What the cheapest teacher with a price would have cost for all that students answered."""
    local = NOTHING
    for place, amount in figures.items():
        local = local.plus(amount) if place.answerer == STUDENT else local
    if not prices or not local.calls:
        return None
    return min(
        (
            Saved(teacher=name, amount=price.of(local.prompt_tokens, local.answer_tokens))
            for name, price in prices.items()
        ),
        key=lambda saved: saved.amount,
    )


def _local_share(items: Iterable[tuple[Place, Amount]]) -> float | None:
    calls = [(place.answerer == STUDENT, amount.calls) for place, amount in items]
    total = sum(count for _, count in calls)
    return sum(count for is_local, count in calls if is_local) / total if total else None


def _kind(place: Place) -> str:
    return "student" if place.answerer == STUDENT else "teacher"


def _cost(place: Place, amount: Amount, prices: Mapping[str, Price]) -> float | None:
    price = None if place.answerer == STUDENT else price_of(prices, place.answerer)
    return None if price is None else price.of(amount.prompt_tokens, amount.answer_tokens)


def _sum(one: float | None, other: float | None) -> float | None:
    return one if other is None else other + (one or 0.0)
