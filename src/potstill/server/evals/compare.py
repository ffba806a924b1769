"""Runs of one eval on the same rows, in pairs: is a difference more than luck?"""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection, select

from potstill.evaluation.significance import mcnemar, paired_interval
from potstill.server.database.tables import eval_items
from potstill.server.evals.store import Json

SEED = 0


def compare(connection: Connection, first: str, second: str) -> Json:
    """Pass rates of two runs on the rows that both have, with McNemar's exact test and a bootstrap interval."""
    one, other = (_passed(connection, run) for run in (first, second))
    shared = sorted(one.keys() & other.keys())
    a, b = (np.array([passed[number] for number in shared], np.int64) for passed in (one, other))
    if not shared:
        return {"object": "eval.comparison", "num_rows": 0, "num_unpaired": len(one) + len(other)}
    only_first, only_second, p_value = mcnemar(a, b)
    low, high = paired_interval((a - b).astype(np.float64), seed=SEED)
    return {
        "object": "eval.comparison",
        "num_rows": len(shared),
        "num_unpaired": len(one.keys() ^ other.keys()),
        "pass_rates": [float(a.mean()), float(b.mean())],
        "difference": float((a - b).mean()),
        "difference_ci95": [low, high],
        "only_first_passed": only_first,
        "only_second_passed": only_second,
        "mcnemar_p": p_value,
    }


def _passed(connection: Connection, run: str) -> dict[int, int]:
    rows = connection.execute(select(eval_items.c.number, eval_items.c.status).where(eval_items.c.run == run))
    return {row.number: int(row.status == "pass") for row in rows}
