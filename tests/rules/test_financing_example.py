"""The figures of docs/concepts/financing.md: one voucher from its first draw to the surplus of its last loan."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.fields import from_wide
from tallynet.hashing import record_id
from tallynet.receipts import CommandReceipt
from tools.arguments import parse_day

FACE = 50_000_000
EXPOSURE = (r.LineKind.DEBTOR_EXPOSURE,)


class Financed(World):
    """core owes devices ¥500,000, due in 91 days; core pays ¥20,000 early at 0 %, bank-2 buys at 4.35 %."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.core_and_suppliers()
        for bank in ("bank-2", "bank-3", "bank-4"):
            self.line(r.LineKind.DEBTOR_EXPOSURE, bank, "core", 10**9)
        early = self.offer(
            "core", kind=r.FinancingKind.EARLY_PAY, total_cap=2_000_000, draw_max=2_000_000,
            grid=(r.RateBand(365, 0, 10_000),),
        )  # fmt: skip
        self.buying = self.offer("bank-2", lines_required=EXPOSURE)
        self.offer("bank-4", grid=(r.RateBand(365, 50_000, 10_000),), lines_required=EXPOSURE)
        self.paper = self.voucher(FACE, funding_order=(early,))

    def auto(self, amount: int) -> CommandReceipt:
        return self.ok("devices", self.draw("devices", self.paper, 0, amount, None))

    def pay(self, drawn: CommandReceipt) -> None:
        instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
        order = self.get(r.Instruction, instruction)
        bank = next(name for name, id in self.ids.items() if id == order.bank)
        self.ok(bank, self.paid_out(instruction, order.amount))

    def paid_out(self, instruction: bytes, amount: int) -> c.PayoutConfirm:
        return c.PayoutConfirm(self.label, instruction, amount, self.receipt_number())

    def receipt_number(self) -> bytes:
        return sha256(b"receipt" + self.label).digest()

    def carried(self) -> int:
        parties = self.ids["bank-2"] + self.ids["devices"]
        id = record_id(r.Kind.REMAINDER, parties, b"CNY" + (360).to_bytes(2, "big"))
        return from_wide(self.get(r.Remainder, id).value)

    def lend(self, bank: str, kind: r.FinancingKind, amount: int, **changes: object) -> bytes:
        grid = (r.RateBand(365, 34_500, 8_000),)
        offer = self.offer(bank, kind=kind, grid=grid, **changes)
        drawn = self.ok("devices", self.draw("devices", self.paper, 0, amount, offer))
        self.instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
        return next(x.id for x in drawn.created if x.kind == r.Kind.FINANCING)

    def repay(self, bank: str, command: c.FinancingRepay | c.RecourseRepurchase) -> CommandReceipt:
        announced = self.ok("devices", command).created[0].id
        amount = self.get(r.Instruction, announced).amount
        number = self.receipt_number()
        return self.ok(bank, c.RepayConfirm(self.label, announced, amount, number))

    def exposure(self, bank: str) -> int:
        return self.get(r.CreditLine, self.ids[f"line DEBTOR_EXPOSURE {bank} core"]).used


@pytest.fixture
def world() -> Financed:
    return Financed()


def draws(world: Financed) -> None:
    drawn = world.auto(2_000_000)
    assert drawn.result[:3] == (0, 2_000_000, 0)
    world.pay(drawn)
    for amount, discount, left in ((100, 1, 35_850_000), (100, 1, 71_700_000)):
        drawn = world.auto(amount)
        assert drawn.result[:4] == (discount, amount - discount, 43_500, 91)
        assert world.carried() == left
        world.pay(drawn)
    uses = tuple(c.BatchDraw(amount, r.Purpose.PAYROLL) for amount in (200, 300, 500))
    payee = world.account("devices")
    batch = c.FinancingDrawBatch(world.label, world.buying, world.paper, 0, uses, payee)
    drawn = world.ok("devices", batch)
    assert drawn.result[:2] == (11, 989)
    assert world.carried() == 70_200_000
    world.pay(drawn)
    assert world.lots(world.paper) == [
        ("devices", 0, 47_998_800, "HELD"),
        ("bank-2", 47_998_800, 48_000_000, "HELD"),
        ("devices", 48_000_000, FACE, "REDEEMED"),
    ]
    before = world.lots(world.paper)
    drawn = world.auto(10_000_000)
    assert drawn.result[:2] == (109_958, 9_890_042)
    assert world.carried() == 190_200_000
    world.block(seconds=86_400)
    assert (world.lots(world.paper), world.carried()) == (before, 70_200_000)


