import openai
import pytest

SAME = {
    "type": "string_check",
    "name": "same",
    "input": "{{ sample.output_json.colour }}",
    "reference": "{{ item.label }}",
    "operation": "eq",
}
NEAR = {
    "type": "text_similarity",
    "name": "near",
    "input": "{{ sample.output_text }}",
    "reference": '{"colour": "{{ item.label }}"}',
    "evaluation_metric": "fuzzy_match",
}
BOTH = {"type": "multi", "name": "both", "graders": {"same": SAME, "near": NEAR}, "calculate_output": "same - near / 4"}
JUDGE = {"type": "score_model", "name": "judge", "model": "big", "input": [{"role": "user", "content": "a red one"}]}


def test_a_grader_is_run_on_one_sample(client):
    graders = client.fine_tuning.alpha.graders
    found = graders.run(grader=SAME, model_sample='{"colour": "red"}', item={"label": "red"})
    assert (found.reward, found.metadata.name, found.metadata.type) == (1.0, "same", "string_check")
    assert found.metadata.scores == {"same": 1.0} and found.metadata.token_usage is None
    assert graders.run(grader=SAME, model_sample='{"colour": "blue"}', item={"label": "red"}).reward == 0.0
    found = graders.run(grader=BOTH, model_sample='{"colour": "red"}', item={"label": "red"})
    assert found.reward == 0.75 and found.sub_rewards == {"same": 1.0, "near": 1.0}


def test_what_keeps_a_grader_from_grading_is_told(client):
    graders = client.fine_tuning.alpha.graders
    found = graders.run(grader=SAME, model_sample="red", item={"label": "red"})
    assert found.reward == 0.0 and found.metadata.errors.sample_parse_error
    assert not found.metadata.errors.other_error and "output_json" in found.metadata.errors.message
    found = graders.run(grader=JUDGE, model_sample="red")
    # This teacher says a colour where a judge would give a number.
    assert found.reward == 0.0 and found.metadata.token_usage == 1203
    assert found.api_model_grader_token_usage_per_model["big"]["prompt_tokens"] == 1200
    code = {"type": "python", "name": "code", "source": "def grade(sample, item): return 1.0"}
    found = graders.run(grader=code, model_sample="red")
    assert found.metadata.errors.python_grader_server_error
    assert "turned off" in found.metadata.errors.python_grader_server_error_type
    assert graders.run(grader={**JUDGE, "input": ["red"]}, model_sample="").metadata.errors.other_error
    away = {**JUDGE, "model": "nobody"}
    assert graders.run(grader=away, model_sample="").metadata.errors.api_model_grader_server_error


def test_a_grader_is_checked_and_given_back(client):
    graders = client.fine_tuning.alpha.graders
    # The published schema has one grader where its own example has several.
    one = {**BOTH, "graders": SAME, "calculate_output": "same"}
    for grader in (SAME, NEAR, JUDGE, one):
        assert graders.validate(grader=grader).grader.name == grader["name"]
    for grader in (
        {**SAME, "operation": "is"},
        {"type": "string_check"},
        {**BOTH, "calculate_output": "a +"},
        {**JUDGE, "sampling_params": "x"},
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            graders.validate(grader=grader)
        assert caught.value.param == "grader"
        with pytest.raises(openai.BadRequestError):
            graders.run(grader=grader, model_sample="")
