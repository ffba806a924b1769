"""The whole way, small: a tiny encoder, four intents."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import potstill
from potstill.errors import ConfigurationError, GateError, IntegrityError
from potstill.exporters.source import load_source
from potstill.recipe import Controls, Gates, Recipe
from potstill.recipe.exporting import held_out
from potstill.recipe.run import run
from potstill.runtime import load
from potstill.signals import Store
from potstill.signals.maintenance import describe_teachers
from potstill.students import Cnn
from potstill.students import Encoder as EncoderStudent
from potstill.teachers import Encoder
from potstill.training.settings import Training
from tests.toys import columns, sentences

TABLES = {
    "train": columns(sentences(120, noise=0.1)),
    "test": columns(sentences(200, seed=1)),
    "unlabelled": {"text": [text for text, _ in sentences(400, seed=2)]},
}


def recipe_of(encoder_folder, **changes):
    values = {
        "data": potstill.DataOptions(text="text", label=("label",)),
        "teacher": Encoder(
            model=str(encoder_folder), num_epochs=15, batch_size=16, learning_rate=1e-3, precision="fp32", num_threads=1
        ),
        "student": Cnn(width=16, narrow_filters=16, wide_filters=8),
        "training": Training(num_epochs=6, num_trials=2, precision="fp32", batch_size=32, learning_rate=1e-2),
    }
    return Recipe(**{**values, **changes})


def weights_of(folder):
    """Bytes of the student in fp32; which precision ships depends on measured times too."""
    return (folder / "contenders" / "student" / "fp32" / "model.onnx").read_bytes()


@pytest.fixture(scope="module")
def finished(encoder_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return run(recipe_of(encoder_folder), folder / "out", tables=TABLES, store=folder / "store")


def test_the_result_line_holds_what_is_promised(finished):
    result = finished.result
    for name in ("teacher", "student", "control", "baseline"):
        keys = {"accuracy", "accuracy_ci", "macro_f1", "nll", "ece", "size_bytes", "num_parameters", "latency_ms"}
        assert keys <= set(result[name])
        assert {"p50", "p95", "threads"} <= set(result[name]["latency_ms"])
    keys = {"schema_version", "run_dir", "report", "bundle", "gap_closed", "agreement", "p_value", "verdict"}
    assert keys <= set(result)
    assert result["student"]["accuracy"] > 0.8
    json.dumps(result, allow_nan=False)


def test_where_labels_are_few_dev_rows_teach_once_they_have_chosen(finished, encoder_folder, tmp_path):
    assert finished.result["refit"]
    stages = {path.name.rsplit("-", 1)[0] for path in (finished.folder / "stages").iterdir()}
    assert {"student", "control", "baseline"} <= stages
    assert len(describe_teachers(Store(finished.folder.parent / "store"))) == 2
    plain = replace(recipe_of(encoder_folder), training=replace(recipe_of(encoder_folder).training, refit="no"))
    once = run(plain, tmp_path / "once", tables=TABLES, store=tmp_path / "store")
    assert not once.result["refit"] and len(describe_teachers(Store(tmp_path / "store"))) == 1


def test_the_bundle_is_the_student(finished):
    texts = TABLES["test"]["text"]
    said = [prediction.label for prediction in finished.student.predict(texts)]
    accuracy = np.mean([a == b for a, b in zip(said, TABLES["test"]["label"], strict=True)])
    assert accuracy == pytest.approx(finished.result["student"]["accuracy"], abs=0.011)
    assert potstill.load(finished.bundle.with_suffix(".zip")).digest == finished.result["bundle_digest"]


def test_a_run_keeps_what_exports_start_from(finished):
    source = load_source(finished.folder / "contenders" / "student")
    texts = TABLES["test"]["text"][:20]
    assert np.abs(source.student.logits(texts) - source.bundle.logits(texts)).max() < 1e-3
    assert len(source.calibration) > 100 and len(held_out(finished.folder).inputs) == 200


def test_a_finished_run_is_a_no_op(finished, encoder_folder):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*") if path.name != ".lock"}
    again = run(recipe_of(encoder_folder), finished.folder, tables=TABLES, store=finished.folder.parent / "store")
    assert again.result == finished.result
    after = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*") if path.name != ".lock"}
    assert {p for p in before if before[p] != after.get(p)} <= {finished.folder, finished.folder / "recipe.json"}


def test_the_same_rows_in_another_run_ask_the_teacher_nothing(finished, encoder_folder, tmp_path):
    other = run(
        recipe_of(encoder_folder, controls=Controls(baseline=False)),
        tmp_path / "out",
        tables=TABLES,
        store=finished.folder.parent / "store",
    )
    assert other.result["teacher_calls"] == 0
    assert weights_of(other.folder) == weights_of(finished.folder)


def test_another_recipe_is_kept_out_of_the_folder(finished, encoder_folder):
    with pytest.raises(ConfigurationError, match="another recipe"):
        run(recipe_of(encoder_folder, seed=1), finished.folder, tables=TABLES)


def test_a_damaged_result_is_named(finished, encoder_folder):
    path = finished.folder / "result.json"
    content = path.read_bytes()
    path.write_bytes(content[:50])
    try:
        with pytest.raises(IntegrityError, match=r"result\.json"):
            run(recipe_of(encoder_folder), finished.folder, tables=TABLES)
    finally:
        path.write_bytes(content)


def test_gates(finished, encoder_folder, tmp_path):
    from potstill.recipe.run import check_gates

    check_gates(Gates(accuracy=0.5, verdict="any"), finished.result)
    with pytest.raises(GateError, match=r"accuracy is .* asks 1\.0"):
        check_gates(Gates(accuracy=1.0), {**finished.result, "student": {"accuracy": 0.9}})
    with pytest.raises(GateError, match="asks 'gain'"):
        check_gates(Gates(verdict="gain"), {**finished.result, "verdict": "no gain"})


def test_a_service_with_some_classes_and_other(encoder_folder, tmp_path):
    data = potstill.DataOptions(text="text", label=("label",), classes=("card", "loan"), other=True)
    done = run(
        recipe_of(encoder_folder, data=data, controls=Controls(baseline=False, teacher_labels=True), num_seeds=2),
        tmp_path / "out",
        tables=TABLES,
        store=tmp_path / "store",
    )
    assert [pair["seed"] for pair in done.result["seeds"]["pairs"]] == [0, 1]
    assert done.result["seeds"]["pairs"][0]["student"] == pytest.approx(done.result["student"]["accuracy"], abs=0.011)
    assert "teacher_labels" in done.result
    assert done.student.schema.fields[0].classes == ("card", "loan", "other")
    assert done.result["student"]["macro_f1"] > 0.7
    # The network knows the classes that the service doesn't keep, wherever it is taken up again.
    source = load_source(done.folder / "contenders" / "student")
    assert source.student.module.all_classes.head.out_features == 4
    texts = TABLES["test"]["text"][:20]
    exact = load(done.folder / "contenders" / "student" / "fp32").logits(texts)
    np.testing.assert_allclose(source.student.logits(texts), exact, atol=1e-4)
    light = Training(num_epochs=1, num_trials=1, precision="fp32", batch_size=32, refit="no", num_checkpoints=2)
    child = run(
        recipe_of(encoder_folder, data=data, training=light, parent=str(done.folder)),
        tmp_path / "child",
        tables=TABLES,
        store=tmp_path / "store",
    )
    assert child.student.schema == done.student.schema
    for path in child.result["checkpoints"].values():
        assert load(path).schema == done.student.schema


def test_several_fields_and_several_labels(encoder_folder, tmp_path):
    rows = sentences(320)
    table = {
        "text": [text for text, _ in rows],
        "what": [label for _, label in rows],
        "words": ["my" if " my " in text else "none" for text, _ in rows],
    }
    quick = {
        "training": replace(recipe_of(encoder_folder).training, num_trials=1, refit="no"),
        "controls": Controls(baseline=False),
    }
    recipe = recipe_of(encoder_folder, data=potstill.DataOptions(text="text", label=("what", "words")), **quick)
    done = run(recipe, tmp_path / "out", tables={"train": table}, store=tmp_path / "store")
    assert set(done.student.predict(["tell me about my card"])[0].label) == {"what", "words"}
    multi = {"text": table["text"], "label": [[a, b] for a, b in zip(table["what"], table["words"], strict=True)]}
    recipe = recipe_of(encoder_folder, **quick)
    done = run(recipe, tmp_path / "m", tables={"train": multi}, store=tmp_path / "store")
    assert isinstance(done.student.predict(["my card"])[0].label, list)


def test_features_and_hidden_states_of_the_teacher_can_be_learned_from(encoder_folder, tmp_path):
    training = Training(
        num_epochs=12,
        num_trials=1,
        precision="fp32",
        batch_size=32,
        learning_rate=2e-3,
        embedding_loss="cosine",
        hidden_weight=1.0,
        refit="no",
    )
    recipe = recipe_of(encoder_folder, training=training, student=EncoderStudent(layers=(1,)))
    done = run(recipe, tmp_path / "out", tables=TABLES, store=tmp_path / "store")
    assert done.result["student"]["accuracy"] > 0.6
    with pytest.raises(ConfigurationError, match="hidden_weight"):
        run(recipe_of(encoder_folder, training=training), tmp_path / "b", tables=TABLES, store=tmp_path / "store")


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.recipe.test_run import TABLES, recipe_of
from potstill.recipe.run import run
from potstill.runtime import load
from potstill.signals import Store
from potstill.signals.maintenance import describe_teachers
folder = Path(sys.argv[2])
run(recipe_of(Path(sys.argv[3])), folder / "out", tables=TABLES, store=folder / "store")
"""


def start(folder, encoder_folder):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH120, PTH100
    command = [sys.executable, "-c", PROGRAM, root, str(folder), str(encoder_folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def killed_and_resumed(folder, encoder_folder, seconds):
    """Kills a run at each of these ages, then lets it end."""
    for age in seconds:
        process = start(folder, encoder_folder)
        time.sleep(age)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = start(folder, encoder_folder)
    assert process.wait() == 0
    return weights_of(folder / "out")


def test_a_killed_run_ends_with_the_same_bytes(finished, encoder_folder, tmp_path):
    found = killed_and_resumed(tmp_path, encoder_folder, [3.0, 5.0])
    assert found == weights_of(finished.folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_runs_killed_at_many_points_end_with_the_same_bytes(finished, encoder_folder, tmp_path, seed):
    ages = np.random.default_rng(seed).uniform(1.5, 14.0, 5)
    found = killed_and_resumed(tmp_path, encoder_folder, ages)
    assert found == weights_of(finished.folder)
