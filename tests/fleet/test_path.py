"""The whole way, through the command line: a fleet, a device, releases, predictions, reports."""

import io
import json
import shutil
import subprocess
import sys

import pytest

from potstill.cli.main import main
from tests.fleet.fleets import served
from tests.runtime.bundles import make_bundle


@pytest.fixture
def said(capsys):
    """Runs a command and returns its JSON."""

    def run(*words, code=0):
        assert main([*map(str, words), "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_from_a_bundle_to_a_device_and_back(tmp_path, said, monkeypatch):
    fleet, device = tmp_path / "fleet", tmp_path / "device"
    made = said("fleet", "init", fleet)
    said("fleet", "publish", fleet, make_bundle(tmp_path / "one"), "--model", "colours")
    with served(made["repository"]) as url:
        said("device", "enroll", device, "--source", url, "--root", made["root"], "--model", "colours")
        assert said("device", "update", device)["did"] == "installed"
        assert said("device", "update", device)["did"] == "nothing"

        two = make_bundle(tmp_path / "two", temperatures=[3.0])
        said("fleet", "publish", fleet, two, "--model", "colours", "--rings", "100", "--health", "num_predictions=3")
        done = said("device", "update", device)
        assert (done["did"], done["version"]) == ("installed", 2)
        assert done["ways"] == {"model.onnx": "here", "tokenizer.json": "here"}

    monkeypatch.setattr(sys, "stdin", io.StringIO("red\nblue\nred blue\n"))
    ran = said("device", "run", device)
    assert [row["label"] for row in ran["predictions"][:2]] == ["red", "blue"]
    assert said("device", "status", device)["on_trial"] is False

    said("device", "report", device, "--to", tmp_path / "stick")
    assert said("fleet", "collect", fleet, tmp_path / "stick")["num_new"] == 5
    assert said("fleet", "collect", fleet, tmp_path / "stick")["num_new"] == 0
    line = said("fleet", "status", fleet)["lines"][0]
    assert (line["versions"], line["candidate"]) == ({"2": 1}, 2)
    page = tmp_path / "status.html"
    said("fleet", "status", fleet, "--html", page)
    assert "1 kept release 2" in page.read_text("utf-8") and "http" not in page.read_text("utf-8").replace(
        "http-equiv", ""
    )
    assert said("fleet", "rollout", fleet)["rollouts"][0]["stable"] == 2


def test_an_update_from_a_stick_needs_no_server(tmp_path, said):
    fleet, device, stick = tmp_path / "fleet", tmp_path / "device", tmp_path / "stick"
    made = said("fleet", "init", fleet)
    said("fleet", "publish", fleet, make_bundle(tmp_path / "one"), "--model", "colours")
    said("device", "enroll", device, "--source", "http://127.0.0.1:9", "--root", made["root"], "--model", "colours")
    found = said("device", "update", device, code=5)
    assert "127.0.0.1:9 can't be reached" in found["message"] and "refused" in found["message"]
    shutil.copytree(made["repository"], stick)
    assert said("device", "update", device, "--source", stick)["did"] == "installed"


def test_a_device_loads_no_torch_and_signs_nothing():
    code = (
        "import sys, potstill.fleet.device.serving, potstill.fleet.device.update, potstill.fleet.device.deliver\n"
        "found = [name for name in sys.modules if name.partition('.')[0] in ('torch', 'onnx', 'pydantic', 'yaml')"
        " or name.startswith('potstill.fleet.publisher')]\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra_the_pip_line_is_said(tmp_path, said, monkeypatch):
    (tmp_path / "root.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tuf", None)
    options = ("--source", tmp_path, "--root", tmp_path / "root.json", "--model", "m")
    assert "potstill[device]" in said("device", "enroll", tmp_path / "d", *options, code=2)["message"]
    assert "potstill[fleet]" in said("fleet", "init", tmp_path / "f", code=2)["message"]


def test_what_was_never_published_or_installed_is_said(tmp_path, said):
    fleet, device = tmp_path / "fleet", tmp_path / "device"
    made = said("fleet", "init", fleet)
    repository = made["repository"]
    said("device", "enroll", device, "--source", repository, "--root", made["root"], "--model", "colours")
    assert "nothing is installed" in said("device", "run", device, "red", code=2)["message"]
    assert "has no model 'colours'" in said("device", "update", device, code=7)["message"]
    assert "never published" in said("fleet", "pause", fleet, "--model", "colours", code=2)["message"]
    assert "is not an empty folder" in said("fleet", "init", fleet, code=2)["message"]
