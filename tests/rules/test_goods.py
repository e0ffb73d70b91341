"""Warehouse receipts and prepayment finance (voucher law §8.9)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld
from law_world import PEOPLE

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import record_id

LENT = 100_000_000
"""¥1,000,000 for 2,000 cases at ¥720, of whose value 70 % are advanced (scenario C of §19)."""


class Stored(FollowedWorld):
    """A distributor orders from a distillery; bank-2 has a BORROWER line for it; `store` stores."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.people["store"] = tuple(PEOPLE)
        self.admit("store", r.OrganisationKind.WAREHOUSE)
        self.join("distillery", r.OrganisationKind.CORE, r.Size.LARGE)
        self.join("retail", r.OrganisationKind.DISTRIBUTOR)
        self.limit = self.line(r.LineKind.BORROWER, "bank-2", "retail", LENT)
        self.ship_by = self.day + 10

    def requesting(self, **changes: object) -> c.PrepaymentRequest:
        given = {
            "label": b"order", "maker": self.ids["distillery"], "bank": self.ids["bank-2"],
            "account": self.account("distillery"), "currency": "CNY", "amount": LENT,
            "sku": "B-12", "unit": "case", "ship_by": self.ship_by, "end_day": self.day + 60,
        }  # fmt: skip
        return c.PrepaymentRequest(**(given | changes))  # type: ignore[arg-type]  # by name

    @property
    def order(self) -> bytes:
        return record_id(r.Kind.PREPAYMENT, self.ids["retail"], b"order")

    def funding(self, **changes: object) -> c.PrepaymentFund:
        given = {
            "label": b"loan", "prepayment": self.order, "amount": LENT, "rate_ppm": 0,
            "basis": 360, "advance_bps": 7_000,
        }  # fmt: skip
        return c.PrepaymentFund(**(given | changes))  # type: ignore[arg-type]  # by name

    @property
    def loan(self) -> bytes:
        return self.financing("bank-2", b"loan")

    def shipping(self, quantity: int = 2_000, unit_value: int = 72_000) -> c.PrepaymentShip:
        return c.PrepaymentShip(
            b"goods", self.order, self.ids["store"], "hall-3", quantity, unit_value
        )

    @property
    def goods(self) -> bytes:
        return record_id(r.Kind.WAREHOUSE_RECEIPT, self.ids["distillery"], b"goods")

    def fund(self) -> None:
        """Requested, granted and paid out."""
        self.ok("retail", self.requesting())
        self.pay_out("bank-2", self.ok("bank-2", self.funding()), LENT)

    def repay(self, amount: int) -> None:
        announced = self.ok("retail", c.FinancingRepay(self.label, self.loan, amount))
        receipt = sha256(b"receipt" + self.label).digest()
        instruction = announced.created[0].id
        self.ok("bank-2", c.RepayConfirm(self.label, instruction, amount, receipt))

    def ranges(self, receipt: bytes) -> tuple[int, int, int]:
        """Pledged, stored, in all."""
        found = self.get(r.WarehouseReceipt, receipt)
        return found.pledged, found.stored, found.quantity

    def release(self, quantity: int, receipt: bytes | None = None) -> c.WarehouseReceiptRelease:
        return c.WarehouseReceiptRelease(self.label, receipt or self.goods, quantity)

    def deliver(self, quantity: int, receipt: bytes | None = None) -> c.WarehouseReceiptDeliver:
        return c.WarehouseReceiptDeliver(self.label, receipt or self.goods, quantity)

    def issuing(self, **changes: object) -> c.WarehouseReceiptIssue:
        given = {
            "label": self.label, "owner": self.ids["retail"], "sku": "B-12", "unit": "case",
            "location": "hall-1", "currency": "CNY", "quantity": 100, "unit_value": 72_000,
        }  # fmt: skip
        return c.WarehouseReceiptIssue(**(given | changes))  # type: ignore[arg-type]  # by name

    def used(self) -> tuple[int, int]:
        line = self.get(r.CreditLine, self.limit)
        return line.reserved, line.used


@pytest.fixture
def world() -> Stored:
    return Stored()


# --- receipts ---------------------------------------------------------------------------------------


