import asyncio
import socket

import pytest

from potstill.errors import TeacherUnavailableError
from potstill.server.graders import GraderError, Means, Subject, parse_grader
from potstill.server.graders.overlap import bleu, gleu, meteor, rouge_l, rouge_n

SUBJECT = Subject(
    item={"label": "Card", "n": 3, "list": [{"a": 1}]},
    sample={"output_text": "a Card, lost", "output_json": {"a": {"b": ["x", True]}}},
)
SAID, WANTED = "the cat sat on the mat today", "the cat is on the mat now today"


def grade(value, subject=SUBJECT, **means):
    return asyncio.run(parse_grader(value).grade(subject, Means(**means)))


def string_check(operation, said="{{ sample.output_text }}", wanted="{{ item.label }}"):
    return {"type": "string_check", "name": "s", "input": said, "reference": wanted, "operation": operation}


@pytest.mark.parametrize(
    ("operation", "wanted", "passed"),
    [
        ("eq", "a Card, lost", True),
        ("eq", "a card, lost", False),
        ("ne", "a Card, lost", False),
        ("neq", "other", True),
        ("like", "{{ item.label }}", True),
        ("like", "card", False),
        ("ilike", "card", True),
        ("ilike", "zebra", False),
    ],
)
def test_string_check(operation, wanted, passed):
    found = grade(string_check(operation, wanted=wanted))
    assert found.passed is passed and found.score == float(passed)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{item.n}}", "3"),
        ("{{ item.list[0].a }}", "1"),
        ("{{ sample.output_json.a.b[0] }}", "x"),
        ("{{ sample.output_json.a.b[1] }}", "true"),
        ("{{ sample.output_json.a }}", '{"b": ["x", true]}'),
    ],
)
def test_templates_reach_into_json(template, text):
    assert grade(string_check("eq", said=template, wanted=text)).passed


@pytest.mark.parametrize("hole", ["item.__class__", "item.label.upper()", "config", "item.list[0:1]", "1 + 1"])
def test_templates_are_paths_and_run_nothing(hole):
    with pytest.raises(GraderError) as caught:
        grade(string_check("eq", said="{{ " + hole + " }}"))
    assert caught.value.flag == "invalid_variable_error"


def test_a_missing_sample_is_an_error_of_the_sample():
    with pytest.raises(GraderError, match="leads nowhere") as caught:
        grade(string_check("eq", said="{{ sample.output_tools[0].function.name }}"))
    assert caught.value.flag == "sample_parse_error"
    with pytest.raises(GraderError, match="needs a sample"):
        grade(string_check("eq"), Subject(item={}))


# Reference values: NLTK 3.9 (method 1, epsilon 0.5; METEOR without stems and synonyms) and rouge-score 0.1.2.
@pytest.mark.parametrize(
    ("found", "reference"),
    [
        (bleu(SAID, WANTED), 0.2789001430384383),
        (gleu(SAID, WANTED), 0.38461538461538464),
        (meteor(SAID, WANTED), 0.7120253164556962),
        (rouge_n(SAID, WANTED, 1), 0.8),
        (rouge_n(SAID, WANTED, 2), 0.4615384615384615),
        (rouge_n(SAID, WANTED, 3), 0.1818181818181818),
        (rouge_l(SAID, WANTED), 0.8),
    ],
)
def test_metrics_agree_with_reference_implementations(found, reference):
    assert found == pytest.approx(reference)


METRICS = ["bleu", "gleu", "meteor", *(f"rouge_{n}" for n in range(1, 6)), "rouge_l", "fuzzy_match"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("said", "wanted", "low", "high"), [(SAID, SAID, 0.99, 1), ("", SAID, 0, 0), ("", "", 1, 1)])
def test_metrics_of_equal_and_empty_texts(metric, said, wanted, low, high):
    if metric == "fuzzy_match":
        pytest.importorskip("rapidfuzz")
    value = {"type": "text_similarity", "name": "t", "input": said, "reference": wanted, "evaluation_metric": metric}
    found = grade({**value, "pass_threshold": 0.9})
    assert low <= found.score <= high
    assert found.passed is (found.score >= 0.9)


def test_cosine_asks_a_model_of_sentences():
    async def embed(texts):
        return [[1.0, 0.0], [1.0, 1.0]][: len(texts)]

    value = {"type": "text_similarity", "name": "t", "input": "a", "reference": "b", "evaluation_metric": "cosine"}
    assert grade(value, embed=embed).score == pytest.approx(2**-0.5)
    with pytest.raises(GraderError, match="--embeddings BUNDLE"):
        grade(value)


def judge(content, **more):
    async def ask(body):
        ask.body = body
        return {
            "model": "judge-1",
            "choices": [{"message": {"content": content, **more}}],
            "usage": {"total_tokens": 7},
        }

    return ask


