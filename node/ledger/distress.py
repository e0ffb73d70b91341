"""Debtors and regions in difficulty: issuer blocks, distress events, declared distress (voucher law §8.1;
C28, C29)."""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.joint import new_id
from node.ledger.organisations import has_kind
from node.ledger.rulebook import Joint, Signers, rule
from tallynet.commands import (
    DistressClose,
    DistressDeclare,
    DistressEnd,
    DistressOpen,
    IssuerBlock,
    IssuerUnblock,
)
from tallynet.records import (
    CommandClass,
    DistressEvent,
    DistressState,
    Kind,
    Organisation,
    OrganisationKind,
)

WINDOW_DAYS_MAX: Final = 1_830
"""Longest distress event: five years; a slip of the pen in a year would last for ever."""


# --- issuer blocks --------------------------------------------------------------------------------


@rule(
    IssuerBlock,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.REGULATOR_OR_BANKS,
    sentence="Stops new issue by a debtor, e.g. from an external overdue list.",
)
def block(context: Context, command: IssuerBlock) -> None:
    """issuer.block (voucher law §8.1): a manual block, beside the automatic one. It stops new issue by
    the debtor's branches too; what was issued stands."""
    _set_block(context, command.organisation, True)
    context.emit("issuer.block", Kind.ORGANISATION, command.organisation, source=context.acting)


@rule(
    IssuerUnblock,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.REGULATOR_OR_BANKS,
    sentence="Lifts a manual issuer block.",
)
def unblock(context: Context, command: IssuerUnblock) -> None:
    """issuer.unblock (voucher law §8.1): the automatic block of an overdue debtor is not touched."""
    _set_block(context, command.organisation, False)
    context.emit("issuer.unblock", Kind.ORGANISATION, command.organisation, source=context.acting)


def _set_block(context: Context, id: bytes, blocked: bool) -> None:
    organisation = context.require(Organisation, id)
    if organisation.blocked_manual is blocked:
        raise refuse("STATE_CONFLICT", "the debtor is blocked already" if blocked else "no block")
    context.put(id, msgspec.structs.replace(organisation, blocked_manual=blocked))


# --- distress events ------------------------------------------------------------------------------


@rule(
    DistressOpen,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.REGULATOR_OR_BANKS,
    sentence="Declares a difficulty of regions or industries for some time.",
)
def open_event(context: Context, command: DistressOpen) -> None:
    """distress.open (voucher law §8.1). The window may begin in the past: a flood is declared after it
    came."""
    for names in (command.regions, command.industries):
        if tuple(sorted(set(names))) != names:
            raise refuse("SCHEMA_INVALID", "regions and industries must be sorted and distinct")
    if not command.from_day <= command.to_day <= command.from_day + WINDOW_DAYS_MAX:
        raise refuse("DATE_RANGE", f"an event lasts up to {WINDOW_DAYS_MAX} days")
    if command.to_day < context.today:
        raise refuse("DATE_RANGE", "the event would be over already")
    id = new_id(context, Kind.DISTRESS_EVENT, command.label)
    event = DistressEvent(
        command.regions, command.industries, command.from_day, command.to_day, DistressState.OPEN
    )
    context.create(id, event)
    context.emit("distress.open", Kind.DISTRESS_EVENT, id, source=context.acting)


@rule(
    DistressClose,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.REGULATOR_OR_BANKS,
    sentence="Ends a distress event before its last day.",
)
def close_event(context: Context, command: DistressClose) -> None:
    """distress.close (voucher law §8.1)."""
    event = context.require(DistressEvent, command.event)
    if event.state is DistressState.CLOSED:
        raise refuse("STATE_CONFLICT", "the event is closed already")
    context.put(command.event, msgspec.structs.replace(event, state=DistressState.CLOSED))
    context.emit("distress.close", Kind.DISTRESS_EVENT, command.event, source=context.acting)


def covers(context: Context, event: DistressEvent, organisation: Organisation) -> bool:
    """Whether the event holds today and hits this organisation: for backstops and waivers (C27, C30)."""
    return (
        event.state is DistressState.OPEN
        and event.from_day <= context.today <= event.to_day
        and (not event.regions or organisation.region in event.regions)
        and (not event.industries or organisation.industry in event.industries)
    )


# --- declared distress ----------------------------------------------------------------------------


@rule(
    DistressDeclare,
    CommandClass.GOVERNANCE,
    Signers.MCA,
    sentence="Declares the acting core's own difficulty; new issue is blocked.",
)
def declare(context: Context, command: DistressDeclare) -> None:
    """distress.declare (voucher law §8.1): one event of the debtor tells the holders, whose clients follow
    the debtors of what they hold; its cost does not grow with their number."""
    _set_declared(context, True)
    context.emit("distress.declare", Kind.ORGANISATION, context.acting, source=context.acting)


@rule(
    DistressEnd,
    CommandClass.GOVERNANCE,
    Signers.MCA,
    sentence="Ends the acting core's declared difficulty.",
)
def end(context: Context, command: DistressEnd) -> None:
    """distress.end (voucher law §8.1)."""
    _set_declared(context, False)
    context.emit("distress.end", Kind.ORGANISATION, context.acting, source=context.acting)


def _set_declared(context: Context, declared: bool) -> None:
    core = context.require(Organisation, context.acting)
    if not has_kind(core, OrganisationKind.CORE):
        raise refuse("NOT_AUTHORISED", "only a core enterprise declares distress")
    if core.distress_declared is declared:
        raise refuse("STATE_CONFLICT", "declared already" if declared else "nothing was declared")
    context.put(context.acting, msgspec.structs.replace(core, distress_declared=declared))
