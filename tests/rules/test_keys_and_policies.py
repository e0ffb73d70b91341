"""Keys, policies, suspension, attested facts (voucher law §5 Policy, §8.2)."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World, key_id, person_hash

from tallynet import commands as c
from tallynet import records as r
from tallynet.records import CommandClass, OrganisationKind, PolicyRule, Role, Size

MILLION_YUAN = 100_000_000
ALONE = [("owner", Role.MAKER)]


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


def programme(world: World) -> c.ProgrammeCreate:
    return c.ProgrammeCreate(world.label, r.ProgrammeKind.RECEIVABLE, "CNY", world.rules())


def transfer(world: World, voucher: bytes, amount: int, to: str = "devices") -> c.LotTransfer:
    piece = c.Piece(world.ids[to], amount, None)
    return c.LotTransfer(world.label, voucher, 0, (piece,))


# --- organisation.policy.set ----------------------------------------------------------------------


def test_a_policy_asks_more_of_larger_amounts(world: World) -> None:
    """Command class x amount band -> roles, distinct persons."""
    small = PolicyRule(CommandClass.LOT, 0, (Role.MAKER,), 1)
    large = PolicyRule(CommandClass.LOT, 5_000, (Role.MAKER, Role.APPROVER), 2)
    world.ok("devices", c.PolicySet(world.label, (small, large), None))
    voucher = world.voucher(20_000)
    world.ok("devices", transfer(world, voucher, 4_999, "shop"), signers=[("maker", Role.MAKER)])
    big = transfer(world, voucher, 5_000, "shop")
    world.refused("POLICY_UNSATISFIED", "devices", big, signers=[("maker", Role.MAKER)])
    both = [("maker", Role.MAKER), ("approver", Role.APPROVER)]
    world.ok("devices", big, signers=both)


def test_policy_rules_are_sorted_by_class_and_amount(world: World) -> None:
    first = PolicyRule(CommandClass.LOT, 0, (Role.MAKER,), 1)
    second = PolicyRule(CommandClass.LOT, 1, (Role.MAKER,), 1)
    for rules in ((second, first), (first, first)):
        world.refused("SCHEMA_INVALID", "core", c.PolicySet(world.label, rules, None))


def test_POLICY_TOO_WEAK_machines_do_not_decide(world: World) -> None:
    for role in (Role.API, Role.NODE):
        rule = PolicyRule(CommandClass.LOT, 0, (role,), 1)
        world.refused("POLICY_TOO_WEAK", "core", c.PolicySet(world.label, (rule,), None))


def test_a_one_person_shops_policy_does_not_lift_its_single_signer_limit(world: World) -> None:
    """The floor holds again above `single_signer_max`, whatever the shop wrote for itself."""
    world.join("stall", OrganisationKind.CORE, Size.MICRO)
    rule = PolicyRule(CommandClass.ISSUE, 0, (Role.MAKER,), 1)
    world.ok("stall", c.PolicySet(world.label, (rule,), None))
    line = world.line(r.LineKind.ISSUE, "bank-1", "stall", 10 * MILLION_YUAN)
    opened = world.ok("core", programme(world)).created[0].id
    for face, code in ((MILLION_YUAN, "OK"), (MILLION_YUAN + 1, "SAME_PERSON")):
        document = world.document(face, "devices", "stall")
        command = world.issue(face, document, opened, line)
        assert world.run("stall", command, signers=ALONE).code == code


def test_the_floor_holds_for_a_shop_that_has_grown(world: World) -> None:
    world.join("stall", OrganisationKind.CORE, Size.MICRO)
    rule = PolicyRule(CommandClass.ISSUE, 0, (Role.MAKER,), 1)
    world.ok("stall", c.PolicySet(world.label, (rule,), None))
    grown = c.KycSet(world.label, world.ids["stall"], 2, Size.SMALL, "tourism", "coast")
    world.ok("bank-1", grown)
    line = world.line(r.LineKind.ISSUE, "bank-1", "stall", 10**9)
    opened = world.ok("core", programme(world)).created[0].id
    command = world.issue(100, world.document(100, "devices", "stall"), opened, line)
    world.refused("SAME_PERSON", "stall", command, signers=ALONE)


def test_POLICY_TOO_WEAK_a_policy_that_its_own_people_could_never_change_again(
    world: World,
) -> None:
    rule = PolicyRule(CommandClass.IDENTITY, 0, (Role.ADMIN,), 4)
    world.refused("POLICY_TOO_WEAK", "core", c.PolicySet(world.label, (rule,), None))


# --- a programme's minimum ------------------------------------------------------------------------

ALL_THREE = (Role.MAKER, Role.CHECKER, Role.APPROVER)


def test_no_policy_undercuts_the_minimum_of_the_programme(world: World) -> None:
    """By class and amount, also for a policy that asks less and for a one-person shop."""
    alone = PolicyRule(CommandClass.LOT, 0, (Role.MAKER,), 1)
    world.ok("devices", c.PolicySet(world.label, (alone,), None))
    minimum = (PolicyRule(CommandClass.LOT, 5_000, ALL_THREE, 3),)
    voucher = world.voucher(20_000, policy_minimum=minimum)
    maker = [("maker", Role.MAKER)]
    world.ok("devices", transfer(world, voucher, 4_999, "shop"), signers=maker)
    large = transfer(world, voucher, 5_000, "shop")
    world.refused("POLICY_UNSATISFIED", "devices", large, signers=maker)
    three = [("maker", Role.MAKER), ("checker", Role.CHECKER), ("approver", Role.APPROVER)]
    world.ok("devices", large, signers=three)
    piece = c.Piece(world.ids["devices"], 5_000, None)
    back = c.LotTransfer(world.label, voucher, 10_001, (piece,))
    world.refused("POLICY_UNSATISFIED", "shop", back, signers=ALONE)


def test_a_changed_minimum_binds_new_vouchers_only(world: World) -> None:
    voucher = world.voucher(20_000)
    opened = world.get(r.Voucher, voucher).programme
    draws = (PolicyRule(CommandClass.DRAW, 0, (Role.MAKER, Role.CHECKER), 2),)
    issues = (PolicyRule(CommandClass.ISSUE, 0, ALL_THREE, 4),)
    update = c.ProgrammeUpdate(world.label, opened, world.rules(policy_minimum=(*issues, *draws)))
    world.ok("core", update)
    world.ok("devices", world.draw("devices", voucher, 0, 100, world.offer()))
    line = world.ids["line ISSUE bank-1 core"]
    command = world.issue(100, world.document(100), opened, line)
    world.refused("SAME_PERSON", "core", command)


@pytest.mark.parametrize(
    "minimum",
    [
        (PolicyRule(CommandClass.SETTLEMENT, 0, (Role.MAKER,), 1),),
        (PolicyRule(CommandClass.LOT, 0, (Role.API,), 1),),
        (PolicyRule(CommandClass.LOT, 0, (), 0),),
        (PolicyRule(CommandClass.LOT, 0, (Role.MAKER,), 1),) * 2,
    ],
)
def test_PROGRAMME_RULE_a_minimum_is_for_people_and_for_members_acts(
    world: World, minimum: tuple[PolicyRule, ...]
) -> None:
    rules = world.rules(policy_minimum=minimum)
    command = c.ProgrammeCreate(world.label, r.ProgrammeKind.RECEIVABLE, "CNY", rules)
    world.refused("PROGRAMME_RULE", "core", command)


# --- key.add, key.rotate, key.revoke --------------------------------------------------------------


def test_two_admin_persons_add_a_key(world: World) -> None:
    command = c.KeyAdd(world.label, world.new_key("core", "clerk", (Role.MAKER,)))
    makers = [("maker", Role.MAKER), ("checker", Role.CHECKER)]
    world.refused("POLICY_UNSATISFIED", "core", command, signers=makers)
    twin = msgspec.structs.replace(
        world.new_key("core", "twin", (Role.ADMIN,)), person_commitment=person_hash("core", "maker")
    )
    world.ok("core", c.KeyAdd(world.label, twin))
    one_person = [("maker", Role.ADMIN), ("twin", Role.ADMIN)]
    world.refused("SAME_PERSON", "core", command, signers=one_person)
    world.ok("core", command)


def test_POLICY_TOO_WEAK_the_last_two_admin_persons_are_not_revoked(world: World) -> None:
    world.ok("core", c.KeyRevoke(world.label, key_id("core", "approver")))
    last = c.KeyRevoke(world.label, key_id("core", "checker"))
    world.refused("POLICY_TOO_WEAK", "core", last)
    clerk = world.new_key("core", "clerk", (Role.CHECKER,))
    rotate = c.KeyRotate(world.label, key_id("core", "checker"), clerk)
    world.refused("POLICY_TOO_WEAK", "core", rotate)
    heir = world.new_key("core", "heir", (Role.CHECKER, Role.ADMIN))
    world.ok("core", msgspec.structs.replace(rotate, key=heir))


def test_a_shop_of_one_person_rotates_its_key_and_keeps_one(world: World) -> None:
    owner = key_id("shop", "owner")
    world.refused("POLICY_TOO_WEAK", "shop", c.KeyRevoke(world.label, owner))
    new = world.new_key("shop", "owner-2", (Role.MAKER, Role.ADMIN))
    world.ok("shop", c.KeyRotate(world.label, owner, new))


def test_keys_of_others_and_revoked_keys_are_not_revoked(world: World) -> None:
    foreign = c.KeyRevoke(world.label, key_id("devices", "approver"))
    world.refused("NOT_AUTHORISED", "core", foreign)
    own = c.KeyRevoke(world.label, key_id("core", "approver"))
    world.ok("core", own)
    world.refused("STATE_CONFLICT", "core", own)
    world.refused("RECORD_NOT_FOUND", "core", c.KeyRevoke(world.label, bytes(16)))


# --- organisation.suspend, organisation.resume ----------------------------------------------------


def test_sponsor_or_regulator_suspends_and_resumes(world: World) -> None:
    world.admit("regulator", OrganisationKind.REGULATOR)
    core = world.ids["core"]
    world.ok("regulator", c.OrganisationSuspend(world.label, core))
    world.refused("STATE_CONFLICT", "bank-1", c.OrganisationSuspend(world.label, core))
    world.refused("NOT_SPONSOR", "bank-2", c.OrganisationResume(world.label, core))
    world.ok("bank-1", c.OrganisationResume(world.label, core))
    world.refused("STATE_CONFLICT", "bank-1", c.OrganisationResume(world.label, core))


def test_a_suspended_organisation_receives_accepts_and_settles_but_gives_nothing(
    world: World,
) -> None:
    voucher = world.voucher(10_000, accept_mode=r.AcceptMode.EXPLICIT)
    offer = world.offer()
    world.ok("bank-1", c.OrganisationSuspend(world.label, world.ids["shop"]))
    world.ok("devices", transfer(world, voucher, 1_000, "shop"))
    world.ok("shop", c.LotAccept(world.label, voucher, 9_000))
    piece = c.Piece(world.ids["devices"], 100, None)
    back = c.LotTransfer(world.label, voucher, 9_000, (piece,))
    world.refused("ORGANISATION_INACTIVE", "shop", back)
    draw = world.draw("shop", voucher, 9_000, 100, offer)
    world.refused("ORGANISATION_INACTIVE", "shop", draw)
    world.ok("devices", transfer(world, voucher, 1_000, "shop"))
    world.ok("shop", c.LotDecline(world.label, voucher, 8_000))


def test_NOT_SPONSOR_only_the_sponsor_attests_facts(world: World) -> None:
    facts = c.KycSet(world.label, world.ids["shop"], 3, Size.MICRO, "trade", "island")
    world.refused("NOT_SPONSOR", "bank-2", facts)
    world.ok("bank-1", facts)
    found = world.get(r.Organisation, world.ids["shop"])
    assert (found.kyc_level, found.industry, found.region) == (3, "trade", "island")
    level = msgspec.structs.replace(facts, level=4)
    world.refused("SCHEMA_INVALID", "bank-1", level)
