"""Organisations: registration by a sponsor bank, attested facts, suspension, policies (§8.2)."""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.authority import FLOOR_PERSONS, STOPS_BRANCHES, lineage
from node.ledger.context import Context, refuse
from node.ledger.keys import live_keys, register_keys, require_administrable
from node.ledger.rulebook import Signers, rule
from node.state.view import Index
from tallynet.commands import (
    KycSet,
    OrganisationRegister,
    OrganisationResume,
    OrganisationSuspend,
    PolicySet,
)
from tallynet.hashing import record_id
from tallynet.records import (
    BranchStatus,
    CommandClass,
    Kind,
    Organisation,
    OrganisationKind,
    OrganisationStatus,
    Policy,
    PolicyRule,
    Role,
    Size,
)

KYC_ENHANCED: Final = 3
POLICY_RULES_MAX: Final = 64
"""Sixteen classes with four amount bands each."""
ENTERPRISES: Final = frozenset(
    {OrganisationKind.CORE, OrganisationKind.SUPPLIER, OrganisationKind.DISTRIBUTOR}
)
"""Kinds that a sponsor bank registers."""
INSTITUTIONS: Final = frozenset(kind for kind in OrganisationKind if kind not in ENTERPRISES)
"""Kinds that only the bank quorum admits: nobody registers as a bank (§21)."""


def has_kind(organisation: Organisation, *kinds: OrganisationKind) -> bool:
    """True iff the organisation is of one of these kinds."""
    return any(kind in organisation.kinds for kind in kinds)


def require_active(context: Context, id: bytes, *, receiving: bool = False) -> Organisation:
    """The organisation, if it may act; one that is suspended, or has lost its keys, may still receive
    (§8.2).

    Raises LedgerError RECORD_NOT_FOUND, ORGANISATION_INACTIVE.
    """
    organisation = context.require(Organisation, id)
    status = organisation.status
    if receiving and status in (OrganisationStatus.SUSPENDED, OrganisationStatus.RECOVERING):
        return organisation
    if status is not OrganisationStatus.ACTIVE:
        raise refuse("ORGANISATION_INACTIVE", f"organisation {id.hex()} is {status.name}")
    for above in () if receiving else lineage(context, organisation):
        if above.status in STOPS_BRANCHES:
            raise refuse("ORGANISATION_INACTIVE", f"the enterprise of {id.hex()} is suspended")
    return organisation


def require_issuer(context: Context, debtor: Organisation) -> None:
    """The debtor may promise: neither it nor the enterprise whose branch it is was blocked, is overdue,
    or declared distress, and no branch on the way was restricted (§8.1, §9; C41).

    Raises LedgerError ISSUER_BLOCKED.
    """
    for above in lineage(context, debtor):
        if above.blocked_automatic or above.blocked_manual or above.distress_declared:
            raise refuse("ISSUER_BLOCKED", "overdue vouchers, an order or distress stop new issue")
        if above.branch_status is not BranchStatus.OPEN:
            raise refuse("ISSUER_BLOCKED", f"the branch is {above.branch_status.name}")


def count_overdue(context: Context, debtor: bytes, change: int) -> None:
    """One overdue voucher more or less: the automatic block stands while any is left (§9). A branch's
    debts are its enterprise's, so they block it too, and with it the other branches."""
    id: bytes | None = debtor
    while id is not None:
        organisation = context.require(Organisation, id)
        count = organisation.overdue_count + change
        changed = msgspec.structs.replace(
            organisation, overdue_count=count, blocked_automatic=count > 0
        )
        context.put(id, changed)
        id = organisation.parent


def same_enterprise(context: Context, a: Organisation, b: Organisation) -> bool:
    """Whether both are one enterprise or branches of it."""
    *_, top_a = lineage(context, a)
    *_, top_b = lineage(context, b)
    return top_a.uniqueness_tag == top_b.uniqueness_tag


def register(context: Context, id: bytes, organisation: Organisation) -> None:
    """Write a new organisation. Raises ORGANISATION_DUPLICATE, ID_IN_USE."""
    tag = organisation.uniqueness_tag
    if context.state.index_scan(Index.UNIQUENESS_TAGS, tag, limit=1):
        raise refuse("ORGANISATION_DUPLICATE", "an organisation with this uniqueness tag exists")
    context.create(id, organisation)
    context.state.index_add(Index.ORGANISATIONS, id)
    context.state.index_add(Index.UNIQUENESS_TAGS, tag + id)


def require_bank(context: Context) -> Organisation:
    """The acting organisation, if it is a bank that may sponsor. Raises SPONSOR_REQUIRED."""
    bank = context.require(Organisation, context.acting)
    if not has_kind(bank, OrganisationKind.BANK):
        raise refuse("SPONSOR_REQUIRED", "only a bank can sponsor an organisation")
    return bank


@rule(
    OrganisationRegister,
    CommandClass.IDENTITY,
    Signers.MC,
    sentence="Registers an enterprise with its first keys and policy, sponsored by a bank.",
    errors=("ORGANISATION_DUPLICATE", "SPONSOR_REQUIRED", "KEY_WEAK"),
)
def organisation_register(context: Context, command: OrganisationRegister) -> None:
    """organisation.register (voucher law §8.2)."""
    require_bank(context)
    if not command.kinds or any(kind not in ENTERPRISES for kind in command.kinds):
        raise refuse("NOT_AUTHORISED", "a sponsor registers enterprises; banks admit institutions")
    if command.kyc_level > KYC_ENHANCED:
        raise refuse("SCHEMA_INVALID", "KYC levels are 0 to 3")
    id = record_id(Kind.ORGANISATION, context.acting, command.label)
    organisation = Organisation(
        tuple(sorted(set(command.kinds))), OrganisationStatus.ACTIVE, command.kyc_level,
        command.size, context.acting, command.industry, command.region,
        command.name_commitment, command.tax_id_commitment, command.uniqueness_tag,
        False, False, 0, None, BranchStatus.OPEN, False, 0,
    )  # fmt: skip
    register(context, id, organisation)
    register_keys(context, id, command.keys)
    if command.policy:
        set_policy(context, id, organisation, command.policy)
    context.emit("organisation.register", Kind.ORGANISATION, id, source=context.acting, target=id)


