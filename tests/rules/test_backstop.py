"""The backstop pool of banks (voucher law §8.7)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld
from law_world import PEOPLE

from node.ledger import backstop as rules
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.receipts import CommandReceipt

SHARES = (("bank-2", 5_000), ("bank-3", 3_000), ("bank-4", 2_000))


class Pooled(FollowedWorld):
    """devices holds a voucher of 1,000 by core; three banks agreed on a pool of 900 at 80 %, 3 %."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.core_and_suppliers()
        self.paper = self.voucher(1_000)
        self.pool = self.jointly(self.creating(), "bank-4", "bank-3", "bank-2")
        self.dues = self.get(r.Voucher, self.paper)

    def creating(self, **changes: object) -> c.BackstopCreate:
        given = {
            "label": b"pool", "lead_bank": self.ids["bank-3"], "currency": "CNY",
            "banks": tuple(r.BackstopShare(self.ids[name], share) for name, share in SHARES),
            "debtors": (self.ids["core"],), "programmes": (), "cap": 900, "advance_bps": 8_000,
            "rate_ppm": 30_000, "basis": 360, "recourse": False, "triggers": 3,
        }  # fmt: skip
        return c.BackstopCreate(**(given | changes))  # type: ignore[arg-type]  # by name

    def draw_on(self, amount: int, start: int = 0, **changes: object) -> c.BackstopDraw:
        given = {
            "label": b"loan", "backstop": self.pool, "voucher": self.paper, "start": start,
            "amount": amount, "payee": self.account("devices"), "purpose": r.Purpose.PAYROLL,
        }  # fmt: skip
        return c.BackstopDraw(**(given | changes))  # type: ignore[arg-type]  # by name

    def trigger(self, **changes: object) -> c.BackstopTrigger:
        given = {
            "label": self.label, "backstop": self.pool, "debtor": self.ids["core"],
            "overdue_voucher": self.paper, "distress_event": None,
        }  # fmt: skip
        return c.BackstopTrigger(**(given | changes))  # type: ignore[arg-type]  # by name

    def go_overdue(self) -> None:
        self.roll_to(self.dues.grace_end + 1)

    def orders(self, drawn: CommandReceipt) -> list[tuple[str, bytes, int]]:
        """(bank, instruction, amount) of what is open, in the order of the pool."""
        names = {id: name for name, id in self.ids.items()}
        found = []
        for created in drawn.created:
            order = self.state.get(r.Kind.INSTRUCTION, created.id)
            if isinstance(order, r.Instruction):
                found.append((names[order.bank], created.id, order.amount))
        return found

    def orders_of(self, bank: str) -> list[r.Instruction]:
        """Open instructions of a bank, by payee and start of the lot."""
        keys = self.state.index_scan(Index.BANK_INSTRUCTIONS, self.ids[bank], limit=500)
        found = [self.get(r.Instruction, key[16:]) for key in keys]
        return sorted(found, key=lambda order: order.start)

    def surplus_of(self, bank: str) -> list[tuple[bytes, int]]:
        purpose = r.InstructionPurpose.SURPLUS
        return [(o.payee, o.amount) for o in self.orders_of(bank) if o.purpose is purpose]

    def receipt_number(self) -> bytes:
        return sha256(b"receipt" + self.label).digest()

    def pay(self, drawn: CommandReceipt, *banks: str) -> None:
        for bank, id, amount in self.orders(drawn):
            if not banks or bank in banks:
                number = self.receipt_number()
                self.ok(bank, c.PayoutConfirm(self.label, id, amount, number))

    def used(self) -> tuple[int, int]:
        pool = self.get(r.Backstop, self.pool)
        return pool.reserved, pool.drawn

    @property
    def loan(self) -> bytes:
        return self.financing("devices", b"loan")


@pytest.fixture
def world() -> Pooled:
    return Pooled()


# --- create -----------------------------------------------------------------------------------------


