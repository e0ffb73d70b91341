"""Envelopes, signatures, maker-checker, joint acts (voucher law §5)."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import DIGEST, World, key_id

from consensus.constants import TRANSACTION_TTL_S
from node.ledger import joint
from node.ledger.execute import admit, dry_run
from node.ledger.parameters import PARAMETERS
from node.ledger.rulebook import RULES
from node.state import CommittedState, Overlay
from tallynet import commands as c
from tallynet import records as r
from tallynet.client.submissions import LIFETIME_SECONDS_MAX
from tallynet.envelope import Mode, seal_envelope
from tallynet.errors import LedgerError
from tallynet.hashing import record_id
from tallynet.records import Role


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


def programme(world: World) -> c.ProgrammeCreate:
    return c.ProgrammeCreate(world.label, r.ProgrammeKind.RECEIVABLE, "CNY", world.rules())


def test_a_replayed_envelope_is_DUPLICATE_TRANSACTION_and_has_no_effect(world: World) -> None:
    envelope = world.envelope("core", programme(world))
    assert world.receipt(envelope).code == "OK"
    assert world.receipt(envelope).code == "DUPLICATE_TRANSACTION"
    with pytest.raises(LedgerError, match="DUPLICATE"):
        admit(Overlay(world.state), world.hash, envelope, world.time)


def test_an_expired_envelope_is_EXPIRED_and_its_id_is_forgotten(world: World) -> None:
    envelope = world.envelope("core", programme(world), valid_for=10)
    world.receipt(envelope)
    world.block(seconds=200)
    assert world.receipt(envelope).code == "EXPIRED"


def test_VALIDITY_TOO_LONG(world: World) -> None:
    envelope = world.envelope("core", programme(world), valid_for=86_401)
    assert world.receipt(envelope).code == "VALIDITY_TOO_LONG"


def test_no_lifetime_can_be_set_that_no_block_admits() -> None:
    """A leader drops unseen what lives longer than the consensus core allows (INV-14)."""
    rule = PARAMETERS["envelope_lifetime_seconds"]
    assert rule.default <= rule.most == TRANSACTION_TTL_S == LIFETIME_SECONDS_MAX


def test_a_command_without_a_rule_UNKNOWN_COMMAND(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wire knows it, the rulebook of this release does not."""
    command = programme(world)
    envelope = world.envelope("core", command)
    monkeypatch.delitem(RULES, c.ProgrammeCreate)
    assert [one.code for one in world.receipt(envelope).commands] == ["UNKNOWN_COMMAND"]
    id = record_id(r.Kind.PROGRAMME, world.ids["core"], command.label)
    assert world.state.get(r.Kind.PROGRAMME, id) is None


def test_NETWORK_MISMATCH(world: World) -> None:
    good = world.envelope("core", programme(world))
    body = msgspec.structs.replace(good.body, genesis=bytes(32))
    assert world.receipt(seal_envelope(body, good.signatures)).code == "NETWORK_MISMATCH"


def test_bad_missing_and_surplus_signatures_are_inadmissible_and_not_remembered(
    world: World,
) -> None:
    good = world.envelope("core", programme(world))
    bad = (good.signatures[1], good.signatures[0])
    for signatures in (bad, good.signatures[:1], (*good.signatures, good.signatures[0])):
        assert world.receipt(seal_envelope(good.body, signatures)).code == "SIGNATURE_INVALID"
    assert world.receipt(good).code == "OK", "a mutilated copy cannot burn the genuine id"


class Forgetful(Overlay):
    """As one that has read too much to keep it."""

    def _read(self, key: bytes) -> r.Record | None:
        return self._find(key)


@pytest.mark.parametrize("cache", [2, 1_000])
def test_a_key_that_signs_twice_SIGNATURE_INVALID(world: World, cache: int) -> None:
    """Whatever a node has at hand: more keys sign here than fit into the small cache."""
    signers = [
        ("maker", Role.MAKER), ("checker", Role.CHECKER), ("approver", Role.APPROVER),
        ("maker", Role.CHECKER),
    ]  # fmt: skip
    envelope = world.envelope("core", programme(world), signers=signers)
    state = Forgetful(CommittedState(world.tables, record_cache=cache))
    with pytest.raises(LedgerError, match="signs twice"):
        admit(state, world.hash, envelope, world.time)


