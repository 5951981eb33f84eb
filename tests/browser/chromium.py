"""Chromium without a screen, driven by selenium; it asks nothing of the network by itself."""

import json
import tempfile
from contextlib import contextmanager
from urllib.parse import urlparse

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

BROWSER, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
QUIET += ("--disable-background-networking", "--disable-component-update", "--disable-sync")


@contextmanager
def chromium(width=1600, height=1000, dark=False, touch=False):
    """Yield a driver of a fresh browser, gone with its profile at the end."""
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for argument in ("--headless", *QUIET, f"--user-data-dir={profile}", "--hide-scrollbars"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            yield driver
        finally:
            driver.quit()


def requests(driver):
    """The addresses that the pages have asked for since the last call, but for data in them."""
    found = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in found
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if urlparse(url).scheme not in ("data", "about")]


class Page:
    """A page in the browser, and what a person does with it."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address
        driver.set_script_timeout(60)
        self.open()

    def open(self, hash=""):
        self.driver.get("about:blank")
        requests(self.driver)  # forget what was before
        self.driver.get(self.address + hash)
        self.settle()

    def js(self, expression, *values):
        return self.driver.execute_script(f"return {expression}", *values)

    def settle(self):
        """Wait until nothing moves: the same view in some frames after another."""
        self.driver.execute_async_script(
            "const done = arguments[0]; let last = '', calm = 0;"
            "const look = () => { const now = JSON.stringify([hier.state.at, hier.state.zoom]);"
            " calm = now === last ? calm + 1 : 0; last = now;"
            " calm > 8 ? done() : requestAnimationFrame(look); }; look();"
        )

    def element(self, name):
        return self.driver.find_element(By.ID, name)

    def set(self, name, value):
        """Choose a value of a select or a slider, as a person would."""
        self.driver.execute_script(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            " for (const name of ['input', 'change']) e.dispatchEvent(new Event(name));",
            name,
            str(value),
        )
        self.settle()

    def all(self, selector, of="textContent"):
        """Something of every element that a selector finds."""
        return self.js(f"[...document.querySelectorAll(arguments[0])].map((e) => e.{of})", selector)

    def text(self, name):
        return self.element(name).text

    def place(self, node):
        """Where a node stands, in pixels from the middle of the canvas."""
        x, y, width, height = self.driver.execute_script(
            "hier.draw(); const i = arguments[0], t = hier.tree(), c = hier.canvas;"
            "return [...hier.toPaper([t.wx[i], t.wy[i]]), c.clientWidth, c.clientHeight];",
            node,
        )
        return x - width / 2, y - height / 2

    def errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]
