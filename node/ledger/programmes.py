"""Programmes: the rules a core or bank sets for a chain (voucher law §8.3)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import msgspec

from node.ledger.authority import MINIMUM_CLASSES, PEOPLE
from node.ledger.context import Context, refuse
from node.ledger.organisations import has_kind
from node.ledger.parameters import PARAMETERS, value
from node.ledger.rulebook import Signers, rule
from node.state.view import Index
from tallynet.commands import (
    ProgrammeCreate,
    ProgrammeJoin,
    ProgrammeLeave,
    ProgrammeRules,
    ProgrammeUpdate,
)
from tallynet.hashing import record_id
from tallynet.records import (
    AcceptMode,
    CommandClass,
    Kind,
    Organisation,
    OrganisationKind,
    PolicyRule,
    Programme,
)

MEMBERS_MAX: Final = 2_000
"""Listed members of one programme; a larger chain uses `open_to_all`."""
CURRENCIES: Final = frozenset({"CNY", "EUR", "USD", "GBP", "JPY"})
"""Currencies of this release (parameter `currencies`), CNY from the start."""


def is_member(programme: Programme, organisation: bytes) -> bool:
    """Whether the organisation takes part: the owner, a listed member, or anybody if it is open."""
    if programme.open_to_all or organisation == programme.owner:
        return True
    at = bisect_left(programme.members, organisation)
    return at < len(programme.members) and programme.members[at] == organisation


def require_currency(currency: str) -> None:
    """Raises LedgerError CURRENCY_MISMATCH for a currency that the network does not list."""
    if currency not in CURRENCIES:
        raise refuse("CURRENCY_MISMATCH", f"{currency} is not a currency of this network")


def _check_rules(context: Context, rules: ProgrammeRules) -> None:
    """PROGRAMME_RULE unless within the network's bounds: stricter, never laxer (§17)."""
    limits = (
        ("max_hops", rules.max_hops, value(context, "max_hops")),
        ("max_lots", rules.max_lots, value(context, "max_lots_per_voucher")),
        ("max_tenor_days", rules.max_tenor_days, value(context, "max_tenor_days")),
        ("penalty_ppm_day", rules.penalty_ppm_day, PARAMETERS["penalty_ppm_day"].most),
    )
    for name, chosen, most in limits:
        if chosen > most:
            raise refuse("PROGRAMME_RULE", f"{name} is {chosen}; the network allows {most}")
    if not (rules.max_hops and rules.max_lots and rules.max_tenor_days and rules.min_piece):
        raise refuse("PROGRAMME_RULE", "hops, lots, tenor and smallest piece must be positive")
    if (rules.accept_mode is AcceptMode.DEEMED) != (rules.deemed_days > 0):
        raise refuse("PROGRAMME_RULE", "deemed_days belongs to the mode DEEMED, and only to it")
    _check_minimum(rules.policy_minimum)


def _check_minimum(minimum: tuple[PolicyRule, ...]) -> None:
    """PROGRAMME_RULE unless it is a policy of people for what members do with vouchers."""
    order = [(band.command_class, band.amount_from) for band in minimum]
    if sorted(set(order)) != order:
        raise refuse("PROGRAMME_RULE", "the minimum must be sorted by class and amount, distinct")
    for band in minimum:
        if band.command_class not in MINIMUM_CLASSES:
            names = ", ".join(one.name for one in sorted(MINIMUM_CLASSES))
            raise refuse("PROGRAMME_RULE", f"a programme has a minimum for {names} only")
        if not band.roles or band.persons < 1 or not PEOPLE.issuperset(band.roles):
            raise refuse("PROGRAMME_RULE", "the minimum names roles of people, at least one person")


@rule(
    ProgrammeCreate,
    CommandClass.PROGRAMME,
    Signers.MC,
    sentence="Creates a programme of the acting core or bank.",
    errors=("PROGRAMME_RULE",),
)
def create(context: Context, command: ProgrammeCreate) -> None:
    """programme.create (voucher law §8.3)."""
    owner = context.require(Organisation, context.acting)
    if not has_kind(owner, OrganisationKind.CORE, OrganisationKind.BANK):
        raise refuse("NOT_AUTHORISED", "a programme is owned by a core enterprise or a bank")
    require_currency(command.currency)
    _check_rules(context, command.rules)
    id = record_id(Kind.PROGRAMME, context.acting, command.label)
    given = command.rules
    programme = Programme(
        context.acting, command.kind, command.currency, given.accept_mode, given.deemed_days,
        given.max_hops, given.max_lots, given.min_piece, given.max_tenor_days, given.grace_days,
        given.document_policy, given.visibility, given.document_required_on_transfer,
        given.penalty_ppm_day,
        given.funding_order, given.open_to_all, (), given.policy_minimum, given.price_mode,
    )  # fmt: skip
    context.create(id, programme)
    context.state.index_add(Index.OWNER_PROGRAMMES, context.acting + id)
    context.emit("programme.create", Kind.PROGRAMME, id, source=context.acting)


@rule(
    ProgrammeUpdate,
    CommandClass.PROGRAMME,
    Signers.MC,
    sentence="Changes a programme's rules for new vouchers.",
    errors=("PROGRAMME_RULE",),
)
def update(context: Context, command: ProgrammeUpdate) -> None:
    """programme.update: changes bind new vouchers only (voucher law §8.3)."""
    programme = context.require(Programme, command.programme)
    if programme.owner != context.acting:
        raise refuse("NOT_AUTHORISED", "only the owner can change a programme")
    _check_rules(context, command.rules)
    fields = {name: getattr(command.rules, name) for name in command.rules.__struct_fields__}
    context.put(command.programme, msgspec.structs.replace(programme, **fields))
    context.emit("programme.update", Kind.PROGRAMME, command.programme)


@rule(
    ProgrammeJoin,
    CommandClass.PROGRAMME,
    Signers.MC,
    sentence="Joins a programme.",
    errors=("PROGRAMME_RULE",),
)
def join(context: Context, command: ProgrammeJoin) -> None:
    """programme.join (voucher law §8.3)."""
    programme = context.require(Programme, command.programme)
    if context.acting in programme.members or context.acting == programme.owner:
        raise refuse("STATE_CONFLICT", "a member already")
    if len(programme.members) >= MEMBERS_MAX:
        raise refuse("PROGRAMME_RULE", f"{MEMBERS_MAX} members are listed; make it open_to_all")
    members = tuple(sorted((*programme.members, context.acting)))
    context.put(command.programme, msgspec.structs.replace(programme, members=members))
    context.emit("programme.join", Kind.PROGRAMME, command.programme, target=context.acting)


@rule(
    ProgrammeLeave,
    CommandClass.PROGRAMME,
    Signers.MC,
    sentence="Leaves a programme; existing vouchers stand.",
    errors=("PROGRAMME_NOT_MEMBER",),
)
def leave(context: Context, command: ProgrammeLeave) -> None:
    """programme.leave (voucher law §8.3)."""
    programme = context.require(Programme, command.programme)
    if context.acting not in programme.members:
        raise refuse("PROGRAMME_NOT_MEMBER", "not a listed member")
    members = tuple(member for member in programme.members if member != context.acting)
    context.put(command.programme, msgspec.structs.replace(programme, members=members))
    context.emit("programme.leave", Kind.PROGRAMME, command.programme, source=context.acting)
