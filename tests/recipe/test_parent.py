"""A student that goes on from one that is deployed, and the round from devices back to devices."""

import csv
import json
from dataclasses import replace

import pytest

from potstill import DataOptions
from potstill.cli.main import main
from potstill.errors import ConfigurationError, GateError
from potstill.files import canonical_json
from potstill.fleet.publisher import create_fleet, publish
from potstill.fleet.publisher.deltas import make_deltas
from potstill.fleet.publisher.inbox import DeviceRecord
from potstill.fleet.publisher.rollout import read_rollout
from potstill.recipe import Controls, Recipe
from potstill.recipe.recipe import Export
from potstill.recipe.refresh import refresh
from potstill.recipe.run import run
from potstill.recipe.trials import way_of
from potstill.report.storage import load_content
from potstill.students import Static
from potstill.teachers import Scratch
from potstill.training.settings import Training
from potstill.types import Silent
from tests.toys import sentences


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return str(path)


def recipe_of(folder, num_rows, **changes):
    train = write(folder / f"{num_rows}.csv", sentences(num_rows))
    values = {
        "data": DataOptions(train=train, test=str(folder / "test.csv")),
        "teacher": Scratch(num_epochs=10, precision="fp32"),
        "student": Static(width=32, hidden=32),
        "training": Training(num_epochs=6, num_trials=1, precision="fp32", batch_size=32, refit="no"),
        "controls": Controls(baseline=False),
        "export": Export(precision="int8_weights"),
    }
    return Recipe(**{**values, **changes})


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parent")
    write(folder / "test.csv", sentences(80, seed=1))
    return folder, run(recipe_of(folder, 160), folder / "run", store=folder / "store")


def files(bundle):
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


def test_a_child_is_like_its_parent_and_as_good(parent):
    folder, before = parent
    light = Training(num_epochs=1, num_trials=1, precision="fp32", batch_size=32, learning_rate=5e-4, refit="no")
    recipe = recipe_of(folder, 200, parent=str(before.folder), training=light, controls=Controls())
    child = run(recipe, folder / "child", store=folder / "store")
    old, new = files(before.bundle), files(child.bundle)
    assert old["tokenizer.json"] == new["tokenizer.json"] and old["model.onnx"] != new["model.onnx"]
    delta = next(d for d in make_deltas([old], new) if d.file == "model.onnx")
    assert delta.method == "subtract" and delta.share < 0.06
    assert child.result["student"]["accuracy"] >= before.result["student"]["accuracy"] - 0.05
    # The baseline starts anew, so it learns as fast as without a parent.
    scores = load_content(child.report.parent).assessment.scores
    (baseline,) = (found for found in scores if found.name == "baseline")
    assert float(baseline.notes["learning_rate"]) == 2e-3 * way_of("linear").rate_factor


class Killed(BaseException):
    """What nobody catches."""


class DiesInTheSecondTraining(Silent):
    def __init__(self):
        self.steps_left = None

    def stage(self, name, total=None):
        self.steps_left = 4 if name.startswith("student: ") and "most moved alone" in name else None

    def advance(self, count=1):
        if self.steps_left is not None:
            self.steps_left -= 1
            if not self.steps_left:
                raise Killed


def test_what_moved_most_is_trained_again_alone_and_survives_a_kill(parent):
    folder, before = parent
    light = Training(num_epochs=2, num_trials=1, learning_rate=1e-3, precision="fp32", batch_size=32, refit="yes")
    light = replace(light, checkpoint_every_s=0)
    recipe = recipe_of(folder, 200, parent=str(before.folder), training=light)
    whole = run(recipe, folder / "whole", store=folder / "store")
    with pytest.raises(Killed):
        run(recipe, folder / "killed", store=folder / "store", progress=DiesInTheSecondTraining())
    resumed = run(recipe, folder / "killed", store=folder / "store")
    assert files(resumed.bundle)["model.onnx"] == files(whole.bundle)["model.onnx"]
    trials = load_content(whole.report.parent).trials
    for name in ("student", "control"):
        plain, alone = trials[name]
        assert alone["name"] == f"{plain['name']}, most moved alone"
        assert alone["learning_rate"] == pytest.approx(10 * plain["learning_rate"])


def test_another_network_or_other_classes_are_no_parent(parent):
    folder, before = parent
    wider = recipe_of(folder, 160, parent=str(before.bundle), student=Static(width=48, hidden=32))
    with pytest.raises(ConfigurationError, match="another network"):
        run(wider, folder / "wider", store=folder / "store")
    fewer = recipe_of(folder, 160, parent=str(before.bundle))
    fewer = replace(fewer, data=replace(fewer.data, classes=("card", "loan")))
    with pytest.raises(ConfigurationError, match="other classes"):
        run(fewer, folder / "fewer", store=folder / "store")


def test_a_round_from_devices_back_to_the_first_ring(parent, tmp_path, capsys):
    folder, before = parent
    fleet = create_fleet(tmp_path / "fleet", num_keys=1, threshold=1)
    publish(fleet, before.bundle, model="intents")

    def send(rows):
        device = "0" * 32
        record = DeviceRecord(device=device, cohort="default", model="intents", version=1, sequence=1)
        samples = [{"text": text, "label": "card", "probability": 0.4} for text, _ in rows]
        for name, content in ((f"devices/{device}", record.to_json()), (f"samples/{device}-1", samples)):
            path = fleet.inbox / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(canonical_json(content))

    options = {"model": "intents", "cohort": "default", "store": folder / "store"}
    send(sentences(5, seed=9))
    assert refresh(before.folder, fleet, out=tmp_path / "none", **options).did == "nothing"
    send(sentences(40, seed=9))
    with pytest.raises(GateError, match="Nothing was published"):
        refresh(before.folder, fleet, out=tmp_path / "next", max_drop=-1.0, **options)
    assert read_rollout(fleet, "default", "intents").candidate is None

    command = ["refresh", before.folder, "--fleet", fleet.folder, "--model", "intents", "--out", tmp_path / "next"]
    assert main([*map(str, command), "--max-drop", "0.1", "--store", str(folder / "store"), "-q", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["did"], found["num_rows"], found["release"]["version"]) == ("published", 40, 2)
    rollout = read_rollout(fleet, "default", "intents")
    assert (rollout.candidate, rollout.share) == (2, 0.05)
    assert not list((fleet.inbox / "samples").glob("*.json")), "rows are learned once"
    with pytest.raises(ConfigurationError, match="not what is deployed"):
        refresh(tmp_path / "next", fleet, out=tmp_path / "again", **options)