def test_a_warehouse_issues_and_delivers_from_the_tail(world: Stored) -> None:
    world.refused("NOT_LICENSED", "retail", world.issuing())
    world.refused("AMOUNT_RANGE", "store", world.issuing(quantity=0))
    receipt = world.ok("store", world.issuing()).created[0].id
    world.refused("NOT_AUTHORISED", "retail", world.deliver(40, receipt))
    world.ok("store", world.deliver(40, receipt))
    assert world.ranges(receipt) == (0, 60, 100)
    world.refused("QUANTITY_EXCEEDED", "store", world.deliver(61, receipt))
    world.ok("store", world.deliver(60, receipt))
    assert world.get(r.WarehouseReceipt, receipt).status is r.ReceiptStatus.DELIVERED


def test_the_owner_pledges_what_is_stored_for_its_own_loan(world: Stored) -> None:
    world.fund()
    receipt = world.ok("store", world.issuing()).created[0].id
    world.ok("store", world.deliver(10, receipt))
    pledge = c.WarehouseReceiptPledge(world.label, receipt, world.loan, 7_000)
    world.refused("NOT_AUTHORISED", "distillery", pledge)
    world.ok("retail", pledge)
    assert world.ranges(receipt) == (90, 90, 100)
    assert world.get(r.WarehouseReceipt, receipt).pledgee == world.ids["bank-2"]
    world.refused("RECEIPT_PLEDGED", "retail", pledge)
    world.refused("RECEIPT_PLEDGED", "store", world.deliver(1, receipt))
    world.refused("QUANTITY_EXCEEDED", "store", world.deliver(91, receipt))


def test_an_oracle_prices_and_a_release_goes_by_the_new_value(world: Stored) -> None:
    world.people["board"] = tuple(PEOPLE)
    world.admit("board", r.OrganisationKind.ORACLE)
    world.fund()
    world.ok("distillery", world.shipping())
    world.repay(40_000_000)
    dearer = c.WarehouseReceiptPrice(world.label, world.goods, 60_000)
    world.refused("ORACLE_REQUIRED", "retail", dearer)
    world.ok("board", dearer)
    world.refused("LOAN_TO_VALUE", "bank-2", world.release(800))
    world.ok("board", c.WarehouseReceiptPrice(world.label, world.goods, 71_429))
    world.ok("bank-2", world.release(800))


def test_free_goods_are_split_off_and_passed_on_pledged_ones_are_not(world: Stored) -> None:
    world.fund()
    world.ok("distillery", world.shipping())
    world.repay(40_000_000)
    world.ok("bank-2", world.release(800))
    split = lambda quantity: c.WarehouseReceiptSplit(b"part", world.goods, quantity)  # noqa: E731
    passing = lambda receipt, to: c.WarehouseReceiptTransfer(world.label, receipt, world.ids[to])  # noqa: E731
    world.refused("NOT_AUTHORISED", "distillery", split(1))
    world.refused("QUANTITY_EXCEEDED", "retail", split(2_001))
    world.refused("RECEIPT_PLEDGED", "retail", split(801))
    world.refused("RECEIPT_PLEDGED", "retail", passing(world.goods, "distillery"))
    part = world.ok("retail", split(300)).created[0].id
    assert (world.ranges(world.goods), world.ranges(part)) == (
        (1_200, 1_700, 1_700), (0, 300, 300)
    )  # fmt: skip
    world.refused("RECEIVER_NOT_ELIGIBLE", "retail", passing(part, "retail"))
    world.ok("retail", passing(part, "distillery"))
    assert world.get(r.WarehouseReceipt, part).owner == world.ids["distillery"]
    world.refused("STATE_CONFLICT", "distillery", c.WarehouseReceiptSplit(b"x", part, 300))


# --- scenario C of §19: 1+N -------------------------------------------------------------------------


def test_scenario_C_releases_follow_the_repayment(world: Stored) -> None:
    """After ¥400,000 of ¥1,000,000 are repaid 800 of 2,000 cases are released, 801 are not."""
    world.fund()
    world.ok("distillery", world.shipping())
    assert world.ranges(world.goods) == (2_000, 2_000, 2_000)
    world.refused("RECEIPT_PLEDGED", "store", world.deliver(1))
    world.refused("QUANTITY_EXCEEDED", "bank-2", world.release(1))
    world.repay(40_000_000)
    world.refused("NOT_AUTHORISED", "bank-3", world.release(800))
    world.refused("QUANTITY_EXCEEDED", "bank-2", world.release(801))
    world.ok("bank-2", world.release(800))
    world.refused("QUANTITY_EXCEEDED", "bank-2", world.release(1))
    world.refused("RECEIPT_PLEDGED", "store", world.deliver(801))
    world.ok("store", world.deliver(800))
    assert world.ranges(world.goods) == (1_200, 1_200, 2_000)
    world.repay(60_000_000)
    world.ok("bank-2", world.release(1_200))
    assert world.ranges(world.goods) == (0, 1_200, 2_000)
    assert world.get(r.WarehouseReceipt, world.goods).pledgee is None
    assert world.used() == (0, 0)


