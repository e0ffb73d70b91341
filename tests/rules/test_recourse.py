"""Loans that go wrong, and plain instructions (voucher law §8.7, §9, §12)."""

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

FACE = 100_000_000
RATE = 34_500
EXPOSURE = (r.LineKind.DEBTOR_EXPOSURE, r.LineKind.BORROWER)


@pytest.fixture
def world() -> World:
    made = World(audited=True)
    made.core_and_suppliers()
    for obligor, kind in (("core", r.LineKind.DEBTOR_EXPOSURE), ("devices", r.LineKind.BORROWER)):
        made.line(kind, "bank-2", obligor, 10**12)
    return made


def receipt_number(world: World) -> bytes:
    return sha256(b"receipt" + world.label).digest()


def lend(
    world: World, voucher: bytes, kind: r.FinancingKind, amount: int = FACE, advance: int = 8_000
) -> bytes:
    """A loan that was paid out."""
    grid = (r.RateBand(365, RATE, advance),)
    offer = world.offer("bank-2", kind=kind, grid=grid, lines_required=EXPOSURE)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, amount, offer))
    world.pay_out("bank-2", drawn, amount * advance // 10_000)
    return next(x.id for x in drawn.created if x.kind == r.Kind.FINANCING)


def used(world: World) -> set[int]:
    names = ("line DEBTOR_EXPOSURE bank-2 core", "line BORROWER bank-2 devices")
    return {world.get(r.CreditLine, world.ids[name]).used for name in names}


def interest(principal: int, days: int) -> int:
    return (2 * principal * RATE * days + 360_000_000) // 720_000_000


def claim(world: World, loan: bytes, event: bytes | None = None) -> c.RecourseClaim:
    return c.RecourseClaim(world.label, loan, event)


def repurchase(world: World, loan: bytes) -> c.RecourseRepurchase:
    return c.RecourseRepurchase(world.label, loan)


def enforce(world: World, loan: bytes) -> c.FinancingEnforce:
    return c.FinancingEnforce(world.label, loan)


def confirm(world: World, instruction: bytes, amount: int) -> c.RepayConfirm:
    return c.RepayConfirm(world.label, instruction, amount, receipt_number(world))


def after_grace(world: World, voucher: bytes) -> None:
    world.roll_to(world.get(r.Voucher, voucher).grace_end + 1)


def settle(world: World, voucher: bytes, face: int) -> None:
    """The debtor pays, late, and its clearing bank passes all of it on."""
    world.ok("bank-1", c.FundsReceived(world.label, voucher, face, 0, receipt_number(world)))
    for key in world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=9):
        instruction = world.get(r.Instruction, key[16:])
        lot = world.state.get(r.Kind.LOT, r.lot_id(voucher, instruction.start))
        assert isinstance(lot, r.Lot)
        paid = c.SettlementPaid(world.label, key[16:], lot.covered, receipt_number(world))
        world.ok("bank-1", paid)


def surplus(world: World) -> tuple[bytes, r.Instruction]:
    keys = world.state.index_scan(Index.BANK_INSTRUCTIONS, world.ids["bank-2"], limit=9)
    found = [(key[16:], world.get(r.Instruction, key[16:])) for key in keys]
    return next(x for x in found if x[1].purpose is r.InstructionPurpose.SURPLUS)


# --- recourse ---------------------------------------------------------------------------------------


def test_a_recourse_loan_end_to_end(world: World) -> None:
    """Lent on the range, the debtor does not pay, the bank claims it back, the supplier pays, the range is
    the supplier's again, and the debtor's late money too."""
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_RECOURSE)
    assert world.lots(voucher) == [("devices", 0, FACE, "PLEDGED")]
    begun = world.get(r.Financing, loan).value_day
    after_grace(world, voucher)
    owed = interest(80_000_000, world.day - begun)
    assert world.ok("bank-2", claim(world, loan)).result == (owed, 80_000_000)
    assert world.get(r.Financing, loan).state is r.FinancingState.RECOURSE
    announced = world.ok("devices", repurchase(world, loan))
    assert announced.result == (owed, 80_000_000)
    instruction = announced.created[0].id
    assert world.get(r.Instruction, instruction).amount == 80_000_000 + owed
    world.ok("bank-2", confirm(world, instruction, 80_000_000 + owed))
    assert world.lots(voucher) == [("devices", 0, FACE, "HELD")]
    assert world.state.get(r.Kind.FINANCING, loan) is None
    assert used(world) == {0}
    settle(world, voucher, FACE)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