def test_a_pool_needs_the_consent_of_every_member_bank(world: Pooled) -> None:
    other = world.creating(cap=1)
    assert world.ok("bank-2", other).result == (1, 3)
    world.refused("CONSENT_REPEATED", "bank-2", other)
    world.refused("NOT_AUTHORISED", "bank-1", other)
    assert world.ok("bank-3", other).result == (2, 3)
    assert world.ok("bank-4", other).created[0].kind == r.Kind.BACKSTOP


def test_shares_sum_to_the_whole_and_the_lead_is_a_member(world: Pooled) -> None:
    two = tuple(r.BackstopShare(world.ids[name], 5_000) for name in ("bank-2", "bank-3"))
    short = (two[0], r.BackstopShare(world.ids["bank-3"], 4_999))
    for code, changes in (
        ("AMOUNT_RANGE", {"banks": short}),
        ("SCHEMA_INVALID", {"banks": two, "lead_bank": world.ids["bank-4"]}),
        ("SCHEMA_INVALID", {"banks": two, "debtors": ()}),
        ("SCHEMA_INVALID", {"banks": two, "triggers": 4}),
        ("AMOUNT_RANGE", {"banks": two, "cap": 0}),
    ):
        other = world.creating(**changes)
        world.ok("bank-2", other)
        world.refused(code, "bank-3", other)


# --- trigger and close ------------------------------------------------------------------------------


def test_BACKSTOP_NOT_TRIGGERED_before_distress_nobody_borrows(world: Pooled) -> None:
    world.refused("BACKSTOP_NOT_TRIGGERED", "devices", world.draw_on(100))
    world.refused("BACKSTOP_NOT_TRIGGERED", "bank-3", world.trigger())
    world.roll_to(world.dues.grace_end)
    world.refused("BACKSTOP_NOT_TRIGGERED", "devices", world.draw_on(100))


def test_the_lead_bank_triggers_on_an_overdue_voucher_for_its_debtor(world: Pooled) -> None:
    world.go_overdue()
    world.refused("NOT_AUTHORISED", "bank-2", world.trigger())
    world.refused("OFFER_SCOPE", "bank-3", world.trigger(debtor=world.ids["devices"]))
    world.refused("BACKSTOP_NOT_TRIGGERED", "bank-3", world.trigger(overdue_voucher=None))
    world.ok("bank-3", world.trigger())
    pool = world.get(r.Backstop, world.pool)
    assert (pool.state, pool.triggered) == (r.BackstopState.TRIGGERED, (world.ids["core"],))
    world.refused("STATE_CONFLICT", "bank-3", world.trigger())


def test_a_regulator_triggers_and_closes(world: Pooled) -> None:
    world.people["regulator"] = tuple(PEOPLE)
    world.admit("regulator", r.OrganisationKind.REGULATOR)
    world.go_overdue()
    world.ok("regulator", world.trigger())
    world.ok("regulator", c.BackstopClose(world.label, world.pool))
    world.refused("BACKSTOP_NOT_TRIGGERED", "devices", world.draw_on(100))
    world.refused("STATE_CONFLICT", "bank-3", c.BackstopClose(world.label, world.pool))


def test_declared_difficulty_inside_a_distress_event_triggers(world: Pooled) -> None:
    """Both are needed: an open event that hits the debtor, and the debtor's own declaration."""
    world.people["regulator"] = tuple(PEOPLE)
    world.admit("regulator", r.OrganisationKind.REGULATOR)
    flood = c.DistressOpen(world.label, ("coast",), (), world.day, world.day + 60)
    event = world.ok("regulator", flood).created[0].id
    quake = c.DistressOpen(world.label, ("hills",), (), world.day, world.day + 60)
    elsewhere = world.ok("regulator", quake).created[0].id
    trigger = world.trigger(overdue_voucher=None, distress_event=event)
    world.refused("BACKSTOP_NOT_TRIGGERED", "bank-3", trigger)
    world.ok("core", c.DistressDeclare(world.label))
    other = world.trigger(overdue_voucher=None, distress_event=elsewhere)
    world.refused("BACKSTOP_NOT_TRIGGERED", "bank-3", other)
    world.ok("bank-3", trigger)
    assert world.ok("devices", world.draw_on(100)).result == (80, 30_000)


