"""A real Chromium without a window, driven by selenium."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

AXE = Path(__file__).resolve().parents[3] / "build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = 360, 1280


class Chromium:
    """A browser with the few things that the tests ask of it."""

    def __init__(self, driver):
        self.driver = driver
        self.run = driver.execute_script

    def open(self, address, *, width=DESK, scheme="light"):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(address)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def wait_for(self, selector):
        """The first element of that kind, once it is there."""
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.driver, 60, 0.1).until(lambda _: next(iter(self.all(selector)), None))

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self):
        """The text or name of what has the focus."""
        return self.run("const e = document.activeElement; return e.id || e.name || e.textContent.trim() || e.tagName")

    def overflow(self):
        """Pixels by which the page is wider than the window."""
        return self.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def requests(self):
        """Addresses that were asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def complaints(self):
        """What axe-core finds, as rule and element."""
        self.run(AXE.read_text("utf-8"))
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations))"
        )
        return [(each["id"], node["html"][:160], node["failureSummary"]) for each in found for node in each["nodes"]]


@contextmanager
def chromium():
    """Starts it, or skips."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (potstill[dev])")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    # In a container of root there is no user namespace for Chromium's own sandbox.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        started.set_page_load_timeout(60)
        yield Chromium(started)
    finally:
        started.quit()
