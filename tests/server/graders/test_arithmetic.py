import math

import pytest

from potstill.server.graders import GraderError
from potstill.server.graders.arithmetic import evaluate


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", 0.5),
        ("6 / 3 / 2", 1),
        ("1 - 2 - 3", -4),
        ("min(a, b, 0.1) + max(a, b)", 0.6),
        ("abs(-a) + floor(1.9) + ceil(0.1)", 2.25),
        ("exp(0) + sqrt(4) + log(1)", 3),
        ("1e-1 * 10 + .5", 1.5),
    ],
)
def test_values(formula, value):
    assert evaluate(formula, {"a": 0.25, "b": 0.5}) == pytest.approx(value)


@pytest.mark.parametrize(
    ("formula", "flag"),
    [
        ("", "formula_parse_error"),
        ("1 +", "formula_parse_error"),
        ("1 2", "formula_parse_error"),
        ("a.real", "formula_parse_error"),
        ("__import__('os')", "formula_parse_error"),
        ("abs(1, 2)", "formula_parse_error"),
        ("(" * 60 + "1" + ")" * 60, "formula_parse_error"),
        ("1 + " * 1000, "formula_parse_error"),
        ("1 / 0", "unresponsive_reward_error"),
        ("log(0)", "unresponsive_reward_error"),
        ("9 ^ 9 ^ 9 ^ 9", "unresponsive_reward_error"),
        ("1e308 * 10", "unresponsive_reward_error"),
        ("(0 - 1) ^ 0.5", "unresponsive_reward_error"),
    ],
)
def test_what_has_no_value(formula, flag):
    with pytest.raises(GraderError) as caught:
        evaluate(formula, {"a": 0.25})
    assert caught.value.flag == flag


def test_scores_that_are_not_numbers_don_t_pass():
    with pytest.raises(GraderError):
        evaluate("a", {"a": math.nan})
