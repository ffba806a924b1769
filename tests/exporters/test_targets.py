"""Every target against the student, through its own runtime."""

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
from onnx import load_from_string

from potstill.cli.main import main
from potstill.errors import BundleError, ConfigurationError, GateError, IntegrityError
from potstill.exporters.in_graph import with_tokenizer
from potstill.exporters.onnx import quantize
from potstill.exporters.onnx_file import Onnx
from potstill.exporters.source import keep_source, load_source
from potstill.recipe import exporting
from potstill.recipe.exporting import Measured, check, check_parity, check_texts, export
from potstill.runtime import load
from potstill.students.kept import load_network
from tests.exporters.runs import BUILDERS, NUM_HELD_OUT, inputs_of, student_of

PACKAGES = {
    "coreml": "coremltools",
    "executorch": "executorch",
    "litert": "litert_torch",
    "onnx": "onnxruntime",
    "openvino": "openvino",
}
KEYS = {"target", "path", "size_bytes", "agreement", "accuracy", "kl", "cpu_ms", "fp32_cpu_ms", "runtime"}
# What a converter takes minutes for, or needs a package that isn't in the extras for tests.
EVERY = (
    [("onnx", "cnn"), ("onnx", "resnet")]
    + [pytest.param("onnx", kind, marks=pytest.mark.slow) for kind in BUILDERS if kind not in ("cnn", "resnet")]
    + [
        pytest.param(target, kind, marks=pytest.mark.targets)
        for target in ("litert", "executorch", "openvino", "coreml")
        for kind in BUILDERS
        if (target, kind) != ("litert", "linear")
    ]
)


def needs(target):
    if importlib.util.find_spec(PACKAGES[target]) is None:
        pytest.skip(f"needs {PACKAGES[target]}: pip install 'potstill[{target}]'")


@pytest.mark.filterwarnings("ignore")  # converters warn of what only they can mend
@pytest.mark.parametrize(("target", "kind"), EVERY)
def test_an_export_answers_as_the_student(target, kind, own_run, capfd):
    needs(target)
    run = own_run(kind)
    assert main(["export", str(run), "--target", target, "--allow-slower", "--json"]) == 0
    out = capfd.readouterr().out.splitlines()
    found = json.loads(out[-1])
    assert len(out) == 1, "stdout is for the result"
    assert set(found) >= KEYS
    folder = run / "exports" / target
    files = json.loads((folder / "manifest.json").read_bytes())["files"]
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {*files, "manifest.json"}
    sizes = {str(folder / name): entry["size_bytes"] for name, entry in files.items()}
    weights = {found["path"], str(folder / "model.bin")}
    inside = [size for name, size in sizes.items() if name in weights or name.startswith(found["path"] + "/")]
    assert found["size_bytes"] == sum(inside)
    assert sum(group["size_bytes"] for group in found["tensors"]) <= found["size_bytes"]
    if target == "coreml":
        assert found["agreement"] is None and "not run here" in found["runtime"]
    else:
        assert found["agreement"] >= 0.99 and found["kl"] <= 0.01 and found["cpu_ms"] > 0
        assert found["num_rows"] == NUM_HELD_OUT


@pytest.mark.parametrize("kind", BUILDERS)
def test_the_network_is_rebuilt_from_what_the_run_kept(kind, tmp_path, encoder_folder):
    student = student_of(kind, encoder_folder if kind == "encoder" else None)
    keep_source(tmp_path, student, inputs_of(kind))
    again = replace(student, module=load_network(tmp_path / "network"))
    assert np.abs(again.logits(inputs_of(kind)) - student.logits(inputs_of(kind))).max() < 1e-6


def test_a_run_without_its_network_is_told_so(own_run, capsys):
    run = own_run("cnn")
    (run / "contenders" / "student" / "network" / "network.json").unlink()
    assert main(["export", str(run), "--target", "onnx"]) == 2
    assert "holds no network in fp32" in capsys.readouterr().err


def test_damaged_weights_are_named(own_run):
    run = own_run("cnn")
    path = run / "contenders" / "student" / "network" / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(IntegrityError, match="not what was written"):
        load_source(run / "contenders" / "student")


def test_an_onnx_export_is_a_bundle(finished, tmp_path):
    found = export(finished("cnn"), Onnx(), tmp_path / "out", precision="int8_weights")
    model = load(tmp_path / "out")
    model.self_test()
    assert model.manifest.precision == "int8_weights" and found.path == tmp_path / "out" / "model.onnx"
    embeddings = [group for group in found.groups if group.name == "embeddings"]
    assert [group.dtype for group in embeddings] == ["int8"] and found.notes == ()


def test_a_gate_that_is_missed_writes_nothing(finished, tmp_path, monkeypatch):
    run = finished("cnn")
    first = export(run, Onnx(), tmp_path / "out", precision="fp32")
    before = first.path.read_bytes()
    monkeypatch.setattr(exporting, "LEAST_AGREEMENT", 1.01)
    with pytest.raises(GateError, match="agrees with the fp32 student"):
        export(run, Onnx(), tmp_path / "out", precision="int8")
    assert first.path.read_bytes() == before, "the export that passed stays"


