"""Lost keys: attested new keys behind a time lock (voucher law §8.2)."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World, key_id

from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import decode
from tallynet.envelope import Mode
from tallynet.receipts import EnvelopeReceipt, PrologueReceipt
from tallynet.records import OrganisationKind, OrganisationStatus, Role

LOCK_DAYS = 7
CONSENT_DAYS = 10
LEAST_WORK = 200
NEW = {"new-maker": (Role.MAKER, Role.ADMIN), "new-checker": (Role.CHECKER, Role.ADMIN)}


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


def start_for(world: World, name: str) -> c.RecoverStart:
    keys = tuple(world.new_key(name, person, roles) for person, roles in NEW.items())
    return c.RecoverStart(world.label, world.ids[name], keys)


def recover(world: World, name: str = "core") -> None:
    world.jointly(start_for(world, name), "bank-1", "bank-2")


def status(world: World, name: str = "core") -> OrganisationStatus:
    return world.get(r.Organisation, world.ids[name]).status


def programme(world: World) -> c.ProgrammeCreate:
    return c.ProgrammeCreate(world.label, r.ProgrammeKind.RECEIVABLE, "CNY", world.rules())


NEW_SIGNERS = [("new-maker", Role.MAKER), ("new-checker", Role.CHECKER)]


# --- organisation.recover.start -------------------------------------------------------------------


@pytest.mark.parametrize("order", [("bank-1", "bank-3"), ("bank-3", "bank-1")])
def test_sponsor_and_a_second_bank_start_it_in_either_order(
    world: World, order: tuple[str, str]
) -> None:
    world.jointly(start_for(world, "core"), *order)
    assert status(world) is OrganisationStatus.RECOVERING


def test_two_banks_without_the_sponsor_do_not_suffice(world: World) -> None:
    command = start_for(world, "core")
    assert world.ok("bank-2", command).result == (1, 2)
    world.refused("CONSENT_REPEATED", "bank-3", command)
    assert status(world) is OrganisationStatus.ACTIVE


def test_a_second_attester_is_a_bank(world: World) -> None:
    world.refused("NOT_AUTHORISED", "devices", start_for(world, "core"))
    unknown = msgspec.structs.replace(start_for(world, "core"), organisation=bytes(16))
    world.refused("RECORD_NOT_FOUND", "bank-1", unknown)


def test_an_institution_is_recovered_by_the_bank_quorum_that_admits_such(world: World) -> None:
    world.admit("surveyor", OrganisationKind.ORACLE)
    world.jointly(start_for(world, "surveyor"), "bank-1", "bank-2", "bank-4")
    assert status(world, "surveyor") is OrganisationStatus.RECOVERING


def test_the_new_keys_replace_all_after_the_full_time_lock(world: World) -> None:
    started = world.day
    recover(world)
    world.roll_to(started + LOCK_DAYS)
    command = programme(world)
    early = world.receipt(world.envelope("core", command, signers=NEW_SIGNERS))
    assert (early.code, status(world)) == ("KEY_REVOKED", OrganisationStatus.RECOVERING)
    world.roll_to(started + LOCK_DAYS + 1)
    assert status(world) is OrganisationStatus.ACTIVE
    assert world.receipt(world.envelope("core", command)).code == "KEY_REVOKED"
    world.ok("core", command, signers=NEW_SIGNERS)


def test_meanwhile_it_only_receives_settles_and_repays(world: World) -> None:
    voucher = world.voucher(1_000)
    recover(world, "shop")
    world.refused("ORGANISATION_INACTIVE", "shop", programme(world))
    piece = c.Piece(world.ids["shop"], 100, None)
    world.ok("devices", c.LotTransfer(world.label, voucher, 0, (piece,)))


def test_a_suspended_organisation_is_suspended_again_afterwards(world: World) -> None:
    world.ok("bank-1", c.OrganisationSuspend(world.label, world.ids["core"]))
    recover(world)
    world.roll_to(world.day + LOCK_DAYS + 1)
    assert status(world) is OrganisationStatus.SUSPENDED


def test_RECOVERY_TIMELOCK_no_second_recovery_while_one_runs(world: World) -> None:
    recover(world)
    keys = tuple(world.new_key("core", f"again-{person}", roles) for person, roles in NEW.items())
    again = c.RecoverStart(world.label, world.ids["core"], keys)
    world.ok("bank-1", again)
    world.refused("RECOVERY_TIMELOCK", "bank-2", again)


def test_POLICY_TOO_WEAK_the_new_keys_must_be_able_to_change_keys(world: World) -> None:
    command = start_for(world, "core")
    for keys in (
        command.keys[:1],
        tuple(
            msgspec.structs.replace(key, person_commitment=command.keys[0].person_commitment)
            for key in command.keys
        ),
    ):
        weak = msgspec.structs.replace(command, keys=keys)
        world.ok("bank-1", weak)
        world.refused("POLICY_TOO_WEAK", "bank-2", weak)


def test_KEY_WEAK_and_proofs_of_possession(world: World) -> None:
    command = start_for(world, "core")
    for code, changes in (
        ("KEY_WEAK", {"public_key": b"\x01" + bytes(31)}),
        ("SIGNATURE_INVALID", {"possession": bytes(64)}),
    ):
        keys = (msgspec.structs.replace(command.keys[0], **changes), command.keys[1])
        bad = msgspec.structs.replace(command, keys=keys)
        world.ok("bank-1", bad)
        world.refused(code, "bank-2", bad)


def test_an_organisation_that_used_many_keys_can_still_be_recovered(world: World) -> None:
    for round_ in range(6):
        for batch in range(12):
            person = f"clerk-{round_}-{batch}"
            world.ok("core", c.KeyAdd(world.label, world.new_key("core", person, (Role.MAKER,))))
            world.ok("core", c.KeyRevoke(world.label, key_id("core", person)))
    recover(world)
    world.roll_to(world.day + LOCK_DAYS + 1)
    assert status(world) is OrganisationStatus.ACTIVE


# --- organisation.recover.cancel ------------------------------------------------------------------


def test_any_live_key_cancels_whatever_the_policy_says(world: World) -> None:
    rule = r.PolicyRule(r.CommandClass.IDENTITY, 0, (Role.ADMIN,), 3)
    world.ok("core", c.PolicySet(world.label, (rule,), None))
    command = start_for(world, "core")
    keys = (*command.keys, world.new_key("core", "new-third", (Role.ADMIN,)))
    command = msgspec.structs.replace(command, keys=keys)
    world.jointly(command, "bank-1", "bank-2")
    world.ok("core", c.RecoverCancel(world.label), signers=[("approver", Role.APPROVER)])
    assert status(world) is OrganisationStatus.ACTIVE
    world.ok("core", programme(world))
    assert world.state.get(r.Kind.KEY, key_id("core", "new-maker")) is None
    world.jointly(command, "bank-1", "bank-2")


def test_the_new_keys_themselves_do_not_cancel(world: World) -> None:
    recover(world)
    cancel = world.envelope("core", c.RecoverCancel(world.label), signers=NEW_SIGNERS[:1])
    assert world.receipt(cancel).code == "KEY_REVOKED"


def test_without_a_recovery_there_is_nothing_to_cancel(world: World) -> None:
    world.refused("STATE_CONFLICT", "core", c.RecoverCancel(world.label))


def test_RECOVERY_TIMELOCK_too_late_to_cancel_though_the_sweep_has_not_come(world: World) -> None:
    """On the day after the lock, the prologue has no room left for the recovery: what a command may do
    does not depend on that."""
    least = c.ParameterSet(b"a", "system_work_per_block", world.day + 1, LEAST_WORK)
    world.jointly(least, "bank-1", "bank-2", "bank-3")
    consents = [
        c.CalendarSet(world.label, (r.CalendarEntry(world.day + 100 + number, False),))
        for number in range(LEAST_WORK)
    ]
    receipt = world.receipt(world.envelope("bank-1", *consents, mode=Mode.INDEPENDENT))
    assert {one.result for one in receipt.commands} == {(1, 3)}
    lapse = world.day + CONSENT_DAYS
    world.roll_to(lapse - LOCK_DAYS - 1)
    recover(world)
    world.roll_to(lapse - 1)
    wait = world.get(r.Network, r.NETWORK_ID).next_roll - world.time
    late = world.envelope("core", c.RecoverCancel(world.label), valid_for=wait + 60)
    block = world.block(late, seconds=wait)
    assert decode(PrologueReceipt, block.prologue).backlog
    assert decode(EnvelopeReceipt, block.receipts[0]).commands[0].code == "RECOVERY_TIMELOCK"
    world.block()
    assert status(world) is OrganisationStatus.ACTIVE
    world.ok("core", programme(world), signers=NEW_SIGNERS)
