"""What a server, a thief of one key or a bad line could try; what runs on the device goes on every time."""

import dataclasses
import errno
import http.server
import importlib
import json
import os
import shutil
from datetime import UTC, datetime

import pytest
from tuf.api.metadata import Metadata, TargetFile

from potstill.errors import ServerUnavailableError, UpdateFailedError, UpdateRefusedError
from potstill.files import canonical_json
from potstill.fleet.device.serving import Serving
from potstill.fleet.device.state import read_state
from potstill.fleet.device.update import update
from potstill.fleet.formats.delta import apply_delta
from potstill.fleet.formats.names import cohort_role, delta_target
from potstill.fleet.publisher.deltas import compress
from potstill.fleet.publisher.keys import find_signers
from potstill.fleet.publisher.publish import publish
from potstill.fleet.publisher.repository import commit, read_root, read_targets, rotate, sign_timestamp, write_target
from potstill.fleet.publisher.rollout import read_rollout
from potstill.runtime.bundle import write_bundle
from tests.fleet.fleets import MODEL, make_device, make_fleet, release, served
from tests.runtime.bundles import TOKENIZER, make_bundle, manifest, network

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def fleet(tmp_path):
    fleet = make_fleet(tmp_path)
    release(fleet, tmp_path, 1)
    return fleet


@pytest.fixture
def device(tmp_path, fleet):
    device = make_device(tmp_path, fleet)
    assert update(device).version == 1
    return device


def still_serves(device, version=1):
    with Serving(device) as serving:
        assert serving.predict(["red"])[0].label == "red"
        assert serving.release.version == version
    return True


def refused(device, words, error=UpdateRefusedError):
    with pytest.raises(error, match=words) as found:
        update(device)
    assert str(found.value).strip()
    return still_serves(device)


def edit(path, change):
    """Rewrites metadata without signing it again."""
    values = json.loads(path.read_bytes())
    change(values["signed"])
    path.write_bytes(json.dumps(values).encode())


def newest(fleet, role):
    return max(fleet.metadata.glob(f"*.{role}.json"), key=lambda path: int(path.name.partition(".")[0]))


def target_file(fleet, pattern):
    return next(path for path in sorted(fleet.targets.rglob(pattern)) if "/2/" in str(path))


def test_one_flipped_bit(fleet, device, tmp_path):
    release(fleet, tmp_path, 2)
    path = target_file(fleet, "*.manifest.json")
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    assert refused(device, "LengthOrHashMismatchError")


def test_cut_off_and_appended(fleet, device, tmp_path):
    release(fleet, tmp_path, 2)
    path = target_file(fleet, "*.manifest.json")
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert refused(device, "LengthOrHashMismatchError")
    path.write_bytes(content + b" ")
    assert refused(device, "more than was signed")
    path.write_bytes(content)
    assert update(device).version == 2


class _Endless(http.server.SimpleHTTPRequestHandler):
    """Never stops sending the file of the model."""

    def do_GET(self):
        if "manifest" not in self.path:
            super().do_GET()
            return
        self.send_response(200)
        self.end_headers()
        sent = 0
        try:
            while sent < 200_000_000:
                sent += self.wfile.write(b"x" * 100_000)
        except OSError:
            pass
        type(self).sent = sent

    def log_message(self, *args):
        pass


def test_endless_data_is_cut_off(fleet, device, tmp_path):
    release(fleet, tmp_path, 2)
    with served(fleet.repository, _Endless) as url, pytest.raises(UpdateRefusedError, match="more than was signed"):
        update(dataclasses.replace(device, source=url))
    assert _Endless.sent < 50_000_000
    assert still_serves(device)


