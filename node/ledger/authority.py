"""Who may do what: keys, roles, distinct persons (voucher law §5, Signatures and Policy).

An envelope names its signers inside the signed bytes. Keys are resolved once per envelope; each command
is then checked against the policy for its class and amount.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from node.ledger.context import Context, refuse
from node.ledger.parameters import value
from node.ledger.rulebook import Rule, Signers
from node.state.view import StateView
from tallynet.codec import Wire
from tallynet.commands import LotAccept, LotDecline, RecoverCancel
from tallynet.envelope import Envelope
from tallynet.records import (
    BranchStatus,
    CommandClass,
    Key,
    Kind,
    Organisation,
    OrganisationStatus,
    Policy,
    PolicyRule,
    Programme,
    Role,
    Size,
    Voucher,
)
from tallynet.signatures import KIND_ENVELOPE

Verify = Callable[[bytes, bytes, bytes, bytes, bytes], bool]
"""`tallynet.signatures.verify_kind`: (kind, genesis, body, public key, signature)."""

SUSPENDED_MAY: Final = frozenset(
    {CommandClass.CLAIM, CommandClass.REPAYMENT, CommandClass.SETTLEMENT, CommandClass.PAYOUT}
)
"""A suspended organisation may only receive, settle and repay (voucher law §8.2)."""
SUSPENDED_MAY_TOO: Final = frozenset({LotAccept, LotDecline, RecoverCancel})
"""Of other classes: answering a transfer, and stopping a recovery that its people did not want."""
CLOSED_MAY_NOT: Final = frozenset({CommandClass.ISSUE, CommandClass.DRAW})
"""A closed branch cannot issue or draw (voucher law §8.2)."""
STOPS_BRANCHES: Final = frozenset({OrganisationStatus.SUSPENDED, OrganisationStatus.CLOSED})
"""What stops an enterprise stops its branches; that it lost its keys does not."""
FLOOR_PERSONS: Final[dict[CommandClass, int]] = {
    CommandClass.GOVERNANCE: 2,
    CommandClass.IDENTITY: 2,
    CommandClass.ISSUE: 2,
    CommandClass.LINE: 2,
    CommandClass.OFFER: 2,
    CommandClass.PAYOUT: 2,
    CommandClass.SETTLEMENT: 2,
    CommandClass.LEGAL: 2,
}
"""Network floor per class: distinct persons that no policy can undercut (§5). A MICRO organisation
has one person and its own limit, `single_signer_max`."""


MINIMUM_CLASSES: Final = frozenset(
    {
        CommandClass.ISSUE,
        CommandClass.CLAIM,
        CommandClass.VOUCHER,
        CommandClass.LOT,
        CommandClass.DRAW,
    }
)
"""What members of a programme do with its vouchers: here it may ask for more than their policies do."""
PEOPLE: Final = frozenset({Role.MAKER, Role.CHECKER, Role.APPROVER, Role.ADMIN})
"""Roles that people have."""


class Acting(NamedTuple):
    """The signers of an envelope, resolved."""

    keys: tuple[Key, ...]
    roles: tuple[Role, ...]
    """Role in which each key signs."""


def resolve(state: StateView, envelope: Envelope, time: int) -> Acting:
    """The keys behind the listed signers.

    Raises LedgerError KEY_UNKNOWN, KEY_REVOKED, SIGNATURE_INVALID (missing, surplus or repeated).
    """
    body = envelope.body
    if len(envelope.signatures) != len(body.signers):
        raise refuse("SIGNATURE_INVALID", "exactly one signature per listed signer is needed")
    keys: list[Key] = []
    for index, signer in enumerate(body.signers):
        key = state.get(Kind.KEY, signer.key)
        if not isinstance(key, Key) or key.organisation != body.organisation:
            raise refuse("KEY_UNKNOWN", f"key {signer.key.hex()} is none of this organisation's")
        if key.revoked or not key.valid_from <= time < key.valid_to:
            raise refuse("KEY_REVOKED", f"key {signer.key.hex()} is revoked or out of its validity")
        if index and any(signer.key == other.key for other in body.signers[:index]):
            raise refuse("SIGNATURE_INVALID", "a key signs twice")
        keys.append(key)
    return Acting(tuple(keys), tuple([signer.role for signer in body.signers]))


def check_signatures(envelope: Envelope, acting: Acting, genesis: bytes, verify: Verify) -> None:
    """Verify each signature once in the life of this envelope value: a key id is the hash of its
    public key, so validity is a function of the envelope's bytes alone."""
    if envelope.signatures_verified:
        return
    for key, signature in zip(acting.keys, envelope.signatures, strict=True):
        if not verify(KIND_ENVELOPE, genesis, envelope.signed, key.public_key, signature):
            raise refuse("SIGNATURE_INVALID", "a signature does not fit the signed bytes")
    envelope.signatures_verified = True