LABEL = {
    "type": "label_model",
    "name": "l",
    "model": "judge",
    "input": [{"role": "user", "content": {"type": "input_text", "text": "Is {{ item.label }} right?"}}],
    "labels": ["yes", "no"],
    "passing_labels": ["yes"],
}
SCORE = {**LABEL, "type": "score_model", "range": [0, 5], "pass_threshold": 3}


def test_label_model_asks_with_an_enum():
    ask = judge('{"label": "yes"}')
    found = grade(LABEL, ask=ask)
    assert found.passed and found.sample["usage"] == {"total_tokens": 7} and found.sample["model"] == "judge-1"
    assert ask.body["messages"] == [{"role": "user", "content": "Is Card right?"}]
    form = ask.body["response_format"]["json_schema"]["schema"]
    assert form["properties"]["label"]["enum"] == ["yes", "no"]
    assert not grade(LABEL, ask=judge('{"label": "no"}')).passed


@pytest.mark.parametrize(
    ("said", "score", "passed"),
    [("4", 4, True), ("9", 5, True), ("-1", 0, False), ('"x"', 0, False), ("NaN", 0, False)],
)
def test_score_model_keeps_to_its_range(said, score, passed):
    found = grade(SCORE, ask=judge('{"steps": [], "result": ' + said + "}"))
    assert (found.score, found.passed) == (score, passed)


def test_a_judge_that_fails_is_an_error_and_not_a_wrong_row():
    async def dead(body):
        raise TeacherUnavailableError("nobody listens")

    cases = {
        "model_grader_parse_error": judge("well"),
        "model_grader_refusal_error": judge("", refusal="no"),
        "model_grader_server_error": dead,
    }
    for flag, ask in cases.items():
        with pytest.raises(GraderError) as caught:
            grade(LABEL, ask=ask)
        assert caught.value.flag == flag
    with pytest.raises(GraderError, match="none of the labels"):
        grade(LABEL, ask=judge('{"label": "perhaps"}'))


def test_images_go_to_the_judge():
    part = {"type": "input_image", "image_url": "{{ item.label }}", "detail": "low"}
    ask = judge('{"label": "yes"}')
    grade({**LABEL, "input": [{"role": "user", "content": ["look: ", part]}]}, ask=ask)
    content = ask.body["messages"][0]["content"]
    assert content[1] == {"type": "image_url", "image_url": {"url": "Card", "detail": "low"}}


def test_multi_joins_scores():
    graders = {"a": string_check("like"), "b": string_check("eq")}
    found = grade({"type": "multi", "name": "m", "graders": graders, "calculate_output": "0.5 * a + b ^ 2"})
    assert found.score == 0.5 and found.passed and found.sub_scores == {"a": 1.0, "b": 0.0}
    with pytest.raises(GraderError, match="names 'c'"):
        parse_grader({"type": "multi", "name": "m", "graders": graders, "calculate_output": "a + c"})
    nested = {"x": {"type": "multi", "name": "m", "graders": graders, "calculate_output": "a"}}
    with pytest.raises(GraderError, match="multi grader itself"):
        parse_grader({"type": "multi", "name": "n", "graders": nested, "calculate_output": "x"})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "JSON object"),
        ({"type": "zebra"}, "is not known"),
        ({"type": "string_check", "name": "s"}, "lacks input"),
        (string_check("is"), "operation is 'is'"),
        ({**LABEL, "passing_labels": ["perhaps"]}, "no other"),
        ({**SCORE, "range": [1, 1]}, "first number"),
        ({**SCORE, "range": [1]}, "two numbers"),
        ({**LABEL, "labels": "yes"}, "is a list"),
    ],
)
def test_bad_graders_are_refused(value, message):
    with pytest.raises(GraderError, match=message):
        parse_grader(value)


def python(source, **more):
    return {"type": "python", "name": "p", "source": source, **more}


def test_python_is_off_unless_allowed():
    with pytest.raises(GraderError, match="turned off"):
        grade(python("def grade(sample, item): return 1"))


def test_python_runs_apart():
    source = "def grade(sample, item):\n    print('noise')\n    return 0.5 * (item['n'] == 3)"
    found = grade(python(source, pass_threshold=0.5), allow_python=True)
    assert found.score == 0.5 and found.passed


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1/0", "ZeroDivisionError"),
        ("return 'x'", "no number"),
        ("return float('nan')", "no number"),
        ("bytearray(3 << 30)", "MemoryError"),
        ("open('big', 'wb').write(b'x' * (2 << 20))", "."),
        ("import socket; socket.create_connection(('127.0.0.1', PORT), 2)", "Error"),
    ],
)
def test_python_that_fails_or_reaches_out_is_an_error(body, message):
    with socket.create_server(("127.0.0.1", 0)) as server:
        body = body.replace("PORT", str(server.getsockname()[1]))
        with pytest.raises(GraderError, match=message):
            grade(python(f"def grade(sample, item):\n    {body}"), allow_python=True)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