def test_LOAN_TO_VALUE_what_stays_pledged_carries_what_is_outstanding(world: Stored) -> None:
    """An owner's receipt of little value for the loan: half of it is repaid, nothing can be released."""
    world.fund()
    receipt = world.ok("store", world.issuing()).created[0].id
    world.ok("retail", c.WarehouseReceiptPledge(world.label, receipt, world.loan, 7_000))
    world.repay(50_000_000)
    world.refused("LOAN_TO_VALUE", "bank-2", world.release(1, receipt))


# --- prepayment -------------------------------------------------------------------------------------


def test_PAYEE_FIXED_the_money_goes_only_to_the_makers_account(world: Stored) -> None:
    own = world.requesting(account=world.account("retail"))
    world.refused("PAYEE_FIXED", "retail", own)
    world.ok("retail", world.requesting())
    funded = world.ok("bank-2", world.funding())
    instruction = next(x.id for x in funded.created if x.kind == r.Kind.INSTRUCTION)
    order = world.get(r.Instruction, instruction)
    assert (order.payer, order.payee, order.account, order.amount) == (
        world.ids["bank-2"], world.ids["distillery"], world.account("distillery"), LENT
    )  # fmt: skip


def test_who_requests_whom(world: Stored) -> None:
    world.refused("NOT_AUTHORISED", "distillery", world.requesting())
    itself = world.requesting(maker=world.ids["retail"], account=world.account("retail"))
    world.refused("SELF_DEALING", "retail", itself)
    world.refused("NOT_LICENSED", "retail", world.requesting(bank=world.ids["store"]))
    world.refused("DATE_RANGE", "retail", world.requesting(ship_by=world.day))
    world.refused("DATE_RANGE", "retail", world.requesting(ship_by=world.day + 61))
    world.refused("AMOUNT_RANGE", "retail", world.requesting(amount=0))


def test_LINE_EXCEEDED_a_prepayment_fits_the_borrowers_line(world: Stored) -> None:
    world.ok("retail", world.requesting(amount=LENT + 1))
    world.refused("LINE_EXCEEDED", "bank-2", world.funding(amount=LENT + 1))
    world.refused("AMOUNT_MISMATCH", "bank-2", world.funding())
    world.ok("retail", world.requesting(label=b"other", bank=world.ids["bank-3"]))
    other = record_id(r.Kind.PREPAYMENT, world.ids["retail"], b"other")
    world.refused("NOT_AUTHORISED", "bank-2", world.funding(prepayment=other))
    world.refused("LINE_EXCEEDED", "bank-3", world.funding(prepayment=other))


def test_a_payout_that_fails_can_be_funded_again(world: Stored) -> None:
    world.ok("retail", world.requesting())
    funded = world.ok("bank-2", world.funding())
    assert world.used() == (LENT, 0)
    instruction = next(x.id for x in funded.created if x.kind == r.Kind.INSTRUCTION)
    world.ok("bank-2", c.PayoutFail(world.label, instruction))
    assert world.used() == (0, 0)
    world.refused("STATE_CONFLICT", "distillery", world.shipping())
    world.ok("bank-2", world.funding())
    world.block(seconds=86_400)
    assert world.used() == (0, 0), "nobody paid in time"
    world.pay_out("bank-2", world.ok("bank-2", world.funding()), LENT)
    assert world.used() == (0, LENT)


def test_the_maker_ships_goods_that_carry_the_loan(world: Stored) -> None:
    world.fund()
    world.refused("NOT_AUTHORISED", "retail", world.shipping())
    world.refused("LOAN_TO_VALUE", "distillery", world.shipping(1_984))
    world.ok("distillery", world.shipping(1_985))
    receipt = world.get(r.WarehouseReceipt, world.goods)
    assert (receipt.owner, receipt.pledgee) == (world.ids["retail"], world.ids["bank-2"])
    assert world.state.get(r.Kind.PREPAYMENT, world.order) is None