def test_a_closed_pool_lends_no_more_and_running_loans_stand(world: Pooled) -> None:
    world.go_overdue()
    world.pay(world.ok("devices", world.draw_on(500)))
    world.refused("NOT_AUTHORISED", "bank-2", c.BackstopClose(world.label, world.pool))
    world.ok("bank-3", c.BackstopClose(world.label, world.pool))
    world.refused("BACKSTOP_NOT_TRIGGERED", "devices", world.draw_on(100, label=b"more"))
    assert world.lots(world.paper)[1] == ("devices", 500, 1_000, "PLEDGED")
    assert world.used() == (0, 400)


# --- draw -------------------------------------------------------------------------------------------


def test_a_draw_on_an_overdue_voucher_triggers_by_itself_and_is_shared(world: Pooled) -> None:
    """80 % of 101 are 80 fen; 40, 24, 16 by share. One instruction a bank; the last one pledges."""
    world.go_overdue()
    drawn = world.ok("devices", world.draw_on(101))
    assert drawn.result == (80, 30_000)
    assert [(bank, amount) for bank, _, amount in world.orders(drawn)] == [
        ("bank-2", 40), ("bank-3", 24), ("bank-4", 16)
    ]  # fmt: skip
    world.pay(drawn, "bank-2", "bank-4")
    assert world.lots(world.paper)[1] == ("devices", 899, 1_000, "FINANCING_PENDING")
    assert world.used() == (24, 56)
    world.pay(drawn)
    assert world.lots(world.paper)[1] == ("devices", 899, 1_000, "PLEDGED")
    assert world.used() == (0, 80)
    assert world.get(r.Financing, world.loan).funder == world.ids["bank-3"], "lien for the lead"


def test_leftover_units_go_to_the_largest_remainders(world: Pooled) -> None:
    """7 fen by 50, 30, 20 %: 3.5, 2.1, 1.4 give 4, 2, 1."""
    world.go_overdue()
    drawn = world.ok("devices", world.draw_on(9))
    assert [amount for _, _, amount in world.orders(drawn)] == [4, 2, 1]


def test_a_bank_without_a_share_of_a_small_loan_is_not_instructed(world: Pooled) -> None:
    world.go_overdue()
    drawn = world.ok("devices", world.draw_on(2))
    assert [(bank, amount) for bank, _, amount in world.orders(drawn)] == [("bank-2", 1)]
    world.pay(drawn)
    assert world.used() == (0, 1)


def test_BACKSTOP_CAP_and_the_other_refusals_of_a_draw(world: Pooled) -> None:
    world.go_overdue()
    small = world.jointly(world.creating(cap=79), "bank-2", "bank-3", "bank-4")
    world.refused("BACKSTOP_CAP", "devices", world.draw_on(100, backstop=small))
    world.refused("NOT_HOLDER", "shop", world.draw_on(100))
    world.refused("AMOUNT_RANGE", "devices", world.draw_on(1_001))
    world.refused("NET_NOT_POSITIVE", "devices", world.draw_on(1))
    world.refused("PAYEE_NOT_ALLOWED", "devices", world.draw_on(100, payee=world.account("shop")))
    world.join("elsewhere", r.OrganisationKind.CORE, r.Size.LARGE)
    foreign = world.creating(debtors=(world.ids["elsewhere"],))
    other = world.jointly(foreign, "bank-2", "bank-3", "bank-4")
    world.refused("OFFER_SCOPE", "devices", world.draw_on(100, backstop=other))
    world.ok("devices", world.draw_on(100))
    world.refused("LOT_LOCKED", "devices", world.draw_on(100, start=900, label=b"twice"))


def test_DOCUMENT_VOID_no_backstop_on_a_voucher_whose_document_is_void(world: Pooled) -> None:
    world.admit("oracle", r.OrganisationKind.ORACLE)
    world.go_overdue()
    world.ok("oracle", c.DocumentVoid(world.label, world.dues.documents[0].document))
    world.refused("DOCUMENT_VOID", "devices", world.draw_on(100))
    assert world.used() == (0, 0)


