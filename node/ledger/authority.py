"""Who may do what: keys, roles, distinct persons (voucher law §5, Signatures and Policy).

An envelope names its signers inside the signed bytes. Keys are resolved once per envelope; each command
is then checked against the policy for its class and amount.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.ledger.context import Context, refuse
from node.ledger.parameters import value
from node.ledger.rulebook import Rule
from node.state.view import StateView
from tallynet.codec import Wire
from tallynet.envelope import Envelope
from tallynet.records import (
    CommandClass,
    Key,
    Kind,
    Organisation,
    OrganisationStatus,
    Policy,
    Role,
    Size,
)
from tallynet.signatures import KIND_ENVELOPE

Verify = Callable[[bytes, bytes, bytes, bytes, bytes], bool]
"""`tallynet.signatures.verify_kind`: (kind, genesis, body, public key, signature)."""

SUSPENDED_MAY: Final = frozenset(
    {CommandClass.CLAIM, CommandClass.REPAYMENT, CommandClass.SETTLEMENT, CommandClass.PAYOUT}
)
"""A suspended organisation may only receive, settle and repay (voucher law §8.2)."""


@dataclass(frozen=True, slots=True)
class Acting:
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
    for signer in body.signers:
        key = state.get(Kind.KEY, signer.key)
        if not isinstance(key, Key) or key.organisation != body.organisation:
            raise refuse("KEY_UNKNOWN", f"key {signer.key.hex()} is none of this organisation's")
        if key.revoked or not key.valid_from <= time < key.valid_to:
            raise refuse("KEY_REVOKED", f"key {signer.key.hex()} is revoked or out of its validity")
        if any(key is other for other in keys):
            raise refuse("SIGNATURE_INVALID", "a key signs twice")
        keys.append(key)
    return Acting(tuple(keys), tuple(signer.role for signer in body.signers))


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

    Raises LedgerError ORGANISATION_INACTIVE, KEY_CAP, SAME_PERSON, POLICY_UNSATISFIED.
    """
    if (
        organisation.status is not OrganisationStatus.ACTIVE
        and rule.command_class not in SUSPENDED_MAY
    ):
        raise refuse("ORGANISATION_INACTIVE", f"the organisation is {organisation.status.name}")
    for key, role in zip(acting.keys, acting.roles, strict=True):
        if role not in key.roles:
            raise refuse("POLICY_UNSATISFIED", f"a key signs as {role.name} without that role")
    amount = rule.amount(command)
    if rule.api and acting.roles == (Role.API,):
        if amount > acting.keys[0].cap:
            raise refuse("KEY_CAP", f"{amount} is above the machine key's cap {acting.keys[0].cap}")
        return
    roles, persons = requirement(context, organisation, rule, amount)
    for role in roles:
        if role not in acting.roles:
            raise refuse("POLICY_UNSATISFIED", f"nobody signs as {role.name}")
    if persons > 1 and len({key.person_commitment for key in acting.keys}) < persons:
        raise refuse("SAME_PERSON", f"{persons} distinct persons must sign")


def requirement(
    context: Context, organisation: Organisation, rule: Rule, amount: int
) -> tuple[tuple[Role, ...], int]:
    """Roles and number of distinct persons for this class and amount."""
    default = rule.signers.roles, rule.signers.persons
    policy = context.find(Policy, context.acting)
    if policy is not None:
        chosen = None
        for band in policy.rules:
            if band.command_class is rule.command_class and band.amount_from <= amount:
                chosen = band.roles, band.persons
        if chosen is not None:
            return chosen
    if (
        organisation.size is Size.MICRO
        and default[1] > 1
        and amount <= value(context, "single_signer_max")
    ):
        return default[0][:1], 1
    return default
