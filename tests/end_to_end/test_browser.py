"""The pages in a browser: they say what they should, nothing is refused by their own policy, and they can be looked at
afterwards in `build/screenshots`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tallynet.commands import LineSuspend
from tests.end_to_end.conftest import Story
from tools.connect import connect, genesis_of
from tools.participant import Participant, new_label

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
        self._base = base

    def open(self, path: str) -> None:
        self.driver.get(self._base + path)

    def until(self, script: str) -> None:
        """Wait until an expression of JavaScript is true."""
        WebDriverWait(self.driver, WAIT_SECONDS).until(
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


@pytest.fixture(scope="module")
def browser(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield Browser(driver, f"http://{story.node('bank-1').web}")
    finally:
        driver.quit()


async def act(story: Story) -> int:
    """Height of a block that is made now, for an act that is refused."""
    async with connect(story.directory) as client:
        bank = Participant(story.directory, "bank-1", client, genesis_of(story.directory)[1])
        outcome = await bank.submit(bank.envelope([LineSuspend(new_label(), b"\0" * 16)]))
        return outcome.height


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_voucher_is_drawn(story: Story, browser: Browser, language: str) -> None:
    browser.open(f"/vouchers/{story.voucher.hex()}?lang={language}")
    browser.until("document.querySelectorAll('#graph canvas').length > 0")
    widths = browser.driver.execute_script(
        "return [...document.querySelectorAll('svg.voucher rect')].map(r => r.getBoundingClientRect().width)"
    )
    assert len(widths) == 6
    assert min(widths) > 2  # a yuan of half a million is there to be seen
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#passages tbody tr")) == 6
    browser.keep(f"voucher-{language}")
    assert browser.complaints() == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_network_is_shown_and_its_banner_renewed(
    story: Story, browser: Browser, language: str
) -> None:
    browser.open(f"/network?lang={language}")
    browser.until("document.querySelectorAll('.chart canvas').length === 2")
    height = trio.run(act, story)
    browser.until(f"document.querySelector('#banner').textContent.includes('{height}')")
    browser.keep(f"network-{language}")
    assert browser.complaints() == []


def test_every_other_page_opens_without_complaint(story: Story, browser: Browser) -> None:
    bank, supplier = story.organisation("bank-3").hex(), story.organisation("gate-devices").hex()
    for name, path in (
        ("validators", "/validators"),
        ("blocks", "/blocks"),
        ("block", "/blocks/20"),
        ("organisations", "/organisations"),
        ("organisation", f"/organisations/{supplier}"),
        ("bank", f"/banks/{bank}"),
        ("search", "/search?q=bank"),
    ):
        browser.open(path)
        browser.keep(name)
        assert browser.complaints() == [], name


def test_pages_are_found_with_the_keyboard_alone(story: Story, browser: Browser) -> None:
    browser.open("/network?lang=en")
    browser.driver.switch_to.active_element.send_keys("\ue004")  # tab
    skip = browser.driver.switch_to.active_element
    assert skip.text == "Skip to content"
    field = browser.driver.find_element(By.ID, "q")
    field.send_keys(story.voucher.hex() + "\ue007")  # enter
    browser.until(f"location.pathname == '/vouchers/{story.voucher.hex()}'")
    assert browser.complaints() == []