def _sponsored(context: Context, id: bytes) -> Organisation:
    """The organisation, if the acting organisation sponsors it. Raises NOT_SPONSOR."""
    organisation = context.require(Organisation, id)
    if organisation.sponsor != context.acting:
        raise refuse("NOT_SPONSOR", "only the sponsor may do this")
    return organisation


@rule(
    KycSet,
    CommandClass.IDENTITY,
    Signers.MC,
    sentence="Sets what the sponsor attests: level, size, industry, region.",
    errors=("NOT_SPONSOR",),
)
def kyc_set(context: Context, command: KycSet) -> None:
    """organisation.kyc.set (voucher law §8.2)."""
    organisation = _sponsored(context, command.organisation)
    if command.level > KYC_ENHANCED:
        raise refuse("SCHEMA_INVALID", "KYC levels are 0 to 3")
    changed = msgspec.structs.replace(
        organisation,
        kyc_level=command.level,
        size=command.size,
        industry=command.industry,
        region=command.region,
    )
    context.put(command.organisation, changed)
    context.emit("organisation.kyc.set", Kind.ORGANISATION, command.organisation)


def _suspender(context: Context, id: bytes) -> Organisation:
    """Sponsor or regulator. Raises NOT_SPONSOR."""
    actor = context.require(Organisation, context.acting)
    if has_kind(actor, OrganisationKind.REGULATOR):
        return context.require(Organisation, id)
    return _sponsored(context, id)


@rule(
    OrganisationSuspend,
    CommandClass.IDENTITY,
    Signers.MC,
    sentence="Suspends an organisation: it may only receive, settle and repay.",
    errors=("NOT_SPONSOR",),
)
def suspend(context: Context, command: OrganisationSuspend) -> None:
    """organisation.suspend (voucher law §8.2)."""
    _change_status(
        context, command.organisation, OrganisationStatus.ACTIVE, OrganisationStatus.SUSPENDED
    )
    context.emit("organisation.suspend", Kind.ORGANISATION, command.organisation)


@rule(
    OrganisationResume,
    CommandClass.IDENTITY,
    Signers.MC,
    sentence="Lifts a suspension.",
    errors=("NOT_SPONSOR",),
)
def resume(context: Context, command: OrganisationResume) -> None:
    """organisation.resume (voucher law §8.2)."""
    _change_status(
        context, command.organisation, OrganisationStatus.SUSPENDED, OrganisationStatus.ACTIVE
    )
    context.emit("organisation.resume", Kind.ORGANISATION, command.organisation)


def _change_status(
    context: Context, id: bytes, before: OrganisationStatus, after: OrganisationStatus
) -> None:
    organisation = _suspender(context, id)
    if organisation.status is not before:
        raise refuse("STATE_CONFLICT", f"the organisation is {organisation.status.name}")
    context.put(id, msgspec.structs.replace(organisation, status=after))


@rule(
    PolicySet,
    CommandClass.IDENTITY,
    Signers.AD2,
    sentence="Sets the organisation's maker-checker policy.",
    errors=("POLICY_TOO_WEAK",),
)
def policy_set(context: Context, command: PolicySet) -> None:
    """organisation.policy.set: not below the network floors, nor more than its own people could fulfil to
    change it again (voucher law §8.2). What a branch may do is its parent's to say (§4), so the parent
    sets its policy."""
    id = context.acting if command.branch is None else command.branch
    organisation = context.require(Organisation, id)
    if command.branch is None and organisation.parent is not None:
        raise refuse("NOT_AUTHORISED", "a branch's policy is delegated to it by its parent")
    if command.branch is not None and organisation.parent != context.acting:
        raise refuse("NOT_AUTHORISED", "this is no branch of the acting organisation")
    set_policy(context, id, organisation, command.rules)
    require_administrable(context, id, organisation, live_keys(context, id))
    context.emit("organisation.policy.set", Kind.POLICY, id)


def set_policy(
    context: Context, id: bytes, organisation: Organisation, rules: tuple[PolicyRule, ...]
) -> None:
    """Write a policy. Raises LedgerError BATCH_LIMIT, SCHEMA_INVALID, POLICY_TOO_WEAK."""
    if len(rules) > POLICY_RULES_MAX:
        raise refuse("BATCH_LIMIT", f"a policy has at most {POLICY_RULES_MAX} rules")
    order = [(band.command_class, band.amount_from) for band in rules]
    if sorted(set(order)) != order:
        raise refuse("SCHEMA_INVALID", "policy rules must be sorted by class and amount, distinct")
    for band in rules:
        _check_floor(organisation, band)
    context.put(id, Policy(rules))


def _check_floor(organisation: Organisation, band: PolicyRule) -> None:
    if organisation.parent is not None and not band.roles and band.persons == 0:
        return  # not delegated: the limit of a branch
    if not band.roles or band.persons < 1 or Role.API in band.roles or Role.NODE in band.roles:
        raise refuse("POLICY_TOO_WEAK", "a rule names people's roles and at least one person")
    if organisation.size is Size.MICRO:
        return
    floor = FLOOR_PERSONS.get(band.command_class, 1)
    if band.persons < floor:
        raise refuse(
            "POLICY_TOO_WEAK",
            f"{band.command_class.name} needs {floor} distinct persons, not {band.persons}",
        )
