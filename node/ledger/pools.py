"""Fund pools: an enterprise funds through an agent bank (voucher law §8.3, C34).

The money stays with the agent bank; the network counts what of it is promised. Reserved at the draw, drawn
at the pay-out, free again when a draw fails or loan principal is repaid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from node.ledger.context import Context, refuse, require_amount
from node.ledger.organisations import has_kind, require_active
from node.ledger.programmes import require_currency
from node.ledger.rulebook import Joint, Signers, rule
from tallynet.commands import FundCommit, FundWithdraw
from tallynet.errors import invariant
from tallynet.hashing import record_id
from tallynet.records import CommandClass, FundPool, Kind, OrganisationKind, PoolKind

ENTRUSTING: Final = (
    OrganisationKind.CORE,
    OrganisationKind.SUPPLIER,
    OrganisationKind.DISTRIBUTOR,
    OrganisationKind.FUNDER,
)
"""Enterprises with cash. The operator can never fund (§4); banks and factors lend themselves."""


def pool_id(funder: bytes, agent_bank: bytes, kind: PoolKind, currency: str) -> bytes:
    """Id of the one pool of this kind between two parties in a currency."""
    return record_id(Kind.FUND_POOL, funder + agent_bank, bytes((kind,)) + currency.encode())


def _committing(_context: Context, command: FundCommit) -> Sequence[bytes]:
    return command.funder, command.agent_bank


@rule(
    FundCommit,
    CommandClass.LINE,
    Signers.MC,
    joint=Joint.PARTIES,
    parties=_committing,
    amount=lambda command: command.amount,
    sentence="Sets money aside with an agent bank for early payment or entrusted loans.",
)
def commit(context: Context, command: FundCommit) -> None:
    """fund.commit (voucher law §8.3): the first one opens the pool, later ones add to it and renew its
    terms."""
    funder = require_active(context, command.funder)
    bank = require_active(context, command.agent_bank)
    if not has_kind(bank, OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "the agent must be a bank")
    if command.funder == command.agent_bank:
        raise refuse("SELF_DEALING", "funder and agent bank are the same organisation")
    early = command.kind is PoolKind.EARLY_PAY
    if not has_kind(funder, *((OrganisationKind.CORE,) if early else ENTRUSTING)):
        raise refuse("NOT_LICENSED", "early payment is a core's, entrusted loans an enterprise's")
    require_currency(command.currency)
    require_amount(command.amount)
    id = pool_id(command.funder, command.agent_bank, command.kind, command.currency)
    pool = context.find(FundPool, id)
    if pool is None:
        pool = FundPool(
            command.funder, command.agent_bank, command.kind, command.currency, 0, 0, 0,
            command.terms,
        )  # fmt: skip
        context.create(id, pool)
    committed = pool.committed + command.amount
    require_amount(committed, "the pool")
    context.put(id, msgspec.structs.replace(pool, committed=committed, terms=command.terms))
    context.emit(
        "fund.commit", Kind.FUND_POOL, id, source=command.funder, target=command.agent_bank,
        amount=command.amount,
    )  # fmt: skip


def _withdrawing(context: Context, command: FundWithdraw) -> Sequence[bytes]:
    pool = context.require(FundPool, command.pool)
    return pool.funder, pool.agent_bank


@rule(
    FundWithdraw,
    CommandClass.LINE,
    Signers.MC,
    joint=Joint.PARTIES,
    parties=_withdrawing,
    amount=lambda command: command.amount,
    sentence="Takes money that is not promised out of a fund pool.",
    errors=("FUND_INSUFFICIENT",),
)
def withdraw(context: Context, command: FundWithdraw) -> None:
    """fund.withdraw (voucher law §8.3): at most committed - drawn - reserved."""
    require_amount(command.amount)
    pool = require_room(context, command.pool, command.amount)
    _put(context, command.pool, pool, committed=-command.amount)
    context.emit(
        "fund.withdraw", Kind.FUND_POOL, command.pool, source=pool.agent_bank, target=pool.funder,
        amount=command.amount,
    )  # fmt: skip


# --- what draws call --------------------------------------------------------------------------------


def require_room(context: Context, id: bytes, amount: int) -> FundPool:
    """The pool, if so much of it is free. Raises LedgerError FUND_INSUFFICIENT, RECORD_NOT_FOUND."""
    pool = context.require(FundPool, id)
    free = pool.committed - pool.drawn - pool.reserved
    if amount > free:
        raise refuse("FUND_INSUFFICIENT", f"{free} of the pool is free")
    return pool


def reserve(context: Context, id: bytes | None, amount: int) -> None:
    """A draw was accepted. Raises LedgerError FUND_INSUFFICIENT."""
    if id is not None:
        _put(context, id, require_room(context, id, amount), reserved=amount)


def unreserve(context: Context, id: bytes | None, amount: int) -> None:
    """A draw failed."""
    if id is not None:
        _put(context, id, context.require(FundPool, id), reserved=-amount)


def draw(context: Context, id: bytes | None, amount: int) -> None:
    """What was reserved is paid out."""
    if id is not None:
        _put(context, id, context.require(FundPool, id), reserved=-amount, drawn=amount)


def give_back(context: Context, id: bytes | None, principal: int) -> None:
    """Loan principal was repaid."""
    if id is not None:
        _put(context, id, context.require(FundPool, id), drawn=-principal)


def _put(
    context: Context,
    id: bytes,
    pool: FundPool,
    *,
    committed: int = 0,
    reserved: int = 0,
    drawn: int = 0,
) -> None:
    changed = msgspec.structs.replace(
        pool,
        committed=pool.committed + committed,
        reserved=pool.reserved + reserved,
        drawn=pool.drawn + drawn,
    )
    invariant(
        min(changed.reserved, changed.drawn) >= 0
        and changed.reserved + changed.drawn <= changed.committed,
        "LEDGER_POOL more is promised than was committed",
    )
    context.put(id, changed)
