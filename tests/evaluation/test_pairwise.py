import pytest

from potstill.errors import DataError
from potstill.evaluation.pairwise import judge_pairs, read_verdict

PROMPTS = [f"question {i}" for i in range(10)]
GOOD, BAD = [f"good {i}" for i in range(10)], [f"bad {i}" for i in range(10)]


def fair(questions):
    return ["A" if "good" in q.split("Answer A:")[1].split("Answer B:")[0] else "B" for q in questions]


def test_a_fair_judge_prefers_the_better_in_both_orders():
    found = judge_pairs(PROMPTS, GOOD, BAD, fair)
    assert (found.wins, found.ties, found.losses, found.score) == (10, 0, 0, 1.0) and found.p_value < 0.01
    assert judge_pairs(PROMPTS, BAD, GOOD, fair).score == 0


def test_a_judge_that_goes_by_the_place_finds_nothing():
    found = judge_pairs(PROMPTS, GOOD, BAD, lambda questions: ["A"] * len(questions))
    assert (found.score, found.ties, found.num_swayed, found.p_value) == (0.5, 10, 10, 1.0)


def test_nobody_is_asked_about_equal_answers():
    asked = []
    found = judge_pairs(PROMPTS, GOOD, [*GOOD[:9], "bad"], lambda questions: asked.extend(questions) or fair(questions))
    assert len(asked) == 2 and found.num_equal == 9 and found.wins == 1


def test_a_judge_that_cannot_be_read_is_said():
    with pytest.raises(DataError, match="10 of 10"):
        judge_pairs(PROMPTS, GOOD, BAD, lambda questions: ["perhaps", None] * (len(questions) // 2))
    with pytest.raises(DataError, match="no pair"):
        judge_pairs([], [], [], fair)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("A", "a"),
        (" b.", "b"),
        ("**Tie**", "tie"),
        ("A is better", "a"),
        ("A or B", None),
        ("This is a fine one", None),
    ],
)
def test_replies_are_read_by_their_word(reply, verdict):
    assert read_verdict(reply) == verdict
