"""Lost keys: attested new ones replace all after a time lock that any live key can stop (§8.2)."""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.keys import enliven, live_key_ids, put_key, require_administrable, retire
from node.ledger.parameters import value
from node.ledger.rulebook import Joint, Signers, rule
from node.ledger.schedule import HANDLERS, Act, drop_day, put_day
from tallynet.commands import RecoverCancel, RecoverStart
from tallynet.records import (
    CommandClass,
    Key,
    Kind,
    Organisation,
    OrganisationStatus,
    Recovery,
)

RECOVERABLE: Final = (OrganisationStatus.ACTIVE, OrganisationStatus.SUSPENDED)


@rule(
    RecoverStart,
    CommandClass.IDENTITY,
    Signers.MC,
    joint=Joint.SPONSOR_AND_ATTESTER,
    sentence="Starts the recovery of an organisation that lost its keys, as two banks attest.",
    errors=("RECOVERY_TIMELOCK", "POLICY_TOO_WEAK", "KEY_WEAK"),
)
def start(context: Context, command: RecoverStart) -> None:
    """organisation.recover.start (voucher law §8.2). Sponsor and a second bank; for an institution, which
    has no sponsor, the bank quorum that admits such. The new keys prove possession now and may sign once
    `recovery_timelock_days` have passed in full; until then the organisation only receives, settles and
    repays. The event is the notice."""
    id = command.organisation
    organisation = context.require(Organisation, id)
    if organisation.status is OrganisationStatus.RECOVERING:
        raise refuse("RECOVERY_TIMELOCK", "a recovery runs already; its time lock has not passed")
    if organisation.status not in RECOVERABLE:
        raise refuse("ORGANISATION_INACTIVE", f"the organisation is {organisation.status.name}")
    require_administrable(context, id, organisation, command.keys)
    keys = tuple(put_key(context, id, key, revoked=True) for key in command.keys)
    ends = context.today + value(context, "recovery_timelock_days")
    context.create(id, Recovery(keys, ends, organisation.status))
    put_day(context, ends + 1, Act.RECOVERY_COMPLETE, id)
    _set_status(context, id, organisation, OrganisationStatus.RECOVERING)
    context.emit("organisation.recover.start", Kind.ORGANISATION, id, source=context.acting)


@rule(
    RecoverCancel,
    CommandClass.IDENTITY,
    Signers.ANY,
    sentence="Stops the recovery of the acting organisation: it has not lost its keys.",
    errors=("RECOVERY_TIMELOCK",),
)
def cancel(context: Context, command: RecoverCancel) -> None:
    """organisation.recover.cancel (voucher law §8.2): by any live key, whatever the policy says; the new
    keys are forgotten."""
    id = context.acting
    organisation = context.require(Organisation, id)
    recovery = context.find(Recovery, id)
    if recovery is None:
        raise refuse("STATE_CONFLICT", "no recovery of this organisation runs")
    if context.today > recovery.ends:
        raise refuse("RECOVERY_TIMELOCK", "the time lock has passed; the new keys are in force")
    drop_day(context, recovery.ends + 1, Act.RECOVERY_COMPLETE, id)
    for key in recovery.keys:
        context.delete(Key, key)
    _close(context, id, organisation, recovery)
    context.emit("organisation.recover.cancel", Kind.ORGANISATION, id, source=id)


def _complete(context: Context, id: bytes) -> None:
    """system.recovery.complete: the new keys replace all."""
    organisation = context.require(Organisation, id)
    recovery = context.require(Recovery, id)
    for old in live_key_ids(context, id):
        retire(context, old, context.require(Key, old))
    for new in recovery.keys:
        enliven(context, new, context.require(Key, new))
    _close(context, id, organisation, recovery)
    context.emit("system.recovery.complete", Kind.ORGANISATION, id, target=id)


HANDLERS[Act.RECOVERY_COMPLETE] = _complete


def _close(context: Context, id: bytes, organisation: Organisation, recovery: Recovery) -> None:
    context.delete(Recovery, id)
    _set_status(context, id, organisation, recovery.before)


def _set_status(
    context: Context, id: bytes, organisation: Organisation, status: OrganisationStatus
) -> None:
    context.put(id, msgspec.structs.replace(organisation, status=status))
