import numpy as np
import pytest

from potstill.data import DataOptions, load_data
from potstill.errors import ConfigurationError, DataError
from potstill.types import OUT_OF_SCOPE
from tests.toys import columns, sentences


def load(train, **options):
    tables = {name: options.pop(name) for name in ("test", "unlabelled") if name in options}
    return load_data(DataOptions(**options), tables={"train": train, **tables})


def codes(data):
    return [finding.code for finding in data.findings]


def test_columns_are_guessed_and_said():
    data = load(
        {"utterance": [t for t, _ in sentences(40)], "n": list(range(40)), "what": [c for _, c in sentences(40)]}
    )
    assert (data.options.text, data.options.label) == ("utterance", ("what",))
    assert {"text_column", "label_column", "held_out"} <= set(codes(data))


def test_splits_are_stratified_and_do_not_depend_on_the_order():
    rows = sentences(200)
    one = load(columns(rows))
    other = load(columns(rows[::-1]))
    for part in ("train", "dev", "test"):
        assert set(getattr(one, part).inputs) == set(getattr(other, part).inputs)
    assert np.bincount(one.test.labels[:, 0]).tolist() == [10] * 4
    assert not set(one.train.inputs) & (set(one.dev.inputs) | set(one.test.inputs))


def test_leaks_are_removed_and_named():
    test = columns(sentences(40, seed=1))
    leaked = [(test["text"][0].upper() + "!", "card"), (test["text"][1], "loan")]
    data = load(columns([*sentences(80), *leaked]), test=test)
    finding = next(f for f in data.findings if f.code == "leaks_removed")
    assert (finding.values["count"], finding.values["exact"]) == (2, 2)
    assert not {text for text, _ in leaked} & set(data.train.inputs)
    with pytest.raises(DataError, match="learned by heart"):
        load(columns([*sentences(80), *leaked]), test=test, leakage="fail")
    kept = load(columns([*sentences(80), *leaked]), test=test, leakage="keep")
    assert "leaks_kept" in codes(kept) and len(kept.train) + len(kept.dev) == 82


def test_repeats_and_conflicts():
    rows = sentences(40)
    data = load(columns([*rows, rows[0], (rows[1][0], "card")]), test=columns(sentences(8, seed=3)), leakage="keep")
    found = {f.code: f.values for f in data.findings}
    assert found["repeats"]["lines"] == "41"
    assert found["conflicts"]["lines"] == "42 and 2"


def test_empty_inputs_are_left_out_with_their_lines():
    rows = columns(sentences(40))
    rows["text"][3] = "  "
    rows["text"][7] = None
    finding = next(f for f in load(rows).findings if f.code == "empty_inputs")
    assert finding.values["lines"] == "4, 8"


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        ({"text": ["a", "b"], "label": ["x", "x"]}, {}, "at least two classes"),
        ({"text": ["a", "b"], "label": [None, None]}, {}, "no label"),
        ({"text": ["a", "b"], "label": ["x", "y"]}, {"text": "txt"}, r"'txt'.* mean 'text'\? Name .* --text"),
        ({"text": ["a", "b"], "label": ["x"]}, {}, "different length"),
        ({"text": [], "label": []}, {}, "no rows"),
        (17, {}, "expected a path"),
    ],
)
def test_unusable_rows(train, options, message):
    with pytest.raises(DataError, match=message):
        load(train, **options)


def test_unseen_test_labels_name_their_lines():
    test = {"text": ["one", "two"], "label": ["card", "unheard"]}
    with pytest.raises(DataError, match="'unheard' on lines 2"):
        load(columns(sentences(40)), test=test)


def test_multi_label_by_separator_and_by_list():
    texts = [t for t, _ in sentences(40)]
    cells = ["a|b", "b", "", "c|a"] * 10
    by_text = load({"text": texts, "label": cells}, separator="|")
    assert by_text.schema.fields[0].multi and by_text.schema.num_logits == 3
    lists = [cell.split("|") if cell else None for cell in cells]
    by_list = load({"text": texts, "label": lists})
    assert np.array_equal(by_text.train.labels, by_list.train.labels)
    assert len(by_text.unlabelled) == 10


def test_a_json_object_gives_one_field_a_key():
    texts = [t for t, _ in sentences(40)]
    cells = ['{"topic": "a", "mood": "good"}', '{"topic": "b", "mood": "bad"}'] * 20
    data = load({"text": texts, "label": cells})
    assert [f.name for f in data.schema.fields] == ["topic", "mood"]
    assert data.train.labels.shape[1] == 2


def test_a_class_subset_with_other():
    data = load(columns(sentences(80)), classes=("loan", "card"), other=True)
    assert data.schema.fields[0].classes == ("card", "loan", "other")
    assert np.bincount(data.in_service(data.train).labels[:, 0]).tolist()[2] > 20
    without = load(columns(sentences(80)), classes=("loan", "card"))
    assert len(without.in_service(without.train)) < len(without.train)
    with pytest.raises(DataError, match="no training row has"):
        load(columns(sentences(80)), classes=("loan", "nope"))
    with pytest.raises(ConfigurationError, match=r"needs data\.classes"):
        DataOptions(other=True)


def test_out_of_scope_rows_are_never_taught():
    rows = columns([*sentences(80), *[(f"odd {i}", "none") for i in range(9)]])
    data = load(rows, test=columns([*sentences(8, seed=5), ("strange", "none")]), out_of_scope="none")
    assert "none" not in data.schema.fields[0].classes
    assert not (data.train.labels == OUT_OF_SCOPE).any()
    assert (data.dev.labels == OUT_OF_SCOPE).sum() == 9
    assert (data.test.labels == OUT_OF_SCOPE).sum() == 1


def test_unlabelled_rows_that_are_known_already_are_dropped():
    rows = sentences(40)
    data = load(columns(rows), unlabelled={"text": [rows[0][0], "new words here", "new words here"]}, test_share=0.1)
    assert list(data.unlabelled.inputs) == ["new words here"]
