"""Chromium without a screen, for tests that look at pages as people do. What they saw is in `build/screenshots`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

__all__ = ["Browser", "chromium"]

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1280,1000",
)  # fmt: skip
WAIT_SECONDS = 30


class Browser:
    """Chromium, and where it looks."""

    def __init__(self, driver: webdriver.Chrome, base: str) -> None:
        self.driver = driver
        self.base = base

    def open(self, path: str) -> None:
        self.driver.get(self.base + path)

    def follow(self, element: WebElement) -> None:
        """Click on what leads to another page, and wait until that is there: before, what is looked for may be found on
        neither."""
        self.driver.execute_script("window.left = true")
        element.click()
        self.until("!window.left && document.readyState === 'complete'")

    def until(self, script: str) -> None:
        """Wait until an expression of JavaScript is true; between two pages there is none to ask."""
        between = (WebDriverException,)
        WebDriverWait(self.driver, WAIT_SECONDS, ignored_exceptions=between).until(
            lambda driver: driver.execute_script(f"return {script}")
        )

    def keep(self, name: str) -> None:
        """A picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        tall = self.driver.execute_script("return document.documentElement.scrollHeight")
        self.driver.set_window_size(1280, min(tall + 150, 4000))
        assert self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))
        self.driver.set_window_size(1280, 1000)

    def complaints(self) -> list[str]:
        """What the console says: faults of scripts, and what the policy refused."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextmanager
def chromium(profile: Path, base: str) -> Iterator[Browser]:
    """A browser with an empty profile that begins at `base`."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield Browser(driver, base)
    finally:
        driver.quit()
