"""The agenda of the block prologue (voucher law §5, Block prologue and touch rule)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

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