def test_NO_RECOURSE_before_the_voucher_is_overdue_unless_the_contract_names_the_event(
    world: World,
) -> None:
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_RECOURSE)
    world.refused("NO_RECOURSE", "bank-2", claim(world, loan))
    world.roll_to(world.get(r.Voucher, voucher).grace_end)
    world.refused("NO_RECOURSE", "bank-2", claim(world, loan))
    world.refused("NO_RECOURSE", "devices", repurchase(world, loan))
    world.refused("NOT_AUTHORISED", "bank-3", claim(world, loan, DIGEST))
    world.ok("bank-2", claim(world, loan, DIGEST))
    world.refused("STATE_CONFLICT", "bank-2", claim(world, loan, DIGEST))
    after_grace(world, voucher)
    assert world.get(r.Financing, loan).state is r.FinancingState.RECOURSE


def test_NO_RECOURSE_for_pledge_loans_and_sales(world: World) -> None:
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_PLEDGE, FACE // 2)
    sold = world.ok("devices", world.draw("devices", voucher, 0, 100, world.offer()))
    for financing in (loan, sold.created[0].id):
        world.refused("NO_RECOURSE", "bank-2", claim(world, financing, DIGEST))


def test_a_repurchase_announces_what_is_not_announced_yet_and_is_the_borrowers(
    world: World,
) -> None:
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_RECOURSE)
    world.ok("bank-2", claim(world, loan, DIGEST))
    part = world.ok("devices", c.FinancingRepay(world.label, loan, 30_000_000)).created[0].id
    world.refused("NOT_AUTHORISED", "shop", repurchase(world, loan))
    rest = world.ok("devices", repurchase(world, loan)).created[0].id
    assert world.get(r.Instruction, rest).amount == 50_000_000
    world.refused("STATE_CONFLICT", "devices", repurchase(world, loan))
    world.ok("bank-2", confirm(world, rest, 50_000_000))
    world.ok("bank-2", confirm(world, part, 30_000_000))
    assert world.lots(voucher) == [("devices", 0, FACE, "HELD")]


def test_the_debtors_late_money_still_serves_a_loan_under_recourse(world: World) -> None:
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_RECOURSE)
    begun = world.get(r.Financing, loan).value_day
    after_grace(world, voucher)
    world.ok("bank-2", claim(world, loan))
    settle(world, voucher, FACE)
    owed = 80_000_000 + interest(80_000_000, world.day - begun)
    assert surplus(world)[1].amount == FACE - owed
    assert world.state.get(r.Kind.FINANCING, loan) is None


# --- enforcement --------------------------------------------------------------------------------------


def test_an_enforced_range_is_the_banks_and_its_surplus_the_borrowers(world: World) -> None:
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_PLEDGE)
    begun = world.get(r.Financing, loan).value_day
    world.roll_to(world.get(r.Voucher, voucher).grace_end)
    world.refused("STATE_CONFLICT", "bank-2", enforce(world, loan))
    after_grace(world, voucher)
    world.refused("NOT_AUTHORISED", "bank-3", enforce(world, loan))
    world.ok("bank-2", enforce(world, loan))
    assert world.lots(voucher) == [("bank-2", 0, FACE, "HELD")]
    world.refused("STATE_CONFLICT", "bank-2", enforce(world, loan))
    settle(world, voucher, FACE)
    _, onward = surplus(world)
    owed = 80_000_000 + interest(80_000_000, world.day - begun)
    assert (onward.payee, onward.amount) == (world.ids["devices"], FACE - owed)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED
    assert used(world) == {0}


def test_once_the_debt_is_paid_the_rest_of_an_enforced_range_is_the_borrowers_again(
    world: World,
) -> None:
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_PLEDGE)
    after_grace(world, voucher)
    world.ok("bank-2", enforce(world, loan))
    settle(world, voucher, 90_000_000)
    assert world.lots(voucher) == [
        ("devices", 0, 10_000_000, "HELD"), ("bank-2", 10_000_000, FACE, "REDEEMED"),
    ]  # fmt: skip
    settle(world, voucher, 10_000_000)
    assert world.get(r.Voucher, voucher).status is r.VoucherStatus.SETTLED


def test_an_unmet_claim_does_not_bar_enforcement(world: World) -> None:
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_RECOURSE)
    world.ok("bank-2", claim(world, loan, DIGEST))
    world.refused("STATE_CONFLICT", "bank-2", enforce(world, loan))
    after_grace(world, voucher)
    world.ok("bank-2", enforce(world, loan))


def test_a_range_that_settlement_has_used_up_cannot_be_enforced(world: World) -> None:
    """An advance of all the face: interest is still owed when the range is paid."""
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_PLEDGE, advance=10_000)
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    settle(world, voucher, FACE)
    after_grace(world, voucher)
    world.refused("STATE_CONFLICT", "bank-2", enforce(world, loan))
    world.ok("bank-2", c.FinancingWriteOff(world.label, loan))


