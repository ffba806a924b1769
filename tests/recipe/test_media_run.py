"""The whole way for pictures and for sounds, small."""

import json
from dataclasses import replace

import numpy as np
import pytest

from potstill.cli.main import main
from potstill.data import DataOptions
from potstill.fleet.publisher.deltas import make_deltas
from potstill.recipe import Recipe
from potstill.recipe.run import run
from potstill.students import DsCnn, ResNet
from potstill.teachers import Network
from potstill.training.settings import Training
from tests.media import beeps, file_of, pictures, wav_of

TRAINING = Training(num_epochs=8, num_trials=1, precision="fp32", batch_size=16, num_views=3)
TEACHER = Network(depth=8, width=8, num_epochs=10, batch_size=16, precision="fp32", num_threads=1)


def picture_tables():
    def table(rows):
        return {"image": [file_of(array) for array, _ in rows], "label": [label for _, label in rows]}

    pool = {"image": [file_of(array) for array, _ in pictures(40, seed=3)]}
    return {"train": table(pictures(60)), "test": table(pictures(60, seed=1)), "unlabelled": pool}


@pytest.fixture(scope="module")
def picture_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    recipe = Recipe(
        data=DataOptions(image="image", label=("label",)),
        teacher=TEACHER,
        student=ResNet(depth=8, width=4),
        training=TRAINING,
    )
    return run(recipe, folder / "out", tables=picture_tables(), store=folder / "store")


def test_pictures_are_distilled(picture_run):
    assert picture_run.result["student"]["accuracy"] > 0.6
    assert picture_run.result["teacher"]["accuracy"] > 0.8
    assert "baseline" not in picture_run.result


def test_the_bundle_reads_files(picture_run, tmp_path, capsys):
    rows = pictures(9, seed=1)
    for i, (array, label) in enumerate(rows):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{i}.png").write_bytes(file_of(array))
    (tmp_path / "red" / "cut.png").write_bytes(b"cut")
    one = str(tmp_path / rows[0][1] / "0.png")
    assert main(["predict", str(picture_run.bundle), one, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["label"] == picture_run.student.predict([rows[0][0]])[0].label
    assert main(["predict", str(picture_run.bundle), str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["predictions"]) == 9
    assert [item["input"] for item in said["unread"]] == [str(tmp_path / "red" / "cut.png")]
    assert main(["evaluate", str(picture_run.bundle), str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["num_rows"] == 9
    assert "cut.png" in said["findings"][0]


def test_a_second_run_asks_the_teacher_nothing(picture_run):
    store = picture_run.folder.parent / "store"
    again = run(
        Recipe(
            data=DataOptions(image="image", label=("label",)),
            teacher=TEACHER,
            student=ResNet(depth=8, width=2),
            training=TRAINING,
        ),
        picture_run.folder.parent / "second",
        tables=picture_tables(),
        store=store,
    )
    assert again.result["teacher_calls"] == 0


def test_a_child_of_pictures_is_a_small_delta_and_as_good(picture_run):
    folder = picture_run.folder.parent
    recipe = Recipe(
        data=DataOptions(image="image", label=("label",)),
        teacher=TEACHER,
        student=ResNet(depth=8, width=4),
        training=replace(TRAINING, num_epochs=3),
        parent=str(picture_run.folder),
    )
    tables = picture_tables()
    tables["unlabelled"]["image"] += [file_of(array) for array, _ in pictures(40, seed=4)]
    child = run(recipe, folder / "child", tables=tables, store=folder / "store")
    old, new = ({path.name: path.read_bytes() for path in made.bundle.iterdir()} for made in (picture_run, child))
    assert old["model.onnx"] != new["model.onnx"]
    (delta,) = (found for found in make_deltas([old], new) if found.file == "model.onnx")
    assert delta.method == "subtract" and delta.share < 0.06
    assert child.result["student"]["accuracy"] >= picture_run.result["student"]["accuracy"] - 0.05


def test_the_page_shows_pictures(picture_run):
    page = picture_run.report.read_text("utf-8")
    assert page.count("data:image/png;base64,") >= 4


def test_sounds_are_distilled_and_heard(tmp_path, capsys):
    def table(rows):
        return {
            "audio": [wav_of(samples) for samples, _, _ in rows],
            "label": [label for _, label, _ in rows],
            "speaker": [speaker for _, _, speaker in rows],
        }

    recipe = Recipe(
        data=DataOptions(audio="audio", label=("label",), group="speaker"),
        teacher=TEACHER,
        student=DsCnn(width=16, num_blocks=2),
        training=TRAINING,
    )
    tables = {"train": table(beeps(72)), "test": table(beeps(36, seed=1))}
    done = run(recipe, tmp_path / "out", tables=tables, store=tmp_path / "store")
    assert done.result["student"]["accuracy"] > 0.6
    samples = beeps(3, seed=1)[2][0]
    (tmp_path / "one.wav").write_bytes(wav_of(samples))
    assert main(["predict", str(done.bundle), str(tmp_path / "one.wav"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    direct = done.student.predict([samples])[0]
    assert said["label"] == direct.label
    assert np.isclose(said["probability"], direct.probability, atol=1e-2)