def authorise(context: Context, organisation: Organisation, acting: Acting, rule: Rule, command: Wire) -> None:  # fmt: skip
    """Policy of the acting organisation for this command (maker-checker, I10).

    Raises LedgerError ORGANISATION_INACTIVE, BRANCH_CLOSED, KEY_CAP, SAME_PERSON,
    POLICY_UNSATISFIED.
    """
    _check_standing(context, organisation, rule)
    for key, role in zip(acting.keys, acting.roles, strict=True):
        if role not in key.roles:
            raise refuse("POLICY_UNSATISFIED", f"a key signs as {role.name} without that role")
    amount = rule.amount(command)
    roles, persons = requirement(
        context, context.acting, organisation, rule.command_class, rule.signers, amount
    )
    if persons == 0:
        raise refuse("POLICY_UNSATISFIED", "acts like this one are not delegated to this branch")
    minimum = _programme_minimum(context, rule.command_class, command, amount)
    if minimum is not None:
        roles = tuple(sorted({*roles, *minimum.roles}))
        persons = max(persons, minimum.persons)
    elif rule.api and acting.roles == (Role.API,):
        if amount > acting.keys[0].cap:
            raise refuse("KEY_CAP", f"{amount} is above the machine key's cap {acting.keys[0].cap}")
        return
    for role in roles:
        if role not in acting.roles:
            raise refuse("POLICY_UNSATISFIED", f"nobody signs as {role.name}")
    if persons > 1 and len({key.person_commitment for key in acting.keys}) < persons:
        raise refuse("SAME_PERSON", f"{persons} distinct persons must sign")


def _check_standing(context: Context, organisation: Organisation, rule: Rule) -> None:
    """Suspended and the like: only what is listed above. A branch stands no better than those above it."""
    exempt = rule.command_class in SUSPENDED_MAY or rule.command in SUSPENDED_MAY_TOO
    if organisation.status is not OrganisationStatus.ACTIVE and not exempt:
        raise refuse("ORGANISATION_INACTIVE", f"the organisation is {organisation.status.name}")
    for above in lineage(context, organisation):
        if above.status in STOPS_BRANCHES and not exempt:
            raise refuse("ORGANISATION_INACTIVE", f"its enterprise is {above.status.name}")
        if above.branch_status is BranchStatus.CLOSED and rule.command_class in CLOSED_MAY_NOT:
            raise refuse("BRANCH_CLOSED", "a closed branch can neither issue nor draw")


def lineage(context: Context, organisation: Organisation) -> Iterator[Organisation]:
    """The organisation, then what it is a branch of, up to the enterprise: `branch_depth_max` steps."""
    yield organisation
    while organisation.parent is not None:
        organisation = context.require(Organisation, organisation.parent)
        yield organisation


def _band(
    rules: tuple[PolicyRule, ...], command_class: CommandClass, amount: int
) -> PolicyRule | None:
    """The rule for this class and amount: the one with the largest `amount_from`."""
    chosen = None
    for band in rules:
        if band.command_class is command_class and band.amount_from <= amount:
            chosen = band
    return chosen


def _programme_minimum(
    context: Context, command_class: CommandClass, command: Wire, amount: int
) -> PolicyRule | None:
    """What the programme asks of every member in this act, a one-person shop included: of an issue as it
    is now, of acts on a voucher as it was when the voucher was issued (§5, §8.3)."""
    if command_class not in MINIMUM_CLASSES:
        return None
    source: Programme | Voucher | None = None
    if command_class is CommandClass.ISSUE:
        source = context.find(Programme, getattr(command, "programme", b""))
    else:
        source = context.find(Voucher, getattr(command, "voucher", b""))
    return None if source is None else _band(source.policy_minimum, command_class, amount)


def requirement(
    context: Context,
    id: bytes,
    organisation: Organisation,
    command_class: CommandClass,
    signers: Signers,
    amount: int,
) -> tuple[tuple[Role, ...], int]:
    """Roles and number of distinct persons for this class and amount, never below the network's floor;
    no persons means that nobody may."""
    default = signers.roles, signers.persons
    if signers is Signers.ANY:
        return default
    single = organisation.size is Size.MICRO and amount <= value(context, "single_signer_max")
    policy = context.find(Policy, id)
    chosen = _band(policy.rules, command_class, amount) if policy is not None else None
    if chosen is not None:
        floor = 1 if single else FLOOR_PERSONS.get(command_class, 1)
        return chosen.roles, max(chosen.persons, floor) if chosen.persons else 0
    if single and default[1] > 1:
        return default[0][:1], 1
    return default
