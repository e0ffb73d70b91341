"""Joint acts: an act that needs several organisations (voucher law §5, Joint acts).

Each sends the same command body; consents gather under its hash; the last one executes it. Some acts a
regulator may carry out alone.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.parameters import value
from node.ledger.rulebook import Joint, Rule, Signers, rule
from node.ledger.schedule import HANDLERS, Act, drop_day, put_day
from tallynet.blocks import faulty_max, quorum
from tallynet.codec import Wire, encode
from tallynet.commands import ConsentWithdraw
from tallynet.hashing import body_hash, record_id
from tallynet.records import CommandClass, Consent, Kind, Organisation, OrganisationKind

_SAME_LABEL: Final = b"-"


def hash_of(command: Wire) -> bytes:
    """Hash of the command's body: everything but the label, which each sender chooses."""
    return body_hash(encode(msgspec.structs.replace(command, label=_SAME_LABEL)))


def consent(context: Context, joint_rule: Rule, command: Wire) -> None:
    """Add the acting organisation's consent; execute when enough of those have consented who have a say
    today: a consent given as a holder is void once another holds the lot.

    Raises LedgerError NOT_AUTHORISED (who has no say), CONSENT_REPEATED, or what the act raises.
    """
    digest = hash_of(command)
    consent_id = record_id(Kind.CONSENT, digest, b"")
    found = context.find(Consent, consent_id)
    if joint_rule.joint is Joint.REGULATOR_OR_BANKS and _is_regulator(context):
        _take_off(context, consent_id, found)
        joint_rule.function(context, command)
        return
    given = list(found.organisations) if found is not None else []
    given, needed = _parties(context, joint_rule, command, given)
    if context.acting not in given:
        insort(given, context.acting)
    elif len(given) < needed:
        raise refuse("CONSENT_REPEATED", "this organisation has consented already")
    if len(given) < needed:
        if found is None:
            found = Consent((), context.today + value(context, "consent_days"))
            put_day(context, found.lapses, Act.CONSENT_LAPSE, consent_id)
        context.put(consent_id, msgspec.structs.replace(found, organisations=tuple(given)))
        context.result = (len(given), needed)
        return
    _take_off(context, consent_id, found)
    context.joint_body = digest
    joint_rule.function(context, command)


def _take_off(context: Context, consent_id: bytes, found: Consent | None) -> None:
    """The act happens: nothing of it is open any more."""
    if found is not None:
        drop_day(context, found.lapses, Act.CONSENT_LAPSE, consent_id)
        context.delete(Consent, consent_id)


def _is_regulator(context: Context) -> bool:
    actor = context.require(Organisation, context.acting)
    return OrganisationKind.REGULATOR in actor.kinds


def _parties(
    context: Context, joint_rule: Rule, command: Wire, given: list[bytes]
) -> tuple[list[bytes], int]:
    """The consents that count, and how many are needed. Raises LedgerError NOT_AUTHORISED,
    CONSENT_REPEATED, RECORD_NOT_FOUND."""
    if joint_rule.joint is Joint.SPONSOR_AND_ATTESTER:
        sponsor = context.require(Organisation, getattr(command, "organisation", b"")).sponsor
        if sponsor is not None:
            _check_attester(context, sponsor, given)
            return given, 2
    if joint_rule.joint is Joint.PARTIES:
        parties = set(joint_rule.parties(context, command))
        if context.acting not in parties:
            raise refuse("NOT_AUTHORISED", f"{joint_rule.name} is for {joint_rule.joint.value}")
        return [party for party in given if party in parties], len(parties)
    banks = sorted({validator.organisation for validator in context.network.validators})
    if context.acting not in banks:
        raise refuse("NOT_AUTHORISED", f"{joint_rule.name} is for the validators' banks")
    honest = joint_rule.joint is Joint.REGULATOR_OR_BANKS
    needed = faulty_max(len(banks)) + 1 if honest else quorum(len(banks))
    return [bank for bank in given if bank in banks], needed


def _check_attester(context: Context, sponsor: bytes, given: list[bytes]) -> None:
    """The sponsor and one other bank; for institutions, which have no sponsor, those who admitted them:
    the bank quorum."""
    actor = context.require(Organisation, context.acting)
    if OrganisationKind.BANK not in actor.kinds:
        raise refuse("NOT_AUTHORISED", "this takes the sponsor and a second bank")
    if context.acting != sponsor and given and sponsor not in given:
        raise refuse("CONSENT_REPEATED", "a second bank has consented; the sponsor's is missing")


def new_id(context: Context, kind: Kind, label: bytes) -> bytes:
    """Id of what an act creates that one organisation may carry out alone or several jointly (§5, Ids)."""
    if context.joint_body is not None:
        return record_id(kind, context.joint_body, b"")
    return record_id(kind, context.acting, label)


def _lapse(context: Context, consent_id: bytes) -> None:
    """system.expire: an open consent lapses."""
    if context.find(Consent, consent_id) is not None:
        context.delete(Consent, consent_id)
        context.emit("system.expire", Kind.CONSENT, consent_id)


HANDLERS[Act.CONSENT_LAPSE] = _lapse


@rule(
    ConsentWithdraw,
    CommandClass.GOVERNANCE,
    Signers.MC,
    sentence="Takes back the consent to a joint act that is still open.",
    errors=("CONSENT_NOT_OPEN",),
)
def withdraw(context: Context, command: ConsentWithdraw) -> None:
    """consent.withdraw (voucher law §8.1)."""
    consent_id = record_id(Kind.CONSENT, command.body_hash, b"")
    found = context.find(Consent, consent_id)
    if found is None or context.acting not in found.organisations:
        raise refuse("CONSENT_NOT_OPEN", "no open consent of this organisation under that hash")
    left = tuple(o for o in found.organisations if o != context.acting)
    if left:
        context.put(consent_id, msgspec.structs.replace(found, organisations=left))
    else:
        drop_day(context, found.lapses, Act.CONSENT_LAPSE, consent_id)
        context.delete(Consent, consent_id)
    context.emit("consent.withdraw", Kind.CONSENT, consent_id, source=context.acting)
