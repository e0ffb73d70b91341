"""Branches (门店): child organisations with delegated policy and limits (voucher law §4, §8.2; C41)."""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.authority import lineage
from node.ledger.context import Context, refuse
from node.ledger.keys import register_keys
from node.ledger.organisations import ENTERPRISES, has_kind, register, set_policy
from node.ledger.parameters import value
from node.ledger.rulebook import Signers, rule
from tallynet.commands import BranchCreate, BranchStatusSet
from tallynet.hashing import record_id
from tallynet.records import (
    BranchStatus,
    CommandClass,
    Kind,
    Organisation,
    OrganisationKind,
    OrganisationStatus,
    Policy,
)

RISK_EVENT: Final = "risk.branch.closed"
"""Event beside that of the command, for whoever watches risks only."""


@rule(
    BranchCreate,
    CommandClass.IDENTITY,
    Signers.AD2,
    sentence="Creates a branch of the acting enterprise, with delegated policy and limits.",
    errors=(
        "BRANCH_DEPTH",
        "BRANCH_CLOSED",
        "ORGANISATION_DUPLICATE",
        "POLICY_TOO_WEAK",
        "KEY_WEAK",
    ),
)
def create(context: Context, command: BranchCreate) -> None:
    """organisation.branch.create (voucher law §8.2): the parent is active, and open if it is a branch
    itself. Kinds come from the parent, and enterprises only have branches here: nobody becomes a bank
    this way (§21). An enterprise is at depth 0; its branches go down to `branch_depth_max`."""
    parent = context.require(Organisation, context.acting)
    kinds = tuple(sorted(set(command.kinds)))
    if not kinds or any(k not in ENTERPRISES or k not in parent.kinds for k in kinds):
        raise refuse("NOT_AUTHORISED", "a branch has some of the kinds of its parent enterprise")
    above = list(lineage(context, parent))
    if any(one.branch_status is BranchStatus.CLOSED for one in above):
        raise refuse("BRANCH_CLOSED", "a closed branch opens no branches")
    deepest = value(context, "branch_depth_max")
    if len(above) > deepest:
        raise refuse("BRANCH_DEPTH", f"branches are nested at most {deepest} deep")
    id = record_id(Kind.ORGANISATION, context.acting, command.label)
    branch = Organisation(
        kinds, OrganisationStatus.ACTIVE, parent.kyc_level, parent.size, parent.sponsor,
        parent.industry, command.region, command.name_commitment, command.tax_id_commitment,
        command.uniqueness_tag, False, False, 0, context.acting, BranchStatus.OPEN, False, 0,
    )  # fmt: skip
    register(context, id, branch)
    register_keys(context, id, command.keys)
    own = context.find(Policy, context.acting)
    delegated = command.policy or (own.rules if own is not None else ())
    if delegated:
        set_policy(context, id, branch, delegated)
    context.emit(
        "organisation.branch.create", Kind.ORGANISATION, id, source=context.acting, target=id
    )


@rule(
    BranchStatusSet,
    CommandClass.IDENTITY,
    Signers.MC,
    sentence="Opens, restricts or closes a branch as its parent, sponsor or an oracle.",
)
def status_set(context: Context, command: BranchStatusSet) -> None:
    """organisation.branch.status.set (voucher law §8.2). RESTRICTED: no new issue. CLOSED: neither issue
    nor draw, for the branch and those below it, and a risk event. Each of the three may set any status;
    the log says who did."""
    branch = context.require(Organisation, command.branch)
    actor = context.require(Organisation, context.acting)
    if branch.parent is None:
        raise refuse("STATE_CONFLICT", "the organisation is no branch")
    attests = context.acting in (branch.parent, branch.sponsor)
    if not attests and not has_kind(actor, OrganisationKind.ORACLE):
        raise refuse("NOT_AUTHORISED", "only parent, sponsor or an oracle may do this")
    if branch.branch_status is command.status:
        raise refuse("STATE_CONFLICT", f"the branch is {command.status.name} already")
    context.put(command.branch, msgspec.structs.replace(branch, branch_status=command.status))
    context.emit(
        "organisation.branch.status.set", Kind.ORGANISATION, command.branch, source=context.acting,
        target=branch.parent, amount=int(command.status),
    )  # fmt: skip
    if command.status is BranchStatus.CLOSED:
        context.emit(
            RISK_EVENT, Kind.ORGANISATION, command.branch, source=context.acting,
            target=branch.parent,
        )  # fmt: skip
