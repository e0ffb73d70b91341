"""Who may ask, and what is shown (voucher law §13, §16)."""

from __future__ import annotations

import msgspec
import pytest

from node.visibility import Sight, asker_of
from tallynet import commands as c
from tallynet import records as r
from tallynet.errors import LedgerError
from tallynet.hashing import record_id
from tallynet.penetration import Chain as ChainQuestion
from tallynet.penetration import (
    ChainPart,
    Down,
    Hit,
    HitRole,
    Holding,
    Idle,
    Impact,
    Positions,
    Question,
    Up,
)
from tallynet.receipts import Event
from tests.rules.law_world import public_of
from tests.unit.penetration.ledgers import Ledger


class Chain(Ledger):
    """core -> devices [0,400), bank-2 [400,500) bought; shop [500,700); paint [700,1000) pledged to bank-2."""

    def chain(self, visibility: r.Visibility, debtor: str = "core") -> bytes:
        programme = self.open_programme(visibility=visibility)
        voucher = self.paper(debtor, "devices", 1_000, programme=programme)
        self.pass_on("devices", voucher, 0, 300, "shop")
        self.pass_on("shop", voucher, 700, 300, "paint")
        self.borrow("paint", voucher, 700, 300)
        self.pass_on("devices", voucher, 0, 200, "shop")
        self.sell("devices", voucher, 0, 100, self.sale)
        return voucher

    def holders(self, by: str, voucher: bytes) -> list[str | None]:
        return [
            self.name(row.lot.holder) if row.lot else None
            for row in self.ask(by, Down(voucher))
            if isinstance(row, Holding)
        ]


@pytest.fixture(scope="module")
def world() -> Chain:
    return Chain()


@pytest.mark.parametrize(
    ("visibility", "seen"),
    [
        (r.Visibility.FULL, ["devices", "bank-2", "shop", "paint"]),
        (r.Visibility.TIER1, ["devices", "bank-2", None, None]),
        (r.Visibility.CONSENT, [None, None, None, None]),
    ],
)
def test_the_debtors_side_sees_what_the_programme_says(
    world: Chain, visibility: r.Visibility, seen: list[str | None]
) -> None:
    voucher = world.chain(visibility)
    assert world.holders("core", voucher) == seen
    ranges = [(row.start, row.end) for row in world.ask("core", Down(voucher))]  # type: ignore[union-attr]  # lots
    assert ranges == [(0, 400), (400, 500), (500, 700), (700, 1_000)], (
        "the tiling is nobody's secret"
    )
    hidden = [
        row.amount
        for row in world.ask("core", Impact(world.ids["core"]))
        if isinstance(row, Hit) and row.reference == voucher and row.party is None
    ]
    expected = {r.Visibility.FULL: [], r.Visibility.TIER1: [500], r.Visibility.CONSENT: [1_000]}
    assert hidden == expected[visibility]
    parts = [
        row
        for row in world.ask("core", ChainQuestion(world.ids["core"]))
        if isinstance(row, ChainPart) and row.voucher == voucher
    ]
    assert [part.amount for part in parts if part.holder is None] == expected[visibility]
    assert sum(part.amount for part in parts) == 1_000


def test_a_programme_opened_later_opens_no_voucher_that_was_issued_before(world: Chain) -> None:
    voucher = world.chain(r.Visibility.TIER1)
    programme = world.get(r.Voucher, voucher).programme
    rules = world.rules(visibility=r.Visibility.FULL)
    world.ok("core", c.ProgrammeUpdate(world.label, programme, rules))
    assert world.holders("core", voucher) == ["devices", "bank-2", None, None]


def test_a_party_sees_its_lots_and_no_others(world: Chain) -> None:
    voucher = world.chain(r.Visibility.FULL)
    assert world.holders("watch", voucher) == ["devices", "bank-2", "shop", "paint"]
    assert world.holders("shop", voucher) == [None, None, "shop", None]
    assert world.holders("paint", voucher) == [None, None, None, "paint"]
    assert world.holders("bank-2", voucher) == [None, "bank-2", None, "paint"], "bought, lent on"


def test_an_enterprise_sees_what_its_branch_sees_and_not_the_other_way_round(world: Chain) -> None:
    voucher = world.chain(r.Visibility.TIER1, "store")
    assert world.holders("core", voucher) == world.holders("store", voucher)
    assert world.ask("core", Impact(world.ids["store"]))
    refused(world, "store", Impact(world.ids["core"]))


def refused(world: Chain, by: str, question: Question) -> None:
    with pytest.raises(LedgerError, match="NOT_AUTHORISED"):
        world.page(by, question)