def test_a_converter_that_fails_is_told_and_nothing_is_written(finished, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise IndexError("axis 1 is out of bounds")

    monkeypatch.setattr(Onnx, "export", fail)
    assert main(["export", str(finished("cnn")), "--target", "onnx", "--out", str(tmp_path / "out")]) == 2
    assert "converter to onnx fails on this student" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_gates():
    good = Measured(agreement=1.0, accuracy=0.9, fp32_accuracy=0.9, kl=1e-3, cpu_ms=0.5, fp32_cpu_ms=1.0, num_rows=9)
    # In int8 a logit may move far and no answer with it.
    good = Measured(**{**values(good), "largest_difference": 24.0})
    check("x", "int8", good, allow_slower=False)
    slow = Measured(**{**values(good), "cpu_ms": 1.5})
    with pytest.raises(GateError, match="slower"):
        check("x", "int8", slow, allow_slower=False)
    check("x", "int8", slow, allow_slower=True)
    check("x", "fp32", slow, allow_slower=False)
    for name, value in (("accuracy", 0.89), ("kl", 0.02), ("agreement", 0.98)):
        with pytest.raises(GateError, match="Nothing was written"):
            check("x", "int8", Measured(**{**values(good), name: value}), allow_slower=True)


def values(measured):
    return {name: getattr(measured, name) for name in measured.__dataclass_fields__}


@pytest.mark.slow
def test_no_ranges_are_measured_beforehand_where_a_mask_stretches_them(finished):
    """The -1e4 that hides padding ruins a transformer's static int8 (0.93 -> 0.60 in a trial), so it gets none."""
    source = load_source(finished("encoder") / "contenders" / "student")
    kinds = {
        node.op_type for node in load_from_string(quantize(source.fp32_model, "int8", source.calibration)).graph.node
    }
    assert {"DynamicQuantizeLinear", "MatMulInteger"} <= kinds and "QuantizeLinear" not in kinds
    assert source.has_length, "what ExecuTorch and OpenVINO go by"


def test_a_wrong_conversion_is_refused():
    expected = np.ones((3, 2), np.float32)
    check_parity("x", expected, expected + 5e-5)
    with pytest.raises(IntegrityError, match="differs from the student by"):
        check_parity("x", expected, expected + 1e-3)
    with pytest.raises(IntegrityError, match="differs"):
        check_parity("x", expected, expected * np.float32("nan"))
    with pytest.raises(IntegrityError, match="shape"):
        check_parity("x", expected, expected[:, :1])


def test_a_precision_that_a_target_lacks_is_refused(finished, tmp_path):
    run = finished("cnn")
    with pytest.raises(ConfigurationError, match="litert has no precision"):
        export(run, litert(), tmp_path / "out", precision="int8_weights")


@pytest.mark.targets
def test_what_litert_can_not_hold_is_told(finished, tmp_path):
    needs("litert")
    run = finished("linear")
    with pytest.raises(ConfigurationError, match="no largest number"):
        export(run, litert(), tmp_path / "out")


@pytest.mark.targets
@pytest.mark.filterwarnings("ignore")
def test_litert_reads_int32_and_has_a_signature_a_length(finished, tmp_path):
    needs("litert")
    from ai_edge_litert.interpreter import Interpreter

    run = finished("cnn")
    found = export(run, litert(), tmp_path / "out", allow_slower=True)
    signatures = Interpreter(model_path=str(found.path)).get_signature_list()
    assert set(signatures) == {"length_16", "length_32", "length_64"}
    runner = Interpreter(model_path=str(found.path)).get_signature_runner("length_16")
    assert [d["dtype"] for d in runner.get_input_details().values()] == [np.int32]
    with pytest.raises(BundleError, match=r"model\.tflite"):
        load(tmp_path / "out")


def test_the_tokenizer_inside_the_graph(finished, tmp_path, capfd):
    pytest.importorskip("onnxruntime_extensions", reason="needs onnxruntime-extensions: pip install 'potstill[onnx]'")
    out = tmp_path / "out"
    arguments = ["export", str(finished("cnn")), "--target", "onnx", "--tokenizer", "in-graph", "--out", str(out)]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["path"] == str(out / "model_text.onnx")
    with pytest.raises(BundleError, match=r"model_text\.onnx"):
        load(out)
    source = load_source(finished("cnn") / "contenders" / "student")
    content = quantize(source.fp32_model, "fp32")
    tokens = source.student.preprocessor
    text = with_tokenizer(content, tokens.tokenizer_json, 8)
    short = replace(tokens, max_length=8)
    for value in ("tell me about my card", "a " * 40, "", "CARD, loan!"):
        assert text.ids(value) == short.encode([value])[0].tolist()
    # Of a word that can't be spelled the operation keeps the beginning; `tokenizers` keeps nothing of it.
    exported = Onnx().export(source, "fp32")
    check_texts(source, exported, text, ["my card"])
    with pytest.raises(GateError, match=r"cuts 1 of 2 held-out texts otherwise"):
        check_texts(source, exported, text, ["my card", "my cardü"])


def litert():
    from potstill.exporters.litert import LiteRT

    return LiteRT()
