"""The page in a real browser, and the same scripts in Node, against Python."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest

from potstill.cli.main import main
from potstill.errors import ConfigurationError, IntegrityError
from potstill.exporters import ort_web
from potstill.exporters.web import check_tokenizer, single_page
from potstill.recipe.shipping import rebundle
from potstill.runtime import load
from potstill.runtime.media import read_picture
from tests.browser import chromium, runtime_folder, served
from tests.exporters.runs import inputs_of
from tests.media import RATE, file_of, pictures, wav_of

KINDS = ["cnn", pytest.param("encoder", marks=pytest.mark.slow), "linear", "resnet", "ds_cnn"]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    return runtime_folder(tmp_path_factory.mktemp("ort"))


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def runs(finished, tmp_path_factory):
    """Runs with a shipped bundle, made when they are asked for."""

    class Shipped(dict):
        def __missing__(self, kind):
            folder = shutil.copytree(finished(kind), tmp_path_factory.mktemp("shipped") / kind)
            rebundle(folder / "contenders" / "student" / "fp32", folder / "bundle", {})
            self[kind] = folder
            return folder

    return Shipped()


def needs_node():
    if shutil.which("node") is None:
        pytest.skip("needs node")


@pytest.mark.parametrize("kind", KINDS)
def test_node_answers_as_python(kind, runs, runtime, capfd):
    needs_node()
    assert main(["export", str(runs[kind]), "--target", "web", "--ort-web", str(runtime), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["agreement"] == 1.0 and found["largest_difference"] < 1e-3 and found["num_rows"] == 40
    assert found["cpu_ms"] > 0 and found["fp32_cpu_ms"] > 0


def test_the_single_page_needs_neither_server_nor_network(runs, runtime, browser, capfd):
    assert main(["report", str(runs["cnn"]), "--try", "--lang", "ko", "--ort-web", str(runtime), "--json"]) == 0
    page = json.loads(capfd.readouterr().out)["written"]["try"]
    browser.open(f"file://{page}")
    assert browser.ready() == "passed"
    assert "확인용 입력" in browser.run("return document.getElementById('status').textContent")
    text = "tell me about\tmy CARD, please! <b>"
    said = browser.run("return await potstill.student.predict(given[0])", text)
    expected = load(runs["cnn"] / "bundle").predict([text])[0]
    assert said["label"] == expected.label and said["in_scope"] == expected.in_scope
    assert said["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    typed = "const box = document.getElementById('input'); box.value = given[0];"
    typed += "box.dispatchEvent(new Event('input')); await new Promise((r) => setTimeout(r, 500));"
    browser.run(typed, text)
    assert expected.label in browser.run("return document.querySelector('#answer .label').textContent")


def served_page(runs, kind, runtime, capfd):
    assert main(["export", str(runs[kind]), "--target", "web", "--ort-web", str(runtime), "--json"]) == 0
    capfd.readouterr()
    return served(runs[kind] / "exports" / "web")


def test_a_picture_file_in_the_browser(runs, runtime, browser, capfd):
    random = np.random.default_rng(0)
    smooth = np.kron(random.integers(0, 255, (5, 6, 3)), np.ones((60, 60, 1))).astype(np.uint8)
    clear = np.concatenate([smooth, random.integers(0, 256, (300, 360, 1)).astype(np.uint8)], axis=2)
    with served_page(runs, "resnet", runtime, capfd) as address:
        browser.open(address)
        assert browser.ready() == "passed"
        model = load(runs["resnet"] / "bundle")
        for array, kind, tolerance in (
            (pictures(1, seed=5)[0][0], "PNG", 1e-4),
            (smooth, "PNG", 1e-4),
            (clear, "PNG", 0.05),
            (smooth, "JPEG", 0.05),
        ):
            content = file_of(array, kind)
            expected = model.logits([read_picture(content)])[0]
            said = browser.run(
                "const bytes = Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0));"
                "const picture = await potstill.pictureFromFile(new Blob([bytes]));"
                "return Array.from(await potstill.student.logits(picture))",
                base64.b64encode(content).decode(),
            )
            scale = max(1.0, float(np.abs(expected).max()))
            assert np.abs(np.array(said) - expected).max() <= tolerance * scale, kind


def test_a_sound_file_in_the_browser(runs, runtime, browser, capfd):
    with served_page(runs, "ds_cnn", runtime, capfd) as address:
        browser.open(address)
        assert browser.ready() == "passed"
        model = load(runs["ds_cnn"] / "bundle")
        for samples in (inputs_of("ds_cnn")[0], np.concatenate(inputs_of("ds_cnn")[:3]) * 0.5):
            content = wav_of(samples)
            expected = model.logits([model.read(content)])[0]
            said = browser.run(
                "const bytes = Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0));"
                "const samples = await potstill.soundFromFile(new Blob([bytes]), given[1]);"
                "return Array.from(await potstill.student.logits(samples))",
                base64.b64encode(content).decode(),
                RATE,
            )
            assert np.abs(np.array(said) - expected).max() <= 1e-3 * max(1.0, float(np.abs(expected).max()))


def first_answer(browser):
    """Waits for an answer, and gives its label and what the student was given."""
    script = "for (let i = 0; i < 300 && !document.querySelector('#answer p'); i++)"
    script += "await new Promise((r) => setTimeout(r, 50));"
    return browser.run(script + "return [document.querySelector('#answer p').textContent, Array.from(heard ?? [])]")


LISTEN = """
const predict = potstill.student.predict.bind(potstill.student);
window.heard = null;
potstill.student.predict = async (value) => { window.heard = value; return predict(value); };
document.querySelector('#ask button').click();
"""


def test_the_camera_in_the_browser(runs, runtime, browser, capfd):
    """Chromium's made-up camera; Python gets the very picture that the page took."""
    with served_page(runs, "resnet", runtime, capfd) as address:
        browser.open(address)
        assert browser.ready() == "passed"
        browser.run(LISTEN)
        shown = "const video = document.querySelector('video');"
        shown += "for (let i = 0; i < 200 && !video.videoWidth; i++) await new Promise((r) => setTimeout(r, 50));"
        assert browser.run(shown + "return video.videoWidth") >= 320
        browser.run("document.querySelector('#ask button').click()")
        said, _ = first_answer(browser)
        content = browser.run("return document.getElementById('shown').toDataURL('image/png').split(',')[1]")
        picture = read_picture(base64.b64decode(content))
        assert picture.shape[0] > 100 and picture.std() > 10, "a picture with something on it"
        expected = load(runs["resnet"] / "bundle").predict([picture])[0]
        assert said.startswith(f"{expected.label} ({100 * expected.probability:.1f} %)")


