"""Branches: child organisations, closed ones neither issue nor draw (voucher law §8.2; C41)."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

from node.ledger.branches import RISK_EVENT
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, decode
from tallynet.receipts import EnvelopeReceipt, Event
from tallynet.records import BranchStatus, CommandClass, OrganisationKind, Role

ISSUE_LIMIT = r.PolicyRule(CommandClass.ISSUE, 5_000, (), 0)
"""Issues of 50 yuan and more are not delegated."""


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    made.branch("core", "harbour", (ISSUE_LIMIT,))
    return made


def promise(world: World, by: str, face: int, payee: str = "devices") -> c.VoucherIssue:
    line = world.ids.get(f"line ISSUE bank-1 {by}") or world.line(
        r.LineKind.ISSUE, "bank-1", by, 10**9
    )
    document = world.document(face, payee, by)
    return world.issue(face, document, world.programme(), line, payee=world.ids[payee])


def events_of(world: World, by: str, command: Wire) -> list[Event]:
    block = world.block(world.envelope(by, command))
    assert decode(EnvelopeReceipt, block.receipts[0]).commands[0].code == "OK"
    return [decode(Event, event) for event in block.events]


def set_status(world: World, by: str, status: BranchStatus) -> None:
    world.ok(by, c.BranchStatusSet(world.label, world.ids["harbour"], status))


# --- organisation.branch.create -------------------------------------------------------------------


def test_a_branch_is_a_child_with_what_its_parent_was_attested(world: World) -> None:
    parent = world.get(r.Organisation, world.ids["core"])
    branch = world.get(r.Organisation, world.ids["harbour"])
    assert branch.parent == world.ids["core"]
    assert (branch.sponsor, branch.kyc_level, branch.size) == (
        parent.sponsor, parent.kyc_level, parent.size,
    )  # fmt: skip
    assert branch.branch_status is BranchStatus.OPEN


def test_two_admins_of_the_parent_sign(world: World) -> None:
    command = world.branch_of("core", "second")
    signers = [("maker", Role.MAKER), ("checker", Role.CHECKER)]
    world.refused("POLICY_UNSATISFIED", "core", command, signers=signers)
    world.refused("SAME_PERSON", "core", command, signers=[("maker", Role.ADMIN)])


def test_a_branch_issues_within_its_limit_and_its_delegated_policy(world: World) -> None:
    world.ok("harbour", promise(world, "harbour", 4_999))
    world.refused("POLICY_UNSATISFIED", "harbour", promise(world, "harbour", 5_000))


def test_without_a_policy_of_its_own_a_branch_has_its_parents(world: World) -> None:
    strict = r.PolicyRule(CommandClass.PROGRAMME, 0, (Role.MAKER, Role.CHECKER, Role.APPROVER), 3)
    world.ok("core", c.PolicySet(world.label, (strict,), None))
    branch = world.branch("core", "second")
    assert world.get(r.Policy, branch).rules == (strict,)


def test_the_parent_changes_a_branchs_policy_and_nobody_else_does(world: World) -> None:
    branch = world.ids["harbour"]
    world.refused("NOT_AUTHORISED", "harbour", c.PolicySet(world.label, (), None))
    world.refused("NOT_AUTHORISED", "devices", c.PolicySet(world.label, (), branch))
    world.ok("core", c.PolicySet(world.label, (), branch))
    world.ok("harbour", promise(world, "harbour", 5_000))


def test_POLICY_TOO_WEAK_for_a_branch_too_and_only_a_branch_has_limits(world: World) -> None:
    weak = r.PolicyRule(CommandClass.ISSUE, 0, (Role.MAKER,), 1)
    world.refused("POLICY_TOO_WEAK", "core", world.branch_of("core", "second", (weak,)))
    world.refused("POLICY_TOO_WEAK", "core", c.PolicySet(world.label, (ISSUE_LIMIT,), None))


def test_BRANCH_DEPTH_beyond_branch_depth_max(world: World) -> None:
    world.branch("harbour", "pier")
    world.branch("pier", "kiosk")
    world.refused("BRANCH_DEPTH", "kiosk", world.branch_of("kiosk", "drawer"))


def test_ORGANISATION_DUPLICATE_one_organisation_per_tag(world: World) -> None:
    command = world.branch_of("core", "second")
    tag = world.get(r.Organisation, world.ids["devices"]).uniqueness_tag
    taken = msgspec.structs.replace(command, uniqueness_tag=tag)
    world.refused("ORGANISATION_DUPLICATE", "core", taken)


def test_nobody_becomes_what_its_parent_is_not_nor_a_bank(world: World) -> None:
    command = world.branch_of("core", "second")
    supplier = msgspec.structs.replace(command, kinds=(OrganisationKind.SUPPLIER,))
    world.refused("NOT_AUTHORISED", "core", supplier)
    world.refused("NOT_AUTHORISED", "bank-1", world.branch_of("bank-1", "window"))


def test_a_closed_branch_opens_no_branches_BRANCH_CLOSED(world: World) -> None:
    set_status(world, "core", BranchStatus.CLOSED)
    world.refused("BRANCH_CLOSED", "harbour", world.branch_of("harbour", "pier"))


def test_a_parent_that_is_suspended_creates_none(world: World) -> None:
    world.ok("bank-1", c.OrganisationSuspend(world.label, world.ids["core"]))
    world.refused("ORGANISATION_INACTIVE", "core", world.branch_of("core", "second"))


def test_KEY_WEAK(world: World) -> None:
    command = world.branch_of("core", "second")
    weak = msgspec.structs.replace(command.keys[0], public_key=b"\x01" + bytes(31))
    world.refused("KEY_WEAK", "core", msgspec.structs.replace(command, keys=(weak,)))


# --- organisation.branch.status.set ---------------------------------------------------------------


def test_parent_sponsor_or_an_oracle_sets_the_status(world: World) -> None:
    world.admit("land-office", OrganisationKind.ORACLE)
    set_status(world, "land-office", BranchStatus.RESTRICTED)
    set_status(world, "bank-1", BranchStatus.CLOSED)
    set_status(world, "core", BranchStatus.OPEN)
    close = c.BranchStatusSet(world.label, world.ids["harbour"], BranchStatus.CLOSED)
    for stranger in ("bank-2", "devices", "harbour"):
        world.refused("NOT_AUTHORISED", stranger, close)


def test_the_status_must_change_and_an_enterprise_has_none(world: World) -> None:
    same = c.BranchStatusSet(world.label, world.ids["harbour"], BranchStatus.OPEN)
    world.refused("STATE_CONFLICT", "core", same)
    head = c.BranchStatusSet(world.label, world.ids["core"], BranchStatus.CLOSED)
    world.refused("STATE_CONFLICT", "bank-1", head)


def test_closing_raises_a_risk_event_and_restricting_does_not(world: World) -> None:
    branch = world.ids["harbour"]
    for status, expected in ((BranchStatus.RESTRICTED, 0), (BranchStatus.CLOSED, 1)):
        events = events_of(world, "core", c.BranchStatusSet(world.label, branch, status))
        risks = [event for event in events if event.type == RISK_EVENT]
        assert len(risks) == expected
        assert all((e.subject, e.target) == (branch, world.ids["core"]) for e in risks)


def test_BRANCH_CLOSED_a_closed_branch_does_not_issue_nor_do_those_below_it(world: World) -> None:
    world.branch("harbour", "pier")
    harbour, pier = promise(world, "harbour", 1_000), promise(world, "pier", 1_000)
    set_status(world, "bank-1", BranchStatus.CLOSED)
    world.refused("BRANCH_CLOSED", "harbour", harbour)
    world.refused("BRANCH_CLOSED", "pier", pier)
    set_status(world, "bank-1", BranchStatus.OPEN)
    world.ok("harbour", harbour)


def test_BRANCH_CLOSED_a_closed_branch_does_not_draw_but_may_pass_on(world: World) -> None:
    world.branch("devices", "stall")
    world.ok("stall", c.AccountBind(b"main", world.ids["bank-1"], bytes(32), "CNY"))
    world.ok("bank-1", c.AccountVerify(world.label, world.account("stall")))
    voucher, offer = world.voucher(10_000, payee="stall"), world.offer()
    close = c.BranchStatusSet(world.label, world.ids["stall"], BranchStatus.CLOSED)
    world.ok("devices", close)
    world.refused("BRANCH_CLOSED", "stall", world.draw("stall", voucher, 0, 100, offer))
    piece = c.Piece(world.ids["shop"], 100, None)
    world.ok("stall", c.LotTransfer(world.label, voucher, 0, (piece,)))


def test_ISSUER_BLOCKED_a_restricted_branch_issues_nothing_new(world: World) -> None:
    command = promise(world, "harbour", 1_000)
    set_status(world, "core", BranchStatus.RESTRICTED)
    world.refused("ISSUER_BLOCKED", "harbour", command)
    world.ok("core", promise(world, "core", 1_000))


# --- a branch is part of its enterprise -----------------------------------------------------------


def test_an_enterprise_that_is_suspended_takes_its_branches_along(world: World) -> None:
    command = promise(world, "harbour", 1_000)
    world.ok("bank-1", c.OrganisationSuspend(world.label, world.ids["core"]))
    world.refused("ORGANISATION_INACTIVE", "harbour", command)


def test_offers_of_a_suspended_enterprises_branch_give_no_money(world: World) -> None:
    voucher = world.voucher(10_000)
    early = world.offer("harbour", kind=r.FinancingKind.EARLY_PAY)
    world.ok("bank-1", c.OrganisationSuspend(world.label, world.ids["core"]))
    draw = world.draw("devices", voucher, 0, 100, early)
    world.refused("ORGANISATION_INACTIVE", "devices", draw)


def test_SELF_DEALING_no_promise_within_one_enterprise(world: World) -> None:
    world.branch("core", "second")
    world.ok("core", c.AccountBind(b"second", world.ids["bank-1"], bytes(32), "CNY"))
    world.refused("SELF_DEALING", "core", promise(world, "core", 1_000, payee="harbour"))
    world.refused("SELF_DEALING", "harbour", promise(world, "harbour", 1_000, payee="second"))


def test_an_overdue_branch_blocks_the_enterprise_until_it_has_paid(world: World) -> None:
    world.branch("core", "second")
    voucher = world.ok("harbour", promise(world, "harbour", 1_000)).created[0].id
    world.ok("devices", c.VoucherClaim(world.label, voucher, True))
    later = {by: promise(world, by, 2_000) for by in ("core", "second")}
    world.roll_to(world.get(r.Voucher, voucher).grace_end + 1)
    fresh = {by: msgspec.structs.replace(one, maturity=world.day + 30) for by, one in later.items()}
    for by, command in fresh.items():
        assert world.get(r.Organisation, world.ids["core"]).overdue_count == 1
        world.refused("ISSUER_BLOCKED", by, command)
    world.ok("bank-1", c.FundsReceived(world.label, voucher, 1_000, 0, bytes(32)))
    instruction = next(
        key[-16:] for key in world.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=2)
    )
    world.ok("bank-1", c.SettlementPaid(world.label, instruction, 1_000, b"\x01" * 32))
    for by, command in fresh.items():
        assert world.get(r.Organisation, world.ids[by]).overdue_count == 0
        world.ok(by, command)
