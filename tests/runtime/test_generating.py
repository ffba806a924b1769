import json

import pytest

from potstill.errors import BundleError
from potstill.runtime import load
from potstill.runtime.bundle import pack, write_bundle
from potstill.runtime.generating import GenerativeManifest, is_generative, open_bundle

FILES = {"config.json": b"{}", "model.gguf": b"GGUF"}


@pytest.fixture
def folder(tmp_path):
    manifest = GenerativeManifest(max_new_tokens=8, context_length=64, probes=[{"messages": [], "answer": "x"}])
    write_bundle(tmp_path / "bundle", manifest, FILES)
    return tmp_path / "bundle"


def test_folder_and_zip_are_the_same_bundle(folder, tmp_path):
    pack(folder, tmp_path / "bundle.zip")
    one, other = open_bundle(folder), open_bundle(tmp_path / "bundle.zip")
    assert one.digest == other.digest and one.manifest == other.manifest
    assert is_generative(folder) and is_generative(tmp_path / "bundle.zip")
    assert other.gguf.read_bytes() == b"GGUF"


def test_a_classifiers_runtime_says_what_it_is(folder):
    with pytest.raises(BundleError, match="student writes"):
        load(folder)


def break_hash(folder):
    (folder / "model.gguf").write_bytes(b"GGUG")


def add_file(folder):
    (folder / "more.bin").write_bytes(b"")


def link_file(folder):
    (folder / "config.json").rename(folder.parent / "elsewhere")
    (folder / "config.json").symlink_to(folder.parent / "elsewhere")


def unknown_version(folder):
    values = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps({**values, "format_version": 2}))


def no_limit(folder):
    values = json.loads((folder / "manifest.json").read_bytes())
    del values["max_new_tokens"]
    (folder / "manifest.json").write_text(json.dumps(values))


@pytest.mark.parametrize("harm", [break_hash, add_file, link_file, unknown_version, no_limit])
def test_what_is_not_as_written_is_refused(folder, harm):
    harm(folder)
    with pytest.raises(BundleError):
        open_bundle(folder)


def test_a_folder_of_something_else_is_none(tmp_path):
    assert not is_generative(tmp_path) and not is_generative(tmp_path / "missing")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(tmp_path)
