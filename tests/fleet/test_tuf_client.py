"""The three verbs that the public conformance suite calls, in its order of arguments: 0 for success, 1 otherwise."""

import shutil

import pytest

from potstill.cli.main import main
from potstill.fleet.formats.names import release_target
from tests.fleet.fleets import MODEL, make_fleet, release, served


@pytest.fixture
def client(tmp_path):
    fleet = make_fleet(tmp_path)
    release(fleet, tmp_path, 1)
    metadata, targets = tmp_path / "client", tmp_path / "got"
    metadata.mkdir()
    targets.mkdir()
    with served(fleet.repository) as url:

        def call(*verb, names=()):
            words = ["--metadata-url", f"{url}/metadata/", "--metadata-dir", metadata]
            for name in names:
                words += ["--target-name", name]
            if names:
                words += ["--target-dir", targets, "--target-base-url", f"{url}/targets/"]
            return main(["device", "tuf-client", *map(str, [*words, *verb])])

        yield fleet, metadata, targets, call


def test_it_follows_a_repository(client):
    fleet, metadata, targets, call = client
    root = fleet.metadata / "1.root.json"
    assert main(["device", "tuf-client", "--metadata-dir", str(metadata), "init", str(root)]) == 0
    assert call("refresh") == 0
    assert {path.name for path in metadata.glob("*.json")} == {
        "root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
    }
    names = [release_target(MODEL, 1, file) for file in ("model.onnx", "manifest.json")]
    assert call("download", names=names) == 0
    assert len(list(targets.iterdir())) == 2
    shutil.rmtree(fleet.repository / "targets")
    assert call("download", names=names) == 0, "what is there is not fetched again"


def test_every_refusal_is_a_1(client, tmp_path):
    fleet, _, targets, call = client
    assert call("refresh") == 1, "no trusted root"
    assert call("init", tmp_path / "none.json") == 1
    assert call("init", fleet.metadata / "1.root.json") == 0
    assert call("download", names=["no such target"]) == 1
    assert call("download") == 1
    timestamp = fleet.metadata / "timestamp.json"
    timestamp.write_bytes(b"{}")
    assert call("refresh") == 1
    shutil.rmtree(fleet.metadata)
    assert call("refresh") == 1
    assert not list(targets.iterdir())
