import json
import os
import signal
import subprocess
import sys
import time

import pytest

import potstill
from potstill.cli.distill import budget_values, teacher_values
from potstill.cli.main import COMMANDS, main
from potstill.cli.output import clean, size, table, width
from potstill.errors import ConfigurationError
from potstill.runtime.bundle import write_bundle
from potstill.runtime.manifest import Manifest
from tests.runtime.bundles import SCHEMA, TOKENIZER, make_bundle, network
from tests.toys import sentences


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


def write_csv(path, rows):
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), "utf-8")
    return str(path)


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_predict_one_text_a_file_and_stdin(bundle, tmp_path, capsys, monkeypatch):
    assert main(["predict", str(bundle), "red", "--json"]) == 0
    found = last_json(capsys)
    assert (found["schema_version"], found["label"], found["in_scope"]) == (1, "red", True)
    path = tmp_path / "a.csv"
    path.write_text("text\nred\nblue\n")
    assert main(["predict", str(bundle), str(path), "--json"]) == 0
    assert [row["label"] for row in last_json(capsys)["predictions"]] == ["red", "blue"]
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("blue\n\n"))
    assert main(["predict", str(bundle)]) == 0
    assert capsys.readouterr().out.startswith("blue\t")


def test_evaluate(bundle, tmp_path, capsys):
    path = write_csv(tmp_path / "a.csv", [("red", "red"), ("blue", "blue"), ("red red", "blue")])
    assert main(["evaluate", str(bundle), path, "--json"]) == 0
    assert last_json(capsys)["accuracy"] == pytest.approx(2 / 3)
    assert main(["evaluate", str(bundle), write_csv(tmp_path / "b.csv", [("red", "green"), ("blue", "x")])]) == 6
    assert "'green' on lines 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["predict", "nowhere", "red"], 7, "does not exist"),
        (["distill", "nowhere.csv"], 6, "there is no file"),
        (["distill", "nowhere.yaml"], 2, "can't be read"),
        (["distill", "a.csv", "--budget", "size=tiny"], 2, "not understood"),
        (["distill", "a.csv", "--set", "training.epoch=3"], 2, "did you mean"),
        (["check", "nowhere.yaml"], 2, "can't be read"),
        (["report", "nowhere"], 7, "no report"),
        (["export", "nowhere", "--target", "onnx-int8"], 2, "not a finished run"),
    ],
)
def test_expected_failures_have_their_exit_codes(arguments, code, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--json"]) == code
    captured = capsys.readouterr()
    assert words in captured.err and "Traceback" not in captured.err
    assert json.loads(captured.out.splitlines()[-1])["exit_code"] == code


def test_usage_errors_are_2(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["distill"])
    assert caught.value.code == 2
    assert "--help" in capsys.readouterr().err


def test_the_bare_name_shows_what_there_is(capsys):
    assert main([]) == 2
    said = capsys.readouterr().err
    assert all(command in said for command in COMMANDS)


def test_an_unexpected_failure_is_1_and_writes_its_traceback(bundle, capsys, monkeypatch):
    monkeypatch.setattr("potstill.cli.predict.load", lambda *_, **__: 1 / 0)
    assert main(["predict", str(bundle), "red"]) == 1
    said = capsys.readouterr().err
    assert "This is a bug" in said and "Traceback" not in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_predict_loads_nothing_heavy(bundle):
    program = (
        "import sys; from potstill.cli.main import main; main(['predict', sys.argv[1], 'red']);"
        "heavy = {'torch', 'yaml', 'pydantic', 'transformers', 'sklearn'} & set(sys.modules); sys.exit(len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(bundle)], capture_output=True, check=False)
    assert done.returncode == 0, done


def test_runs_and_store_of_nothing(tmp_path, capsys):
    assert main(["runs", str(tmp_path), "--json"]) == 0
    assert last_json(capsys)["runs"] == []
    for action in ("ls", "verify", "gc"):
        assert main(["store", action, "--store", str(tmp_path / "none"), "--json"]) == 0


def test_init_writes_a_recipe_that_checks_and_never_overwrites(tmp_path, capsys):
    data = write_csv(tmp_path / "train.csv", sentences(80))
    out = tmp_path / "recipe.yaml"
    assert main(["init", data, "--out", str(out), "--json"]) == 0
    assert last_json(capsys)["label"] == ["label"]
    assert main(["check", str(out), "--json"]) == 0
    found = last_json(capsys)
    assert len(found["hash"]) == 64 and found["forecast"]["num_rows"]["train"] == 56
    assert main(["init", data, "--out", str(out)]) == 2
    assert "was not touched" in capsys.readouterr().err


def test_dry_run_does_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_csv(tmp_path / "train.csv", sentences(80))
    assert main(["distill", data, "--teacher", "scratch", "--dry-run", "--json"]) == 0
    assert last_json(capsys)["recipe"]["teacher"]["kind"] == "scratch"
    assert [path.name for path in tmp_path.iterdir()] == ["train.csv"]


def test_distill_report_export_and_runs(tmp_path, capsys, monkeypatch, encoder_folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POTSTILL_STORE", str(tmp_path / "store"))
    write_csv(tmp_path / "train.csv", sentences(160))
    quick = ["--set", "training.epochs=3", "--set", "training.num_trials=1", "--set", "training.precision=fp32"]
    quick += ["--set", "teacher.num_epochs=3", "--set", "teacher.learning_rate=1e-3", "--set", "teacher.num_threads=1"]
    command = ["distill", "train.csv", "--teacher", str(encoder_folder), "--out", "runs/one", "-q", "--json", *quick]
    assert main(command) == 0
    first = last_json(capsys)
    assert main(command) == 0
    assert last_json(capsys) == first
    assert main(["report", "runs/one", "--lang", "ko", "--json"]) == 0
    assert "증류 보고서" in (tmp_path / "runs/one/report/report.html").read_text("utf-8")
    capsys.readouterr()
    assert main(["export", "runs/one", "--target", "onnx-fp32", "--json"]) == 0
    assert potstill.load(tmp_path / last_json(capsys)["bundle"]).manifest.precision == "fp32"
    assert main(["runs", "--json"]) == 0
    assert last_json(capsys)["runs"][0]["state"] == "finished"
    assert main(["store", "ls", "--json"]) == 0
    stored = last_json(capsys)
    assert stored["entries"][0]["num_rows"] == 160
    assert len(stored["teachers"]) == 1
    assert main(["store", "gc", "--teachers", "--json"]) == 0
    assert last_json(capsys)["removed"] == [str(tmp_path / "store" / "teachers" / stored["teachers"][0]["key"])]
    assert main(["distill", "train.csv", *command[2:], "--gate", "accuracy=1.01"]) == 2
    assert "another recipe" in capsys.readouterr().err


def test_sigterm_saves_and_exits_75(tmp_path, encoder_folder):
    write_csv(tmp_path / "train.csv", sentences(400))
    command = [sys.executable, "-m", "potstill.cli", "distill", "train.csv", "--teacher", str(encoder_folder)]
    command += ["--out", "out", "--set", "teacher.num_epochs=500"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POTSTILL_STORE": str(tmp_path / "store")}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("store/teachers/*/.lock")) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75, said
    assert "same command goes on" in said
    assert list(tmp_path.glob("store/teachers/*/step-*"))


def test_options_are_read():
    assert budget_values("size=5MB,latency=1ms") == {"size_bytes": 5_000_000, "latency_ms": 1.0}
    assert budget_values("latency=50us")["latency_ms"] == pytest.approx(0.05)
    assert teacher_values("openai:m@http://h/v1") == {"kind": "openai", "model": "m", "base_url": "http://h/v1"}
    assert teacher_values("recorded:said") == {"kind": "recorded", "label_column": "said"}
    assert teacher_values("ngrams+scratch") == {
        "kind": "ensemble",
        "members": [{"kind": "ngrams"}, {"kind": "scratch"}],
    }
    assert teacher_values("some/model") == {"kind": "encoder", "model": "some/model"}
    with pytest.raises(ConfigurationError, match="names no address"):
        teacher_values("openai:m")


def test_text_on_a_terminal():
    assert clean("a\x1b[31mb\u202ec") == "a\ufffd[31mb\ufffdc"
    assert width("가a") == 3
    assert table(["", "x"], [["가", "1"], ["ab", "22"]]).splitlines()[2] == "가   1"
    assert [size(n) for n in (None, 12, 1500, 2_500_000)] == ["-", "12 B", "1.50 kB", "2.50 MB"]


def test_a_bundle_of_pictures_says_what_it_reads(tmp_path, capsys):
    entry = {"kind": "pixels", "height": 2, "width": 2, "channels": 1, "scale": 1.0, "mean": [0.0], "std": [1.0]}
    manifest = Manifest(
        schema=SCHEMA, preprocess=entry, precision="fp32", temperatures=[1.0], threshold=None, probes=[], tolerance=0.1
    )
    write_bundle(tmp_path / "b", manifest, {"model.onnx": network(), "tokenizer.json": TOKENIZER.encode()})
    assert main(["predict", str(tmp_path / "b"), "red"]) == 6
    assert "reads image files" in capsys.readouterr().err