def test_REVIEW_REQUIRED_a_backstop_loan_is_a_financing_too(world: Pooled) -> None:
    line = world.ids["line ISSUE bank-1 core"]
    far = world.issue(
        900, world.document(900), world.programme(), line, maturity=world.day + 184
    )  # fmt: skip
    world.paper = world.ok("core", far).created[0].id
    world.ok("devices", c.VoucherClaim(world.label, world.paper, True))
    draw = world.draw("devices", world.paper, 0, 100, world.offer())
    world.refused("REVIEW_REQUIRED", "devices", draw)
    world.roll_to(world.get(r.Voucher, world.paper).grace_end + 1)
    world.refused("REVIEW_REQUIRED", "devices", world.draw_on(100))


def test_a_defaulted_voucher_is_not_lent_on(world: Pooled) -> None:
    world.roll_to(world.dues.grace_end + 31)
    world.refused("VOUCHER_STATE", "devices", world.draw_on(100))


def test_SELF_DEALING_a_member_bank_does_not_borrow_from_its_pool(world: Pooled) -> None:
    world.sell("devices", world.paper, 0, 100, world.offer())
    world.go_overdue()
    world.refused("SELF_DEALING", "bank-2", world.draw_on(100, start=900))


# --- pay-outs that do not come ----------------------------------------------------------------------


def test_a_bank_that_does_not_pay_makes_the_loan_smaller(world: Pooled) -> None:
    world.go_overdue()
    drawn = world.ok("devices", world.draw_on(100))
    (_, first, _), *_ = world.orders(drawn)
    world.ok("bank-2", c.PayoutFail(world.label, first))
    assert world.used() == (40, 0)
    world.pay(drawn)
    assert world.get(r.Financing, world.loan).principal == 40
    assert world.lots(world.paper)[1] == ("devices", 900, 1_000, "PLEDGED")
    assert world.used() == (0, 40)


def test_a_draw_that_nobody_pays_is_undone_in_time(world: Pooled) -> None:
    world.go_overdue()
    world.ok("devices", world.draw_on(100))
    world.block(seconds=86_400)
    assert [lot[3] for lot in world.lots(world.paper)] == ["HELD", "HELD"]
    assert world.used() == (0, 0)
    assert world.state.get(r.Kind.FINANCING, world.loan) is None


def test_what_is_paid_when_the_time_is_over_is_the_loan(world: Pooled) -> None:
    world.go_overdue()
    drawn = world.ok("devices", world.draw_on(100))
    world.pay(drawn, "bank-2")
    world.block(seconds=86_400)
    assert world.get(r.Financing, world.loan).principal == 40
    assert world.used() == (0, 40)


# --- the end of a loan ------------------------------------------------------------------------------


def test_a_loan_is_repaid_to_the_lead_bank_and_frees_pool_and_range(world: Pooled) -> None:
    world.go_overdue()
    world.pay(world.ok("devices", world.draw_on(100)))
    announced = world.ok("devices", c.FinancingRepay(world.label, world.loan, 80))
    instruction = announced.created[0].id
    number = world.receipt_number()
    world.ok("bank-3", c.RepayConfirm(world.label, instruction, 80, number))
    assert world.lots(world.paper)[1] == ("devices", 900, 1_000, "HELD")
    assert world.used() == (0, 0)


def settle(world: Pooled, start: int, amount: int) -> r.Instruction:
    id = next(i for i, key in world.model.settlements.items() if key == (world.paper, start))
    world.ok("bank-1", c.SettlementPaid(world.label, id, amount, world.receipt_number()))
    return world.get(r.Instruction, id)


def fund(world: Pooled, amount: int) -> None:
    number = world.receipt_number()
    world.ok("bank-1", c.FundsReceived(world.label, world.paper, amount, 0, number))