def quotes(world: Financed) -> None:
    asked = tuple(sorted((world.ids["bank-2"], world.ids["bank-3"])))
    request = c.FinancingRequestOpen(
        world.label, world.paper, 0, 10_000_000, world.account("devices"), r.Purpose.GOODS, asked
    )
    id = world.ok("devices", request).created[0].id
    for bank, rate in (("bank-2", 43_500), ("bank-3", 41_000)):
        given = c.FinancingQuote(
            label=world.label, request=id, amount=10_000_000, kind=r.FinancingKind.SALE,
            rate_ppm=rate, basis=360, advance_bps=10_000, lines=EXPOSURE,
            registration_required=False, valid_to=world.day + 1,
        )  # fmt: skip
        world.ok(bank, given)
    drawn = world.ok("devices", c.FinancingAccept(world.label, id, world.ids["bank-3"]))
    assert drawn.result[:2] == (102_500, 9_897_500)
    assert world.carried() == 70_200_000
    world.pay(drawn)


def rediscount(world: Financed) -> None:
    start = 37_998_800
    buyer = world.ids["bank-4"]
    offer = c.RediscountOffer(b"deal", world.paper, start, 6_000_000, buyer, 5_950_000)
    world.ok("bank-3", offer)
    deal = record_id(r.Kind.FINANCING, world.ids["bank-3"], b"deal")
    world.ok("bank-4", c.RediscountAccept(world.label, deal, 5_950_000))
    number = world.receipt_number()
    world.ok("bank-3", c.RediscountConfirm(world.label, deal, 5_950_000, number))
    assert (world.exposure("bank-3"), world.exposure("bank-4")) == (4_000_000, 6_000_000)
    assert world.lots(world.paper) == [
        ("devices", 0, start, "HELD"),
        ("bank-3", start, 41_998_800, "HELD"),
        ("bank-4", 41_998_800, 47_998_800, "HELD"),
        ("bank-2", 47_998_800, 48_000_000, "HELD"),
        ("devices", 48_000_000, FACE, "REDEEMED"),
    ]


def loans(world: Financed) -> None:
    pledge = world.lend("bank-2", r.FinancingKind.LOAN_PLEDGE, 20_000_000)
    world.ok("bank-2", world.paid_out(world.instruction, 16_000_000))
    recourse = world.lend(
        "bank-3", r.FinancingKind.LOAN_RECOURSE, 5_000_000, registration_required=True
    )
    payout = world.paid_out(world.instruction, 4_000_000)
    world.refused("REGISTRATION_REQUIRED", "bank-3", payout)
    entry = c.RegistrationRecord(world.label, recourse, DIGEST, world.day, world.day + 365)
    world.ok("bank-3", entry)
    world.ok("bank-3", payout)
    assert world.lots(world.paper)[:3] == [
        ("devices", 0, 12_998_800, "HELD"),
        ("devices", 12_998_800, 17_998_800, "PLEDGED"),
        ("devices", 17_998_800, 37_998_800, "PLEDGED"),
    ]
    world.roll_to(parse_day("2027-04-01"))
    repaid = world.repay("bank-2", c.FinancingRepay(world.label, pledge, 10_000_000))
    assert repaid.result == (46_000, 9_954_000, 6_046_000)
    world.roll_to(parse_day("2027-06-07"))
    claim = c.RecourseClaim(world.label, recourse, None)
    world.refused("NO_RECOURSE", "bank-3", claim)
    world.refused("STATE_CONFLICT", "bank-2", c.FinancingEnforce(world.label, pledge))
    world.roll_to(parse_day("2027-06-08"))
    assert world.ok("bank-3", claim).result == (37_567, 4_000_000)
    repurchased = world.repay("bank-3", c.RecourseRepurchase(world.label, recourse))
    assert repurchased.result == (37_567, 4_000_000, 0)
    world.refused("NO_RECOURSE", "bank-2", c.RecourseClaim(world.label, pledge, None))
    world.ok("bank-2", c.FinancingEnforce(world.label, pledge))
    world.ok("bank-2", c.FinancingWriteOff(world.label, pledge))
    assert world.lots(world.paper)[:3] == [
        ("devices", 0, 12_998_800, "HELD"),
        ("devices", 12_998_800, 17_998_800, "HELD"),
        ("bank-2", 17_998_800, 37_998_800, "HELD"),
    ]


def late_payment(world: Financed) -> list[tuple[bytes, int]]:
    """What bank-2 has to pay on: (payee, amount)."""
    world.roll_to(parse_day("2027-06-18"))
    number = world.receipt_number()
    world.ok("bank-1", c.FundsReceived(world.label, world.paper, 48_000_000, 0, number))
    for key in world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, world.paper, limit=20):
        amount = world.get(r.Instruction, key[16:]).amount
        number = world.receipt_number()
        world.ok("bank-1", c.SettlementPaid(world.label, key[16:], amount, number))
    keys = world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids["bank-2"], limit=20)
    orders = [world.get(r.Instruction, key[16:]) for key in keys]
    return [(order.payee, order.amount) for order in orders]


def test_one_voucher_from_its_first_draw_to_its_last_loan(world: Financed) -> None:
    draws(world)
    quotes(world)
    rediscount(world)
    loans(world)
    surplus = 20_000_000 - (45_194 + 6_046_000)
    assert late_payment(world) == [(world.ids["devices"], surplus)]
    assert world.get(r.Voucher, world.paper).status is r.VoucherStatus.SETTLED
