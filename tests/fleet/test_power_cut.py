"""The power goes at every call that changes the disk; after it the device serves, and the next update ends well."""

import os
import shutil
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from potstill.fleet.device.health import save_figures
from potstill.fleet.device.place import open_device
from potstill.fleet.device.serving import Serving
from potstill.fleet.device.state import read_state
from potstill.fleet.device.update import update
from potstill.fleet.formats.figures import Figures
from potstill.fleet.formats.health import HealthRules
from tests.fleet.fleets import make_device, make_fleet, release

# Python says these before it does them, whoever asks; what is raised then keeps them from being done.
CALLS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "shutil.rmtree"}


class PowerCut(BaseException):
    """Nobody catches this."""


class Power:
    """Counts calls that change the disk, and ends at one of them."""

    def __init__(self):
        self.goes_at = None
        self.count = 0
        sys.addaudithook(self.heard)
        self.fsync = os.fsync

    def heard(self, event, args):
        if self.goes_at is None or event not in CALLS:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self.tick()

    def tick(self):
        self.count += 1
        if self.count >= self.goes_at:
            raise PowerCut

    def cut_fsync(self, handle):
        """What was not yet on the disk is half lost."""
        try:
            self.tick()
        except PowerCut:
            status = os.fstat(handle)
            if stat.S_ISREG(status.st_mode):
                os.truncate(f"/proc/self/fd/{handle}", status.st_size // 2)
            raise
        self.fsync(handle)

    @contextmanager
    def until(self, number):
        self.goes_at, self.count, os.fsync = number, 0, self.cut_fsync
        try:
            yield
        finally:
            self.goes_at, os.fsync = None, self.fsync


@pytest.fixture(scope="module")
def power():
    return Power()


def before(tmp_path, name):
    """A copy of a device that is about to be changed; the same each time."""
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    shutil.copytree(tmp_path / name, tmp_path / "copy", symlinks=True)
    return open_device(tmp_path / "copy")


def every_cut(power, tmp_path, name, act):
    """Yields the device after a power cut at each call of `act`, until it gets through."""
    for number in range(1, 2000):
        device = before(tmp_path, name)
        try:
            with power.until(number):
                act(device)
        except PowerCut:
            yield device
            continue
        assert number > 10, "the seam hears nothing"
        return
    raise AssertionError("it never ended")


def test_at_every_call_of_an_update(power, tmp_path):
    fleet = make_fleet(tmp_path)
    rules = HealthRules(num_predictions=1, max_latency_factor=1e6)
    device = make_device(tmp_path, fleet)
    for number in (1, 2):
        # A third release is written over a full slot.
        release(fleet, tmp_path, number, health=rules)
        update(device)
        with Serving(device) as serving:
            serving.predict(["red"])
    release(fleet, tmp_path, 3, health=rules)

    versions = set()
    for cut in every_cut(power, tmp_path, "device", update):
        state = read_state(cut)
        with Serving(cut) as serving:
            assert serving.predict(["blue"])[0].label == "blue"
            versions.add(serving.release.version)
            assert serving.release.version == state.current.version
        assert update(cut).version == 3
        with Serving(cut) as serving:
            assert serving.release.version == 3
        numbers = [report["sequence"] for report in read_state(cut).reports]
        assert numbers == sorted(set(numbers)), "a report twice"
    assert versions == {2, 3}


def test_at_every_call_of_going_back(power, tmp_path):
    fleet = make_fleet(tmp_path)
    device = make_device(tmp_path, fleet)
    release(fleet, tmp_path, 1)
    update(device)
    release(fleet, tmp_path, 2, health=HealthRules(num_predictions=4, max_latency_factor=1e6))
    update(device)
    # One more prediction, and the window ends badly.
    save_figures(device, read_state(device).current.digest, Figures(num_predictions=3, num_errors=3))

    def serve(device):
        with Serving(device) as serving:
            serving.predict(["red"])

    outcomes = set()
    for cut in every_cut(power, tmp_path, "device", serve):
        with Serving(cut) as serving:
            assert serving.predict(["red"])[0].label == "red"
            outcomes.add(serving.release.version)
        state = read_state(cut)
        events = [report["event"] for report in state.reports]
        # What is said and what is so can't differ.
        assert (state.current.version == 1) == bool(state.barred) == (events.count("reverted") == 1)
    assert outcomes == {1}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the program strace")
@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir", "unlink"])
def test_killed_at_every_system_call(tmp_path, call):
    """The same with SIGKILL in a process of its own, by number of system call."""
    fleet = make_fleet(tmp_path)
    make_device(tmp_path, fleet)
    release(fleet, tmp_path, 1)
    update(open_device(tmp_path / "device"))
    release(fleet, tmp_path, 2)
    for number in range(1, 200):
        device = before(tmp_path, "device")
        command = [Path(sys.executable).parent / "potstill", "device", "update", device.folder]
        killed = subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL:when={number}", *command],
            capture_output=True,
            check=False,
        )
        with Serving(device) as serving:
            assert serving.predict(["red"])[0].label == "red"
        if killed.returncode == 0:
            assert number > 1, "the call was never made"
            return
        assert update(device).version == 2
    raise AssertionError("it never ended")
