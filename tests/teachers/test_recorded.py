import json

import numpy as np
import pytest

from potstill.data import DataOptions, load_data
from potstill.errors import ConfigurationError, DataError
from potstill.teachers import Ensemble, Recorded
from potstill.testing import check_teacher
from tests.teachers.contexts import make_context
from tests.toys import columns, sentences

ROWS = sentences(80)
NAMES = ["card", "loan", "travel", "weather"]


def table(**more):
    return {**columns(ROWS), **more}


def answers(spec, tmp_path, columns_):
    context = make_context(tmp_path, table=columns_, carry=True)
    (part,) = spec.prepare(context).answer([text for text, _ in ROWS])
    return part


def probabilities(rows=ROWS, sure=0.7):
    return {f"p_{n}": [sure if label == n else (1 - sure) / 3 for _, label in rows] for n in NAMES}


def test_a_label_becomes_a_distribution(tmp_path):
    said = [label for _, label in ROWS]
    said[3], said[4] = "zebra", ""
    part = answers(Recorded(label_column="said", confidence=0.7), tmp_path, table(said=said))
    p = np.exp(part.logits[0])
    assert p.sum() == pytest.approx(1, abs=1e-5) and p.max() == pytest.approx(0.7)
    assert part.refused == {3: "unknown label 'zebra'", 4: "no recorded answer"}


def test_probabilities_and_logits(tmp_path):
    part = answers(Recorded(probability_prefix="p_"), tmp_path, table(**probabilities()))
    np.testing.assert_allclose(np.exp(part.logits).max(1), 0.7, rtol=1e-5)
    logits = {f"z_{n}": [float(i) for i in range(80)] for n in NAMES}
    part = answers(Recorded(logit_prefix="z_"), tmp_path, table(**logits))
    assert part.logits[5].tolist() == [5.0] * 4


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x", "not a number"),
        (float("nan"), "not a number"),
        (0.0, "probabilities don't add up to 1"),
        (-1, "probabilities don't add up to 1"),
    ],
)
def test_rows_that_are_no_answer_are_refused(tmp_path, value, reason):
    listed = probabilities()
    listed["p_card"][0] = value
    assert answers(Recorded(probability_prefix="p_"), tmp_path, table(**listed)).refused == {0: reason}


def test_missing_columns_are_named(tmp_path):
    with pytest.raises(DataError, match="no column 'p_card'"):
        answers(Recorded(probability_prefix="p_"), tmp_path, table(other=[1] * 80))


def test_contradictions_name_both_rows(tmp_path):
    rows = [*ROWS, (ROWS[0][0], "loan")]
    said = [label for _, label in ROWS] + ["travel"]
    with pytest.raises(DataError, match=r"contradict each other: .*line \d+ and .*line \d+"):
        answers(Recorded(label_column="said"), tmp_path, {**columns(rows), "said": said})


@pytest.mark.parametrize(
    "options", [{}, {"label_column": "a", "logit_prefix": "b"}, {"label_column": "a", "confidence": 1.0}]
)
def test_options_out_of_range(options):
    with pytest.raises(ConfigurationError):
        Recorded(**options)


def test_the_contract(tmp_path):
    context = make_context(tmp_path, table=table(**probabilities(), said=[label for _, label in ROWS]), carry=True)
    check_teacher(Recorded(probability_prefix="p_"), context)
    check_teacher(Ensemble(members=(Recorded(probability_prefix="p_"), Recorded(label_column="said"))), context)


def test_an_ensemble_is_the_mean_of_the_probabilities(tmp_path):
    said = [label for _, label in ROWS]
    said[0], said[1] = "zebra", "zebra"
    listed = probabilities()
    listed["p_card"][1] = "x"
    spec = Ensemble(
        members=(Recorded(probability_prefix="p_"), Recorded(label_column="said", confidence=0.9)), weights=(3.0, 1.0)
    )
    part = answers(spec, tmp_path, table(**listed, said=said))
    np.testing.assert_allclose(np.exp(part.logits[2]).max(), (3 * 0.7 + 0.9) / 4, rtol=1e-5)
    np.testing.assert_allclose(np.exp(part.logits[0]).max(), 0.7, rtol=1e-5)
    assert list(part.refused) == [1]


@pytest.mark.parametrize("options", [{"members": ()}, {"weights": (1.0,)}, {"weights": (1.0, 0.0)}])
def test_an_ensemble_needs_members_and_weights(options):
    two = (Recorded(label_column="a"), Recorded(label_column="b"))
    with pytest.raises(ConfigurationError):
        Ensemble(**{"members": two, **options})


def test_several_fields_are_read_from_objects(tmp_path):
    tone = ["calm" if i % 2 else "angry" for i in range(80)]
    said = [{"label": label, "tone": tone[i]} for i, (_, label) in enumerate(ROWS)]
    said[3], said[4], said[5] = {"label": "card"}, "card", {"label": "zebra", "tone": "calm"}
    said[6] = '{"label": "' + ROWS[6][1] + '", "tone": "calm"}'
    options = DataOptions(text="text", label=("label", "tone"))
    data = load_data(options, tables={"train": table(tone=tone, said=said)}, carry_columns=True)
    context = make_context(tmp_path, data=data)
    (part,) = Recorded(label_column="said").prepare(context).answer([text for text, _ in ROWS])
    p = np.exp(part.logits)
    assert p[0, :4].sum() == pytest.approx(1, abs=1e-5) and p[0, 4:].sum() == pytest.approx(1, abs=1e-5)
    assert p[6, 5] == pytest.approx(0.9)
    assert part.refused == {
        3: "no recorded answer",
        4: "no JSON object with an answer for each field",
        5: "unknown label 'zebra'",
    }


def test_probabilities_may_stand_in_place_of_a_label(tmp_path):
    said = [label for _, label in ROWS]
    said[0] = {"card": 0.75, "loan": 0.25}
    said[1] = json.dumps({"card": 0.5, "loan": 0.5})
    said[2], said[3] = {"zebra": 1.0}, {"card": 0.2}
    part = answers(Recorded(label_column="said"), tmp_path, {**columns(ROWS), "said": said})
    np.testing.assert_allclose(np.exp(part.logits[0]), [0.75, 0.25, 1e-6, 1e-6], rtol=1e-5)
    np.testing.assert_allclose(np.exp(part.logits[1])[:2], [0.5, 0.5], rtol=1e-5)
    assert part.refused == {2: "unknown label 'zebra'", 3: "probabilities don't add up to 1"}
