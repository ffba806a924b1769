import json

import pytest

from potstill.cli.main import main
from potstill.recipe.load import load_recipe
from tests.media import file_of, pictures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rows = "".join(f"{'good' if i % 2 else 'bad'} words number {i},{'yes' if i % 2 else 'no'}\n" for i in range(40))
    (tmp_path / "train.csv").write_text("sentence,mood\n" + rows)
    (tmp_path / "test.csv").write_text("sentence,mood\n" + rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_guessed_columns_stand_in_the_recipe(folder, capsys):
    assert main(["init", "train.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["recipe"], found["text"], found["label"]) == ("recipe.yaml", "sentence", ["mood"])
    data = load_recipe(folder / "recipe.yaml").data
    assert (data.train, data.text, data.label) == (str(folder / "train.csv"), "sentence", ("mood",))


def test_named_columns_are_kept(folder):
    assert main(["init", "train.csv", "--text", "mood", "--label", "sentence"]) == 0
    data = load_recipe(folder / "recipe.yaml").data
    assert (data.text, data.label) == ("mood", ("sentence",))


def test_a_folder_of_pictures(folder, capsys):
    for i, (array, label) in enumerate(pictures(12)):
        (folder / "seen" / label).mkdir(parents=True, exist_ok=True)
        (folder / "seen" / label / f"{i}.png").write_bytes(file_of(array))
    assert main(["init", "seen", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["image"] == "image"
    data = load_recipe(folder / "recipe.yaml").data
    assert (data.train, data.image, data.text, data.label) == (str(folder / "seen"), "image", "", ("label",))


def test_names_of_files_are_not_taken_for_texts(folder, capsys):
    (folder / "sounds.csv").write_text("clip,label\n" + "".join(f"a/{i}.wav,{'ab'[i % 2]}\n" for i in range(20)))
    assert main(["init", "sounds.csv"]) == 6
    assert "--audio clip" in capsys.readouterr().err
    assert main(["init", "sounds.csv", "--audio", "clip"]) == 0
    assert load_recipe(folder / "recipe.yaml").data.audio == "clip"


@pytest.mark.parametrize("out", ["recipe.yaml", "sub/deep/recipe.yaml", "../recipe.yaml"])
def test_paths_hold_wherever_the_recipe_is_written(folder, out, monkeypatch):
    work = folder / "work"
    work.mkdir()
    for name in ("train.csv", "test.csv"):
        (folder / name).rename(work / name)
    monkeypatch.chdir(work)
    assert main(["init", "train.csv", "--test", str(work / "test.csv"), "--out", out]) == 0
    data = load_recipe(work / out).data
    assert (work / data.train).samefile(work / "train.csv")
    assert data.test == str(work / "test.csv")
    assert data.unlabelled == ""


def test_nothing_is_overwritten(folder, capsys):
    (folder / "recipe.yaml").write_text("mine")
    assert main(["init", "train.csv"]) == 2
    assert "was not touched" in capsys.readouterr().err
    assert (folder / "recipe.yaml").read_text() == "mine"


@pytest.mark.usefixtures("folder")
def test_a_place_that_cannot_be_written_is_said(capsys):
    assert main(["init", "train.csv", "--out", "test.csv/recipe.yaml"]) == 2
    assert "can't be written" in capsys.readouterr().err
