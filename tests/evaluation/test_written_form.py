import pytest

from potstill.evaluation.written_form import is_refusal, written_form


def test_fields_are_compared_one_by_one():
    wanted = ['{"a": 1, "b": "x y"}', '{"a": true, "b": null}', "no object"]
    found = written_form(['{"b": " x  y", "a": 1}', '{"a": 1}', "no object"], wanted)
    # In the second answer `a` is 1 and not true, and a missing field is not null.
    assert found.fields == {"a": 0.5, "b": 0.5} and found.field_accuracy == 0.5
    assert found.format_errors == 0 and found.refusals == 0


def test_an_answer_of_another_form_has_no_field_right():
    found = written_form(["a is 1", '{"a": 1} ', "[1]"], ['{"a": 1}'] * 3)
    assert found.format_errors == pytest.approx(2 / 3) and found.field_accuracy == pytest.approx(1 / 3)


def test_plain_texts_have_no_fields():
    found = written_form(["x"], ["x"])
    assert found.format_errors is None and found.field_accuracy is None and found.fields == {}


@pytest.mark.parametrize("text", ["I'm sorry, but I can't help.", "As an AI model", "I cannot do that", "죄송합니다만"])
def test_refusals_are_known_by_how_they_begin(text):
    assert is_refusal(text)
    assert written_form([text, text], ["card", text]).refusals == 0.5


@pytest.mark.parametrize("text", ["card", "Sorry to hear of your card", "I can see it", "The answer: I can't swim"])
def test_other_answers_are_none(text):
    assert not is_refusal(text)
