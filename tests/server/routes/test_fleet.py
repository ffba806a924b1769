import threading

import httpx2
import pytest

pytest.importorskip("tuf", reason="needs potstill[fleet]")

from potstill.cli.main import main
from potstill.errors import ConfigurationError
from potstill.fleet.device.deliver import add_health_report, deliver, deliver_patiently
from potstill.fleet.device.state import read_state
from potstill.fleet.device.update import update
from potstill.fleet.formats.report import MAX_REPORT_BYTES
from potstill.fleet.publisher.inbox import read_record, read_records
from potstill.server.errors import ApiError
from potstill.server.rates import Rates
from potstill.server.services import open_services
from potstill.server.settings import Settings
from tests.fleet.fleets import make_device, make_fleet, release
from tests.server.running import running
from tests.server.web.browsing import Browsing

PATH = "/potstill/fleet/reports"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    made = make_fleet(folder)
    release(made, folder, 1)
    return made


@pytest.fixture(scope="module")
def server(fleet, tmp_path_factory):
    with running(tmp_path_factory.mktemp("server") / "data", fleet=fleet.folder) as found:
        yield found


@pytest.fixture
def device(server, fleet, tmp_path):
    return make_device(tmp_path, fleet, report_url=server.base_url + PATH)


def post(server, content, **options):
    return httpx2.post(server.base_url + PATH, content=content, timeout=60, verify=False, **options)


def sealed(device, tmp_path):
    """A report as the device sends it."""
    add_health_report(device)
    deliver(device, tmp_path / "out")
    return max((tmp_path / "out").glob("*.json")).read_bytes()


def test_a_device_reports_without_a_key_and_the_page_shows_it(server, fleet, device, tmp_path, capsys):
    assert update(device).did == "installed"
    assert main(["device", "run", str(device.folder), "red", "--json"]) == 0
    assert '"num_reports":2' in capsys.readouterr().out.replace(" ", "")
    assert read_record(fleet, device.id).version == 1 and not read_state(device).reports
    with Browsing(server) as browser:
        browser.sign_in(server.api_key)
        answer = browser.get("/fleet")
        assert "Stable: release 1." in answer.text and device.id[:12] in answer.text
        assert "unsafe" not in answer.headers["content-security-policy"]
        browser.post("/language", language="ko")
        assert "안정 릴리스: 1" in browser.get("/fleet").text


def test_a_report_counts_once(server, fleet, device, tmp_path):
    content = sealed(device, tmp_path)
    first, again = post(server, content), post(server, content)
    assert first.status_code == again.status_code == 200
    assert first.json()["is_new"] is True and again.json()["is_new"] is False
    assert read_record(fleet, device.id).sequence == first.json()["sequence"] == 1


def test_what_no_device_has_signed_is_refused(server, fleet, device, tmp_path):
    content = sealed(device, tmp_path)
    before = len(list(read_records(fleet)))
    for wrong in (
        b"",
        b"{}",
        b"[" * 100_000,
        content[:-9] + b'"' + content[-8:],
        content.replace(b"health", b"heaIth"),
    ):
        assert post(server, wrong).status_code == 401
    assert post(server, b" " * (MAX_REPORT_BYTES + 1)).status_code == 413
    assert len(list(read_records(fleet))) == before


def test_a_server_without_a_fleet_takes_none(device, tmp_path):
    with running(tmp_path / "other") as other:
        answer = post(other, sealed(device, tmp_path))
        assert answer.status_code == 404 and "--fleet" in answer.json()["error"]["message"]


def test_a_folder_that_is_no_fleet_is_refused_at_start(tmp_path):
    with pytest.raises(ConfigurationError), open_services(Settings(data=tmp_path / "data", fleet=tmp_path)):
        pass


def test_who_comes_too_often_waits(server, device, tmp_path):
    content = sealed(device, tmp_path)
    statuses = [post(server, content) for _ in range(230)]
    late = [answer for answer in statuses if answer.status_code == 429]
    assert late and late[0].headers["retry-after"] == "1" and statuses[0].status_code == 200


def test_buckets_fill_with_time_and_are_few():
    now = [0.0]
    rates = Rates(a_second=0.5, at_once=2, clock=lambda: now[0])
    rates.take("a"), rates.take("a")
    with pytest.raises(ApiError) as caught:
        rates.take("a")
    assert caught.value.status == 429 and caught.value.headers["retry-after"] == "2"
    rates.take("b")
    now[0] = 2.0
    rates.take("a")


def test_reports_wait_until_somebody_takes_them(server, fleet, device, tmp_path):
    from dataclasses import replace

    waits = []
    add_health_report(device)
    away = replace(device, report_url="http://127.0.0.1:9/reports")
    sent, why = deliver_patiently(away, wait=waits.append, chance=lambda: 0.5)
    assert sent == 0 and "can't be reached" in why and waits == [1.0, 2.0, 4.0]
    assert len(read_state(device).reports) == 1
    elsewhere = replace(device, report_url=server.base_url + "/files")
    assert "refuses" in deliver_patiently(elsewhere, wait=waits.append)[1] and len(waits) == 3
    assert deliver_patiently(device, wait=waits.append) == (1, "")
    assert not read_state(device).reports


def test_many_devices_at_once(server, fleet, tmp_path):
    contents = []
    for i in range(6):
        one = make_device(tmp_path, fleet, name=f"d{i}", report_url=server.base_url + PATH)
        contents.append(sealed(one, tmp_path / str(i)))
    answers = []
    threads = [threading.Thread(target=lambda c=c: answers.append(post(server, c).status_code)) for c in contents * 3]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert answers == [200] * 18
