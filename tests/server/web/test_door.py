"""Signing in and out, forms, headers."""

import pytest

from potstill.server.database.tables import sessions
from potstill.server.sessions import COOKIE
from tests.server.web.browsing import Browsing


@pytest.fixture
def browser(server):
    with Browsing(server) as found:
        found.sign_in(server.api_key)
        found.get("/keys")
        yield found


def test_a_key_opens_a_session_and_signing_out_ends_it(server):
    with Browsing(server) as browser:
        assert browser.get("/keys").status_code == 401
        assert 'name="back" value="/keys"' in browser.last.text
        answer = browser.sign_in(server.api_key, back="/keys")
        assert answer.status_code == 303 and answer.headers["location"] == "/keys"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and server.api_key.lower() not in cookie
        token = browser.client.cookies[COOKIE]
        assert browser.follow().status_code == 200
        kept = server.services.database.read_now(lambda c: [dict(row._mapping) for row in c.execute(sessions.select())])
        assert len(kept) == 1 and token not in str(kept)
        assert browser.post("/sign-out").status_code == 303
        browser.client.cookies.set(COOKIE, token)
        assert browser.get("/keys").status_code == 401


@pytest.mark.parametrize("key", ["", "sk-pot-nothing", "' OR 1=1 --", "\u0000"])
def test_a_wrong_key_is_told_so(server, key):
    with Browsing(server, "ko") as browser:
        answer = browser.sign_in(key)
        assert answer.status_code == 401 and "모르는 키이거나" in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("back", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "javascript:1"])
def test_nobody_is_sent_elsewhere(server, back):
    with Browsing(server) as browser:
        assert browser.sign_in(server.api_key, back=back).headers["location"] == "/"
        assert browser.post("/language", language="ko", back=back).headers["location"] == "/"


def test_a_form_of_another_session_is_refused(server, browser):
    with Browsing(server) as other:
        other.sign_in(server.api_key)
        other.get("/keys")
        assert other.post("/keys", name="mine").status_code == 200
        token = other.last.text.partition('name="csrf" value="')[2].partition('"')[0]
    assert browser.post("/keys", token=token, name="stolen").status_code == 403
    assert browser.get("/keys") and browser.post("/keys", token="", name="stolen").status_code == 403
    browser.get("/keys")
    foreign = {"origin": "http://evil.example"}
    assert browser.post("/keys", name="stolen", headers=foreign).status_code == 403
    assert "stolen" not in browser.get("/keys").text


def test_a_key_is_shown_once_and_ends_with_its_sessions(server, browser):
    made = browser.post("/keys", name="for <b>", project="other", retention_days="30", rights="no_store")
    secret = made.text.partition('<pre tabindex="0">')[2].partition("<")[0]
    assert secret.startswith("sk-pot-") and secret not in browser.get("/keys").text
    assert "for &lt;b&gt;" in browser.last.text and "keeps 30 days" in browser.last.text
    key = server.services.keyring.check(secret)
    assert (key.project, key.retention_s, key.may_store, key.is_admin) == ("other", 30 * 86400, False, False)
    with Browsing(server) as other:
        other.sign_in(secret)
        seen = other.get("/keys").text
        assert "Project other." in seen and "New key" not in seen and "Revoke" not in seen
        assert other.post("/keys", name="more").status_code == 403
        assert browser.post(f"/keys/{key.id}/revoke").status_code == 303
        assert other.get("/keys").status_code == 401
    browser.follow()
    assert browser.post("/keys/key_unknown/revoke").status_code == 404
    browser.get("/keys")
    assert browser.post("/keys", name="").status_code == 400
    assert browser.post("/keys", name="x", retention_days="0").status_code == 400


def test_every_answer_keeps_scripts_and_frames_out(server, browser):
    for path in ("/keys", "/sign-in", "/static/style.css", "/static/page.js", "/static/nothing", "/nothing-here"):
        answer = browser.get(path)
        if path != "/nothing-here":  # what isn't ours is answered in JSON
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy and "default-src 'none'" in policy and "trusted-types 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
    with Browsing(server) as stranger:
        assert "trusted-types 'none'" in stranger.get("/keys").headers["content-security-policy"]


def test_the_fleet_is_for_administrators(server, browser):
    assert "This server keeps no fleet" in browser.get("/fleet").text
    with Browsing(server) as other:
        other.sign_in(server.new_key("other"))
        assert other.get("/fleet").status_code == 403


def test_the_language_is_asked_of_the_browser_and_can_be_chosen(server):
    with Browsing(server, "ko-KR") as browser:
        assert '<html lang="ko">' in browser.get("/sign-in").text
        assert browser.post("/language", language="en", back="/sign-in").headers["location"] == "/sign-in"
        assert '<html lang="en">' in browser.get("/sign-in").text
        browser.post("/language", language="fr")
        assert '<html lang="en">' in browser.get("/sign-in").text


def test_a_large_form_is_refused(browser):
    assert browser.post("/keys", name="x" * 300_000).status_code == 413
    assert browser.post("/keys", **{f"f{i}": "1" for i in range(600)}).status_code == 400
