import json

import pytest

from potstill.cli.main import main
from potstill.recipe.load import load_recipe

RECIPE = "data: {train: train.csv}\nteacher: {kind: scratch}\n"


@pytest.fixture
def recipe(tmp_path):
    rows = "".join(f"{'good' if i % 2 else 'bad'} words number {i},{'yes' if i % 2 else 'no'}\n" for i in range(40))
    (tmp_path / "train.csv").write_text("text,label\n" + rows)
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_it_shows_the_resolved_recipe_its_hash_and_a_forecast(recipe, capsys):
    assert main(["check", str(recipe), "--set", "training.epochs=5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipe"]["training"]["num_epochs"] == 5
    assert found["recipe"]["teacher"]["kind"] == "scratch"
    assert found["hash"] == load_recipe(recipe, ["training.num_epochs=5"]).digest()
    assert found["forecast"]["num_rows"]["test"] == 8


def test_what_it_prints_for_people_is_a_recipe(recipe, capsys):
    assert main(["check", str(recipe)]) == 0
    written, _, rest = capsys.readouterr().out.partition("\nhash: ")
    again = recipe.with_name("again.yaml")
    again.write_text(written)
    assert load_recipe(again) == load_recipe(recipe)
    assert rest.startswith(load_recipe(recipe).digest())
    assert "rows:" in rest


def test_problems_come_with_their_places_also_as_json(recipe, capsys):
    recipe.write_text(RECIPE + "traning: {}\n")
    assert main(["check", str(recipe), "--set", "seed=x", "--json"]) == 2
    told = capsys.readouterr()
    assert f"{recipe}:3:1: traning: there is no such option; did you mean 'training'?" in told.err
    places = [(p["path"], p["line"], p["column"]) for p in json.loads(told.out)["problems"]]
    assert places == [("seed", 0, 0), ("traning", 3, 1)]