def test_KEY_UNKNOWN_a_key_of_another_organisation(world: World) -> None:
    body = world.envelope("core", programme(world)).body
    stolen = msgspec.structs.replace(body, organisation=world.ids["devices"])
    envelope = seal_envelope(stolen, (bytes(64),) * len(body.signers))
    assert world.receipt(envelope).code == "KEY_UNKNOWN"


def test_KEY_REVOKED(world: World) -> None:
    world.ok("core", c.KeyRevoke(world.label, key_id("core", "checker")))
    assert world.receipt(world.envelope("core", programme(world))).code == "KEY_REVOKED"


def test_I10_a_maker_who_checks_his_own_work_SAME_PERSON(world: World) -> None:
    twin = world.new_key("core", "maker-again", (Role.CHECKER,))
    twin = msgspec.structs.replace(
        twin, person_commitment=world.get(r.Key, key_id("core", "maker")).person_commitment
    )
    world.ok("core", c.KeyAdd(world.label, twin))
    signers = [("maker", Role.MAKER), ("maker-again", Role.CHECKER)]
    world.refused("SAME_PERSON", "core", programme(world), signers=signers)


def test_POLICY_UNSATISFIED_without_a_checker_or_with_a_role_one_does_not_have(
    world: World,
) -> None:
    world.refused("POLICY_UNSATISFIED", "core", programme(world), signers=[("maker", Role.MAKER)])
    signers = [("maker", Role.MAKER), ("maker", Role.CHECKER)]
    assert (
        world.receipt(world.envelope("core", programme(world), signers=signers)).code
        == "SIGNATURE_INVALID"
    ), "a key signs once"
    signers = [("maker", Role.MAKER), ("approver", Role.CHECKER)]
    world.refused("POLICY_UNSATISFIED", "core", programme(world), signers=signers)


def test_a_one_person_shop_signs_alone_and_nobody_else_does(world: World) -> None:
    world.voucher(1_000, payee="shop")


def test_KEY_WEAK_small_order_keys_and_bad_possession(world: World) -> None:
    new = world.new_key("core", "x", (Role.MAKER,))
    weak = msgspec.structs.replace(
        new, public_key=b"\x01" + bytes(31), possession=b"\x01" + bytes(63)
    )
    world.refused("KEY_WEAK", "core", c.KeyAdd(world.label, weak))
    unproven = msgspec.structs.replace(new, possession=bytes(64))
    world.refused("SIGNATURE_INVALID", "core", c.KeyAdd(world.label, unproven))
    world.ok("core", c.KeyAdd(world.label, new))
    world.refused("ID_IN_USE", "core", c.KeyAdd(world.label, new))


def test_section_21_kinds_only_through_sponsor_or_bank_quorum(world: World) -> None:
    bank = world.registration("fake", r.OrganisationKind.BANK, r.Size.LARGE)
    world.refused("NOT_AUTHORISED", "bank-1", bank)
    shop = world.registration("friend", r.OrganisationKind.SUPPLIER, r.Size.SMALL)
    world.refused("SPONSOR_REQUIRED", "core", shop)
    world.ok("bank-1", shop)
    world.refused("ORGANISATION_DUPLICATE", "bank-2", shop)


def test_POLICY_TOO_WEAK_below_the_floor(world: World) -> None:
    rule = r.PolicyRule(r.CommandClass.ISSUE, 0, (Role.MAKER,), 1)
    world.refused("POLICY_TOO_WEAK", "core", c.PolicySet(world.label, (rule,), None))
    strict = r.PolicyRule(r.CommandClass.PROGRAMME, 0, (Role.MAKER, Role.CHECKER, Role.APPROVER), 3)
    world.ok("core", c.PolicySet(world.label, (strict,), None))
    world.refused("POLICY_UNSATISFIED", "core", programme(world))


def test_a_suspended_organisation_may_not_act(world: World) -> None:
    world.refused("NOT_SPONSOR", "bank-2", c.OrganisationSuspend(world.label, world.ids["core"]))
    world.ok("bank-1", c.OrganisationSuspend(world.label, world.ids["core"]))
    world.refused("ORGANISATION_INACTIVE", "core", programme(world))
    world.ok("bank-1", c.OrganisationResume(world.label, world.ids["core"]))
    world.ok("core", programme(world))


