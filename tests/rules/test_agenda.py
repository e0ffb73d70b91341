"""The agenda of the block prologue (voucher law §5, Block prologue and touch rule)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

from node.ledger.redemption import instruction_id
from tallynet import commands as c
from tallynet import records as r


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


def issued(world: World, tenor_days: int) -> bytes:
    """A voucher that waits for its payee."""
    line = world.line(r.LineKind.ISSUE, "bank-1", "core", 10**12)
    document = world.document(100)
    command = world.issue(100, document, world.programme(), line, maturity=world.day + tenor_days)
    return world.ok("core", command).created[0].id


# --- several acts on one voucher on one day -----------------------------------------------------------


def test_a_claim_deadline_just_before_maturity_cancels_the_voucher(world: World) -> None:
    """Expiry runs first and ends the voucher; its maturity, due in the same block, is off the agenda."""
    id = issued(world, 11)
    voucher = world.get(r.Voucher, id)
    assert voucher.claim_deadline + 1 == voucher.maturity
    world.roll_to(voucher.maturity)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.CANCELLED


def test_a_transfer_that_lapses_on_the_day_of_maturity_goes_back_to_its_sender(
    world: World,
) -> None:
    """The lapse touches the voucher, which matures by that; its own entry comes later in the block."""
    id = world.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
    maturity = world.get(r.Voucher, id).maturity
    world.roll_to(maturity - 6)
    piece = c.Piece(world.ids["shop"], 500, None)
    world.ok("devices", c.LotTransfer(world.label, id, 0, (piece,)))
    world.roll_to(maturity)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.DUE
    assert world.lots(id) == [("devices", 0, 1_000, "HELD")]


# --- what is on the agenda follows from the records (I14; the world compares after every block) ----------


def set_parameter(world: World, name: str, value: int) -> None:
    """In force from tomorrow on."""
    for bank in ("bank-1", "bank-2", "bank-3"):
        world.ok(bank, c.ParameterSet(world.label, name, world.day + 1, value))


def test_a_voucher_claimed_on_its_last_day_is_due_for_the_next_act_of_the_same_block(
    world: World,
) -> None:
    """What a later act of the block finds must not depend on whether one before it touched the voucher."""
    id = issued(world, 3)
    world.roll_to(world.get(r.Voucher, id).maturity)
    world.ok("devices", c.VoucherClaim(world.label, id, True))
    assert world.get(r.Voucher, id).status is r.VoucherStatus.DUE


def test_a_voucher_claimed_after_its_maturity_matures_by_itself(world: World) -> None:
    id = issued(world, 3)
    world.roll_to(world.get(r.Voucher, id).maturity + 1)
    world.ok("devices", c.VoucherClaim(world.label, id, True))
    world.block()
    assert world.get(r.Voucher, id).status is r.VoucherStatus.DUE


def test_a_pending_transfer_keeps_the_deadline_of_its_day(world: World) -> None:
    id = world.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
    first, second = (c.Piece(world.ids["shop"], amount, None) for amount in (500, 200))
    world.ok("devices", c.LotTransfer(world.label, id, 0, (first,)))
    begun = world.day
    set_parameter(world, "transfer_deadline_days", 9)
    world.roll_to(begun + 1)
    world.ok("devices", c.LotTransfer(world.label, id, 0, (second,)))
    pending = [
        ("devices", 300, 500, "TRANSFER_PENDING"),
        ("devices", 500, 1_000, "TRANSFER_PENDING"),
    ]
    world.roll_to(begun + 5)
    assert world.lots(id)[1:] == pending
    world.roll_to(begun + 6)
    assert [lot[3] for lot in world.lots(id)] == ["HELD", "TRANSFER_PENDING", "HELD"]
    world.ok("shop", c.LotAccept(world.label, id, 300))
    world.roll_to(begun + 12)


def test_a_default_comes_by_the_rule_of_the_first_day_overdue(world: World) -> None:
    id = world.voucher(1_000)
    grace_end = world.get(r.Voucher, id).grace_end
    world.roll_to(grace_end + 1)
    set_parameter(world, "default_after_days", 3)
    world.roll_to(grace_end + 30)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.OVERDUE
    world.roll_to(grace_end + 31)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.DEFAULTED


def test_a_covered_voucher_has_nothing_more_to_fear(world: World) -> None:
    """Funded in full before the grace ends, paid out long after."""
    id = world.voucher(1_000)
    voucher = world.get(r.Voucher, id)
    world.roll_to(voucher.maturity)
    receipt = bytes(31) + world.label[-1:]
    world.ok("bank-1", c.FundsReceived(world.label, id, 1_000, 0, receipt))
    world.roll_to(voucher.grace_end + 5)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.DUE


def test_an_early_payment_can_cover_what_is_left_of_a_due_voucher(world: World) -> None:
    """Funds for the other lot came before: nothing is uncovered any more, nothing becomes overdue."""
    id = world.voucher(1_000)
    voucher = world.get(r.Voucher, id)
    band = (r.RateBand(365, 0, 10_000),)
    offer = world.offer("core", kind=r.FinancingKind.EARLY_PAY, grid=band)
    set_parameter(world, "payout_timeout_seconds", 864_000)
    world.roll_to(voucher.maturity - 1)
    drawn = world.ok("devices", world.draw("devices", id, 0, 400, offer))
    instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
    world.ok("bank-1", c.InstructionSend(world.label, instruction))
    world.roll_to(voucher.maturity)
    receipt = bytes(31) + world.label[-1:]
    world.ok("bank-1", c.FundsReceived(world.label, id, 600, 0, receipt))
    world.pay_out("bank-1", drawn, 400)
    world.roll_to(voucher.grace_end + 1)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.DUE


def test_an_early_payment_that_ends_a_due_voucher_clears_its_agenda(world: World) -> None:
    """The pay-out was under way at maturity: the last lot is redeemed before all instructions are open."""
    id = world.voucher(1_000)
    maturity = world.get(r.Voucher, id).maturity
    band = (r.RateBand(365, 0, 10_000),)
    offer = world.offer("core", kind=r.FinancingKind.EARLY_PAY, grid=band)
    world.roll_to(maturity - 1)
    drawn = world.ok("devices", world.draw("devices", id, 0, 1_000, offer))
    instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
    world.ok("bank-1", c.InstructionSend(world.label, instruction))
    crowd(world, maturity)
    roll_once(world)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.ACTIVE, (
        "its maturity waits in the backlog"
    )
    world.pay_out("bank-1", drawn, 1_000)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.SETTLED
    world.block()


def test_a_command_overtakes_the_prologue_and_leaves_nothing_behind(world: World) -> None:
    """Touch rule: what the backlog still holds happens at once for a voucher that is touched."""
    id = world.voucher(1_000)
    default = world.get(r.Voucher, id).grace_end + 31
    world.roll_to(default - 1)
    crowd(world, default)
    roll_once(world)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.OVERDUE, (
        "its default waits in the backlog"
    )
    receipt = bytes(31) + world.label[-1:]
    world.ok("bank-1", c.FundsReceived(world.label, id, 1_000, 0, receipt))
    assert world.get(r.Voucher, id).status is r.VoucherStatus.DEFAULTED


def crowd(world: World, day: int, count: int = 2 * 200) -> None:
    """So many acts due on `day` that a block cannot carry them all out: expiring offers come early."""
    set_parameter(world, "system_work_per_block", 200)
    terms = {
        "kind": r.FinancingKind.SALE, "currency": "CNY", "debtors": (), "programmes": (),
        "grid": (r.RateBand(365, 43_500, 10_000),), "basis": 360, "draw_min": 1, "draw_max": 1,
        "organisation_cap": 0, "total_cap": 1, "valid_from": world.day, "valid_to": day - 1,
        "lines_required": (), "registration_required": False, "automatic": True,
        "stop_on_flow_collapse": False, "source": None,
    }  # fmt: skip
    offers = [c.OfferCreate(b"crowd" + n.to_bytes(2, "big"), **terms) for n in range(count)]  # type: ignore[arg-type]
    receipt = world.receipt(world.envelope("bank-4", *offers))
    assert {command.code for command in receipt.commands} == {"OK"}


def roll_once(world: World) -> None:
    network = world.get(r.Network, r.NETWORK_ID)
    world.block(seconds=network.next_roll - world.time)


def test_a_pending_transfer_that_ends_between_two_batches_joins_what_is_instructed(
    world: World,
) -> None:
    """A lot in the middle of the next batch is then part of one whose instruction is open."""
    set_parameter(world, "instruction_batch", 20)
    id = world.voucher(1_000, accept_mode=r.AcceptMode.EXPLICIT)
    maturity = world.get(r.Voucher, id).maturity
    world.roll_to(maturity - 1)
    pieces = tuple(c.Piece(world.ids["shop"], 1, None) for _ in range(24))
    world.ok("devices", c.LotTransfer(world.label, id, 0, pieces))
    crowd(world, maturity, 198)
    left = world.get(r.Network, r.NETWORK_ID).next_roll - world.time
    decline = world.envelope("shop", c.LotDecline(world.label, id, 995), valid_for=left + 60)
    world.block(decline, seconds=left)
    voucher = world.get(r.Voucher, id)
    assert (voucher.status, voucher.instructions_opened) == (r.VoucherStatus.DUE, 995)
    world.block()
    assert world.lots(id) == [("devices", 0, 1_000, "HELD")]
    instruction = world.get(r.Instruction, instruction_id(id, 0))
    assert instruction.amount == 1_000
