"""What opens a bank's sealed lines, as its wallet keeps it, and what it counts in before it acts.

    wallets/<name>/lines/<commitment>.json     salt, limit, use; names the commitment before it

The newest state is the one that the chain commits to, so an act whose outcome is unknown leaves nothing to repair.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from node.ledger.drawing import SOLD, is_used, line_of
from node.ledger.interest import BPS
from tallynet.client import Client
from tallynet.codec import Wire, encode
from tallynet.commands import (
    FinancingQuote,
    FinancingQuoteSealed,
    LineUseSealed,
    PrepaymentFund,
    RediscountAccept,
)
from tallynet.records import (
    CreditLine,
    Financing,
    FinancingKind,
    FinancingRequest,
    Kind,
    LineKind,
    Prepayment,
    Record,
    SealedLine,
)
from tallynet.sealed_line import FIRST, OpenedState, commitment, counted_in, decode_state
from tools.arguments import UsageError
from tools.kept_documents import read_file, write_private
from tools.participant import new_label
from tools.records_by_name import line_id
from tools.wallet import WALLETS, Wallet

LINES: Final = "lines"


class StateFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """States of one sealed line, each after the one before it."""

    states: list[str]
    """Hex of encoded `OpenedState`s."""


def new_salt() -> bytes:
    return os.urandom(32)


def write_states(path: Path, states: Sequence[OpenedState]) -> None:
    file = StateFile([encode(state).hex() for state in states])
    write_private(path, (json.dumps(msgspec.to_builtins(file), indent=1) + "\n").encode())


def load_states(path: Path) -> list[OpenedState]:
    """Raises UsageError FILE_MISSING, FILE_INVALID; DocumentError LINE_STATE_MALFORMED."""
    try:
        texts = msgspec.json.decode(read_file(path), type=StateFile).states
        return [decode_state(bytes.fromhex(text)) for text in texts]
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError("FILE_INVALID", f"{path}: {error}") from None


def _path(network: Path, wallet: Wallet, committed: bytes) -> Path:
    return network / WALLETS / wallet.name / LINES / f"{committed.hex()}.json"


def keep_state(network: Path, wallet: Wallet, opened: OpenedState) -> None:
    """Write it before anybody signs for it."""
    path = _path(network, wallet, commitment(opened))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_states(path, [opened])


def kept_state(network: Path, wallet: Wallet, committed: bytes) -> OpenedState:
    """What opens this commitment. Raises UsageError FILE_MISSING, FILE_INVALID."""
    path = _path(network, wallet, committed)
    if not path.exists():
        raise UsageError(
            "FILE_MISSING", f"wallet {wallet.name} does not hold what the line commits to: {path}"
        )
    [opened] = load_states(path)
    return opened


def kept_history(network: Path, wallet: Wallet, committed: bytes) -> list[OpenedState]:
    """All states from the grant to this commitment. Raises UsageError FILE_MISSING, FILE_INVALID."""
    found = [kept_state(network, wallet, committed)]
    while found[-1].state.previous != FIRST:
        found.append(kept_state(network, wallet, found[-1].state.previous))
    return found[::-1]


async def read_sealed(client: Client, line: bytes) -> tuple[CreditLine, SealedLine]:
    """A sealed line, proven. Raises UsageError RECORD_NOT_FOUND, USAGE for an open one."""
    return sealed_of(await client.read(Kind.CREDIT_LINE, line), line)


def sealed_of(record: Record | None, line: bytes) -> tuple[CreditLine, SealedLine]:
    """The record as a sealed line. Raises UsageError RECORD_NOT_FOUND, USAGE for an open one."""
    if not isinstance(record, CreditLine):
        raise UsageError("RECORD_NOT_FOUND", f"no line {line.hex()}")
    if record.sealed is None:
        raise UsageError("USAGE", "the line is open: tally show line KIND:GRANTOR:OBLIGOR")
    return record, record.sealed


# --- before an act --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Use:
    """What an act uses of one line."""

    line: bytes
    amount: int
    of: bytes
    """Request, rediscount or prepayment."""


async def with_uses(
    client: Client, network: Path, wallet: Wallet, commands: Sequence[Wire], *, keep: bool
) -> tuple[Wire, ...]:
    """The commands, each after what it uses of sealed lines of this wallet's organisation. Raises LedgerError
    LINE_EXCEEDED, so that nothing is signed that breaks I4; UsageError FILE_MISSING for a state not kept here."""
    found: list[Wire] = []
    newest: dict[bytes, OpenedState] = {}
    for command in commands:
        for use in await _uses(client, wallet.id, command):
            line = await client.read(Kind.CREDIT_LINE, use.line)
            if not isinstance(line, CreditLine) or line.sealed is None:
                continue
            opened = newest.get(use.line) or kept_state(network, wallet, line.sealed.commitment)
            after = counted_in(opened, use.amount, use.of, new_salt())
            newest[use.line] = after
            if keep:
                keep_state(network, wallet, after)
            found.append(
                LineUseSealed(
                    new_label(), use.line, after.state.sequence, commitment(after), use.of
                )
            )
        found.append(command)
    return tuple(found)


async def _uses(client: Client, acting: bytes, command: Wire) -> list[_Use]:
    """What the command would use of lines, open or sealed; what it names may be gone, which the rule says."""
    match command:
        case FinancingQuote():
            sold = command.kind in SOLD
            amount = command.amount if sold else command.amount * command.advance_bps // BPS
            return await _of_quote(client, acting, command, command.kind, amount)
        case FinancingQuoteSealed():
            return await _of_quote(client, acting, command, FinancingKind.SALE, command.amount)
        case RediscountAccept():
            deal = await client.read(Kind.FINANCING, command.financing)
            if isinstance(deal, Financing):
                line = line_id(LineKind.DEBTOR_EXPOSURE, acting, deal.debtor, deal.currency)
                return [_Use(line, deal.principal, command.financing)]
        case PrepaymentFund():
            order = await client.read(Kind.PREPAYMENT, command.prepayment)
            if isinstance(order, Prepayment):
                line = line_id(LineKind.BORROWER, acting, order.distributor, order.currency)
                return [_Use(line, order.amount, command.prepayment)]
    return []


async def _of_quote(
    client: Client,
    acting: bytes,
    quote: FinancingQuote | FinancingQuoteSealed,
    kind: FinancingKind,
    amount: int,
) -> list[_Use]:
    asked = await client.read(Kind.FINANCING_REQUEST, quote.request) if quote.lines else None
    if not isinstance(asked, FinancingRequest):
        return []
    return [
        _Use(
            line_of(each, acting, asked.debtor, asked.holder, asked.currency), amount, quote.request
        )
        for each in quote.lines
        if is_used(each, kind)
    ]
