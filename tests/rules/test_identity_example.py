"""The figures of docs/concepts/identity.md."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import MONDAY, World, person_hash

from tallynet import commands as c
from tallynet import records as r
from tallynet.records import BranchStatus, CommandClass, OrganisationKind, OrganisationStatus, Role
from tools.arguments import parse_day

TWO = ("maker", Role.MAKER), ("checker", Role.CHECKER)
THREE = (*TWO, ("approver", Role.APPROVER))
POLICY = (
    r.PolicyRule(CommandClass.ISSUE, 0, (Role.MAKER, Role.CHECKER), 2),
    r.PolicyRule(CommandClass.ISSUE, 10_000_000, (Role.MAKER, Role.CHECKER, Role.APPROVER), 3),
)
DELEGATED = (POLICY[0], r.PolicyRule(CommandClass.ISSUE, 2_000_000, (), 0))
"""From ¥20,000 on the branch may not."""


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    made.ok("core", c.PolicySet(made.label, POLICY, None))
    made.branch("core", "pier", DELEGATED)
    return made


def promise(world: World, by: str, face: int) -> c.VoucherIssue:
    line = world.ids.get(f"line ISSUE bank-1 {by}") or world.line(
        r.LineKind.ISSUE, "bank-1", by, 10**9
    )
    return world.issue(face, world.document(face, "devices", by), world.programme(), line)


def test_policies_by_amount(world: World) -> None:
    world.ok("core", promise(world, "core", 9_999_999), signers=[*TWO])
    large = promise(world, "core", 10_000_000)
    world.refused("POLICY_UNSATISFIED", "core", large, signers=[*TWO])
    world.ok("core", large, signers=[*THREE])
    second_key = msgspec.structs.replace(
        world.new_key("core", "twin", (Role.CHECKER,)),
        person_commitment=person_hash("core", "maker"),
    )
    world.ok("core", c.KeyAdd(world.label, second_key))
    alone = [("maker", Role.MAKER), ("twin", Role.CHECKER)]
    world.refused("SAME_PERSON", "core", promise(world, "core", 9_999_999), signers=alone)
    weak = r.PolicyRule(CommandClass.ISSUE, 0, (Role.MAKER,), 1)
    world.refused("POLICY_TOO_WEAK", "core", c.PolicySet(world.label, (weak,), None))
    voucher = world.voucher(200_000_000, payee="shop")
    world.ok("shop", pass_on(world, voucher, 100_000_000))
    again = world.voucher(200_000_000, payee="shop")
    world.refused("POLICY_UNSATISFIED", "shop", pass_on(world, again, 100_000_001))


def pass_on(world: World, voucher: bytes, amount: int) -> c.LotTransfer:
    return c.LotTransfer(world.label, voucher, 0, (c.Piece(world.ids["devices"], amount, None),))


def test_a_branch_and_its_closing(world: World) -> None:
    within = promise(world, "pier", 1_999_999)
    world.ok("pier", within, signers=[*TWO])
    beyond = promise(world, "pier", 2_000_000)
    world.refused("POLICY_UNSATISFIED", "pier", beyond, signers=[*THREE])
    next_one = promise(world, "pier", 100)

    def set_status(by: str, status: BranchStatus) -> None:
        world.ok(by, c.BranchStatusSet(world.label, world.ids["pier"], status))

    set_status("core", BranchStatus.RESTRICTED)
    world.refused("ISSUER_BLOCKED", "pier", next_one, signers=[*TWO])
    set_status("bank-1", BranchStatus.CLOSED)
    world.refused("BRANCH_CLOSED", "pier", next_one, signers=[*TWO])
    world.ok("core", promise(world, "core", 100), signers=[*TWO])
    set_status("core", BranchStatus.OPEN)
    world.ok("bank-1", c.OrganisationSuspend(world.label, world.ids["core"]))
    world.refused("ORGANISATION_INACTIVE", "pier", next_one, signers=[*TWO])


def start(world: World, name: str) -> c.RecoverStart:
    roles = {"new-maker": (Role.MAKER, Role.ADMIN), "new-checker": (Role.CHECKER, Role.ADMIN)}
    keys = tuple(world.new_key(name, person, held) for person, held in roles.items())
    return c.RecoverStart(world.label, world.ids[name], keys)


def test_recovery(world: World) -> None:
    def status(name: str) -> r.OrganisationStatus:
        return world.get(r.Organisation, world.ids[name]).status

    assert world.day == MONDAY == parse_day("2027-03-01")
    for name in ("core", "devices"):
        assert world.ok("bank-2", start(world, name)).result == (1, 2)
        world.ok("bank-1", start(world, name))
    bind = c.AccountBind(b"second", world.ids["bank-1"], bytes(32), "CNY")
    world.refused("ORGANISATION_INACTIVE", "devices", bind)
    world.roll_to(parse_day("2027-03-08"))
    world.ok("core", c.RecoverCancel(world.label), signers=[("machine", Role.API)])
    assert status("core") is OrganisationStatus.ACTIVE
    assert status("devices") is OrganisationStatus.RECOVERING
    new = [("new-maker", Role.MAKER), ("new-checker", Role.CHECKER)]
    assert world.run("devices", bind, signers=new).code == "KEY_REVOKED"
    world.roll_to(parse_day("2027-03-09"))
    assert world.run("devices", c.RecoverCancel(world.label)).code == "KEY_REVOKED"
    world.ok("devices", bind, signers=new)


def test_consents(world: World) -> None:
    act = c.ParameterSet(b"a", "penalty_ppm_day", parse_day("2027-06-01"), 400)
    assert world.ok("bank-1", act).result == (1, 3)
    world.refused("CONSENT_REPEATED", "bank-1", act)
    world.roll_to(parse_day("2027-03-10"))
    assert world.ok("bank-2", act).result == (2, 3)
    world.roll_to(parse_day("2027-03-11"))
    assert world.ok("bank-3", act).result == (1, 3), "the others' consents have lapsed"
    assert world.ok("bank-1", act).result == (2, 3)
    assert world.ok("bank-2", act).result == ()
    world.admit("watch", OrganisationKind.REGULATOR)
    block = c.IssuerBlock(b"b", world.ids["core"])
    assert world.ok("bank-1", block).result == (1, 2)
    assert world.ok("watch", block).result == ()
