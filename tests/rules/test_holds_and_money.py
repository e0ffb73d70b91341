"""Freezes and disputes among requests, rediscounts, backstops, guarantees and loans (voucher law §8.8, §12)."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST
from watched_world import WatchedWorld

from node.ledger.redemption import instruction_id
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.receipts import CommandReceipt

EXPOSURE = (r.LineKind.DEBTOR_EXPOSURE,)
SHARES = (("bank-2", 5_000), ("bank-3", 3_000), ("bank-4", 2_000))


class Lending(WatchedWorld):
    """devices holds a voucher of 1,000 by core; every way to money on it is open."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.paper = self.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
        for bank in ("bank-2", "bank-3"):
            self.line(r.LineKind.DEBTOR_EXPOSURE, bank, "core", 10**9)
        self.sale = self.offer(lines_required=EXPOSURE)
        free = (r.RateBand(365, 0, 10_000),)
        self.early = self.offer("core", kind=r.FinancingKind.EARLY_PAY, grid=free)
        self.pledge = self.offer(
            kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 30_000, 8_000),)
        )

    @property
    def terms(self) -> r.Voucher:
        return self.get(r.Voucher, self.paper)

    def order(self, *ranges: tuple[int, int], days: int = 400, whose: str = "devices"):
        parts = tuple(c.FrozenPart(self.paper, start, end - start, True) for start, end in ranges)
        return c.FreezeOrder(self.label, self.ids[whose], DIGEST, parts, self.day + days)

    def freeze(self, *ranges: tuple[int, int], whose: str = "devices") -> bytes:
        return self.ok("court", self.order(*ranges, whose=whose)).created[0].id

    def lift(self, freeze: bytes) -> None:
        self.ok("court", c.FreezeLift(self.label, freeze))

    def dispute(self, *ranges: tuple[int, int]) -> c.DisputeOpen:
        named = tuple(c.DisputedRange(start, end) for start, end in ranges)
        return c.DisputeOpen(self.label, self.paper, named, DIGEST)

    def force(self, start: int, end: int, receiver: str) -> c.ForceTransfer:
        return c.ForceTransfer(
            self.label, self.paper, start, end, self.ids[receiver], DIGEST
        )  # fmt: skip

    def send(self, bank: str, instruction: bytes) -> None:
        self.ok(bank, c.InstructionSend(self.label, instruction))

    def asking(self, start: int, amount: int, by: str = "devices") -> c.FinancingRequestOpen:
        funders = tuple(sorted(self.ids[bank] for bank in ("bank-2", "bank-3")))
        return c.FinancingRequestOpen(
            self.label, self.paper, start, amount, self.account(by), r.Purpose.RENT, funders
        )

    def quoting(self, request: bytes, amount: int) -> c.FinancingQuote:
        return c.FinancingQuote(
            self.label, request, amount, r.FinancingKind.SALE, 43_500, 360, 10_000, EXPOSURE, False,
            self.day + 5,
        )  # fmt: skip

    def reselling(self, start: int, amount: int) -> c.RediscountOffer:
        buyer = self.ids["bank-3"]
        return c.RediscountOffer(self.label, self.paper, start, amount, buyer, amount)

    def accept(self, deal: bytes) -> c.RediscountAccept:
        return c.RediscountAccept(self.label, deal, self.get(r.Financing, deal).net)

    def confirm(self, deal: bytes) -> c.RediscountConfirm:
        net = self.get(r.Financing, deal).net
        return c.RediscountConfirm(self.label, deal, net, self.number())

    def open_pool(self) -> bytes:
        shares = tuple(r.BackstopShare(self.ids[bank], share) for bank, share in SHARES)
        create = c.BackstopCreate(
            self.label, shares, self.ids["bank-3"], "CNY", (self.ids["core"],), (), 10**6, 8_000,
            30_000, 360, False, r.TRIGGER_OVERDUE,
        )  # fmt: skip
        return self.together(create, "bank-2", "bank-3", "bank-4").created[0].id

    def pool_draw(self, pool: bytes, start: int, amount: int, by: str = "devices"):
        payee = self.account(by)
        return c.BackstopDraw(
            self.label, pool, self.paper, start, amount, payee, r.Purpose.PAYROLL
        )  # fmt: skip

    def pay(self, instruction: bytes) -> c.PayoutConfirm:
        amount = self.get(r.Instruction, instruction).amount
        return c.PayoutConfirm(self.label, instruction, amount, self.number())

    def guarantee(self, cap: int = 1_000) -> bytes:
        return self.ok("bank-4", self.guaranteeing(cap)).created[0].id

    def guaranteeing(self, cap: int) -> c.GuaranteeIssue:
        return c.GuaranteeIssue(
            self.label, self.ids["bank-4"], None, r.GuaranteeScope.VOUCHER, self.paper, "CNY", cap,
            0, self.day + 500,
        )  # fmt: skip

    def borrow(self, amount: int) -> bytes:
        """devices borrows 80 % on the tail from bank-2."""
        drawn = self.ok("devices", self.draw("devices", self.paper, 0, amount, self.pledge))
        self.pay_out("bank-2", drawn, amount * 8 // 10)
        return made(drawn, r.Kind.FINANCING)

    def repay(self, loan: bytes, amount: int) -> None:
        announced = self.ok("devices", c.FinancingRepay(self.label, loan, amount))
        instruction = made(announced, r.Kind.INSTRUCTION)
        self.ok("bank-2", c.RepayConfirm(self.label, instruction, amount, self.number()))

    def settle(self, start: int, amount: int) -> c.SettlementPaid:
        id = self.instruction(self.paper, start)
        return c.SettlementPaid(self.label, id, amount, self.number())

    def orders(self, bank: str) -> list[r.Instruction]:
        """What a bank has to pay."""
        keys = self.state.index_scan(Index.BANK_INSTRUCTIONS, self.ids[bank], limit=500)
        return [self.get(r.Instruction, key[16:]) for key in keys]

    def states(self) -> list[tuple[str, int, int, str]]:
        return self.lots(self.paper)


def made(receipt: CommandReceipt, kind: r.Kind) -> bytes:
    return next(item.id for item in receipt.created if item.kind == kind)


def instructions(receipt: CommandReceipt) -> list[bytes]:
    return [item.id for item in receipt.created if item.kind == r.Kind.INSTRUCTION]


@pytest.fixture
def world() -> Lending:
    return Lending()


# --- requests -----------------------------------------------------------------------------------------


def test_a_freeze_ends_a_request_for_quotes(world: Lending) -> None:
    request = made(world.ok("devices", world.asking(0, 400)), r.Kind.FINANCING_REQUEST)
    world.freeze((900, 1_000))
    assert world.state.get(r.Kind.FINANCING_REQUEST, request) is None
    assert world.states() == [("devices", 0, 900, "HELD"), ("devices", 900, 1_000, "HELD")]


def test_a_quote_is_not_accepted_while_the_holder_is_frozen_LOT_FROZEN(world: Lending) -> None:
    request = made(world.ok("devices", world.asking(0, 400)), r.Kind.FINANCING_REQUEST)
    world.ok("bank-2", world.quoting(request, 400))
    freeze = world.freeze()
    accept = c.FinancingAccept(world.label, request, world.ids["bank-2"])
    world.refused("LOT_FROZEN", "devices", accept)
    world.lift(freeze)
    world.ok("devices", msgspec.structs.replace(accept, label=world.label))


def test_a_quote_is_not_accepted_while_a_part_of_the_voucher_is_disputed_LOT_DISPUTED(
    world: Lending,
) -> None:
    request = made(world.ok("devices", world.asking(0, 400)), r.Kind.FINANCING_REQUEST)
    world.ok("bank-2", world.quoting(request, 400))
    world.ok("core", world.dispute((0, 100)))
    accept = c.FinancingAccept(world.label, request, world.ids["bank-2"])
    world.refused("LOT_DISPUTED", "devices", accept)


# --- rediscounts --------------------------------------------------------------------------------------


def bought(world: Lending) -> None:
    """bank-2 bought [400, 1000)."""
    world.sell("devices", world.paper, 0, 600, world.sale)


def test_a_freeze_ends_an_offered_rediscount(world: Lending) -> None:
    bought(world)
    deal = made(world.ok("bank-2", world.reselling(400, 600)), r.Kind.FINANCING)
    world.freeze((500, 600), whose="bank-2")
    assert world.state.get(r.Kind.FINANCING, deal) is None
    assert [lot[3] for lot in world.states()] == ["HELD"] * 4


def test_a_sent_rediscount_is_recorded_and_moves_after_the_lift(world: Lending) -> None:
    bought(world)
    deal = made(world.ok("bank-2", world.reselling(400, 600)), r.Kind.FINANCING)
    world.send("bank-3", made(world.ok("bank-3", world.accept(deal)), r.Kind.INSTRUCTION))
    freeze = world.freeze((500, 600), whose="bank-2")
    world.ok("bank-2", world.confirm(deal))
    assert world.get(r.Financing, deal).state is r.FinancingState.PAYOUT_HELD
    assert [lot[3] for lot in world.states()[1:]] == ["FINANCING_PENDING"] * 3
    assert world.line_used("DEBTOR_EXPOSURE", "bank-3") == (600, 0)
    world.lift(freeze)
    assert world.states()[1:] == [("bank-3", 400, 1_000, "HELD")]
    assert world.line_used("DEBTOR_EXPOSURE", "bank-3") == (0, 600)
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (0, 0)


def test_no_rediscount_is_accepted_or_paid_while_the_seller_is_frozen_LOT_FROZEN(
    world: Lending,
) -> None:
    bought(world)
    deal = made(world.ok("bank-2", world.reselling(400, 600)), r.Kind.FINANCING)
    freeze = world.freeze(whose="bank-2")
    world.refused("LOT_FROZEN", "bank-3", world.accept(deal))
    world.lift(freeze)
    order = made(world.ok("bank-3", world.accept(deal)), r.Kind.INSTRUCTION)
    world.freeze(whose="bank-2")
    world.refused("LOT_FROZEN", "bank-3", c.InstructionSend(world.label, order))
    world.refused("LOT_FROZEN", "bank-2", world.confirm(deal))


@pytest.mark.parametrize("receiver", ["bank-3", "shop"])
def test_a_court_decides_about_a_recorded_rediscount(world: Lending, receiver: str) -> None:
    bought(world)
    deal = made(world.ok("bank-2", world.reselling(400, 600)), r.Kind.FINANCING)
    world.send("bank-3", made(world.ok("bank-3", world.accept(deal)), r.Kind.INSTRUCTION))
    world.freeze((400, 1_000), whose="bank-2")
    world.ok("bank-2", world.confirm(deal))
    world.ok("court", world.force(400, 1_000, receiver))
    assert world.states()[1:] == [(receiver, 400, 1_000, "HELD")]
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (0, 0)
    used = 600 if receiver == "bank-3" else 0
    assert world.line_used("DEBTOR_EXPOSURE", "bank-3") == (0, used)


def test_nothing_is_rediscounted_on_a_disputed_or_suspended_voucher(world: Lending) -> None:
    bought(world)
    world.ok("core", world.dispute((0, 100)))
    world.refused("LOT_DISPUTED", "bank-2", world.reselling(400, 600))
    world.ok("regulator", c.VoucherSuspend(world.label, world.paper))
    world.refused("VOUCHER_SUSPENDED", "bank-2", world.reselling(400, 600))


# --- backstops ----------------------------------------------------------------------------------------


def overdue_pool(world: Lending) -> bytes:
    pool = world.open_pool()
    world.roll_to(world.terms.grace_end + 1)
    return pool


def drawn_of(world: Lending, pool: bytes) -> CommandReceipt:
    """800 on the whole voucher: 400, 240 and 160 by the three banks."""
    return world.ok("devices", world.pool_draw(pool, 0, 1_000))


def pool_sums(world: Lending, pool: bytes) -> tuple[int, int]:
    found = world.get(r.Backstop, pool)
    return found.reserved, found.drawn


def test_a_freeze_ends_a_backstop_draw_that_no_bank_has_sent(world: Lending) -> None:
    pool = overdue_pool(world)
    loan = made(drawn_of(world, pool), r.Kind.FINANCING)
    world.freeze((0, 100))
    assert world.state.get(r.Kind.FINANCING, loan) is None
    assert pool_sums(world, pool) == (0, 0)
    assert [lot[3] for lot in world.states()] == ["HELD", "HELD"]


def test_a_freeze_ends_the_unsent_shares_of_a_backstop_draw(world: Lending) -> None:
    pool = overdue_pool(world)
    drawn = drawn_of(world, pool)
    loan = made(drawn, r.Kind.FINANCING)
    first, second, _ = instructions(drawn)
    world.ok("bank-2", world.pay(first))
    world.send("bank-3", second)
    freeze = world.freeze((0, 100))
    assert pool_sums(world, pool) == (240, 400)
    world.ok("bank-3", world.pay(second))
    assert world.get(r.Financing, loan).state is r.FinancingState.PAYOUT_HELD
    world.lift(freeze)
    found = world.get(r.Financing, loan)
    assert (found.state, found.principal) == (r.FinancingState.OUTSTANDING, 640)
    assert [lot[3] for lot in world.states()] == ["PLEDGED", "PLEDGED"]


def test_a_freeze_after_all_paying_banks_have_paid_makes_the_loan_smaller(world: Lending) -> None:
    pool = overdue_pool(world)
    drawn = drawn_of(world, pool)
    world.ok("bank-2", world.pay(instructions(drawn)[0]))
    world.freeze((0, 100))
    found = world.get(r.Financing, made(drawn, r.Kind.FINANCING))
    assert (found.state, found.principal) == (r.FinancingState.OUTSTANDING, 400)


def test_a_court_undoes_a_recorded_backstop_draw(world: Lending) -> None:
    pool = overdue_pool(world)
    drawn = drawn_of(world, pool)
    for bank, order in zip(("bank-2", "bank-3", "bank-4"), instructions(drawn), strict=True):
        world.send(bank, order)
    world.freeze((0, 1_000))
    world.ok("bank-2", world.pay(instructions(drawn)[0]))
    world.refused("LOT_LOCKED", "court", world.force(0, 1_000, "shop"))
    for bank, order in zip(("bank-3", "bank-4"), instructions(drawn)[1:], strict=True):
        world.ok(bank, world.pay(order))
    assert pool_sums(world, pool) == (0, 800)
    world.ok("court", world.force(0, 1_000, "shop"))
    assert pool_sums(world, pool) == (0, 0)
    assert world.states() == [("shop", 0, 1_000, "HELD")]


def test_no_backstop_on_a_disputed_or_suspended_voucher(world: Lending) -> None:
    pool = overdue_pool(world)
    world.ok("core", world.dispute((0, 100)))
    world.refused("LOT_DISPUTED", "devices", world.pool_draw(pool, 100, 900))
    world.ok("regulator", c.VoucherSuspend(world.label, world.paper))
    world.refused("VOUCHER_SUSPENDED", "devices", world.pool_draw(pool, 100, 900))


def test_a_long_tenor_is_reviewed_before_a_backstop_lends_also_when_it_is_overdue_REVIEW_REQUIRED(
    world: Lending,
) -> None:
    short = c.ParameterSet(world.label, "extra_review_days", world.day + 1, 60)
    world.together(short, "bank-1", "bank-2", "bank-3")
    pool = overdue_pool(world)
    world.refused("REVIEW_REQUIRED", "devices", world.pool_draw(pool, 0, 1_000))
    world.ok("bank-3", c.VoucherReview(world.label, world.paper))
    world.ok("devices", world.pool_draw(pool, 0, 1_000))


# --- guarantees ---------------------------------------------------------------------------------------


def test_a_guarantee_is_neither_called_nor_paid_for_what_is_held(world: Lending) -> None:
    cover = world.guarantee()
    world.roll_to(world.terms.grace_end + 1)
    call = c.GuaranteeCall(world.label, cover, world.paper, 0, 500)
    freeze = world.freeze()
    world.refused("LOT_FROZEN", "devices", call)
    world.lift(freeze)
    world.ok("devices", msgspec.structs.replace(call, label=world.label))
    world.freeze()
    paid = c.GuaranteePayConfirm(world.label, world.paper, 0, 500, world.number())
    world.refused("LOT_FROZEN", "bank-4", paid)


def test_what_its_holder_wrote_off_is_still_guaranteed(world: Lending) -> None:
    cover = world.guarantee()
    world.roll_to(world.terms.grace_end + 31)
    world.ok("devices", c.SettlementWriteOff(world.label, world.paper))
    assert world.terms.status is r.VoucherStatus.WRITTEN_OFF
    world.ok("devices", c.GuaranteeCall(world.label, cover, world.paper, 0, 500))
    paid = c.GuaranteePayConfirm(world.label, world.paper, 0, 500, world.number())
    world.ok("bank-4", paid)
    assert world.states() == [("devices", 0, 500, "HELD"), ("bank-4", 500, 1_000, "HELD")]


def test_what_was_written_off_uses_the_debtors_line_until_it_is_paid_I3(world: Lending) -> None:
    world.roll_to(world.terms.grace_end + 31)
    line = world.ids["line ISSUE bank-1 core"]
    world.ok("devices", c.SettlementWriteOff(world.label, world.paper))
    assert world.get(r.CreditLine, line).used == 1_000
    world.ok("bank-1", c.FundsReceived(world.label, world.paper, 400, 0, world.number()))
    order = instruction_id(world.paper, 0)
    world.ok("bank-1", c.SettlementPaid(world.label, order, 400, world.number()))
    assert world.get(r.CreditLine, line).used == 600


def test_extend_asks_the_vouchers_guarantors_HOLDER_CONSENT_MISSING(world: Lending) -> None:
    world.guarantee()

    def extending(*names: str) -> c.VoucherExtend:
        consenting = tuple(sorted(world.ids[name] for name in names))
        return c.VoucherExtend(world.label, world.paper, world.terms.maturity + 30, consenting)

    alone = extending("devices")
    world.ok("core", alone)
    world.refused("HOLDER_CONSENT_MISSING", "devices", alone)
    world.together(extending("devices", "bank-4"), "core", "devices", "bank-4")


def test_extend_of_a_voucher_with_a_backstop_loan(world: Lending) -> None:
    """It has no end day of its own, so nothing of it moves."""
    pool = world.open_pool()
    overdue, line = world.paper, world.ids["line ISSUE bank-1 core"]
    issue = world.issue(
        1_000, world.document(1_000), world.programme(), line, maturity=world.day + 150
    )  # fmt: skip
    world.paper = world.ok("core", issue).created[0].id
    world.ok("devices", c.VoucherClaim(world.label, world.paper, True))
    world.roll_to(world.get(r.Voucher, overdue).grace_end + 1)
    world.ok("bank-3", c.BackstopTrigger(world.label, pool, world.ids["core"], overdue, None))
    drawn = drawn_of(world, pool)
    for bank, order in zip(("bank-2", "bank-3", "bank-4"), instructions(drawn), strict=True):
        world.ok(bank, world.pay(order))
    consenting = tuple(sorted(world.ids[name] for name in ("devices", "bank-3")))
    extending = c.VoucherExtend(world.label, world.paper, world.terms.maturity + 30, consenting)
    world.together(extending, "core", "devices", "bank-3")


# --- loans --------------------------------------------------------------------------------------------


def test_enforcement_takes_every_piece_of_a_range_that_a_freeze_had_cut(world: Lending) -> None:
    loan = world.borrow(600)
    freeze = world.freeze((500, 600))
    world.roll_to(world.terms.grace_end + 1)
    world.refused("LOT_FROZEN", "bank-2", c.FinancingEnforce(world.label, loan))
    world.lift(freeze)
    world.ok("bank-2", c.FinancingEnforce(world.label, loan))
    assert {lot[0] for lot in world.states()[1:]} == {"bank-2"}
    owed = sum(world.model.deals[loan].owed(world.day))
    world.repay(loan, owed)
    assert {lot[0] for lot in world.states()} == {"devices"}


def test_a_pledged_range_that_a_court_gave_away_stays_with_its_receiver(world: Lending) -> None:
    loan = world.borrow(600)
    freeze = world.freeze((400, 1_000))
    world.refused("RECEIVER_NOT_ELIGIBLE", "court", world.force(400, 1_000, "bank-2"))
    world.ok("court", world.force(400, 1_000, "shop"))
    assert world.states()[1:] == [("shop", 400, 1_000, "PLEDGED")]
    world.lift(freeze)
    world.roll_to(world.terms.grace_end + 1)
    world.refused("STATE_CONFLICT", "bank-2", c.FinancingEnforce(world.label, loan))
    world.repay(loan, sum(world.model.deals[loan].owed(world.day)))
    assert world.states()[1:] == [("shop", 400, 1_000, "HELD")]


def test_the_surplus_of_a_range_that_a_court_gave_away_is_its_receivers(world: Lending) -> None:
    world.borrow(600)
    freeze = world.freeze((400, 1_000))
    world.ok("court", world.force(400, 1_000, "shop"))
    world.lift(freeze)
    world.roll_to(world.terms.maturity)
    world.fund(world.paper, 1_000)
    world.ok("bank-1", world.settle(400, 600))
    surplus = [
        event for event in world.orders("bank-2") if event.purpose is r.InstructionPurpose.SURPLUS
    ]
    assert [order.payee for order in surplus] == [world.ids["shop"]]


def test_recourse_is_claimed_on_a_voucher_that_others_wrote_off(world: Lending) -> None:
    recourse = world.offer(
        kind=r.FinancingKind.LOAN_RECOURSE, grid=(r.RateBand(365, 0, 8_000),)
    )  # fmt: skip
    drawn = world.ok("devices", world.draw("devices", world.paper, 0, 1_000, recourse))
    world.pay_out("bank-2", drawn, 800)
    world.roll_to(world.terms.grace_end + 31)
    world.ok("devices", c.SettlementWriteOff(world.label, world.paper))
    assert world.terms.status is r.VoucherStatus.WRITTEN_OFF
    loan = made(drawn, r.Kind.FINANCING)
    assert world.ok("bank-2", c.RecourseClaim(world.label, loan, None)).result == (0, 800)


# --- funds, early payment, penalty --------------------------------------------------------------------


def early_payment_under_way(world: Lending) -> CommandReceipt:
    """Of [600, 1000), sent by the debtor's bank the day before maturity."""
    governance = c.ParameterSet(
        world.label, "payout_timeout_seconds", world.day + 1, 864_000
    )  # fmt: skip
    world.together(governance, "bank-1", "bank-2", "bank-3")
    world.roll_to(world.terms.maturity - 1)
    drawn = world.ok("devices", world.draw("devices", world.paper, 0, 400, world.early))
    world.send("bank-1", instructions(drawn)[0])
    world.roll_to(world.terms.maturity)
    return drawn


@pytest.mark.parametrize(("funds", "left"), [(600, 600), (1_000, 600), (300, 300)])
def test_what_the_debtor_funded_of_a_range_that_it_pays_early_covers_the_others(
    world: Lending, funds: int, left: int
) -> None:
    """Money for the redeemed range passes to the other lots; what they do not need is the debtor's."""
    drawn = early_payment_under_way(world)
    world.fund(world.paper, funds)
    world.pay_out("bank-1", drawn, 400)
    assert world.terms.funds_in == left
    redeemed, open_lot = (
        world.get(r.Lot, r.lot_id(world.paper, start)) for start in (600, 0)
    )  # fmt: skip
    assert (redeemed.state, redeemed.covered) == (r.LotState.REDEEMED, 0)
    assert open_lot.covered == left
    world.ok("bank-1", world.settle(0, left))


def test_a_penalty_on_a_pledged_range_serves_its_loan_first(world: Lending) -> None:
    """Loan of 480 at 3 % on 600 of 1,000; penalty of 100, of which 60 are the pledged range's."""
    loan = world.borrow(600)
    world.roll_to(world.terms.grace_end + 201)
    interest, principal = world.model.deals[loan].owed(world.day)
    world.ok("bank-1", c.FundsReceived(world.label, world.paper, 0, 100, world.number()))
    found = world.get(r.Financing, loan)
    assert found.principal - found.repaid == principal - (60 - interest)
    assert penalties(world) == [("bank-2", 60), ("devices", 40)]


def test_a_penalty_beyond_the_loan_is_the_owners(world: Lending) -> None:
    loan = world.borrow(600)
    world.roll_to(world.terms.grace_end + 201)
    owed = sum(world.model.deals[loan].owed(world.day))
    world.repay(loan, owed - 20)
    world.ok("bank-1", c.FundsReceived(world.label, world.paper, 0, 100, world.number()))
    assert world.state.get(r.Kind.FINANCING, loan) is None
    assert penalties(world) == [("bank-2", 20), ("devices", 40), ("devices", 40)]
    assert {lot[3] for lot in world.states()} == {"HELD"}


def test_a_penalty_on_a_frozen_pledge_serves_no_loan(world: Lending) -> None:
    loan = world.borrow(600)
    world.freeze((400, 1_000))
    world.roll_to(world.terms.grace_end + 201)
    world.ok("bank-1", c.FundsReceived(world.label, world.paper, 0, 100, world.number()))
    assert world.get(r.Financing, loan).repaid == 0
    assert penalties(world) == [("devices", 40), ("devices", 60)]


def entrusted_loan(world: Lending, amount: int) -> bytes:
    """devices borrows 80 % on the tail; a distillery funds it through bank-4, lender of record."""
    world.join("distillery", r.OrganisationKind.CORE, r.Size.LARGE)
    commit = c.FundCommit(
        world.label, world.ids["distillery"], world.ids["bank-4"], r.PoolKind.ENTRUSTED_LOAN, "CNY",
        1_000, DIGEST,
    )  # fmt: skip
    pool = made(world.together(commit, "distillery", "bank-4"), r.Kind.FUND_POOL)
    grid = (r.RateBand(365, 30_000, 8_000),)
    offer = world.offer("distillery", kind=r.FinancingKind.LOAN_PLEDGE, grid=grid, source=pool)
    drawn = world.ok("devices", world.draw("devices", world.paper, 0, amount, offer))
    world.pay_out("bank-4", drawn, amount * 8 // 10)
    return made(drawn, r.Kind.FINANCING)


def test_a_penalty_on_an_entrusted_pledge_goes_to_the_lender_of_record(world: Lending) -> None:
    entrusted_loan(world, 600)
    world.roll_to(world.terms.grace_end + 201)
    world.ok("bank-1", c.FundsReceived(world.label, world.paper, 0, 100, world.number()))
    assert penalties(world) == [("bank-4", 60), ("devices", 40)]


def test_extend_asks_funder_and_lender_of_record_HOLDER_CONSENT_MISSING(world: Lending) -> None:
    entrusted_loan(world, 600)
    later = world.terms.maturity + 30

    def extending(*names: str) -> c.VoucherExtend:
        consenting = tuple(sorted(world.ids[name] for name in names))
        return c.VoucherExtend(world.label, world.paper, later, consenting)

    for missing in (("devices", "bank-4"), ("devices", "distillery")):
        refused = extending(*missing)
        world.ok("core", refused)
        world.ok(missing[0], refused)
        world.refused("HOLDER_CONSENT_MISSING", missing[1], refused)
    parties = ("devices", "distillery", "bank-4")
    world.together(extending(*parties), "core", *parties)


def test_the_fee_of_a_recorded_payout_is_instructed_when_it_takes_effect(world: Lending) -> None:
    world.admit("operator", r.OrganisationKind.OPERATOR)
    fee = r.FeeTerms(world.day, 100, 0, 0, 0)
    world.ok("operator", c.FeeScheduleSet(world.label, None, fee))
    drawn = world.ok("devices", world.draw("devices", world.paper, 0, 400, world.sale))
    world.send("bank-2", instructions(drawn)[0])
    freeze = world.freeze((900, 1_000))
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert fees(world) == []
    world.lift(freeze)
    assert fees(world) == [4]


def test_a_court_undoes_a_recorded_payout_without_a_fee(world: Lending) -> None:
    world.admit("operator", r.OrganisationKind.OPERATOR)
    fee = r.FeeTerms(world.day, 100, 0, 0, 0)
    world.ok("operator", c.FeeScheduleSet(world.label, None, fee))
    drawn = world.ok("devices", world.draw("devices", world.paper, 0, 400, world.sale))
    world.send("bank-2", instructions(drawn)[0])
    world.freeze((600, 1_000))
    world.pay_out("bank-2", drawn, drawn.result[1])
    world.ok("court", world.force(600, 1_000, "shop"))
    assert fees(world) == []


def fees(world: Lending) -> list[int]:
    """Amounts of the open fee instructions of the paying bank."""
    purpose = r.InstructionPurpose.FEE
    return [order.amount for order in world.orders("bank-2") if order.purpose is purpose]


def penalties(world: Lending) -> list[tuple[str, int]]:
    names = {id: name for name, id in world.ids.items()}
    found = [
        order for order in world.orders("bank-1") if order.purpose is r.InstructionPurpose.PENALTY
    ]
    return sorted((names[order.payee], order.amount) for order in found)


# --- any order of acts --------------------------------------------------------------------------------


class Acts:
    """What random parties try; whatever is refused changes nothing."""

    def __init__(self) -> None:
        self.world = Lending()
        self.pool = self.world.open_pool()
        self.cover = self.world.guarantee()
        self.freezes: list[bytes] = []
        self.disputes: list[bytes] = []
        self.requests: list[bytes] = []
        self.resales: list[bytes] = []
        self.payouts: list[bytes] = []
        self.loans: list[bytes] = []
        self.calls: list[tuple[int, int]] = []

    def note(self, receipt: CommandReceipt) -> None:
        lists = {r.Kind.FREEZE: self.freezes, r.Kind.DISPUTE: self.disputes}
        for item in receipt.created:
            if item.kind in lists:
                lists[r.Kind(item.kind)].append(item.id)
            if item.kind == r.Kind.INSTRUCTION:
                order = self.world.state.get(r.Kind.INSTRUCTION, item.id)
                if isinstance(order, r.Instruction) and order.purpose in PAYOUTS:
                    self.payouts.append(item.id)

    def bank_of(self, instruction: bytes) -> str | None:
        order = self.world.state.get(r.Kind.INSTRUCTION, instruction)
        names = {id: name for name, id in self.world.ids.items()}
        return names[order.bank] if isinstance(order, r.Instruction) else None

    def aim(self, spender: str | None, position: int, amount: int) -> tuple[str, int, int]:
        """Holder and start of a lot: one that this party can spend, if there is one, with what it has."""
        lots = self.world.states()
        own = [lot for lot in lots if lot[0] == spender and lot[3] == "HELD"]
        if own:
            holder, start, end, _ = own[position % len(own)]
            return holder, start, min(amount, end - start)
        holder, start, _, _ = next(lot for lot in lots if lot[1] <= position < lot[2])
        return holder, start, amount

    def act(self, number: int, position: int, amount: int) -> None:
        world = self.world
        holder, start, amount = self.aim(SPENDS.get(number), position, amount)
        end = min(1_000, position + amount)
        match number:
            case 0:
                command = world.order((position, end), days=amount, whose=holder)
                self.note(world.run("court", command))
            case 1:
                self.note(world.run("court", world.order(days=amount % 9, whose=holder)))
            case 2 if self.freezes:
                freeze = self.freezes.pop(position % len(self.freezes))
                world.run("court", c.FreezeLift(world.label, freeze))
            case 3:
                self.note(world.run("core", world.dispute((position, end))))
            case 4 if self.disputes:
                dispute = self.disputes.pop(position % len(self.disputes))
                world.run("court", c.DisputeResolve(world.label, dispute))
            case 5:
                receiver = ("shop", "bank-3", "devices")[amount % 3]
                world.run("court", world.force(position, end, receiver))
            case 6:
                offer = (world.sale, world.pledge, world.early)[position % 3]
                drawn = world.run(
                    "devices", world.draw("devices", world.paper, start, amount, offer)
                )
                self.note(drawn)
                self.loans += [x.id for x in drawn.created if x.kind == r.Kind.FINANCING]
            case 7:
                opened = world.run("devices", world.asking(start, amount))
                for item in opened.created:
                    self.requests.append(item.id)
                    world.run("bank-3", world.quoting(item.id, amount))
            case 8 if self.requests:
                request = self.requests.pop(position % len(self.requests))
                accept = c.FinancingAccept(world.label, request, world.ids["bank-3"])
                self.note(world.run("devices", accept))
            case 9:
                offered = world.run("bank-2", world.reselling(start, amount))
                self.resales += [x.id for x in offered.created]
            case 10 if self.resales:
                deal = self.resales[position % len(self.resales)]
                if world.state.get(r.Kind.FINANCING, deal) is not None:
                    self.note(world.run("bank-3", world.accept(deal)))
            case 11 if self.resales:
                deal = self.resales[position % len(self.resales)]
                if world.state.get(r.Kind.FINANCING, deal) is not None:
                    world.run("bank-2", world.confirm(deal))
            case 12 | 13 if self.payouts:
                order = self.payouts[position % len(self.payouts)]
                bank = self.bank_of(order)
                if bank is not None:
                    send = c.InstructionSend(world.label, order)
                    world.run(bank, send if number == 12 else world.pay(order))
            case 14:
                self.note(world.run("devices", world.pool_draw(self.pool, start, amount)))
            case 15:
                call = c.GuaranteeCall(world.label, self.cover, world.paper, start, amount)
                if world.run(holder, call).code == "OK":
                    self.calls.append((start, amount))
            case 16 if self.calls:
                start, amount = self.calls[position % len(self.calls)]
                receipt = world.number()
                paid = c.GuaranteePayConfirm(world.label, world.paper, start, amount, receipt)
                world.run("bank-4", paid)
            case 17 if self.loans:
                loan = self.loans[position % len(self.loans)]
                world.run("bank-2", c.FinancingEnforce(world.label, loan))
            case 18:
                penalty = amount % 3
                funds = c.FundsReceived(
                    world.label, world.paper, amount, penalty, world.number()
                )  # fmt: skip
                world.run("bank-1", funds)
            case 19:
                paid = world.settle(start, 1 + amount % 50)
                if world.run("bank-1", paid).code == "LOT_FROZEN":
                    escrow = c.SettlementEscrow(
                        world.label, paid.instruction, paid.amount, paid.receipt_commitment
                    )
                    world.run("bank-1", escrow)
            case 20:
                world.roll_to(world.day + amount % 4)
            case _:
                pass


SPENDS = {6: "devices", 7: "devices", 9: "bank-2", 14: "devices"}
"""Acts on a lot of their own."""
PAYOUTS = (r.InstructionPurpose.PAYOUT, r.InstructionPurpose.REDISCOUNT)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                (*range(21), 2, 4, 4, 6, 6, 6, 9, 10, 11, 12, 12, 13, 13, 13, 14, 16, 18, 19)
            ),
            st.integers(0, 999),
            st.integers(1, 400),
        ),
        min_size=15,
        max_size=45,
    )
)
def test_every_way_to_money_among_holds_agrees_with_the_naive_model(
    acts: list[tuple[int, int, int]],
) -> None:
    """Two thirds of the acts before the voucher is overdue: then guarantees, backstop and penalty too."""
    tried = Acts()
    for number, act in enumerate(acts):
        if number == 2 * len(acts) // 3:
            tried.world.roll_to(tried.world.terms.grace_end + 1)
        tried.act(*act)
