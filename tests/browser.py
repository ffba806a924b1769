"""A real Chromium, driven through chromedriver's plain JSON over HTTP; and onnxruntime-web where npm can bring it."""

import contextlib
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from potstill.errors import PotstillError
from potstill.exporters.ort_web import ort_web_files

OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
OPTIONS += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


def runtime_folder(folder):
    """Where onnxruntime-web lies; skips where neither a folder nor npm has it."""
    given = os.environ.get("POTSTILL_ORT_WEB")
    try:
        files = ort_web_files(Path(given) if given else None)
    except PotstillError as error:
        pytest.skip(f"needs onnxruntime-web: {error}")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@contextlib.contextmanager
def served(folder):
    handler = partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path):
        return "text/javascript" if path.endswith(".mjs") else super().guess_type(path)

    def log_message(self, format, *args):
        pass


class Browser:
    """One session of Chromium."""

    def __init__(self, address, options=()):
        self._address = address
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": [*OPTIONS, *options], "binary": shutil.which("chromium")},
        }
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"
        self._call("POST", f"{self._session}/timeouts", {"script": 120_000})

    def _call(self, method, path, values=None):
        body = None if values is None else json.dumps(values).encode()
        request = urllib.request.Request(
            self._address + path, body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=180) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()[:1000]) from None

    def open(self, url):
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script, *arguments):
        """The value that an async function body returns."""
        wrapped = f"const done = arguments[arguments.length - 1]; (async (...given) => {{ {script} }})(...arguments)"
        wrapped += ".then((value) => done({value}), (error) => done({error: String(error)}))"
        found = self._call("POST", f"{self._session}/execute/async", {"script": wrapped, "args": list(arguments)})
        assert "error" not in found, found["error"]
        return found.get("value")

    def ready(self, limit_s=120):
        """Waits until the page has tested itself."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            state = self.run("return document.documentElement.dataset.ready ?? ''")
            if state:
                return state
            time.sleep(0.2)
        raise AssertionError("the page never got ready: " + self.run("return document.body.innerText"))

    def close(self):
        self._call("DELETE", self._session)


@contextlib.contextmanager
def chromium(*options):
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromedriver")
    with subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as driver:
        try:
            port = next(m[1] for line in driver.stdout if (m := re.search(r"successfully on port (\d+)", line)))
            browser = Browser(f"http://127.0.0.1:{port}", options)
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()
