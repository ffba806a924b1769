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


def test_no_page_scrolls_sideways_on_a_phone_or_loads_from_elsewhere(browser, made_up):
    root, paths = made_up
    browser.requests()
    for path in paths:
        browser.open(root + path, width=PHONE)
        assert browser.overflow() <= 0, path
        assert browser.run("return typeof window.pwned") == "undefined"
    asked = browser.requests()
    assert len(asked) > len(paths)
    assert not [address for address in asked if not address.startswith((root, "data:image/png;base64,"))]


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm install --prefix build/npm axe-core")
@pytest.mark.parametrize(("width", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_axe_finds_nothing(browser, made_up, width, scheme):
    root, paths = made_up
    language = "en" if scheme == "light" else "ko"
    found = {}
    for path in paths:
        if path.startswith(f"/{language}/"):
            browser.open(root + path, width=width, scheme=scheme)
            if complaints := browser.complaints():
                found[path] = complaints
    assert not found


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