def test_ATOMIC_all_or_none_INDEPENDENT_each_alone(world: World) -> None:
    good, bad = programme(world), c.ProgrammeLeave(world.label, bytes(16))
    atomic = world.receipt(world.envelope("core", good, bad, mode=Mode.ATOMIC))
    assert [x.code for x in atomic.commands] == ["ATOMIC_ABORTED", "RECORD_NOT_FOUND"]
    assert atomic.commands[0].result == (1,)
    alone = world.receipt(world.envelope("core", good, bad, mode=Mode.INDEPENDENT))
    assert [x.code for x in alone.commands] == ["OK", "RECORD_NOT_FOUND"]


def test_a_thousand_commands_in_one_envelope(world: World) -> None:
    commands = [programme(world) for _ in range(1_000)]
    receipt = world.receipt(world.envelope("core", *commands, mode=Mode.INDEPENDENT))
    assert {x.code for x in receipt.commands} == {"OK"}


def test_ID_IN_USE_nobody_squats_on_an_id(world: World) -> None:
    command = programme(world)
    first = world.ok("core", command).created[0].id
    world.refused("ID_IN_USE", "core", command)
    bank = msgspec.structs.replace(command)
    assert world.ok("bank-1", bank).created[0].id != first


def test_joint_acts_execute_with_the_third_of_four_banks(world: World) -> None:
    command = c.ParameterSet(b"a", "penalty_ppm_day", world.day + 1, 400)
    assert world.ok("bank-1", command).result == (1, 3)
    world.refused("CONSENT_REPEATED", "bank-1", command)
    other_label = msgspec.structs.replace(command, label=b"b")
    assert world.ok("bank-2", other_label).result == (2, 3)
    world.refused("NOT_AUTHORISED", "core", command)
    assert world.ok("bank-4", command).result == ()


def test_consent_withdraw_and_lapse(world: World) -> None:
    command = c.ParameterSet(b"a", "penalty_ppm_day", world.day + 30, 400)
    world.ok("bank-1", command)
    digest = joint.hash_of(command)
    world.refused("CONSENT_NOT_OPEN", "bank-2", c.ConsentWithdraw(world.label, digest))
    world.ok("bank-1", c.ConsentWithdraw(world.label, digest))
    assert world.ok("bank-1", command).result == (1, 3)
    world.roll_to(world.day + 11)
    assert world.ok("bank-1", command).result == (1, 3), "open consents lapse after consent_days"


@pytest.mark.parametrize(
    ("code", "name", "value", "days"),
    [
        ("PARAMETER_UNKNOWN", "colour", 1, 1),
        ("PARAMETER_BOUNDS", "envelope_lifetime_seconds", TRANSACTION_TTL_S + 1, 1),
        ("PARAMETER_BOUNDS", "penalty_ppm_day", 2_001, 1),
        ("PARAMETER_DATE", "penalty_ppm_day", 400, 0),
    ],
)
def test_parameter_refusals(world: World, code: str, name: str, value: int, days: int) -> None:
    command = c.ParameterSet(b"a", name, world.day + days, value)
    world.ok("bank-1", command)
    world.ok("bank-2", command)
    world.refused(code, "bank-3", command)


def test_CALENDAR_PAST_DAY(world: World) -> None:
    command = c.CalendarSet(b"a", (r.CalendarEntry(world.day, False),))
    world.ok("bank-1", command)
    world.ok("bank-2", command)
    world.refused("CALENDAR_PAST_DAY", "bank-3", command)


def test_documents_one_per_invoice_across_banks(world: World) -> None:
    first = c.DocumentRegister(
        b"a", r.DocumentType.INVOICE, DIGEST, DIGEST, DIGEST, world.ids["devices"],
        world.ids["core"], (), "CNY", 100, None,
    )  # fmt: skip
    id = world.ok("devices", first).created[0].id
    assert world.ok("core", first).created[0].id == id
    world.refused("DOCUMENT_CONFLICT", "core", msgspec.structs.replace(first, root=bytes(32)))
    world.refused("DOCUMENT_PARTY", "shop", first)


def test_a_dry_run_says_what_would_happen_and_changes_nothing(world: World) -> None:
    body = world.envelope("core", programme(world)).body
    view = Overlay(world.committed)
    receipt, reasons = dry_run(view, world.hash, body, world.time)
    assert (receipt.commands[0].code, reasons) == ("OK", ("",))
    refused = world.envelope("core", c.ProgrammeLeave(world.label, bytes(16))).body
    receipt, reasons = dry_run(view, world.hash, refused, world.time)
    assert receipt.commands[0].code == "RECORD_NOT_FOUND"
    assert "Programme" in reasons[0]
    assert view.seal() == world.root
