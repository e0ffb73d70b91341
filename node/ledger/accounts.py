"""Bank accounts, known by commitment, usable once their bank verified them (voucher law §8.2)."""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.organisations import has_kind, require_active
from node.ledger.rulebook import Signers, rule
from node.state.view import Index
from tallynet.commands import AccountBind, AccountVerify
from tallynet.hashing import record_id
from tallynet.records import (
    Account,
    AccountStatus,
    CommandClass,
    Kind,
    OrganisationKind,
)

ACCOUNTS_MAX: Final = 32
"""Accounts of one organisation; bounds the search for a settlement account."""


@rule(
    AccountBind,
    CommandClass.ACCOUNT,
    Signers.MC,
    sentence="Names a bank account of the organisation.",
    errors=("ACCOUNT_DUPLICATE",),
)
def bind(context: Context, command: AccountBind) -> None:
    """account.bind (voucher law §8.2)."""
    bank = require_active(context, command.bank)
    if not has_kind(bank, OrganisationKind.BANK):
        raise refuse("NOT_LICENSED", "accounts are held by banks")
    accounts = context.state.index_scan(
        Index.ORGANISATION_ACCOUNTS, context.acting, limit=ACCOUNTS_MAX
    )
    if len(accounts) >= ACCOUNTS_MAX:
        raise refuse("BATCH_LIMIT", f"an organisation binds at most {ACCOUNTS_MAX} accounts")
    for key in accounts:
        other = context.require(Account, key[16:])
        if (other.bank, other.account_commitment) == (command.bank, command.account_commitment):
            raise refuse("ACCOUNT_DUPLICATE", "this account is bound already")
    id = record_id(Kind.ACCOUNT, context.acting, command.label)
    account = Account(
        context.acting, command.bank, command.account_commitment, command.currency,
        AccountStatus.BOUND,
    )  # fmt: skip
    context.create(id, account)
    context.state.index_add(Index.ORGANISATION_ACCOUNTS, context.acting + id)
    context.emit("account.bind", Kind.ACCOUNT, id, source=context.acting, target=command.bank)


@rule(
    AccountVerify,
    CommandClass.ACCOUNT,
    Signers.MC,
    sentence="Confirms as the account's bank that it belongs to its owner.",
)
def verify(context: Context, command: AccountVerify) -> None:
    """account.verify (voucher law §8.2)."""
    account = context.require(Account, command.account)
    if account.bank != context.acting:
        raise refuse("NOT_AUTHORISED", "only the account's bank can verify it")
    if account.status is AccountStatus.VERIFIED:
        raise refuse("STATE_CONFLICT", "the account is verified already")
    context.put(command.account, msgspec.structs.replace(account, status=AccountStatus.VERIFIED))
    context.emit("account.verify", Kind.ACCOUNT, command.account, target=account.organisation)


def require_verified(
    context: Context, account_id: bytes, organisation: bytes, currency: str
) -> Account:
    """A usable account of this organisation.

    Raises LedgerError PAYEE_NOT_ALLOWED, ACCOUNT_UNVERIFIED, CURRENCY_MISMATCH, RECORD_NOT_FOUND.
    """
    account = context.require(Account, account_id)
    if account.organisation != organisation:
        raise refuse("PAYEE_NOT_ALLOWED", "the account belongs to another organisation")
    if account.status is not AccountStatus.VERIFIED:
        raise refuse("ACCOUNT_UNVERIFIED", "its bank has not verified this account")
    if account.currency != currency:
        raise refuse("CURRENCY_MISMATCH", f"the account is in {account.currency}")
    return account


def settlement_account(context: Context, organisation: bytes, currency: str) -> bytes | None:
    """The organisation's first verified account in this currency, or None."""
    keys = context.state.index_scan(Index.ORGANISATION_ACCOUNTS, organisation, limit=ACCOUNTS_MAX)
    for key in keys:
        account = context.require(Account, key[16:])
        if account.status is AccountStatus.VERIFIED and account.currency == currency:
            return key[16:]
    return None
