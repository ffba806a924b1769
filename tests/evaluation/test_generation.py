import numpy as np
import pytest

from potstill.evaluation.generation import WrittenContender, assess_written, matches, truncated_kl, written_line


def contender(name, texts, **values):
    return WrittenContender(name=name, title=name, texts=texts, **values)


WANTED = ["a b", "c"] * 20


def test_space_makes_no_other_answer():
    assert matches([" a  b\n", "C"], ["a b", "c"]).tolist() == [True, False]


def test_verdict_is_against_the_control():
    wrong = ["x"] * 40
    found = assess_written(
        [
            contender("teacher", WANTED, nats_N=np.full(40, 2.0)),
            contender("student", WANTED, nats_N=np.full(40, 4.0), kl_N=np.array([0.5, np.nan] * 20)),
            contender("control", WANTED[:20] + wrong[:20]),
            contender("baseline", WANTED),
        ],
        ["?"] * 40,
        WANTED,
        num_teacher_tokens=80,
    )
    assert found.verdict == "gain" and found.gap_closed == 1 and found.baseline_wins
    line = written_line(found)
    assert line["student"]["perplexity"] == pytest.approx(np.exp(2.0))
    assert line["student"]["kl"] == 0.5 and line["student"]["num_kl_rows"] == 20
    assert line["control"]["perplexity"] is None and line["control"]["agreement"] == 0.5
    assert line["against"]["control"]["difference"] == 0.5


def test_divergence_of_a_part_is_never_above_that_of_the_whole():
    random = np.random.default_rng(0)
    p, q = (np.exp(x := random.normal(size=(50, 30))) / np.exp(x).sum(1, keepdims=True) for _ in range(2))
    whole = (p * np.log(p / q)).sum(1)
    for k in (1, 5, 30):
        top = np.argsort(-p, axis=1)[:, :k]
        kept = truncated_kl(np.log(np.take_along_axis(p, top, 1)), np.log(np.take_along_axis(q, top, 1)))
        assert (kept <= whole + 1e-6).all() and (kept >= -1e-9).all()
    np.testing.assert_allclose(kept, whole, atol=1e-6)
