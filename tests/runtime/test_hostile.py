"""Bundles from people who wish us ill, and from bad disks: each is refused with a reason."""

import json
import os
import stat
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.errors import BundleError
from potstill.runtime import load
from potstill.runtime.bundle import pack
from tests.runtime.bundles import make_bundle, network


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


def refused(path, message):
    with pytest.raises(BundleError, match=message):
        load(path)


def zip_of(tmp_path, entries, name="evil.zip"):
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


@pytest.mark.parametrize(
    "name", ["../escape", "/etc/passwd", "a/b", "a\\b", "C:evil", ".hidden", "nul\x00byte", "x" * 200, "모델"]
)
def test_names_that_leave_the_folder(tmp_path, name):
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    if "\x00" in name:
        # zipfile cuts a name at NUL itself; what is left is no file of the manifest.
        refused(zip_of(tmp_path, [(info, b"x")]), "manifest.json")
    else:
        refused(zip_of(tmp_path, [(info, b"x")]), "holds a file named")


def test_links_and_folders(bundle, tmp_path):
    (bundle / "link").symlink_to("/etc/passwd")
    refused(bundle, "link")
    (bundle / "link").unlink()
    (bundle / "sub").mkdir()
    refused(bundle, "folder")
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(zip_of(tmp_path, [(info, b"/etc/passwd")]), "not a plain file")
    os.mkfifo(tmp_path / "fifo")
    refused(tmp_path / "fifo", "neither a folder nor a zip")


def test_bombs(tmp_path):
    refused(zip_of(tmp_path, [("a", b"0" * 50_000_000)]), "zip bomb")
    refused(zip_of(tmp_path, [(f"f{i}", b"") for i in range(100)]), "at most 64")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_stand_twice(tmp_path):
    refused(zip_of(tmp_path, [("a", b"1"), ("a", b"2")]), "stands twice")
    refused(zip_of(tmp_path, [("a", b"1"), ("A", b"2")]), "differ only in case")


def test_changed_missing_and_added_files(bundle):
    content = (bundle / "tokenizer.json").read_bytes()
    (bundle / "tokenizer.json").write_bytes(content + b" ")
    refused(bundle, "tokenizer.json is not the file")
    (bundle / "tokenizer.json").unlink()
    refused(bundle, r"missing \['tokenizer.json'\]")
    (bundle / "tokenizer.json").write_bytes(content)
    (bundle / "more").write_bytes(b"")
    refused(bundle, r"unknown \['more'\]")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {**m, "format": "zip"}, "no bundle of Potstill"),
        (lambda m: {**m, "format_version": 99}, "reads 1"),
        (lambda m: {k: v for k, v in m.items() if k != "schema"}, "lacks something"),
        (lambda m: {**m, "schema": [{"name": "a", "classes": ["x", "x"], "multi": False}]}, "lacks something"),
        (lambda m: {**m, "calibration": {"temperatures": [0]}}, "temperatures"),
        (lambda m: {**m, "model": {"file": "../x", "precision": "fp32"}}, "reads model.onnx"),
        (lambda m: {**m, "preprocess": {"kind": "pickle"}}, "preprocessing 'pickle'"),
        (lambda m: {**m, "preprocess": {"kind": "text_tokens", "max_length": "x", "file": "tokenizer.json"}}, "form"),
        (lambda m: {**m, "preprocess": {"kind": "text_tokens", "max_length": 8, "file": "../x"}}, "form"),
    ],
)
def test_manifests_that_lie(bundle, change, message):
    path = bundle / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    refused(bundle, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": NaN}', "NaN"),
        ("[]", "no bundle"),
    ],
)
def test_manifests_that_are_no_json(bundle, text, message):
    (bundle / "manifest.json").write_text(text)
    refused(bundle, message)


def test_networks_that_reach_outside(tmp_path):
    refused(make_bundle(tmp_path / "a", model=network(external=True)), "another file")
    refused(make_bundle(tmp_path / "b", model=network(domain="evil.corp")), "evil.corp")
    refused(make_bundle(tmp_path / "c", model=b"\x08\x01" + b"\xff" * 40), "damaged|no ONNX")
    refused(make_bundle(tmp_path / "d", model=b"MZ"), "damaged|no ONNX|too early")


def test_no_bundle_at_all(tmp_path):
    refused(tmp_path / "nothing", "does not exist")
    refused(tmp_path, "no manifest.json")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_zip_is_refused_or_predicts_the_same(bundle, tmp_path, data):
    pack(bundle, tmp_path / "good.zip")
    expected = load(bundle).logits(["red blue"]).tolist()
    content = bytearray((tmp_path / "good.zip").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    path = tmp_path / "bad.zip"
    path.write_bytes(bytes(content[:cut]))
    try:
        found = load(path)
    except BundleError:
        return
    assert found.logits(["red blue"]).tolist() == expected


def test_zip_names_are_never_written_to_disk(bundle, tmp_path):
    pack(bundle, tmp_path / "good.zip")
    before = set(tmp_path.rglob("*"))
    load(tmp_path / "good.zip")
    assert set(tmp_path.rglob("*")) == before
