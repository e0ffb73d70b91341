"""The figures of docs/concepts/settlement.md: a voucher paid in three parts, the last ones late."""

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
from tools.arguments import parse_day

FACE = 100_000


class Maturing(FollowedWorld):
    """core owes 100,000: devices holds half, bank-2 bought 20,000, shop got 30,000."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.core_and_suppliers()
        self.people["surety"] = tuple(PEOPLE)
        self.admit("surety", r.OrganisationKind.GUARANTOR)
        self.paper = self.voucher(FACE)
        piece = c.Piece(self.ids["shop"], 30_000, None)
        self.ok("devices", c.LotTransfer(self.label, self.paper, 0, (piece,)))
        self.sell("devices", self.paper, 0, 20_000, self.offer())
        covering = c.GuaranteeIssue(
            self.label, self.ids["bank-4"], None, r.GuaranteeScope.VOUCHER, self.paper, "CNY",
            25_000, 100, self.day + 365,
        )  # fmt: skip
        self.cover = self.ok("surety", covering).created[0].id
        shares = (("bank-3", 6_000), ("bank-4", 4_000))
        pooling = c.BackstopCreate(
            label=b"pool", lead_bank=self.ids["bank-3"], currency="CNY",
            banks=tuple(r.BackstopShare(self.ids[name], share) for name, share in shares),
            debtors=(self.ids["core"],), programmes=(), cap=50_000, advance_bps=8_000,
            rate_ppm=30_000, basis=360, recourse=False, triggers=3,
        )  # fmt: skip
        self.pool = self.jointly(pooling, "bank-3", "bank-4")

    def receipt_number(self) -> bytes:
        return sha256(b"receipt" + self.label).digest()

    def funds(self, face: int, penalty: int = 0) -> c.FundsReceived:
        return c.FundsReceived(self.label, self.paper, face, penalty, self.receipt_number())

    def lot(self, start: int) -> r.Lot:
        found = self.state.get(r.Kind.LOT, r.lot_id(self.paper, start))
        assert isinstance(found, r.Lot)
        return found

    def pay_all(self) -> dict[str, int]:
        """The clearing bank pays what is covered; payees and amounts."""
        names = {id: name for name, id in self.ids.items()}
        paid: dict[str, int] = {}
        for key in self.state.index_scan(Index.VOUCHER_INSTRUCTIONS, self.paper, limit=50):
            id, order = key[16:], self.get(r.Instruction, key[16:])
            number = self.receipt_number()
            if order.purpose is r.InstructionPurpose.PENALTY:
                amount = order.amount
                self.ok("bank-1", c.InstructionConfirm(self.label, id, amount, number))
            else:
                amount = self.lot(order.start).covered
                if amount:
                    self.ok("bank-1", c.SettlementPaid(self.label, id, amount, number))
            paid[names[order.payee]] = paid.get(names[order.payee], 0) + amount
        return paid

    def lend(self, amount: int) -> tuple[int, dict[str, int]]:
        """shop borrows from the pool on `amount` of its lot: the loan, and what each bank pays."""
        command = c.BackstopDraw(
            b"loan", self.pool, self.paper, 70_000, amount, self.account("shop"), r.Purpose.PAYROLL
        )
        drawn = self.ok("shop", command)
        shares = {}
        for created in drawn.created:
            if created.kind == r.Kind.INSTRUCTION:
                order = self.get(r.Instruction, created.id)
                bank = next(name for name, id in self.ids.items() if id == order.bank)
                shares[bank] = order.amount
                number = self.receipt_number()
                self.ok(bank, c.PayoutConfirm(self.label, created.id, order.amount, number))
        return drawn.result[0], shares

    def blocked(self) -> bool:
        return self.get(r.Organisation, self.ids["core"]).blocked_automatic

    def status(self) -> r.VoucherStatus:
        return self.get(r.Voucher, self.paper).status


@pytest.fixture
def world() -> Maturing:
    return Maturing()


def maturity(world: Maturing) -> None:
    world.roll_to(parse_day("2027-05-31"))
    assert world.status() is r.VoucherStatus.DUE
    world.roll_to(parse_day("2027-06-02"))
    world.refused("FUNDS_EXCEEDED", "bank-1", world.funds(FACE + 1))
    world.ok("bank-1", world.funds(40_000))
    assert world.pay_all() == {"devices": 20_000, "bank-2": 8_000, "shop": 12_000}
    assert world.lots(world.paper) == [
        ("devices", 0, 30_000, "HELD"),
        ("devices", 30_000, 50_000, "REDEEMED"),
        ("bank-2", 50_000, 62_000, "HELD"),
        ("bank-2", 62_000, 70_000, "REDEEMED"),
        ("shop", 70_000, 88_000, "HELD"),
        ("shop", 88_000, FACE, "REDEEMED"),
    ]
    world.roll_to(parse_day("2027-06-07"))
    assert world.status() is r.VoucherStatus.DUE


def help_from_others(world: Maturing) -> None:
    world.roll_to(parse_day("2027-06-08"))
    assert world.status() is r.VoucherStatus.OVERDUE
    assert world.blocked()
    world.ok("bank-2", c.GuaranteeCall(world.label, world.cover, world.paper, 50_000, 12_000))
    number = world.receipt_number()
    paid = c.GuaranteePayConfirm(world.label, world.paper, 50_000, 12_000, number)
    world.ok("bank-4", paid)
    cover = world.get(r.Guarantee, world.cover)
    assert (cover.called, cover.paid, cover.cap) == (12_000, 12_000, 25_000)
    assert world.lend(18_000) == (14_400, {"bank-3": 8_640, "bank-4": 5_760})
    assert world.lots(world.paper)[2::2] == [
        ("surety", 50_000, 62_000, "HELD"),
        ("shop", 70_000, 88_000, "PLEDGED"),
    ]


def late_payment(world: Maturing) -> None:
    world.roll_to(parse_day("2027-06-18"))
    assert world.ok("bank-1", world.funds(40_000)).result == (300,)
    assert world.pay_all() == {"devices": 20_000, "surety": 8_000, "bank-3": 12_000}
    loan = world.get(r.Financing, world.financing("shop", b"loan"))
    assert (loan.interest_billed, loan.principal - loan.repaid) == (0, 2_412)
    world.roll_to(parse_day("2027-07-07"))
    assert world.status() is r.VoucherStatus.OVERDUE
    world.roll_to(parse_day("2027-07-08"))
    assert world.status() is r.VoucherStatus.DEFAULTED
    world.ok("devices", c.SettlementWriteOff(world.label, world.paper))
    assert world.status() is r.VoucherStatus.DEFAULTED, "others have not written theirs off"
    world.roll_to(parse_day("2027-07-10"))
    world.refused("FUNDS_EXCEEDED", "bank-1", world.funds(20_000, 521))
    assert world.ok("bank-1", world.funds(20_000, 520)).result == (0,)
    assert world.pay_all() == {
        "devices": 10_000 + 260,
        "surety": 4_000 + 63,
        "bank-2": 41,
        "shop": 125,
        "bank-3": 6_000 + 31,
    }
    keys = world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids["bank-3"], limit=50)
    orders = [world.get(r.Instruction, key[16:]) for key in keys]
    surplus = 6_031 - (2_412 + 4)
    assert [(o.payee, o.amount) for o in orders] == [(world.ids["shop"], surplus)]
    assert world.status() is r.VoucherStatus.SETTLED
    assert not world.blocked()


def test_a_voucher_paid_in_three_parts(world: Maturing) -> None:
    maturity(world)
    help_from_others(world)
    late_payment(world)


def test_distress_before_maturity(world: Maturing) -> None:
    world.people["watch"] = tuple(PEOPLE)
    world.admit("watch", r.OrganisationKind.REGULATOR)
    days = parse_day("2027-03-01"), parse_day("2027-06-30")
    event = world.ok("watch", c.DistressOpen(world.label, ("coast",), (), *days)).created[0].id
    trigger = c.BackstopTrigger(world.label, world.pool, world.ids["core"], None, event)
    world.refused("BACKSTOP_NOT_TRIGGERED", "bank-3", trigger)
    line = world.ids["line ISSUE bank-1 core"]
    promise = world.issue(100, world.document(100), world.programme(), line)
    world.ok("core", c.DistressDeclare(world.label))
    world.refused("ISSUER_BLOCKED", "core", promise)
    world.ok("bank-3", trigger)
    assert world.lend(30_000) == (24_000, {"bank-3": 14_400, "bank-4": 9_600})
    world.ok("core", c.DistressEnd(world.label))
    assert world.get(r.Backstop, world.pool).state is r.BackstopState.TRIGGERED
    world.ok("core", promise)