# --- write-off ----------------------------------------------------------------------------------------


def test_a_written_off_loan_stays_payable(world: World) -> None:
    voucher = world.voucher(FACE)
    loan = lend(world, voucher, r.FinancingKind.LOAN_PLEDGE)
    write_off = c.FinancingWriteOff(world.label, loan)
    world.refused("STATE_CONFLICT", "bank-2", write_off)
    after_grace(world, voucher)
    world.refused("NOT_AUTHORISED", "bank-3", write_off)
    world.ok("bank-2", write_off)
    assert world.get(r.Financing, loan).state is r.FinancingState.WRITTEN_OFF
    assert world.lots(voucher) == [("devices", 0, FACE, "PLEDGED")]
    assert used(world) == {80_000_000}
    world.refused("STATE_CONFLICT", "bank-2", enforce(world, loan))
    part = world.ok("devices", c.FinancingRepay(world.label, loan, 1_000)).created[0].id
    world.ok("bank-2", confirm(world, part, 1_000))
    settle(world, voucher, FACE)
    assert world.state.get(r.Kind.FINANCING, loan) is None
    assert used(world) == {0}


# --- instructions without a command of their own --------------------------------------------------------


def paid_surplus(world: World) -> tuple[bytes, r.Instruction]:
    """A surplus that the lender owes its borrower."""
    voucher = world.voucher(FACE)
    lend(world, voucher, r.FinancingKind.LOAN_PLEDGE)
    world.roll_to(world.get(r.Voucher, voucher).maturity)
    settle(world, voucher, FACE)
    return surplus(world)


def confirmed(world: World, id: bytes, amount: int) -> c.InstructionConfirm:
    return c.InstructionConfirm(world.label, id, amount, receipt_number(world))


def test_a_surplus_is_confirmed_by_its_bank_once_and_exactly(world: World) -> None:
    id, instruction = paid_surplus(world)
    world.refused("NOT_AUTHORISED", "bank-1", confirmed(world, id, instruction.amount))
    world.refused("AMOUNT_MISMATCH", "bank-2", confirmed(world, id, instruction.amount - 1))
    world.ok("bank-2", c.InstructionSend(world.label, id))
    by_machine = {"signers": [("machine", r.Role.API)]}
    done = confirmed(world, id, instruction.amount)
    world.ok("bank-2", done, **by_machine)
    assert world.state.get(r.Kind.INSTRUCTION, id) is None
    world.refused("RECORD_NOT_FOUND", "bank-2", confirmed(world, id, instruction.amount))


def test_a_surplus_that_could_not_be_paid_is_still_owed(world: World) -> None:
    id, instruction = paid_surplus(world)
    world.refused("NOT_AUTHORISED", "bank-1", c.InstructionFail(world.label, id))
    world.ok("bank-2", c.InstructionFail(world.label, id))
    failed = world.get(r.Instruction, id)
    assert failed.state is r.InstructionState.FAILED
    assert failed.account == world.account("devices")
    world.ok("bank-2", confirmed(world, id, instruction.amount))


def test_a_penalty_is_confirmed_by_the_clearing_bank(world: World) -> None:
    voucher = world.voucher(FACE)
    world.roll_to(world.get(r.Voucher, voucher).grace_end + 11)
    penalty = FACE * 500 * 10 // 1_000_000
    number = receipt_number(world)
    world.ok("bank-1", c.FundsReceived(world.label, voucher, FACE, penalty, number))
    keys = world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=9)
    ids = {world.get(r.Instruction, key[16:]).purpose: key[16:] for key in keys}
    id = ids[r.InstructionPurpose.PENALTY]
    settled = c.SettlementPaid(world.label, id, penalty, receipt_number(world))
    world.refused("STATE_CONFLICT", "bank-1", settled)
    reused = c.InstructionConfirm(world.label, id, penalty, number)
    world.refused("RECEIPT_REUSED", "bank-1", reused)
    world.ok("bank-1", confirmed(world, id, penalty))
    assert world.state.get(r.Kind.INSTRUCTION, id) is None


def test_STATE_CONFLICT_purposes_with_commands_of_their_own(world: World) -> None:
    voucher = world.voucher(FACE)
    drawn = world.ok("devices", world.draw("devices", voucher, 0, 100, world.offer()))
    id = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
    world.refused("STATE_CONFLICT", "bank-2", confirmed(world, id, drawn.result[1]))
    world.refused("STATE_CONFLICT", "bank-2", c.InstructionFail(world.label, id))
