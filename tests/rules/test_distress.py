"""Issuer blocks, distress events, declared distress (voucher law §8.1; C28, C29)."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

from node.ledger import joint
from node.ledger.context import Context
from node.ledger.distress import WINDOW_DAYS_MAX, covers
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, decode
from tallynet.receipts import Event
from tallynet.records import OrganisationKind, Role


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    made.admit("regulator", OrganisationKind.REGULATOR)
    return made


def promise(world: World) -> c.VoucherIssue:
    line = world.ids.get("line ISSUE bank-1 core") or world.line(
        r.LineKind.ISSUE, "bank-1", "core", 10**9
    )
    return world.issue(1_000, world.document(1_000), world.programme(), line)


def flood(world: World, **changes: object) -> c.DistressOpen:
    command = c.DistressOpen(world.label, ("coast",), ("tourism",), world.day - 3, world.day + 30)
    return msgspec.structs.replace(command, **changes)


# --- issuer.block, issuer.unblock -----------------------------------------------------------------


def test_a_regulator_alone_blocks_and_unblocks_an_issuer(world: World) -> None:
    command = promise(world)
    world.ok("regulator", c.IssuerBlock(world.label, world.ids["core"]))
    world.refused("ISSUER_BLOCKED", "core", command)
    world.ok("regulator", c.IssuerUnblock(world.label, world.ids["core"]))
    world.ok("core", command)


def test_f_plus_1_banks_jointly_block_an_issuer_and_nobody_else(world: World) -> None:
    command = c.IssuerBlock(b"list", world.ids["core"])
    assert world.ok("bank-1", command).result == (1, 2)
    world.ok("core", promise(world))
    world.refused("CONSENT_REPEATED", "bank-1", command)
    world.refused("NOT_AUTHORISED", "devices", command)
    world.ok("bank-3", msgspec.structs.replace(command, label=b"other"))
    world.refused("ISSUER_BLOCKED", "core", promise(world))


def test_a_block_stands_once(world: World) -> None:
    block, unblock = (kind(b"x", world.ids["core"]) for kind in (c.IssuerBlock, c.IssuerUnblock))
    world.refused("STATE_CONFLICT", "regulator", unblock)
    world.ok("regulator", block)
    world.refused("STATE_CONFLICT", "regulator", block)
    world.refused("RECORD_NOT_FOUND", "regulator", c.IssuerBlock(world.label, bytes(16)))


def test_what_the_regulator_did_takes_the_open_consents_to_it_off(world: World) -> None:
    block = c.IssuerBlock(world.label, world.ids["core"])
    world.ok("bank-1", block)
    world.ok("regulator", block)
    withdraw = c.ConsentWithdraw(world.label, joint.hash_of(block))
    world.refused("CONSENT_NOT_OPEN", "bank-1", withdraw)
    world.ok("regulator", c.IssuerUnblock(world.label, world.ids["core"]))
    assert world.ok("bank-2", block).result == (1, 2), "no stale consent blocks the core again"


def test_maker_and_checker_of_the_regulator_sign(world: World) -> None:
    command = c.IssuerBlock(world.label, world.ids["core"])
    world.refused("POLICY_UNSATISFIED", "regulator", command, signers=[("maker", Role.MAKER)])


def test_a_manual_block_leaves_what_was_issued_alone(world: World) -> None:
    voucher = world.voucher(10_000)
    world.ok("regulator", c.IssuerBlock(world.label, world.ids["core"]))
    piece = c.Piece(world.ids["shop"], 100, None)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, (piece,)))


def test_a_blocked_enterprise_does_not_issue_through_a_branch(world: World) -> None:
    world.branch("core", "harbour")
    line = world.line(r.LineKind.ISSUE, "bank-1", "harbour", 10**9)
    document = world.document(1_000, "devices", "harbour")
    command = world.issue(1_000, document, world.programme(), line)
    world.ok("regulator", c.IssuerBlock(world.label, world.ids["core"]))
    world.refused("ISSUER_BLOCKED", "harbour", command)


# --- distress.open, distress.close ----------------------------------------------------------------


def hit(world: World, event: bytes, organisation: str) -> bool:
    reading = Context(
        world.state, genesis=world.hash, time=world.time, transaction=None, acting=bytes(16)
    )
    found = world.get(r.Organisation, world.ids[organisation])
    return covers(reading, world.get(r.DistressEvent, event), found)


def test_a_distress_event_covers_its_regions_and_industries_in_its_window(world: World) -> None:
    event = world.ok("regulator", flood(world)).created[0].id
    assert hit(world, event, "core")
    assert not hit(world, event, "bank-1"), "another region and industry"
    world.roll_to(world.get(r.DistressEvent, event).to_day)
    assert hit(world, event, "core")
    world.roll_to(world.day + 1)
    assert not hit(world, event, "core")


def test_no_region_means_every_region(world: World) -> None:
    event = world.ok("regulator", flood(world, regions=(), industries=())).created[0].id
    assert hit(world, event, "bank-1")


def test_a_closed_event_covers_nobody(world: World) -> None:
    event = world.ok("regulator", flood(world)).created[0].id
    world.ok("regulator", c.DistressClose(world.label, event))
    assert not hit(world, event, "core")
    world.refused("STATE_CONFLICT", "regulator", c.DistressClose(world.label, event))
    world.refused("RECORD_NOT_FOUND", "regulator", c.DistressClose(world.label, bytes(16)))


def test_f_plus_1_banks_open_and_close_an_event_too(world: World) -> None:
    event = world.jointly(flood(world), "bank-2", "bank-4").created[0].id
    assert hit(world, event, "core")
    world.jointly(c.DistressClose(world.label, event), "bank-1", "bank-2")
    assert not hit(world, event, "core")
    world.refused("NOT_AUTHORISED", "core", flood(world))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("SCHEMA_INVALID", {"regions": ("coast", "coast")}),
        ("SCHEMA_INVALID", {"industries": ("trade", "mining")}),
        ("DATE_RANGE", {"to_day": 1}),
        ("DATE_RANGE", {"from_day": 10, "to_day": 20}),
        ("DATE_RANGE", {"to_day": 30_000}),
    ],
)
def test_events_that_make_no_sense(world: World, code: str, changes: dict[str, object]) -> None:
    assert world.day + WINDOW_DAYS_MAX < 30_000
    world.refused(code, "regulator", flood(world, **changes))


# --- distress.declare, distress.end ---------------------------------------------------------------


def test_a_core_that_declares_distress_issues_nothing_new_until_it_ends(world: World) -> None:
    command = promise(world)
    world.ok("core", c.DistressDeclare(world.label))
    world.refused("ISSUER_BLOCKED", "core", command)
    world.refused("STATE_CONFLICT", "core", c.DistressDeclare(world.label))
    world.ok("core", c.DistressEnd(world.label))
    world.ok("core", command)
    world.refused("STATE_CONFLICT", "core", c.DistressEnd(world.label))


def test_maker_checker_and_approver_declare(world: World) -> None:
    signers = [("maker", Role.MAKER), ("checker", Role.CHECKER)]
    declare: Wire = c.DistressDeclare(world.label)
    world.refused("POLICY_UNSATISFIED", "core", declare, signers=signers)


def test_only_a_core_declares(world: World) -> None:
    world.refused("NOT_AUTHORISED", "devices", c.DistressDeclare(world.label))


def test_holders_learn_of_it_by_one_event_whatever_their_number(world: World) -> None:
    voucher = world.voucher(10_000)
    pieces = (c.Piece(world.ids["shop"], 100, None),)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, pieces))
    block = world.block(world.envelope("core", c.DistressDeclare(world.label)))
    (event,) = [decode(Event, one) for one in block.events]
    assert (event.type, event.subject) == ("distress.declare", world.ids["core"])
