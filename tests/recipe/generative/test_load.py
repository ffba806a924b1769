import json

import pytest

from potstill.cli.main import main
from potstill.errors import ConfigurationError
from potstill.recipe.generative.load import build_generative, load_any_recipe
from potstill.recipe.generative.recipe import GenerativeRecipe
from potstill.recipe.recipe import Recipe
from potstill.recipe.write import recipe_yaml

RECIPE = "kind: generative\ndata: {train: train.jsonl}\nteacher: {model: elsewhere.gguf}\nstudent: {layers: 4}\n"


@pytest.fixture
def path(tmp_path):
    rows = [{"prompt": f"what is {i}", "answer": f"it is {i}"} for i in range(40)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"


def test_the_kind_tells_students_that_write_from_those_that_sort(path):
    recipe = load_any_recipe(path, ["training.on_policy=0.5"])
    assert isinstance(recipe, GenerativeRecipe)
    assert (recipe.student.layers, recipe.training.on_policy) == (4, 0.5)
    assert recipe.data.train == str(path.parent / "train.jsonl")
    path.write_text("data: {train: train.csv}\nteacher: {kind: scratch}\n")
    assert isinstance(load_any_recipe(path), Recipe)


def test_a_written_recipe_loads_back(path):
    recipe = load_any_recipe(path)
    path.write_text(recipe_yaml(recipe))
    assert load_any_recipe(path) == recipe


def test_problems_have_their_places(path):
    path.write_text(RECIPE + "training:\n  on_polcy: 0.5\n  top_k: many\n")
    with pytest.raises(ConfigurationError) as told:
        load_any_recipe(path)
    places = [(p.path, p.line) for p in told.value.problems]
    assert places == [("training.on_polcy", 6), ("training.top_k", 7)]
    assert "did you mean 'on_policy'" in told.value.problems[0].message


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"training": {"on_policy": 2.0}}, "it is a share"),
        ({"training": {"on_policy": 0.5, "signal": "text"}}, "learns from texts alone"),
        ({"training": {"on_policy": 0.5}, "teacher": {"kind": "recorded", "column": "said"}}, "on record"),
        ({"training": {"stored": "sampled", "loss": "reverse_kl"}}, "biased on draws"),
        ({"training": {"stored": "hidden"}, "teacher": {"kind": "recorded", "column": "said"}}, "top_k at most"),
        ({"student": {"layers": 0}}, "can't be that few"),
        ({"student": {"lora_rank": -1}}, "can't be that few"),
        ({"training": {"on_policy": 0.5, "loss": "universal_logit"}}, "never of what"),
    ],
)
def test_what_cannot_be_is_refused(values, said):
    with pytest.raises(ConfigurationError) as told:
        build_generative({"data": {"train": "x.jsonl"}, **values})
    assert said in " ".join([str(told.value), *(p.message for p in told.value.problems)])


def test_init_check_and_a_dry_run(path, capsys):
    out = path.with_name("made.yaml")
    source = str(path.parent / "train.jsonl")
    assert main(["init", source, "--prompt", "prompt", "--layers", "3", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == "answer"
    assert load_any_recipe(out).student.layers == 3
    assert "# share, of the rows that the teacher answered" in out.read_text()
    assert main(["check", str(out), "--set", "student.layers=2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipe"]["student"]["layers"] == 2 and found["forecast"]["teacher_rows"] > 0
    assert main(["distill", str(out), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cpu_seconds"] > 0


def test_columns_that_are_not_there_are_said_before_anything_is_written(path, capsys):
    out = path.with_name("made.yaml")
    assert main(["init", str(path.parent / "train.jsonl"), "--prompt", "question", "--out", str(out)]) == 6
    assert "question" in capsys.readouterr().err and not out.exists()


def test_a_recipe_and_options_are_not_mixed(path, capsys):
    assert main(["distill", str(path), "--layers", "2"]) == 2
    assert "--layers" in capsys.readouterr().err