def test_rolled_back_repository(fleet, device, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(fleet.repository, old)
    release(fleet, tmp_path, 2)
    assert update(device).version == 2
    with pytest.raises(UpdateRefusedError, match="BadVersionNumberError"):
        update(dataclasses.replace(device, source=str(old)))
    assert still_serves(device, 2)


def test_frozen_server(fleet, device):
    sign_timestamp(fleet, now=LONG_AGO)
    assert refused(device, "expired")


def test_mixed_metadata(fleet, device, tmp_path):
    old = newest(fleet, "targets").read_bytes()
    release(fleet, tmp_path, 2)
    newest(fleet, "targets").write_bytes(old)
    assert refused(device, "BadVersionNumberError|LengthOrHashMismatchError")


def test_signed_by_the_key_of_another_role(fleet, device, tmp_path):
    release(fleet, tmp_path, 2)
    path = newest(fleet, "targets")
    metadata = Metadata.from_bytes(path.read_bytes())
    metadata.signatures.clear()
    wrong = find_signers("snapshot", read_root(fleet).signed.roles["snapshot"], fleet.key_folders)
    metadata.sign(wrong[0])
    path.write_bytes(metadata.to_bytes())
    assert refused(device, "UnsignedMetadataError")


def test_changed_after_signing(fleet, device, tmp_path):
    release(fleet, tmp_path, 2)
    edit(newest(fleet, "targets"), lambda signed: signed["targets"].popitem())
    assert refused(device, "UnsignedMetadataError")


def test_fast_forwarded_versions_are_mended_by_new_keys(fleet, device, tmp_path):
    def forward(role, path):
        metadata = Metadata.from_bytes(path.read_bytes())
        metadata.signed.version = 2**31 - 1
        metadata.signatures.clear()
        metadata.sign(find_signers(role, read_root(fleet).signed.roles[role], fleet.key_folders)[0])
        return metadata

    # The thief of the timestamp key makes every later one look old.
    before = (fleet.metadata / "timestamp.json").read_bytes()
    (fleet.metadata / "timestamp.json").write_bytes(forward("timestamp", fleet.metadata / "timestamp.json").to_bytes())
    assert update(device).did == "nothing"
    (fleet.metadata / "timestamp.json").write_bytes(before)
    release(fleet, tmp_path, 2)
    assert refused(device, "BadVersionNumberError")
    rotate(fleet, "timestamp")
    assert update(device).version == 2


def test_a_stolen_cohort_key_can_neither_invent_nor_go_down(fleet, device, tmp_path):
    release(fleet, tmp_path, 2)
    assert update(device).version == 2

    def assign(**changes):
        rollout = dataclasses.replace(read_rollout(fleet, "default", MODEL), **changes)
        content = rollout.assignment().to_bytes()
        metadata = read_targets(fleet, cohort_role("default"))
        name = f"cohorts/default/{MODEL}.json"
        metadata.signed.targets[name] = TargetFile.from_data(name, content, ["sha256"])
        write_target(fleet, name, content, metadata.signed.targets[name].hashes["sha256"])
        # What the thief signs of releases is not looked at.
        forged = f"releases/{MODEL}/9/manifest.json"
        metadata.signed.targets[forged] = TargetFile.from_data(forged, b"{}", ["sha256"])
        commit(fleet, {cohort_role("default"): metadata})

    assign(candidate=None, stable=1, state="idle")
    assert update(device).did == "nothing"
    assign(candidate=None, stable=9, state="idle")
    with pytest.raises(UpdateRefusedError, match="not signed by the targets keys"):
        update(device)
    assert still_serves(device, 2)


def test_an_assignment_of_another_cohort(tmp_path):
    fleet = make_fleet(tmp_path, cohorts=("default", "phones"))
    release(fleet, tmp_path, 1)
    metadata = read_targets(fleet, cohort_role("default"))
    name, other = f"cohorts/default/{MODEL}.json", f"cohorts/phones/{MODEL}.json"
    theirs = read_targets(fleet, cohort_role("phones")).signed.targets[other]
    content = (fleet.targets / "cohorts" / "phones" / f"{theirs.hashes['sha256']}.{MODEL}.json").read_bytes()
    metadata.signed.targets[name] = TargetFile.from_data(name, content, ["sha256"])
    write_target(fleet, name, content, theirs.hashes["sha256"])
    commit(fleet, {cohort_role("default"): metadata})
    with pytest.raises(UpdateRefusedError, match="that of cohort 'phones'"):
        update(make_device(tmp_path, fleet))


def test_old_root_keys_count_no_more(fleet, device, tmp_path):
    for role in ("targets", "root", cohort_role("default"), "snapshot"):
        made = rotate(fleet, role)
        assert all(path.stat().st_mode & 0o077 == 0 for path in made)
    release(fleet, tmp_path, 2)
    assert update(device).version == 2


def with_delta(fleet, tmp_path):
    """A second release whose tokenizer came by a delta, and the delta's file."""
    folder = make_bundle(tmp_path / "bundle-2", temperatures=[3.0])
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    grown = TOKENIZER.encode() + b" " * 400
    write_bundle(folder, manifest(temperatures=[3.0]), {"model.onnx": files["model.onnx"], "tokenizer.json": grown})
    done = publish(fleet, folder, model=MODEL, rings=(1.0,))
    assert [(delta.file, delta.method) for delta in done.deltas] == [("tokenizer.json", "bsdiff")]
    return done.deltas[0]


def test_a_delta_is_used_and_checked(fleet, device, tmp_path):
    with_delta(fleet, tmp_path)
    done = update(device)
    assert done.ways == {"model.onnx": "here", "tokenizer.json": "delta"}


@pytest.mark.parametrize("kind", ["another's", "inflating", "damaged", "unknown method"])
def test_a_signed_delta_that_is_wrong_makes_way_for_the_whole_file(fleet, device, tmp_path, kind):
    delta = with_delta(fleet, tmp_path)
    content = {
        "another's": compress(b"\0" * 300),
        "inflating": compress(b"\0" * 50_000_000),
        "damaged": b"not zstandard",
        "unknown method": delta.content,
    }[kind]
    metadata = read_targets(fleet)
    target = TargetFile.from_data(delta.target, content, ["sha256"])
    target.unrecognized_fields["custom"] = {
        "method": "magic" if kind == "unknown method" else delta.method,
        "size_bytes": delta.size_bytes,
    }
    metadata.signed.targets[delta.target] = target
    write_target(fleet, delta.target, content, target.hashes["sha256"])
    commit(fleet, {"targets": metadata})
    done = update(device)
    assert (done.version, done.ways["tokenizer.json"]) == (2, "whole")


def test_a_replayed_delta_is_refused_by_its_hash(fleet, device, tmp_path):
    delta = with_delta(fleet, tmp_path)
    name = delta_target(delta.from_sha256, delta.to_sha256).partition("/")[2]
    path = next((fleet.targets / "deltas").glob(f"*.{name}"))
    path.write_bytes(b"0" * path.stat().st_size)
    assert refused(device, "LengthOrHashMismatchError")


def test_a_delta_never_unpacks_to_more_than_was_signed():
    bomb = compress(b"\0" * 100_000_000)
    for method in ("subtract", "bsdiff"):
        with pytest.raises(UpdateRefusedError, match="unpacks to more than"):
            apply_delta(method, b"x" * 1000, bomb, 1000)


def test_a_release_that_fails_its_own_test_touches_no_slot(fleet, device, tmp_path, monkeypatch):
    folder = make_bundle(tmp_path / "bad", temperatures=[7.0], probes=[{"input": "red", "logits": [0.0, 4.0]}])
    (folder / "model.onnx").write_bytes(network())
    values = json.loads((folder / "manifest.json").read_bytes())
    values["probes"]["rows"][0]["logits"] = [1.0, 2.0]
    (folder / "manifest.json").write_bytes(canonical_json(values))
    # A publisher whose machine computes something else than this device.
    module = importlib.import_module("potstill.fleet.publisher.publish")
    monkeypatch.setattr(module, "_checked", lambda bundle: {p.name: p.read_bytes() for p in bundle.iterdir()})
    publish(fleet, folder, model=MODEL, rings=(1.0,))
    done = update(device)
    assert done.did == "refused" and "fails on this device" in done.reason
    assert update(device).reason.startswith("release 2 was given up here before")
    assert read_state(device).reports[-1]["event"] == "refused"
    assert still_serves(device)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"min_runtime": "99.0"}, "needs potstill 99.0"), ({"device_classes": ["tv"]}, "made for tv")],
)
def test_a_release_for_others_is_refused_once(fleet, device, tmp_path, options, words):
    publish(fleet, make_bundle(tmp_path / "two", temperatures=[4.0]), model=MODEL, rings=(1.0,), **options)
    for _ in range(2):
        done = update(device)
        assert done.did == "refused" and words in done.reason
    assert [report["event"] for report in read_state(device).reports].count("refused") == 1
    assert still_serves(device)


def test_a_full_disk(fleet, device, tmp_path, monkeypatch):
    release(fleet, tmp_path, 2)
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
        assert refused(device, "1000 are free", UpdateFailedError)
    calls = []

    def full(handle):
        calls.append(handle)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UpdateFailedError, match="No space left"):
            update(device)
    assert calls and still_serves(device)
    assert update(device).version == 2


def test_a_server_that_is_down_or_no_repository(device, tmp_path):
    gone = dataclasses.replace(device, source="http://127.0.0.1:9")
    with pytest.raises(ServerUnavailableError, match=r"can't be reached.*[Rr]efused"):
        update(gone)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ServerUnavailableError, match="is it the address of a repository"):
        update(dataclasses.replace(device, source=str(tmp_path / "empty")))
    assert still_serves(device)