def test_strangers_are_refused(world: Chain) -> None:
    voucher = world.chain(r.Visibility.FULL)
    for stranger in ("rival", "steel", "bank-3", "surety"):
        refused(world, stranger, Down(voucher))
        refused(world, stranger, Up(voucher, 0))
        refused(world, stranger, Positions(world.ids["devices"]))
        refused(world, stranger, Idle(world.ids["devices"], 0))
        refused(world, stranger, Impact(world.ids["core"]))
        refused(world, stranger, ChainQuestion(world.ids["core"]))
    refused(world, "shop", Up(voucher, 0))
    refused(world, "devices", Up(voucher, 500))
    refused(world, "devices", Up(voucher, 1))


def test_who_is_offered_a_lot_or_asked_for_a_quote_sees_it(world: Chain) -> None:
    programme = world.open_programme(accept_mode=r.AcceptMode.EXPLICIT)
    voucher = world.paper("core", "devices", 1_000, programme=programme)
    refused(world, "steel", Down(voucher))
    world.pass_on("devices", voucher, 0, 100, "steel")
    assert world.holders("steel", voucher) == [None, "devices"]
    ask = c.FinancingRequestOpen(
        world.label, voucher, 0, 50, world.account("devices"), r.Purpose.GOODS, (world.ids["bank-3"],)
    )  # fmt: skip
    world.ok("devices", ask)
    assert world.holders("bank-3", voucher) == [None, "devices", None]


def test_terms_of_a_loan_are_between_its_sides(world: Chain) -> None:
    """The debtor sees that a lot is pledged; not to whom, for the record would say at what rate."""
    voucher = world.chain(r.Visibility.FULL)
    for by, lender in (
        ("core", None),
        ("paint", "bank-2"),
        ("bank-2", "bank-2"),
        ("watch", "bank-2"),
    ):
        row = world.ask(by, Down(voucher))[-1]
        assert isinstance(row, Holding) and row.lot is not None
        assert row.lot.state is r.LotState.PLEDGED
        assert world.name(row.financier) == lender
    sale = Event(
        "financing.payout.confirm", r.Kind.VOUCHER, voucher, 3, 400, 500, world.ids["devices"],
        world.ids["bank-2"], 99, b"", None,
    )  # fmt: skip
    passed = Event(
        "lot.transfer", r.Kind.VOUCHER, voucher, 3, 400, 500, world.ids["devices"], world.ids["shop"],
        99, b"", None,
    )  # fmt: skip
    for by, priced in (("core", False), ("shop", False), ("devices", True), ("bank-2", True)):
        sight = Sight(world.state, world.ids[by])
        assert (sight.event(sale), sight.event(passed)) == (priced, True)


def test_a_guarantee_for_one_beneficiary_is_between_him_and_the_guarantor(world: Chain) -> None:
    world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["core"], 70, beneficiary=world.ids["shop"])
    world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["core"], 30)

    def rooms(by: str) -> list[int]:
        rows = world.ask(by, Impact(world.ids["core"]))
        return sorted(x.amount for x in rows if isinstance(x, Hit) and x.role is HitRole.GUARANTOR)

    assert rooms("watch") == [30, 70]
    assert rooms("core") == [30]


def test_an_agent_bank_sees_the_loans_of_which_it_is_lender_of_record(world: Chain) -> None:
    voucher = world.chain(r.Visibility.TIER1)
    loan = world.get(r.Financing, world.get(r.Lot, r.lot_id(voucher, 700)).lien)
    through_agent = msgspec.structs.replace(loan, agent_bank=world.ids["bank-3"])
    for by, seen in (("bank-2", True), ("bank-3", True), ("paint", True), ("bank-4", False)):
        assert Sight(world.state, world.ids[by]).record(through_agent) is seen


# --- keys -------------------------------------------------------------------------------------------


def test_people_ask_machines_and_strangers_do_not(world: Chain) -> None:
    assert asker_of(world.state, public_of("core", "maker"), world.time) == world.ids["core"]
    for code, key in (
        ("NOT_AUTHORISED", public_of("core", "machine")),
        ("KEY_UNKNOWN", public_of("nobody", "maker")),
    ):
        with pytest.raises(LedgerError, match=code):
            asker_of(world.state, key, world.time)


def test_a_revoked_key_asks_no_more(world: Chain) -> None:
    world.join("leaver", r.OrganisationKind.SUPPLIER)
    public = public_of("leaver", "approver")
    assert asker_of(world.state, public, world.time)
    revoke = c.KeyRevoke(world.label, record_id(r.Kind.KEY, b"", public))
    world.ok("leaver", revoke)
    with pytest.raises(LedgerError, match="KEY_REVOKED"):
        asker_of(world.state, public, world.time)
