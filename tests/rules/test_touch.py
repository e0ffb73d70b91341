"""Touch rule (voucher law §5): what the business date implies holds for a lot that a command names, however
far the prologue's sweep has come."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World
from test_agenda import crowd, roll_once
from watched_world import WatchedWorld

from node.ledger.execute import BlockResult
from tallynet import commands as c
from tallynet import records as r
from tallynet.envelope import Envelope


class SweptWorld(WatchedWorld):
    """Without the money model, which knows no backlog: it does at once what the day brings."""

    def block(self, *envelopes: Envelope, seconds: int = 1) -> BlockResult:
        return World.block(self, *envelopes, seconds=seconds)


@pytest.fixture
def world() -> SweptWorld:
    return SweptWorld()


def into_backlog(world: SweptWorld, day: int) -> None:
    """The business date is `day`, and what falls due on it waits behind the day before."""
    world.roll_to(day - 2)
    crowd(world, day - 1, 4 * 200)
    roll_once(world)
    roll_once(world)
    assert world.day == day


def test_what_silence_has_accepted_is_the_receivers_to_pass_on(world: SweptWorld) -> None:
    voucher = world.voucher(1_000, accept_mode=r.AcceptMode.DEEMED, deemed_days=5)
    world.give(voucher, 0, 400, "shop")
    into_backlog(world, world.day + 5)
    assert world.lots(voucher)[1] == ("devices", 600, 1_000, "TRANSFER_PENDING")
    world.ids["voucher x"] = voucher
    world.refused("LOT_STATE", "devices", c.LotRecall(world.label, voucher, 600))
    world.ok(
        "shop", c.LotTransfer(world.label, voucher, 600, (c.Piece(world.ids["bank-3"], 1, None),))
    )
    assert world.lots(voucher)[1] == ("shop", 600, 999, "HELD")


def test_a_freeze_past_its_last_day_holds_nothing(world: SweptWorld) -> None:
    voucher = world.voucher(1_000)
    part = c.FrozenPart(voucher, 0, 400, False)
    freeze = c.FreezeOrder(world.label, world.ids["devices"], DIGEST, (part,), world.day + 4)
    id = world.ok("court", freeze).created[0].id
    into_backlog(world, world.day + 5)
    assert world.get(r.Freeze, id).state is r.FreezeState.IN_FORCE, "its end waits in the backlog"
    world.give(voucher, 0, 1_000, "shop")
    assert world.get(r.Freeze, id).state is r.FreezeState.EXPIRED


def test_a_claim_after_the_deadline_is_too_late_before_and_after_the_sweep_CLAIM_EXPIRED(
    world: SweptWorld,
) -> None:
    line = world.line(r.LineKind.ISSUE, "bank-1", "core", 1_000)
    issue = world.issue(1_000, world.document(1_000), world.programme(), line)
    id = world.ids["voucher late"] = world.ok("core", issue).created[0].id
    deadline = world.get(r.Voucher, id).claim_deadline
    into_backlog(world, deadline + 1)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.PENDING_CLAIM
    world.refused("CLAIM_EXPIRED", "devices", c.VoucherClaim(world.label, id, True))
    world.roll_to(deadline + 2)
    assert world.get(r.Voucher, id).status is r.VoucherStatus.CANCELLED
    world.refused("CLAIM_EXPIRED", "devices", c.VoucherClaim(world.label, id, True))
