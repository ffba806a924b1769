"""Samples: the Node one runs, the others hold the bundle's own names, shapes and labels."""

import json
import re
import shutil
import subprocess

import pytest

from potstill.cli.main import main
from potstill.errors import ConfigurationError
from potstill.exporters.sample import _c, _kotlin, _swift, micro_sample, mobile_sample
from potstill.recipe.shipping import rebundle
from potstill.runtime import load
from tests.browser import runtime_folder


def shipped(run):
    rebundle(run / "contenders" / "student" / "fp32", run / "bundle", {})
    return run


def test_the_node_sample_runs(own_run, tmp_path, capfd):
    if shutil.which("node") is None:
        pytest.skip("needs node")
    run = shipped(own_run("cnn"))
    out = tmp_path / "node"
    assert main(["export", str(run), "--sample", "node", "--out", str(out), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["path"] == str(out)
    # What `npm install` would bring.
    package = out / "node_modules" / "onnxruntime-web"
    package.mkdir(parents=True)
    runtime_folder(package)
    exports = {"./wasm": "./ort.wasm.bundle.min.mjs", "./ort-wasm-simd-threaded.wasm": "./ort-wasm-simd-threaded.wasm"}
    (package / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "exports": exports}))
    done = subprocess.run(["node", "main.mjs"], cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passed"]
    done = subprocess.run(["node", "main.mjs", "about my loan"], cwd=out, capture_output=True, text=True, check=True)
    expected = load(run / "bundle").predict(["about my loan"])[0]
    said = json.loads(done.stdout)
    assert said["label"] == expected.label and said["probability"] == pytest.approx(expected.probability, abs=1e-5)


@pytest.mark.parametrize("kind", ["cnn", "resnet"])
def test_mobile_samples_hold_what_the_manifest_says(kind, own_run, capfd):
    run = shipped(own_run(kind))
    for sample, file in (("android", "Student.kt"), ("swift", "Student.swift")):
        assert main(["export", str(run), "--sample", sample, "--json"]) == 0
        folder = run / "exports" / f"sample-{sample}"
        text = (folder / file).read_text("utf-8")
        assert '"card", "loan", "travel"' in text and "{{" not in text and "1.5" in text
        assert ('"ids"' if kind == "cnn" else '"pixels"') in text
        assert (folder / "model.onnx").read_bytes() == (run / "bundle" / "model.onnx").read_bytes()
        if kind == "resnet":
            assert re.search(r"1L?, 3L?, 12L?, 12L?", text)
            scale = json.loads((folder / "manifest.json").read_bytes())["preprocess"]["scale"]
            assert f"/ {scale:.9g}" in text and "pixels(" in text and "12 * 12" in text
        else:
            assert "func pixels" not in text and "fun pixels" not in text
        assert {"android": "onnxruntime-android:1.24.3", "swift": "version 1.24.2"}[sample] in text
    capfd.readouterr()


def test_labels_can_not_leave_their_quotes():
    label = 'say "${x}" \\ 한 ?\n'
    assert json.loads(_kotlin(label).replace("\\$", "$")) == label and "\\${" in _kotlin(label)
    assert _swift('a"한') == '"a\\u{22}\\u{d55c}"'
    assert _c('a"한1') == '"a\\042\\355\\225\\2341"'


def test_c_for_microcontrollers():
    entry = {"kind": "pixels", "channels": 1, "height": 8, "width": 8}
    manifest = {
        "schema": [{"name": "label", "classes": ["no", "yes"], "multi": False}],
        "preprocess": entry,
        "calibration": {"temperatures": [1.0]},
        "model": {"precision": "int8", "lengths": [], "inputs": [{"name": "pixels", "shape": [1, 1, 8, 8]}]},
    }
    export = {"manifest.json": json.dumps(manifest).encode(), "model.tflite": bytes(range(32))}
    files = micro_sample(export, ["CONV_2D", "FULLY_CONNECTED", "MEAN"])
    text = files["student.cc"].decode()
    assert 'kLabels[] = {"no", "yes"}' in text and "MicroMutableOpResolver<3>" in text and "i < 64" in text
    assert "resolver.AddConv2D();" in text and files["model.h"].decode().count(",") == 31
    with pytest.raises(ConfigurationError, match="EMBEDDING_LOOKUP"):
        micro_sample(export, ["EMBEDDING_LOOKUP"])
    manifest["model"]["lengths"] = [16]
    with pytest.raises(ConfigurationError, match="pictures and sounds"):
        micro_sample({**export, "manifest.json": json.dumps(manifest).encode()}, ["CONV_2D"])


def test_several_fields_are_for_node():
    manifest = {"schema": [{"multi": True}], "preprocess": {"kind": "pixels"}}
    with pytest.raises(ConfigurationError, match="Node sample"):
        mobile_sample({"manifest.json": json.dumps(manifest).encode()}, "android")


def test_c_needs_the_litert_export(own_run, capsys):
    assert main(["export", str(own_run("cnn")), "--sample", "c"]) == 2
    assert "--target litert" in capsys.readouterr().err