def test_a_loan_runs_until_the_range_is_paid_and_the_surplus_is_the_borrowers(
    world: Pooled,
) -> None:
    world.go_overdue()
    world.pay(world.ok("devices", world.draw_on(400)))
    world.roll_to(world.day + 90)
    interest = (2 * 320 * 30_000 * 90 + 360_000_000) // 720_000_000
    fund(world, 1_000)
    assert settle(world, 600, 400).payee == world.ids["bank-3"]
    assert world.state.get(r.Kind.FINANCING, world.loan) is None
    assert world.used() == (0, 0)
    surplus = world.surplus_of("bank-3")
    assert surplus == [(world.ids["devices"], 400 - 320 - interest)]


@pytest.mark.parametrize("recourse", [False, True])
def test_without_recourse_a_loan_ends_with_its_range(world: Pooled, recourse: bool) -> None:
    """At 100 % a year for 100 days the range does not bring principal and interest."""
    costly = world.creating(advance_bps=10_000, rate_ppm=1_000_000, recourse=recourse)
    world.pool = world.jointly(costly, "bank-2", "bank-3", "bank-4")
    world.go_overdue()
    world.pay(world.ok("devices", world.draw_on(400)))
    world.roll_to(world.day + 90)
    fund(world, 1_000)
    settle(world, 600, 400)
    loan = world.state.get(r.Kind.FINANCING, world.loan)
    assert (loan is not None) is recourse
    assert world.used() == (0, 100), "the loss stays used up in the pool"


def test_a_pending_draw_goes_on_at_maturity(world: Pooled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "in_declared_difficulty", lambda *_: True)
    world.ok("bank-3", world.trigger(overdue_voucher=None, distress_event=bytes(16)))
    world.roll_to(world.dues.maturity - 1)
    world.block(seconds=3_600)
    drawn = world.ok("devices", world.draw_on(400))
    network = world.get(r.Network, r.NETWORK_ID)
    world.block(seconds=network.next_roll - world.time)
    world.pay(drawn)
    assert world.lots(world.paper)[1] == ("devices", 600, 1_000, "PLEDGED")
    fund(world, 1_000)
    assert settle(world, 600, 400).payee == world.ids["bank-3"]


# --- scenario A of §19: the backstop ----------------------------------------------------------------


def test_scenario_A_the_backstop_carries_the_shop_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """¥500,000 at 2027-03-01; two sales; on 2027-04-20 the pool lends 80 % of the whole rest at 3 %; the
    debtor pays 91 days later with penalty: interest 242,666, to the shop 8,597,312 beside the loan."""
    monkeypatch.setattr(rules, "in_declared_difficulty", lambda *_: True)
    world = Pooled()
    world.paper = world.voucher(50_000_000, payee="shop")
    offer = world.offer()
    world.sell("shop", world.paper, 0, 100, offer)
    world.sell("shop", world.paper, 0, 10_000_000, offer)
    big = world.creating(cap=10**10)
    world.pool = world.jointly(big, "bank-2", "bank-3", "bank-4")
    world.roll_to(world.day + 50)
    world.ok("bank-3", world.trigger(overdue_voucher=None, distress_event=bytes(16)))
    draw = world.draw_on(39_999_900, payee=world.account("shop"))
    drawn = world.ok("shop", draw)
    assert drawn.result[0] == 31_999_920
    world.pay(drawn)
    given = world.get(r.Voucher, world.paper)
    world.roll_to(given.grace_end + 43)
    number = world.receipt_number()
    funds = c.FundsReceived(world.label, world.paper, 50_000_000, 1_050_000, number)
    world.ok("bank-1", funds)
    penalties = [
        (order.payee, order.amount)
        for order in world.orders_of("bank-1") if order.purpose is r.InstructionPurpose.PENALTY
    ]  # fmt: skip
    assert penalties == [(world.ids["bank-3"], 839_998), (world.ids["bank-2"], 210_002)]
    settle(world, 0, 39_999_900)
    assert world.surplus_of("bank-3") == [(world.ids["shop"], 8_597_312)]
    assert 39_999_900 - 31_999_920 - 242_666 + 839_998 == 8_597_312
