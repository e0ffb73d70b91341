"""Joint acts: an act that needs several organisations (voucher law §5, Joint acts).

Each sends the same command body; consents gather under its hash; the last one executes it.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.parameters import value
from node.ledger.rulebook import Joint, Rule, Signers, rule
from node.ledger.schedule import HANDLERS, Act, drop_day, put_day
from tallynet.blocks import quorum
from tallynet.codec import Wire, encode
from tallynet.commands import ConsentWithdraw
from tallynet.hashing import body_hash, record_id
from tallynet.records import CommandClass, Consent, Kind

_SAME_LABEL: Final = b"-"


def hash_of(command: Wire) -> bytes:
    """Hash of the command's body: everything but the label, which each sender chooses."""
    return body_hash(encode(msgspec.structs.replace(command, label=_SAME_LABEL)))


def consent(context: Context, joint_rule: Rule, command: Wire) -> None:
    """Add the acting organisation's consent; execute when enough of those have consented who are asked
    today: a consent given as a holder is void once another holds the lot.

    Raises LedgerError NOT_AUTHORISED (not its to consent), CONSENT_REPEATED, or what the act raises.
    """
    asked, needed = _asked(context, joint_rule, command)
    if context.acting not in asked:
        raise refuse("NOT_AUTHORISED", f"{joint_rule.name} is for {joint_rule.joint.value}")
    digest = hash_of(command)
    consent_id = record_id(Kind.CONSENT, digest, b"")
    found = context.find(Consent, consent_id)
    given = [o for o in (found.organisations if found is not None else ()) if o in asked]
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
    if found is not None:
        drop_day(context, found.lapses, Act.CONSENT_LAPSE, consent_id)
        context.delete(Consent, consent_id)
    context.joint_body = digest
    joint_rule.function(context, command)


def _asked(context: Context, joint_rule: Rule, command: Wire) -> tuple[list[bytes], int]:
    """Who may consent, and how many must."""
    if joint_rule.joint is Joint.BANK_QUORUM:
        banks = sorted({validator.organisation for validator in context.network.validators})
        return banks, quorum(len(banks))
    parties = sorted(set(joint_rule.parties(context, command)))
    return parties, len(parties)


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