def test_the_microphone_in_the_browser(runs, runtime, tmp_path, capfd):
    """Chromium's made-up microphone plays a file; what the page heard is that tone, and Python answers alike."""
    time_s = np.arange(2 * 48_000) / 48_000
    (tmp_path / "tone.wav").write_bytes(wav_of((0.5 * np.sin(2 * np.pi * 700 * time_s)).astype(np.float32), 48_000))
    with (
        served_page(runs, "ds_cnn", runtime, capfd) as address,
        chromium(f"--use-file-for-fake-audio-capture={tmp_path / 'tone.wav'}") as browser,
    ):
        browser.open(address)
        assert browser.ready() == "passed"
        browser.run(LISTEN)
        said, heard = first_answer(browser)
    model, samples = load(runs["ds_cnn"] / "bundle"), np.array(heard, np.float32)
    assert len(samples) >= RATE * model.manifest.preprocess["seconds"]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert abs(np.argmax(spectrum) * RATE / len(samples) - 700) < 10
    expected = model.predict([samples])[0]
    assert said.startswith(f"{expected.label} (")


def test_a_page_with_other_weights_says_so(runs, runtime, browser, tmp_path):
    bundle = {path.name: path.read_bytes() for path in (runs["cnn"] / "bundle").iterdir()}
    manifest = json.loads(bundle["manifest.json"])
    manifest["probes"]["rows"][0]["logits"][0] += 1
    bundle["manifest.json"] = json.dumps(manifest).encode()
    files = {path.name: path.read_bytes() for path in runtime.iterdir()}
    (tmp_path / "page.html").write_bytes(single_page(bundle, files, title="<script>alert(1)</script>", language="en"))
    browser.open(f"file://{tmp_path / 'page.html'}")
    assert browser.ready() == "failed"
    assert "Don't trust" in browser.run("return document.getElementById('status').textContent")
    assert browser.run("return document.title") == "<script>alert(1)</script>"


def test_a_package_that_is_not_the_known_one_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match="holds no ort"):
        ort_web.ort_web_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ort_web, "_from_npm", lambda: b"another package")
    with pytest.raises(IntegrityError, match="another onnxruntime-web"):
        ort_web.ort_web_files(cache=tmp_path / "cache")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ort_web.shutil, "which", lambda name: None)
    with pytest.raises(ConfigurationError, match="--ort-web"):
        ort_web.ort_web_files(cache=tmp_path / "cache")


def test_a_tokenizer_that_the_page_does_not_know_is_refused():
    other = {"model": {"type": "BPE", "vocab": {}}, "normalizer": None}
    with pytest.raises(ConfigurationError, match="BPE"):
        check_tokenizer({"tokenizer.json": json.dumps(other).encode()})


def test_scripts_are_valid(tmp_path):
    needs_node()
    from potstill.exporters.web import MODULES, script_files

    for name, content in script_files((*MODULES, "check.mjs")).items():
        (tmp_path / name).write_bytes(content)
        subprocess.run(["node", "--check", name], cwd=tmp_path, check=True, capture_output=True)
