"""The pages in a browser: they say what they should, nothing is refused by their own policy, and they can be looked at
afterwards in `build/screenshots`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from selenium.webdriver.common.by import By

from tallynet.commands import LineSuspend
from tests.end_to_end.browsing import Browser, chromium
from tests.end_to_end.conftest import Story
from tools.connect import connect, genesis_of
from tools.participant import Participant, new_label


@pytest.fixture(scope="module")
def browser(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    profile = tmp_path_factory.mktemp("chromium")
    with chromium(profile, f"http://{story.node('bank-1').web}") as browser:
        yield browser


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
        "return [...document.querySelectorAll('svg.voucher:not(.strata) rect')].map(r => r.getBoundingClientRect().width)"
    )
    assert len(widths) == 6
    assert min(widths) > 2  # a yuan of half a million is there to be seen
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#passages tbody tr")) == 6
    acts = browser.driver.find_elements(By.CSS_SELECTOR, "svg.strata rect")
    assert len(acts) >= 6, "one row for each act on a range"
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