def test_a_request_that_nobody_funds_ends_after_the_last_day_of_shipping(world: Stored) -> None:
    world.ok("retail", world.requesting())
    world.roll_to(world.ship_by)
    assert world.state.get(r.Kind.PREPAYMENT, world.order) is not None
    world.roll_to(world.ship_by + 1)
    assert world.state.get(r.Kind.PREPAYMENT, world.order) is None


def refunds(world: Stored) -> list[tuple[bytes, bytes, int]]:
    """(payer, payee, amount) of the open refunds to bank-2."""
    keys = world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids["bank-2"], limit=50)
    found = [world.get(r.Instruction, key[16:]) for key in keys]
    refund = r.InstructionPurpose.REFUND
    return [(x.payer, x.payee, x.amount) for x in found if x.purpose is refund]


def test_a_maker_that_does_not_ship_owes_the_bank_a_refund(world: Stored) -> None:
    world.fund()
    world.repay(30_000_000)
    world.roll_to(world.ship_by)
    assert refunds(world) == []
    world.roll_to(world.ship_by + 1)
    assert refunds(world) == [(world.ids["distillery"], world.ids["bank-2"], 70_000_000)]
    world.refused("RECORD_NOT_FOUND", "distillery", world.shipping())


def test_the_refund_repays_the_loan_and_what_is_too_much_goes_to_the_distributor(
    world: Stored,
) -> None:
    world.fund()
    world.roll_to(world.ship_by + 1)
    world.repay(30_000_000)
    refund = record_id(r.Kind.INSTRUCTION, world.loan, b"refund")
    receipt = sha256(b"refund").digest()
    world.ok("bank-2", c.InstructionConfirm(world.label, refund, LENT, receipt))
    assert world.state.get(r.Kind.FINANCING, world.loan) is None
    assert world.used() == (0, 0)
    onward = world.get(r.Instruction, record_id(r.Kind.INSTRUCTION, world.loan, b"surplus"))
    assert (onward.payee, onward.amount) == (world.ids["retail"], 30_000_000)


def test_a_payout_confirmed_after_the_deadline_is_refunded_at_once(world: Stored) -> None:
    world.ok("retail", world.requesting())
    world.roll_to(world.ship_by)
    world.block(seconds=3_600)
    funded = world.ok("bank-2", world.funding())
    network = world.get(r.Network, r.NETWORK_ID)
    world.block(seconds=network.next_roll - world.time)
    world.pay_out("bank-2", funded, LENT)
    world.block()
    assert [amount for _, _, amount in refunds(world)] == [LENT]


def test_an_unpaid_prepayment_is_overdue_after_its_end_day(world: Stored) -> None:
    world.fund()
    world.ok("distillery", world.shipping())
    end = world.get(r.Financing, world.loan).end_day
    world.roll_to(end)
    assert world.get(r.Financing, world.loan).state is r.FinancingState.OUTSTANDING
    world.roll_to(end + 1)
    assert world.get(r.Financing, world.loan).state is r.FinancingState.OVERDUE
    world.repay(LENT)
    assert world.state.get(r.Kind.FINANCING, world.loan) is None


def test_an_unpaid_prepayment_is_written_off_after_its_end_day_and_stays_payable(
    world: Stored,
) -> None:
    world.fund()
    world.ok("distillery", world.shipping())
    write_off = c.FinancingWriteOff(b"loss", world.loan)
    world.roll_to(world.get(r.Financing, world.loan).end_day)
    world.refused("STATE_CONFLICT", "bank-2", write_off)
    world.roll_to(world.day + 1)
    world.refused("NOT_AUTHORISED", "bank-3", write_off)
    world.ok("bank-2", write_off)
    assert world.get(r.Financing, world.loan).state is r.FinancingState.WRITTEN_OFF
    world.refused("STATE_CONFLICT", "bank-2", write_off)
    assert world.ranges(world.goods) == (2_000, 2_000, 2_000)
    world.repay(LENT)
    assert world.state.get(r.Kind.FINANCING, world.loan) is None


def test_goods_are_released_not_enforced_STATE_CONFLICT(world: Stored) -> None:
    world.fund()
    world.roll_to(world.get(r.Financing, world.loan).end_day + 1)
    world.refused("STATE_CONFLICT", "bank-2", c.FinancingEnforce(b"take", world.loan))
