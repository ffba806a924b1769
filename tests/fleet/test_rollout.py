"""Rings, thresholds, stops and reports."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.errors import ConfigurationError, ReportError
from potstill.fleet.device.deliver import add_health_report, deliver
from potstill.fleet.device.place import signing_key
from potstill.fleet.device.serving import Serving
from potstill.fleet.device.state import read_state
from potstill.fleet.device.update import update
from potstill.fleet.formats.assignment import Assignment, position
from potstill.fleet.formats.figures import Figures, parse_figures
from potstill.fleet.formats.health import HealthRules
from potstill.fleet.formats.report import Report, seal
from potstill.fleet.publisher.drift import compare
from potstill.fleet.publisher.inbox import accept_report, read_record
from potstill.fleet.publisher.overview import overview
from potstill.fleet.publisher.publish import publish
from potstill.fleet.publisher.rollout import (
    Counts,
    Rollout,
    Rules,
    begin,
    open_to,
    pause,
    read_rollout,
    resume,
    revoke,
    step,
)
from potstill.fleet.publisher.steer import advance, change, renew
from potstill.testing.simulate_fleet import simulate_fleet
from tests.fleet.fleets import MODEL, make_device, make_fleet, release


def running(**changes):
    start = Rollout(cohort="default", model=MODEL, stable=1, history=(1,))
    return begin(dataclasses.replace(start, **changes), 2, (0.1, 0.5, 1.0))


def test_rings_grow_with_success_and_end_in_stable():
    rollout = running()
    shares = [rollout.share]
    while rollout.candidate:
        rollout = step(rollout, Counts(num_devices=10, num_committed=9, num_failed=0))
        shares.append(rollout.share)
    assert shares == [0.1, 0.5, 1.0, 0.0]
    assert (rollout.stable, rollout.state) == (2, "idle")


@pytest.mark.parametrize(
    ("counts", "state", "share"),
    [
        (Counts(), "running", 0.1),
        (Counts(num_devices=100, num_committed=89), "running", 0.1),
        (Counts(num_devices=100, num_committed=90, num_failed=9), "running", 0.5),
        (Counts(num_devices=100, num_committed=90, num_failed=10), "stopped", 0.1),
        (Counts(num_devices=3, num_committed=2, num_failed=1), "stopped", 0.1),
    ],
)
def test_thresholds(counts, state, share):
    after = step(running(), counts)
    assert (after.state, after.share) == (state, share)


def test_a_stopped_rollout_offers_nothing_and_goes_on_by_hand():
    stopped = step(running(), Counts(num_devices=2, num_failed=1))
    assert stopped.assignment() == Assignment(cohort="default", model=MODEL, stable=1)
    assert step(stopped, Counts(num_devices=2, num_committed=2)) == stopped
    assert resume(stopped).assignment().candidate == 2
    assert pause(running()).assignment().candidate is None


def test_approval_waits_for_a_person():
    waiting = step(running(rules=Rules(approval=True)), Counts(num_devices=2, num_committed=2))
    assert (waiting.state, waiting.share) == ("waiting", 0.1)
    assert open_to(waiting, 0.5).share == 0.5
    with pytest.raises(ConfigurationError, match=r"no ring of 30%"):
        open_to(waiting, 0.3)


def test_two_rollouts_at_once_are_refused():
    with pytest.raises(ConfigurationError, match="still being rolled out"):
        begin(running(), 3)
    for rings in ((0.5, 0.2, 1.0), (0.1, 0.5), (0.0, 1.0)):
        with pytest.raises(ConfigurationError, match="shares grow"):
            begin(Rollout(cohort="default", model=MODEL, stable=1), 2, rings)


def test_revoking():
    assert revoke(running(), 2).assignment() == Assignment(cohort="default", model=MODEL, stable=1, revoked=(2,))
    both = open_to(running(), 1.0)
    assert revoke(both, 2).stable == 1
    with pytest.raises(ConfigurationError, match="only one"):
        revoke(revoke(both, 2), 1)
    with pytest.raises(ConfigurationError, match="never rolled out"):
        revoke(both, 7)


def test_who_is_in_a_ring_stays_when_it_grows():
    shares = (0.0, 0.05, 0.25, 1.0)
    rings = [Assignment(cohort="c", model="m", stable=1, candidate=2, share=share) for share in shares]
    found = np.array([[ring.version_for(f"device {i}") for ring in rings] for i in range(4000)])
    assert (np.diff(found, axis=1) >= 0).all()
    assert np.abs((found == 2).mean(0) - shares).max() < 0.02
    assert 0 <= position("") < 1


def test_ten_thousand_devices():
    good = simulate_fleet(num_devices=10_000, failing=0.01, online=0.5, seed=1)
    assert good.rollout.stable == 2
    first, second = good.rounds[0].num_on_candidate, max(r.num_on_candidate for r in good.rounds)
    assert first < 600 and second > 9_000
    bad = simulate_fleet(num_devices=10_000, failing=0.4, online=0.5, seed=1)
    assert bad.rollout.state == "stopped" and bad.rollout.share == 0.05
    assert max(r.num_on_candidate for r in bad.rounds) < 600, "only the first ring ever had it"
    again = simulate_fleet(num_devices=1_000, failing=0.4, online=0.5, replayed=3, seed=1)
    once = simulate_fleet(num_devices=1_000, failing=0.4, online=0.5, replayed=0, seed=1)
    assert again.records == once.records, "a replayed report counts once"


@pytest.fixture
def pair(tmp_path):
    fleet = make_fleet(tmp_path)
    device = make_device(tmp_path, fleet)
    release(fleet, tmp_path, 1)
    update(device)
    return fleet, device


def sent(device, tmp_path):
    """The reports of a device as they are sent."""
    deliver(device, tmp_path / "out")
    return [path.read_bytes() for path in sorted((tmp_path / "out").glob("*.json"))]


def test_reports_count_once_whoever_brings_them(pair, tmp_path):
    fleet, device = pair
    add_health_report(device)
    reports = sent(device, tmp_path)
    assert [accept_report(fleet, report).is_new for report in reports] == [True, True]
    before = read_record(fleet, device.id)
    assert [accept_report(fleet, report).is_new for report in reports] == [False, False]
    assert read_record(fleet, device.id) == before
    assert (before.version, before.outcomes) == (1, {"1": "committed"})
    assert read_state(device).reports == ()


def test_a_copied_key_is_noticed(pair, tmp_path):
    fleet, device = pair
    report = sent(device, tmp_path)[0]
    accept_report(fleet, report)
    body = json.loads(report)["report"]
    del body["format"], body["format_version"]
    twin = Report(**{**body, "reason": "of another", "samples": ()})
    assert not accept_report(fleet, seal(twin, *signing_key(device))).is_new
    assert read_record(fleet, device.id).num_conflicts == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda sealed: sealed["report"].update(version=9),
        lambda sealed: sealed["report"].update(device="0" * 32),
        lambda sealed: sealed.update(signature="00" * 64),
        lambda sealed: sealed.update(public_key="11" * 32),
        lambda sealed: sealed["report"].update(sequence=True),
        lambda sealed: sealed["report"].update(event="<script>"),
        lambda sealed: sealed.pop("report"),
    ],
)
def test_a_forged_report_is_refused(pair, tmp_path, damage):
    fleet, device = pair
    sealed = json.loads(sent(device, tmp_path)[0])
    damage(sealed)
    with pytest.raises(ReportError):
        accept_report(fleet, json.dumps(sealed).encode())
    assert read_record(fleet, device.id) is None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_but_a_report_are_a_report(content):
    from potstill.fleet.formats.report import open_report

    with pytest.raises(ReportError):
        open_report(content)


def test_a_bad_release_is_given_up_reported_and_stops_the_rollout(pair, tmp_path):
    fleet, device = pair
    with Serving(device) as serving:
        serving.predict(["red"] * 30)
    # Temperatures this high leave no answer any confidence.
    release(fleet, tmp_path, 90, health=HealthRules(num_predictions=25))
    assert update(device).version == 2
    with Serving(device) as serving:
        for _ in range(30):
            assert serving.predict(["red"])[0].label == "red"
        assert serving.release.version == 1
    state = read_state(device)
    assert "mean probability" in next(iter(state.barred.values()))
    for report in sent(device, tmp_path):
        accept_report(fleet, report)
    after = advance(fleet, "default", MODEL)
    assert after.state == "stopped"
    assert overview(fleet).lines[0].num_reverted == 1
    assert update(device).did == "nothing"

    # The way back for everybody is a new release of the old bytes, for which nothing is downloaded.
    publish(fleet, None, model=MODEL, again=1, rings=(1.0,))
    done = update(device)
    assert (done.version, done.downloaded_bytes) == (3, 0)


def test_revoked_devices_go_back_to_the_release_before(pair, tmp_path):
    fleet, device = pair
    release(fleet, tmp_path, 2)
    update(device)
    change(fleet, "default", MODEL, lambda rollout: revoke(rollout, 2))
    done = update(device)
    assert (done.did, done.version) == ("reverted", 1)
    assert update(device).did == "nothing"
    with Serving(device) as serving:
        assert serving.predict(["blue"])[0].label == "blue"


def test_a_program_that_never_gets_through_its_window_goes_back(pair, tmp_path):
    fleet, device = pair
    release(fleet, tmp_path, 2, health=HealthRules(max_starts=2))
    update(device)
    for _ in range(2):
        assert Serving(device).release.version == 2
    assert Serving(device).release.version == 1
    assert "started 2 times" in read_state(device).reports[-1]["reason"]


def test_a_damaged_slot_makes_way_for_the_other(pair, tmp_path):
    fleet, device = pair
    release(fleet, tmp_path, 2)
    update(device)
    (device.slot(read_state(device).active) / "model.onnx").write_bytes(b"rot")
    with Serving(device) as serving:
        assert serving.release.version == 1
        assert serving.predict(["red"])[0].label == "red"
    assert "can't be loaded" in read_state(device).reports[-1]["reason"]


def test_a_running_program_follows_an_update(pair, tmp_path):
    fleet, device = pair
    with Serving(device) as serving:
        serving.predict(["red"])
        release(fleet, tmp_path, 2)
        update(device)
        serving.predict(["red"])
        assert serving.release.version == 2


def test_samples_leave_a_device_with_consent_alone(tmp_path):
    fleet = make_fleet(tmp_path)
    release(fleet, tmp_path, 1)
    for name, consent in (("open", True), ("closed", False)):
        device = make_device(tmp_path, fleet, name=name, consent=consent)
        update(device)
        with Serving(device) as serving:
            serving.predict(["red blue", "red"])
        add_health_report(device)
        deliver(device, tmp_path / name / "out")
        for path in sorted((tmp_path / name / "out").glob("*.json")):
            accept_report(fleet, path.read_bytes())
    found = [json.loads(path.read_bytes()) for path in (fleet.inbox / "samples").glob("*.json")]
    assert [[sample["text"] for sample in samples] for samples in found] == [["red blue"]]


def test_drift():
    def figures(red, blue, confidence, outside=0):
        window = Figures()
        for i in range(red + blue):
            window = window.with_answer("red" if i < red else "blue", confidence, 1.0, in_scope=i >= outside)
        return window

    usual = figures(150, 150, 0.9)
    assert compare(figures(150, 150, 0.9), usual).found == ()
    assert len(compare(figures(290, 10, 0.6, outside=60), usual).found) == 3
    later = usual.plus(figures(10, 0, 0.5))
    assert later.since(usual).classes == {"red": 10}
    assert parse_figures(later.summary()).num_answers == 310


def test_renewing(tmp_path):
    fleet = make_fleet(tmp_path)
    release(fleet, tmp_path, 1)
    device = make_device(tmp_path, fleet)
    signed, left = renew(fleet, days=60)
    assert {"snapshot", "timestamp", "cohort-default"} <= set(signed) and not left
    assert update(device).version == 1
    away = dataclasses.replace(fleet, keys=())
    (fleet.folder / "keys" / "offline").rename(tmp_path / "safe")
    signed, left = renew(away, days=400)
    assert set(left) == {"root", "targets"} and "timestamp" in signed
    with pytest.raises(ConfigurationError, match="--keys"):
        release(away, tmp_path, 2)
    release(dataclasses.replace(away, keys=[tmp_path / "safe"]), tmp_path, 2)
    assert read_rollout(fleet, "default", MODEL).candidate == 2


def test_keys_under_a_passphrase(tmp_path):
    fleet = make_fleet(tmp_path, passphrase="still life")
    assert b"ENCRYPTED" in (fleet.folder / "keys" / "offline" / "targets-1.pem").read_bytes()
    with pytest.raises(ConfigurationError, match="is encrypted"):
        release(dataclasses.replace(fleet, passphrase=""), tmp_path, 1)
    with pytest.raises(ConfigurationError, match="passphrase opens"):
        release(dataclasses.replace(fleet, passphrase="wrong"), tmp_path, 1)
    release(fleet, tmp_path, 1)
    with pytest.raises(ConfigurationError, match="folder that is served"):
        make_fleet(tmp_path / "other", offline_keys=tmp_path / "other" / "fleet" / "repository" / "keys")
