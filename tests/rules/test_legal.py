"""Freezes, forced transfer, disputes, escrow and write-off (voucher law §8.8)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST
from watched_world import WatchedWorld

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.receipts import CommandReceipt


@pytest.fixture
def world() -> WatchedWorld:
    return WatchedWorld()


def order(
    world: WatchedWorld, *parts: c.FrozenPart, whose: str = "devices", days: int = 30
) -> c.FreezeOrder:
    return c.FreezeOrder(world.label, world.ids[whose], DIGEST, parts, world.day + days)


def tail(voucher: bytes, start: int, amount: int) -> c.FrozenPart:
    return c.FrozenPart(voucher, start, amount, False)


def exactly(voucher: bytes, start: int, end: int) -> c.FrozenPart:
    return c.FrozenPart(voucher, start, end - start, True)


def freeze(world: WatchedWorld, *parts: c.FrozenPart, by: str = "court", **how: object) -> bytes:
    receipt = world.ok(by, order(world, *parts, **how))  # type: ignore[arg-type]  # by name
    return next(x.id for x in receipt.created if x.kind == r.Kind.FREEZE)


def lift(world: WatchedWorld, id: bytes, by: str = "court") -> None:
    world.ok(by, c.FreezeLift(world.label, id))


def dispute(world: WatchedWorld, by: str, voucher: bytes, *ranges: tuple[int, int]) -> bytes:
    parts = tuple(c.DisputedRange(start, end) for start, end in ranges)
    receipt = world.ok(by, c.DisputeOpen(world.label, voucher, parts, DIGEST))
    return next(x.id for x in receipt.created if x.kind == r.Kind.DISPUTE)


def flagged(world: WatchedWorld, voucher: bytes) -> list[tuple[int, int, int]]:
    """(start, end, flags) of every lot."""
    lots = [
        world.state.get(r.Kind.LOT, r.lot_id(voucher, start))
        for start in world.state.lot_starts(voucher)
    ]
    return [(lot.start, lot.end, lot.flags) for lot in lots if isinstance(lot, r.Lot)]


def transfer(world: WatchedWorld, voucher: bytes, start: int, to: str = "shop") -> c.LotTransfer:
    return c.LotTransfer(world.label, voucher, start, (c.Piece(world.ids[to], 1, None),))


def instruction_of(drawn: CommandReceipt) -> bytes:
    return next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)


def financing_of(drawn: CommandReceipt) -> bytes:
    return next(x.id for x in drawn.created if x.kind == r.Kind.FINANCING)


def pay(world: WatchedWorld, voucher: bytes, start: int, amount: int) -> c.SettlementPaid:
    return c.SettlementPaid(world.label, world.instruction(voucher, start), amount, world.number())


def escrow(world: WatchedWorld, voucher: bytes, start: int, amount: int) -> c.SettlementEscrow:
    return c.SettlementEscrow(
        world.label, world.instruction(voucher, start), amount, world.number()
    )


def mature(world: WatchedWorld, voucher: bytes) -> None:
    world.roll_to(world.get(r.Voucher, voucher).maturity)


# --- freeze.order, freeze.lift, freeze.extend ---------------------------------------------------------


def test_a_freeze_takes_the_tail_and_a_frozen_lot_does_not_move_LOT_FROZEN(
    world: WatchedWorld,
) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    id = freeze(world, tail(voucher, 0, 100))
    assert flagged(world, voucher) == [(0, 900, 0), (900, 1_000, r.FLAG_FROZEN)]
    world.refused("LOT_FROZEN", "devices", transfer(world, voucher, 900))
    world.refused("LOT_FROZEN", "devices", world.draw("devices", voucher, 900, 1, offer))
    world.refused("LOT_FROZEN", "devices", c.LotFlagSet(world.label, voucher, 900, True))
    world.ok("devices", transfer(world, voucher, 0))
    lift(world, id)
    assert flagged(world, voucher) == [(0, 899, 0), (899, 900, 0), (900, 1_000, 0)]
    world.ok("devices", transfer(world, voucher, 900))


def test_a_lifted_range_joins_its_neighbours_again(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    id = freeze(world, exactly(voucher, 300, 400), exactly(voucher, 600, 700))
    assert len(flagged(world, voucher)) == 5
    lift(world, id)
    assert flagged(world, voucher) == [(0, 1_000, 0)]


def test_freezes_are_exempt_from_the_lot_limit(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000, max_lots=1)
    freeze(world, exactly(voucher, 300, 400))
    assert len(flagged(world, voucher)) == 3


@pytest.mark.parametrize(
    ("code", "part", "whose"),
    [
        ("AMOUNT_RANGE", (0, 0, False), "devices"),
        ("AMOUNT_RANGE", (0, 1_001, False), "devices"),
        ("AMOUNT_RANGE", (1, 1_000, True), "devices"),
        ("AMOUNT_RANGE", (2**62, 2**62, True), "devices"),
        ("RECORD_NOT_FOUND", (1, 1, False), "devices"),
        ("NOT_HOLDER", (0, 1, True), "shop"),
    ],
)
def test_freeze_order_refuses_ranges(
    world: WatchedWorld, code: str, part: tuple[int, int, bool], whose: str
) -> None:
    named = c.FrozenPart(world.voucher(1_000), *part)
    world.refused(code, "court", order(world, named, whose=whose))


def test_freeze_order_refuses_what_overlaps_STATE_CONFLICT(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    both = order(world, exactly(voucher, 0, 10), exactly(voucher, 9, 20))
    world.refused("STATE_CONFLICT", "court", both)


def test_freeze_order_of_a_past_day_DATE_RANGE(world: WatchedWorld) -> None:
    world.refused("DATE_RANGE", "court", order(world, days=-1))


def test_freeze_order_refuses_paid_and_unclaimed_ranges(world: WatchedWorld) -> None:
    line = world.line(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    issue = world.issue(1_000, world.document(1_000), world.programme(), line)
    unclaimed = world.ok("core", issue).created[0].id
    world.refused("VOUCHER_STATE", "court", order(world, tail(unclaimed, 0, 1)))
    voucher = world.voucher(1_000)
    mature(world, voucher)
    world.fund(voucher, 100)
    world.ok("bank-1", pay(world, voucher, 0, 100))
    world.refused("LOT_STATE", "court", order(world, exactly(voucher, 899, 901)))


def test_freezes_are_for_courts_and_regulators_each_its_own(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.refused("NOT_AUTHORISED", "bank-1", order(world, tail(voucher, 0, 1)))
    id = freeze(world, tail(voucher, 0, 1), by="regulator")
    world.refused("NOT_AUTHORISED", "court", c.FreezeLift(world.label, id))
    world.refused("NOT_AUTHORISED", "court", c.FreezeExtend(world.label, id, world.day + 90))
    lift(world, id, "regulator")


def test_a_lifted_freeze_is_neither_lifted_nor_extended_NOT_FROZEN(world: WatchedWorld) -> None:
    id = freeze(world, tail(world.voucher(1_000), 0, 1))
    lift(world, id)
    world.refused("NOT_FROZEN", "court", c.FreezeLift(world.label, id))
    world.refused("NOT_FROZEN", "court", c.FreezeExtend(world.label, id, world.day + 90))


def test_a_freeze_expires_after_its_last_day_unless_extended(world: WatchedWorld) -> None:
    voucher, day = world.voucher(1_000), world.day
    id = freeze(world, tail(voucher, 0, 100), days=3)
    world.refused("DATE_RANGE", "court", c.FreezeExtend(world.label, id, day + 3))
    world.ok("court", c.FreezeExtend(world.label, id, day + 5))
    world.roll_to(day + 5)
    assert len(flagged(world, voucher)) == 2
    world.roll_to(day + 6)
    assert flagged(world, voucher) == [(0, 1_000, 0)]
    assert world.get(r.Freeze, id).state is r.FreezeState.EXPIRED


def test_two_freezes_on_one_range_each_hold_it(world: WatchedWorld) -> None:
    """Lifting one leaves what the other covers frozen (轮候冻结)."""
    voucher = world.voucher(1_000)
    first = freeze(world, exactly(voucher, 100, 500))
    second = freeze(world, exactly(voucher, 400, 600), by="regulator")
    assert flagged(world, voucher) == [(0, 100, 0), (100, 600, r.FLAG_FROZEN), (600, 1_000, 0)]
    lift(world, first)
    assert flagged(world, voucher) == [(0, 400, 0), (400, 600, r.FLAG_FROZEN), (600, 1_000, 0)]
    lift(world, second, "regulator")
    assert flagged(world, voucher) == [(0, 1_000, 0)]


def test_a_voucher_bears_sixteen_freezes_BATCH_LIMIT(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    for start in range(16):
        freeze(world, exactly(voucher, start, start + 1))
    world.refused("BATCH_LIMIT", "court", order(world, exactly(voucher, 16, 17)))


def test_a_freeze_sends_a_pending_transfer_back(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
    world.give(voucher, 0, 200, "shop")
    freeze(world, exactly(voucher, 900, 1_000))
    assert flagged(world, voucher) == [(0, 900, 0), (900, 1_000, r.FLAG_FROZEN)]
    world.refused("LOT_STATE", "shop", c.LotAccept(world.label, voucher, 900))


# --- whole organisation -------------------------------------------------------------------------------


def test_a_freeze_on_an_organisation_holds_all_it_has_and_gets(world: WatchedWorld) -> None:
    voucher, other = world.voucher(1_000), world.voucher(1_000)
    id = freeze(world)
    for held in (voucher, other):
        world.refused("LOT_FROZEN", "devices", transfer(world, held, 0))
    assert flagged(world, voucher) == [(0, 1_000, 0)]
    late = world.voucher(1_000)
    world.refused("LOT_FROZEN", "devices", transfer(world, late, 0))
    lift(world, id)
    world.ok("devices", transfer(world, voucher, 0))


def test_a_freeze_on_an_organisation_expires(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    freeze(world, days=2)
    world.roll_to(world.day + 3)
    world.ok("devices", transfer(world, voucher, 0))


def test_a_pending_transfer_of_a_frozen_organisation_goes_back(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.DEEMED, deemed_days=3)
    world.give(voucher, 0, 200, "shop")
    freeze(world)
    world.refused("LOT_FROZEN", "shop", c.LotAccept(world.label, voucher, 800))
    world.roll_to(world.day + 3)
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]


def test_an_unsent_draw_of_a_frozen_organisation_is_not_paid_out(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 400, world.offer()))
    freeze(world)
    instruction = instruction_of(drawn)
    world.refused("LOT_FROZEN", "bank-2", c.InstructionSend(world.label, instruction))
    confirm = c.PayoutConfirm(world.label, instruction, drawn.result[1], world.number())
    world.refused("LOT_FROZEN", "bank-2", confirm)
    world.block(seconds=86_400)
    world.roll_to(world.day + 1)
    assert world.lots(voucher) == [("devices", 0, 1_000, "HELD")]


def test_a_recorded_payout_takes_effect_when_the_organisation_is_free_again(
    world: WatchedWorld,
) -> None:
    voucher = world.voucher(1_000)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 400, world.offer()))
    world.ok("bank-2", c.InstructionSend(world.label, instruction_of(drawn)))
    id = freeze(world)
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert world.lots(voucher)[1] == ("devices", 600, 1_000, "FINANCING_PENDING")
    world.roll_to(world.day + 3)
    assert world.lots(voucher)[1] == ("devices", 600, 1_000, "FINANCING_PENDING")
    lift(world, id)
    world.roll_to(world.day + 2)
    assert world.lots(voucher)[1] == ("bank-2", 600, 1_000, "HELD")


# --- freeze against payout ----------------------------------------------------------------------------


def exposed_draw(world: WatchedWorld, voucher: bytes, amount: int) -> CommandReceipt:
    world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 10**9)
    offer = world.offer(lines_required=(r.LineKind.DEBTOR_EXPOSURE,))
    return world.ok("devices", world.draw("devices", voucher, 0, amount, offer))


def test_a_freeze_cancels_a_draw_that_was_not_sent(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    drawn = exposed_draw(world, voucher, 400)
    freeze(world, exactly(voucher, 900, 1_000))
    assert flagged(world, voucher) == [(0, 900, 0), (900, 1_000, r.FLAG_FROZEN)]
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (0, 0)
    assert world.state.get(r.Kind.FINANCING, financing_of(drawn)) is None


def test_a_sent_draw_is_recorded_and_the_holder_changes_after_the_lift(
    world: WatchedWorld,
) -> None:
    voucher = world.voucher(1_000)
    drawn = exposed_draw(world, voucher, 400)
    world.ok("bank-2", c.InstructionSend(world.label, instruction_of(drawn)))
    id = freeze(world, exactly(voucher, 900, 1_000))
    world.pay_out("bank-2", drawn, drawn.result[1])
    assert world.lots(voucher)[1:] == [
        ("devices", 600, 900, "FINANCING_PENDING"),
        ("devices", 900, 1_000, "FINANCING_PENDING"),
    ]
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (400, 0)
    again = c.PayoutConfirm(world.label, instruction_of(drawn), drawn.result[1], world.number())
    world.refused("STATE_CONFLICT", "bank-2", again)
    lift(world, id)
    assert world.lots(voucher)[1] == ("bank-2", 600, 1_000, "HELD")
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (0, 400)


def test_a_sent_loan_pledges_every_piece_after_the_lift_and_is_repaid_as_one(
    world: WatchedWorld,
) -> None:
    voucher = world.voucher(1_000)
    lend = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 0, 8_000),))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 500, lend))
    world.pay_out("bank-2", drawn, 400)
    id = freeze(world, exactly(voucher, 700, 800))
    assert [lot[3] for lot in world.lots(voucher)] == ["HELD", *["PLEDGED"] * 3]
    repay = c.FinancingRepay(world.label, financing_of(drawn), 400)
    instruction = world.ok("devices", repay).created[0].id
    world.ok("bank-2", c.RepayConfirm(world.label, instruction, 400, world.number()))
    assert flagged(world, voucher) == [(0, 700, 0), (700, 800, r.FLAG_FROZEN), (800, 1_000, 0)]
    lift(world, id)
    assert flagged(world, voucher) == [(0, 1_000, 0)]


def test_a_sent_draw_that_fails_leaves_the_range_frozen(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    drawn = exposed_draw(world, voucher, 400)
    world.ok("bank-2", c.InstructionSend(world.label, instruction_of(drawn)))
    freeze(world, exactly(voucher, 900, 1_000))
    world.ok("bank-2", c.PayoutFail(world.label, instruction_of(drawn)))
    assert flagged(world, voucher) == [(0, 900, 0), (900, 1_000, r.FLAG_FROZEN)]


# --- freeze.force_transfer ----------------------------------------------------------------------------


def force(
    world: WatchedWorld, voucher: bytes, start: int, end: int, to: str = "shop"
) -> c.ForceTransfer:
    return c.ForceTransfer(world.label, voucher, start, end, world.ids[to], DIGEST)


def test_a_court_gives_frozen_ranges_and_no_other_to_a_new_holder_NOT_FROZEN(
    world: WatchedWorld,
) -> None:
    voucher = world.voucher(1_000)
    freeze(world, exactly(voucher, 500, 700))
    world.refused("NOT_FROZEN", "court", force(world, voucher, 499, 700))
    world.refused("NOT_AUTHORISED", "regulator", force(world, voucher, 500, 700))
    world.refused("RECEIVER_NOT_ELIGIBLE", "court", force(world, voucher, 500, 700, "core"))
    world.refused("RECEIVER_NOT_ELIGIBLE", "court", force(world, voucher, 500, 700, "devices"))
    world.refused("AMOUNT_RANGE", "court", force(world, voucher, 700, 500))
    world.ok("court", force(world, voucher, 600, 700))
    assert world.lots(voucher)[1:3] == [
        ("devices", 500, 600, "HELD"), ("shop", 600, 700, "HELD"),
    ]  # fmt: skip
    lot = world.state.get(r.Kind.LOT, r.lot_id(voucher, 600))
    assert isinstance(lot, r.Lot)
    assert (lot.acquired_by, lot.hops, lot.flags) == (r.AcquiredBy.COURT, 0, r.FLAG_FROZEN)


def test_of_a_frozen_organisation_a_court_takes_any_range(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    freeze(world)
    world.ok("court", force(world, voucher, 300, 400))
    assert world.lots(voucher)[1] == ("shop", 300, 400, "HELD")
    world.ok("shop", transfer(world, voucher, 300, "bank-3"))


def test_forced_transfer_frees_the_buyers_exposure(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    drawn = exposed_draw(world, voucher, 400)
    world.pay_out("bank-2", drawn, drawn.result[1])
    freeze(world, exactly(voucher, 600, 1_000), whose="bank-2")
    world.ok("court", force(world, voucher, 700, 1_000))
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (0, 100)


@pytest.mark.parametrize("to", ["bank-2", "shop"])
def test_a_court_decides_about_a_recorded_payout(world: WatchedWorld, to: str) -> None:
    """In favour of the buyer it takes effect, else the draw is undone: it gets no lot and no line."""
    voucher = world.voucher(1_000)
    drawn = exposed_draw(world, voucher, 400)
    world.ok("bank-2", c.InstructionSend(world.label, instruction_of(drawn)))
    freeze(world, exactly(voucher, 600, 1_000))
    world.refused("LOT_LOCKED", "court", force(world, voucher, 600, 1_000, to))
    world.pay_out("bank-2", drawn, drawn.result[1])
    world.ok("court", force(world, voucher, 600, 1_000, to))
    assert world.lots(voucher)[1] == (to, 600, 1_000, "HELD")
    assert world.line_used("DEBTOR_EXPOSURE", "bank-2") == (0, 400 if to == "bank-2" else 0)


def test_after_maturity_the_new_holder_is_paid(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    mature(world, voucher)
    id = freeze(world, exactly(voucher, 500, 700))
    world.ok("court", force(world, voucher, 500, 700))
    lift(world, id)
    world.fund(voucher, 1_000)
    instruction = world.get(r.Instruction, world.instruction(voucher, 500))
    assert (instruction.payee, instruction.amount) == (world.ids["shop"], 200)
    for start, amount in ((0, 500), (500, 200), (700, 300)):
        world.ok("bank-1", pay(world, voucher, start, amount))
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


# --- settlement.escrow --------------------------------------------------------------------------------


def test_section_7_worked_example_a_frozen_share_goes_to_escrow(world: WatchedWorld) -> None:
    voucher = world.voucher(10_000)
    world.give(voucher, 0, 3_000, "shop")
    freeze(world, tail(voucher, 0, 1_000), days=300)
    mature(world, voucher)
    world.fund(voucher, 10_000)
    world.refused("LOT_FROZEN", "bank-1", pay(world, voucher, 6_000, 1_000))
    world.refused("NOT_FROZEN", "bank-1", escrow(world, voucher, 0, 6_000))
    world.refused("NOT_AUTHORISED", "bank-2", escrow(world, voucher, 6_000, 1_000))
    world.refused("OVERPAYMENT", "bank-1", escrow(world, voucher, 6_000, 1_001))
    world.ok("bank-1", escrow(world, voucher, 6_000, 1_000))
    world.refused("SETTLEMENT_REPLAY", "bank-1", escrow(world, voucher, 6_000, 1_000))
    world.ok("bank-1", pay(world, voucher, 0, 6_000))
    world.ok("bank-1", pay(world, voucher, 7_000, 3_000))
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED
    assert world.line_used() == (0, 0)


def test_escrow_is_for_what_the_debtor_has_funded_FUNDS_SHORT(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    freeze(world, days=300)
    mature(world, voucher)
    world.fund(voucher, 100)
    world.refused("FUNDS_SHORT", "bank-1", escrow(world, voucher, 0, 101))
    world.ok("bank-1", escrow(world, voucher, 0, 100))


def test_a_frozen_pledge_goes_to_escrow_and_the_loan_stands(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    lend = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 0, 8_000),))
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 500, lend))
    world.pay_out("bank-2", drawn, 400)
    freeze(world, exactly(voucher, 700, 800), days=300)
    mature(world, voucher)
    world.fund(voucher, 1_000)
    world.ok("bank-1", escrow(world, voucher, 700, 100))
    loan = world.get(r.Financing, financing_of(drawn))
    assert (loan.principal, loan.repaid) == (400, 0)
    world.ok("bank-1", pay(world, voucher, 500, 200))
    world.ok("bank-1", pay(world, voucher, 800, 200))
    assert world.state.get(r.Kind.FINANCING, financing_of(drawn)) is None


def test_a_freeze_after_part_was_paid_splits_what_is_left(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    mature(world, voucher)
    world.fund(voucher, 300)
    world.ok("bank-1", pay(world, voucher, 0, 300))
    freeze(world, exactly(voucher, 200, 500))
    assert world.instructions(voucher) == [(0, 500), (200, 300), (500, 200)]
    world.fund(voucher, 700)
    world.ok("bank-1", pay(world, voucher, 0, 200))
    world.ok("bank-1", escrow(world, voucher, 200, 300))
    world.ok("bank-1", pay(world, voucher, 500, 200))
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


# --- dispute.open, dispute.resolve --------------------------------------------------------------------


def test_a_disputed_range_does_not_move_and_nothing_new_is_financed_LOT_DISPUTED(
    world: WatchedWorld,
) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    dispute(world, "core", voucher, (600, 1_000))
    world.refused("LOT_DISPUTED", "devices", transfer(world, voucher, 600))
    world.refused("LOT_DISPUTED", "devices", world.draw("devices", voucher, 0, 1, offer))
    world.ok("devices", transfer(world, voucher, 0))


def test_other_holders_are_paid_during_a_dispute(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    world.give(voucher, 0, 300, "shop")
    id = dispute(world, "core", voucher, (0, 700))
    mature(world, voucher)
    world.fund(voucher, 1_000)
    world.ok("bank-1", pay(world, voucher, 700, 300))
    world.refused("LOT_DISPUTED", "bank-1", pay(world, voucher, 0, 700))
    world.together(c.DisputeResolve(world.label, id), "devices", "core")
    world.ok("bank-1", pay(world, voucher, 0, 700))


def test_disputes_are_opened_by_holder_or_debtor_NOT_HOLDER(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    whole = (c.DisputedRange(0, 1_000),)
    world.refused("NOT_HOLDER", "shop", c.DisputeOpen(world.label, voucher, whole, DIGEST))
    dispute(world, "devices", voucher, (0, 1_000))


def test_a_frozen_range_is_not_disputed_LOT_FROZEN(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    freeze(world, tail(voucher, 0, 1))
    whole = (c.DisputedRange(0, 1_000),)
    world.refused("LOT_FROZEN", "core", c.DisputeOpen(world.label, voucher, whole, DIGEST))


def test_a_dispute_is_resolved_by_both_or_by_a_court(world: WatchedWorld) -> None:
    voucher = world.voucher(1_000)
    first = dispute(world, "core", voucher, (0, 500))
    second = dispute(world, "devices", voucher, (400, 1_000))
    world.refused("NOT_AUTHORISED", "regulator", c.DisputeResolve(world.label, first))
    world.together(c.DisputeResolve(world.label, first), "core", "devices")
    assert flagged(world, voucher) == [(0, 400, 0), (400, 1_000, r.FLAG_DISPUTED)]
    world.ok("court", c.DisputeResolve(world.label, second))
    assert flagged(world, voucher) == [(0, 1_000, 0)]
    world.refused("STATE_CONFLICT", "court", c.DisputeResolve(world.label, second))
    world.sell("devices", voucher, 0, 1, world.offer())


# --- settlement.write_off -----------------------------------------------------------------------------


def in_default(world: WatchedWorld) -> bytes:
    voucher = world.voucher(1_000)
    world.give(voucher, 0, 300, "shop")
    world.roll_to(world.get(r.Voucher, voucher).grace_end + 31)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.DEFAULTED
    return voucher


def test_written_off_once_every_open_lot_is_and_still_payable(world: WatchedWorld) -> None:
    voucher = in_default(world)
    world.ok("devices", c.SettlementWriteOff(world.label, voucher))
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.DEFAULTED
    world.refused("LOT_STATE", "devices", c.SettlementWriteOff(world.label, voucher))
    world.ok("shop", c.SettlementWriteOff(world.label, voucher))
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.WRITTEN_OFF
    assert world.get(r.Organisation, world.ids["core"]).blocked_automatic
    world.fund(voucher, 1_000)
    world.ok("bank-1", pay(world, voucher, 0, 700))
    world.ok("bank-1", pay(world, voucher, 700, 300))
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED
    assert not world.get(r.Organisation, world.ids["core"]).blocked_automatic


def test_write_off_is_for_holders_of_what_is_in_default(world: WatchedWorld) -> None:
    early = world.voucher(1_000)
    world.refused("VOUCHER_STATE", "devices", c.SettlementWriteOff(world.label, early))
    voucher = in_default(world)
    world.refused("NOT_HOLDER", "bank-3", c.SettlementWriteOff(world.label, voucher))
    freeze(world)
    world.refused("LOT_FROZEN", "devices", c.SettlementWriteOff(world.label, voucher))


def test_penalty_runs_on_after_the_write_off(world: WatchedWorld) -> None:
    voucher = in_default(world)
    for holder in ("devices", "shop"):
        world.ok(holder, c.SettlementWriteOff(world.label, voucher))
    days = 40
    world.roll_to(world.get(r.Voucher, voucher).grace_end + 1 + days)
    penalty = (2 * 1_000 * 500 * days + 10**6) // (2 * 10**6)

    def funds(part: int) -> c.FundsReceived:
        return c.FundsReceived(world.label, voucher, 0, part, sha256(world.label).digest())

    world.refused("FUNDS_EXCEEDED", "bank-1", funds(penalty + 1))
    world.ok("bank-1", funds(penalty))


def test_a_penalty_for_what_is_frozen_goes_to_escrow(world: WatchedWorld) -> None:
    voucher = in_default(world)
    world.ok("bank-1", c.FundsReceived(world.label, voucher, 0, 10, world.number()))
    penalty = next(
        key[16:]
        for key in world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=10)
        if world.get(r.Instruction, key[16:]).payee == world.ids["shop"]
        and world.get(r.Instruction, key[16:]).purpose is r.InstructionPurpose.PENALTY
    )
    id = freeze(world, whose="shop")
    confirm = c.InstructionConfirm(world.label, penalty, 3, world.number())
    world.refused("LOT_FROZEN", "bank-1", confirm)
    world.ok("bank-1", c.SettlementEscrow(world.label, penalty, 1, world.number()))
    lift(world, id)
    world.ok("bank-1", msgspec.structs.replace(confirm, label=world.label, amount=2))


# --- any order of acts --------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((0, 2, 3, 3, 4, 5, 6, 6, 7, 8, 8, 8, 9, 9, 10, 10, 11, 12, 12, 13, 13)),
            st.integers(0, 999),
            st.integers(1, 400),
        ),
        min_size=8,
        max_size=30,
    )
)
def test_holds_in_any_order_agree_with_the_naive_model_I6_I14(
    acts: list[tuple[int, int, int]],
) -> None:
    """Freezes, disputes, draws, transfers, lifts and days in any order: the world compares the state with
    the money model, and the indexes with the records, after every block."""
    world = WatchedWorld()
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
    world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 10**9)
    sale = world.offer(lines_required=(r.LineKind.DEBTOR_EXPOSURE,))
    loan = world.offer(kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 1, 8_000),))
    freezes: list[bytes] = []
    disputes: list[bytes] = []
    instructions: list[tuple[bytes, int]] = []

    def created(receipt: CommandReceipt, kind: r.Kind, into: list[bytes]) -> None:
        into.extend(x.id for x in receipt.created if x.kind == kind)

    for number, (act, position, amount) in enumerate(acts):
        if number == len(acts) // 2:
            mature(world, voucher)
        lots = world.lots(voucher)
        holder, start, _, state = next(lot for lot in lots if lot[1] <= position < lot[2])
        match act:
            case 0:
                part = exactly(voucher, position, min(1_000, position + amount))
                command = order(world, part, whose=holder, days=amount)
                created(world.run("court", command), r.Kind.FREEZE, freezes)
            case 2:
                command = order(world, whose=holder, days=amount)
                created(world.run("court", command), r.Kind.FREEZE, freezes)
            case 3 if freezes:
                id = freezes.pop(position % len(freezes))
                world.run("court", c.FreezeLift(world.label, id))
            case 4:
                ranges = (c.DisputedRange(position, min(1_000, position + amount)),)
                opening = c.DisputeOpen(world.label, voucher, ranges, DIGEST)
                created(world.run("core", opening), r.Kind.DISPUTE, disputes)
            case 5 if disputes:
                id = disputes.pop(position % len(disputes))
                world.run("court", c.DisputeResolve(world.label, id))
            case 6:
                pieces = (c.Piece(world.ids["shop"], amount, None),)
                world.run(holder, c.LotTransfer(world.label, voucher, start, pieces))
            case 7 if state == "TRANSFER_PENDING":
                world.run("shop", c.LotAccept(world.label, voucher, start))
            case 8 if holder in ("devices", "shop"):
                offer = loan if position % 3 == 0 else sale
                drawn = world.run(holder, world.draw(holder, voucher, start, amount, offer))
                if drawn.code == "OK":
                    instructions.append((instruction_of(drawn), drawn.result[1]))
            case 9 if instructions:
                id = instructions[position % len(instructions)][0]
                world.run("bank-2", c.InstructionSend(world.label, id))
            case 10 if instructions:
                id, net = instructions.pop(position % len(instructions))
                paid = c.PayoutConfirm(world.label, id, net, world.number())
                world.run("bank-2", paid)
            case 11:
                world.roll_to(world.day + amount % 3)
            case 12:
                funds = c.FundsReceived(world.label, voucher, 2 * amount, 0, world.number())
                world.run("bank-1", funds)
            case 13:
                for command in (pay, escrow):
                    world.run("bank-1", command(world, voucher, start, 1 + amount % 50))
    still_open = [lot for lot in world.lots(voucher) if lot[3] not in ("REDEEMED", "CANCELLED")]
    for _, start, end, _ in still_open:
        instruction = world.get(r.Instruction, world.instruction(voucher, start))
        assert instruction.amount - instruction.paid == end - start
