import sys

import pytest

from potstill.errors import ConfigurationError, MissingExtraError
from potstill.recipe.yaml_marks import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml


def problems_of(text):
    with pytest.raises(ConfigurationError) as caught:
        parse_yaml(text, "r.yaml")
    return [(p.line, p.column, p.message) for p in caught.value.problems]


def test_values_and_keys_know_their_places():
    marked = parse_yaml("a:\n  - 1\n  - {b: x}\n", "r.yaml")
    assert marked.values == {"a": [1, {"b": "x"}]}
    assert marked.places[("a", 1, "b")] == (3, 9)
    assert marked.keys[("a", 1, "b")] == (3, 6)
    assert marked.keys[("a",)] == (1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("", None),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("0x10", "0x10"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("-3", -3),
        ("0", 0),
        ("1e-3", 0.001),
        ("2E3", 2000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("e3", "e3"),
        ("<<", "<<"),
        ("'3'", "3"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parse_yaml(f"a: {text}\n", "r.yaml").values["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: &x 1\n", 1, 4, "anchors and aliases"),
        ("a: *x\n", 1, 4, "anchors and aliases"),
        ("a: !!int abc\n", 1, 4, "a tag"),
        ("a: !!python/object:os.system {}\n", 1, 4, "a tag"),
        ("a: 1\n? [b, c]\n: 2\n", 2, 3, "one word"),
        ("a: " + "1" * 5000, 1, 4, "too long for a number"),
        ("a: 1\n---\nb: 2\n", 2, 1, "no YAML"),
        ("a: [\n", 2, 1, "no YAML"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place(text, line, column, words):
    ((found_line, found_column, message),) = problems_of(text)
    assert words in message
    assert (found_line, found_column) == (line, column)


def test_all_names_that_stand_twice_are_said():
    assert [(line, column) for line, column, _ in problems_of("a: 1\na: 2\nb: {c: 1, c: 2}\n")] == [(2, 1), (3, 11)]


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 100_000, "a: " + "{a: " * 1000, "".join(f"{' ' * i}a:\n" for i in range(99))]
)
def test_deep_nesting_is_refused_before_it_is_built(text):
    ((_, _, message),) = problems_of(text)
    assert f"more than {MAX_DEPTH} deep" in message


def test_many_mappings_beside_each_other_are_not_deep():
    text = "a:\n" + "- {b: [1]}\n" * 100
    assert len(parse_yaml(text, "r.yaml").values["a"]) == 100


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_bytes("\ufeffa: 가\n".encode())
    assert read_yaml(path).values == {"a": "가"}


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a: \xff\n", "not UTF-8"), (b"a: \0\n", "no YAML"), (b"#" * (MAX_BYTES + 1), "at most")],
)
def test_bytes_that_are_no_recipe(tmp_path, content, words):
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        read_yaml(path)


@pytest.mark.parametrize("name", ["", "nowhere.yaml"])
def test_a_file_that_cannot_be_read(tmp_path, name):
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_yaml(tmp_path / name)


def test_without_pyyaml_the_pip_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        parse_yaml("a: 1\n", "r.yaml")
