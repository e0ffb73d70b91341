"""A voucher's whole life in the browser: people of a core, a supplier, its supplier and a bank, each at the pages of
their own light node, on four real validators. And a stranger, who gets nowhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, timedelta

import html5lib
import pytest
import trio
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tallynet.records import Kind, Voucher, VoucherStatus
from tests.end_to_end.browsing import Browser, chromium
from tests.end_to_end.desk_place import PASSWORD, Place, opened_place
from tools import testnet_processes
from tools.connect import connect
from tools.demo import UPLOAD
from tools.demo_story import CHAPTERS, Stage
from tools.records_by_name import AddressBook

CORE, SUPPLIER, SECOND, SHOP, BANK = (
    "vista-guide", "gate-devices", "beacon-sensors", "corner-parts", "bank-2",
)  # fmt: skip
WHO = (CORE, SUPPLIER, SECOND, SHOP, BANK)
CHAPTERS_TOLD = 4
"""Enterprises, lines and offers, a voucher that is passed on as far as the shop."""
DAY_SECONDS = 20
TENOR_DAYS = 4
"""A minute and a half, for people to do all that."""
SECONDS_MAX = 200.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("desk") / "network"
    with opened_place(directory, WHO, DAY_SECONDS, _tell) as opened:
        yield opened


async def _tell(stage: Stage) -> None:
    for _, chapter in CHAPTERS[:CHAPTERS_TOLD]:
        await chapter(stage)


class Desk:
    """Somebody before the browser."""

    def __init__(self, place: Place, browser: Browser) -> None:
        self.place = place
        self.browser = browser
        self.driver = browser.driver

    def sign_in(self, who: str, account: str, language: str = "en") -> None:
        self.browser.base = self.place.lights[who].address
        self.browser.open(f"/desk?lang={language}")
        for button in self.driver.find_elements(By.CSS_SELECTOR, "form.who button"):
            self.browser.follow(button)
            break
        self.fill(name=account, password=PASSWORD)
        self.press()
        self.browser.until("document.querySelector('form.who') !== null")

    def fill(self, **values: str) -> None:
        for name, value in values.items():
            field = self.driver.find_element(By.ID, name)
            if field.tag_name == "select":
                choices = Select(field)
                text = next(o.text for o in choices.options if value in o.text)
                choices.select_by_visible_text(text)
            else:
                if field.get_attribute("type") != "file":
                    field.clear()
                field.send_keys(value)

    def press(self) -> None:
        """The main button."""
        self.browser.follow(self.driver.find_element(By.CSS_SELECTOR, "main button.main"))

    def propose(self, **values: str) -> str:
        """Fill in, look at it, propose it; where it is then."""
        self.fill(**values)
        self.press()
        self.state("DRAFT")
        self.press()
        self.browser.until("!document.querySelector('h1 .state-DRAFT')")
        return self.driver.current_url.removeprefix(self.browser.base)

    def approve(self, path: str) -> None:
        self.browser.open(path)
        self.press()
        self.browser.until("document.querySelector('main button.main') === null")

    def state(self, name: str) -> None:
        self.browser.until(f"document.querySelector('h1 .state-{name}') !== null")

    def task(self, action: str, about: str = "") -> None:
        """Open the form of something that waits, as soon as it does."""
        link = f"a.button[href*='/acts/{action}?']" + (f"[href*='{about}']" if about else "")
        until = time.monotonic() + SECONDS_MAX
        while True:
            self.browser.open("/desk")
            found = self.driver.find_elements(By.CSS_SELECTOR, link)
            if found:
                self.browser.follow(found[0])
                return
            assert time.monotonic() < until, f"no {action} waits"

    def both(self, who: str, path: str, checkers: tuple[str, ...] = ("checker",)) -> None:
        """The others agree, and it is done."""
        for checker in checkers:
            self.sign_in(who, checker)
            self.approve(path)
        self.state("DONE")


async def _voucher(place: Place, id: bytes) -> Voucher:
    async with connect(place.directory) as client:
        record = await client.read(Kind.VOUCHER, id)
    assert isinstance(record, Voucher)
    return record


def _settled(place: Place, id: bytes) -> bool:
    return trio.run(_voucher, place, id).status is VoucherStatus.SETTLED


def test_a_voucher_lives_its_whole_life_in_the_browser(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    profile = tmp_path_factory.mktemp("chromium")
    with chromium(profile, place.lights[CORE].address) as browser:
        desk = Desk(place, browser)
        voucher = _issue(desk)
        _claim_and_pass_on(desk, voucher)
        _draw_one_yuan(desk, voucher)
        _pay_out(desk)
        _is_drawn(desk, voucher)
        _settle(desk, voucher)
        meant = ("status of 401", "status of 422")  # the sign-in, and the form that was refused
        assert [c for c in browser.complaints() if not any(m in c for m in meant)] == []
    assert _settled(place, bytes.fromhex(voucher))


def _issue(desk: Desk) -> str:
    desk.sign_in(CORE, "maker")
    desk.browser.keep("desk-empty")
    desk.browser.open("/acts/issue")
    today = desk.driver.find_element(By.CSS_SELECTOR, ".facts dd").text
    maturity = date.fromisoformat(today) + timedelta(days=TENOR_DAYS)
    desk.fill(
        invoice=str(UPLOAD), payee="gate-device", maturity=str(maturity), programme="CNY",
        issue_line="bank-2", promise="letter 7",
    )  # fmt: skip
    desk.browser.keep("desk-issue")
    desk.press()
    desk.browser.until("document.querySelector('.trouble') !== null")
    desk.browser.keep("desk-refused")
    kept = desk.driver.find_element(By.CSS_SELECTOR, ".kept").text
    assert UPLOAD.name in kept, "the file need not be chosen again"
    assert desk.driver.find_element(By.ID, "promise").get_attribute("value") == "letter 7"
    path = desk.propose(payee=SUPPLIER)
    desk.state("OPEN")
    desk.browser.keep("desk-proposed")
    desk.both(CORE, path, ("checker", "approver"))
    desk.browser.keep("desk-receipt")
    link = desk.driver.find_element(By.CSS_SELECTOR, ".tags a[href^='/vouchers/']")
    return str(link.get_attribute("href")).rpartition("/")[2]


def _claim_and_pass_on(desk: Desk, voucher: str) -> None:
    desk.sign_in(SUPPLIER, "maker")
    desk.task("claim", voucher)
    desk.both(SUPPLIER, desk.propose())
    desk.sign_in(SUPPLIER, "maker")
    desk.task("transfer", voucher)
    path = desk.propose(receiver_1=SECOND, amount_1="20,000.00")
    checker = desk.place.visitor(SUPPLIER, "checker")
    assert checker.post(f"{path}/approve").status == 303
    desk.state("DONE")  # the maker's page follows, with nobody before it
    receipt = desk.driver.find_element(By.CSS_SELECTOR, "main a[href^='/transactions/']")
    transaction = str(receipt.get_attribute("href")).removeprefix(desk.browser.base)
    assert checker.until(transaction, "20,000.00"), "what it changed"


def _draw_one_yuan(desk: Desk, voucher: str) -> None:
    desk.sign_in(SECOND, "maker", "zh")
    desk.task("draw", voucher)
    desk.browser.keep("desk-draw-zh")
    desk.fill(amount="1.00", offer="bank-2", account="CNY", purpose="货款")
    desk.press()
    desk.state("DRAFT")
    price = desk.driver.find_element(By.CSS_SELECTOR, ".price").text
    assert "4.35 %" in price and "1.00CNY" in price
    desk.browser.keep("desk-price-zh")
    desk.press()
    desk.state("OPEN")
    path = desk.driver.current_url.removeprefix(desk.browser.base)
    desk.sign_in(SECOND, "checker")
    desk.browser.keep("desk-to-check")
    desk.approve(path)
    desk.state("DONE")


def _pay_out(desk: Desk) -> None:
    desk.sign_in(BANK, "maker")
    desk.task("payout")
    desk.both(BANK, desk.propose(receipt="R-1001"))


def _is_drawn(desk: Desk, voucher: str) -> None:
    """At the pages of a validator, which sees the chain."""
    network = AddressBook(desk.place.directory).network
    node = testnet_processes.load_network(network).nodes[0]
    desk.browser.base = f"http://{node.web}"
    desk.browser.open(f"/vouchers/{voucher}?lang=en")
    desk.browser.until("document.querySelectorAll('#graph canvas').length > 0")
    passages = desk.driver.find_elements(By.CSS_SELECTOR, "#passages tbody tr")
    kinds = [row.get_attribute("data-passage") for row in passages]
    assert kinds == ["ISSUE", "TRANSFER", "SALE"]
    desk.browser.keep("desk-graph")


def _settle(desk: Desk, voucher: str) -> None:
    desk.sign_in(BANK, "maker")
    desk.task("funds", voucher)
    desk.both(BANK, desk.propose(receipt="F-2001"))
    for number in range(3):
        desk.sign_in(BANK, "maker")
        desk.task("pay")
        desk.both(BANK, desk.propose(receipt=f"P-300{number}"))
    desk.browser.open("/desk")
    desk.browser.keep("desk-done")


# --- a one-person shop ------------------------------------------------------------------------------------


def test_a_one_person_shop_acts_alone(place: Place) -> None:
    owner = place.visitor(SHOP, "owner")
    form = owner.task("transfer")
    path = owner.draft(form, receiver_1=SECOND, amount_1="2.00")
    assert owner.post(f"{path}/propose").status == 303
    assert owner.until(path, "state-DONE")


# --- strangers --------------------------------------------------------------------------------------------


def test_a_stranger_gets_nowhere(place: Place) -> None:
    maker = place.visitor(CORE, "maker")
    nobody = place.visitor(CORE, "")
    for path in ("/desk", "/acts/issue", "/people", "/proposals/" + "0" * 32):
        answer = nobody.get(path)
        assert answer.status == 401
        html5lib.HTMLParser(strict=True).parse(answer.text)
    assert nobody.post("/acts/issue", promise="x").status == 401
    assert nobody.try_to_sign_in("maker", "not the password").status == 401
    unknown, wrong = (
        nobody.try_to_sign_in(name, "not the password").text for name in ("no-one.here", "checker")
    )
    assert unknown.replace("no-one.here", "NAME") == wrong.replace("checker", "NAME")
    elsewhere = place.visitor(BANK, "")
    elsewhere.cookie = maker.cookie.replace(str(maker.port), str(elsewhere.port))
    assert elsewhere.get("/desk").status == 401, "a session is one of its own light node"


def test_each_does_only_what_his_role_says(place: Place) -> None:
    checker, maker = place.visitor(SUPPLIER, "checker"), place.visitor(SUPPLIER, "maker")
    form = maker.task("transfer")
    assert checker.get(form).status == 403
    assert checker.post(form, receiver_1=SECOND, amount_1="1.00").status == 403
    path = maker.draft(form, receiver_1=SECOND, amount_1="1.00")
    assert checker.get(path).status == 404, "a draft is its maker's alone"
    assert maker.post(f"{path}/propose").status == 303
    own = maker.post(f"{path}/approve")
    assert (own.status, "NOT_ALLOWED" in own.text) == (409, True)
    assert checker.post(f"{path}/withdraw").status == 409
    silent = checker.post(f"{path}/decline", reason=" ")
    assert (silent.status, "REASON_MISSING" in silent.text) == (409, True)
    forged = checker.post(f"{path}/approve", csrf="0" * 64)
    assert (forged.status, "FORM_FOREIGN" in forged.text) == (403, True)
    foreign = checker.post(f"{path}/approve", origin="http://127.0.0.1:1")
    assert (foreign.status, "PAGE_FOREIGN" in foreign.text) == (403, True)
    assert "state-OPEN" in maker.get(path).text, "nothing of that did anything"
    assert checker.post(f"{path}/decline", reason="not agreed with them").status == 303
    assert "not agreed with them" in maker.get(path).text
    late = checker.post(f"{path}/approve")
    assert (late.status, "PROPOSAL_DECIDED" in late.text) == (409, True)


def test_what_belongs_to_others_is_refused_by_the_law(place: Place) -> None:
    lots = place.visitor(SECOND, "maker").task("transfer")
    other = place.visitor(SUPPLIER, "maker")
    answer = other.post(lots, receiver_1=SHOP, amount_1="1.00")
    assert (answer.status, "NOT_HOLDER" in answer.text) == (422, True)
    assert 'value="1.00"' in answer.text, "what was entered is kept"
    html5lib.HTMLParser(strict=True).parse(answer.text)


def test_pages_of_the_desk_are_valid_in_both_languages(place: Place) -> None:
    maker = place.visitor(SUPPLIER, "maker")
    form = maker.task("transfer")
    path = maker.draft(form, receiver_1=SECOND, amount_1="1.00")
    for page in ("/desk", form, form.replace("transfer", "draw"), form.replace("transfer", "request"),
                 path, "/people", "/acts/issue"):  # fmt: skip
        for language in ("zh", "en"):
            answer = maker.get(page + ("&" if "?" in page else "?") + f"lang={language}")
            assert answer.status == 200, (page, answer.text)
            html5lib.HTMLParser(strict=True).parse(answer.text)
    assert maker.post(f"{path}/withdraw").status == 303
    again = maker.post(f"{path}/withdraw")
    assert again.status == 303, "once more does nothing"
