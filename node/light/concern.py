"""What concerns one organisation: which records its copy holds, and which of them an event may have changed.

A node shows an organisation the events whose source or target it is. What they are about is read anew, and with
it whatever may have changed at the same time:

    voucher     its lots, its documents, its issue line, and what is kept about it: financings, requests, instructions
    financing   its instruction, its voucher
    any other   nothing

Credit lines also change by acts between others, which this organisation is not shown: `following` reads them by the
clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from node.ledger.own_indexes import OPEN_LOTS
from tallynet.receipts import Event
from tallynet.records import (
    CreditLine,
    Document,
    Financing,
    FinancingRequest,
    Instruction,
    Kind,
    Lot,
    Record,
    Voucher,
)

__all__ = [
    "FOLLOWED", "ID_BYTES", "REFERENCES", "Want", "about", "hangs_on", "is_listed", "parties", "wanted",
]  # fmt: skip

ID_BYTES: Final = 16
"""Of every record but lots, whose ids are a voucher's and eight bytes."""
FOLLOWED: Final = frozenset(
    (
        Kind.VOUCHER, Kind.LOT, Kind.CREDIT_LINE, Kind.INSTRUCTION, Kind.FINANCING, Kind.FINANCING_REQUEST,
        Kind.DOCUMENT,
    )
)  # fmt: skip
"""Kinds of records that a copy holds."""
REFERENCES: Final = (
    Kind.FINANCING, Kind.INSTRUCTION, Kind.FINANCING_REQUEST, Kind.CREDIT_LINE, Kind.DOCUMENT,
)  # fmt: skip
"""What an event's reference may name, most frequent first: the event does not say which."""


@dataclass(frozen=True, slots=True)
class Want:
    """Something to read anew."""

    kind: Kind | None
    """None: one of REFERENCES."""
    id: bytes
    spans: frozenset[tuple[int, int]] = frozenset()
    """Of a voucher: `[from, to)` where other lots may lie now than before."""


def parties(record: Record) -> tuple[bytes, ...]:
    """The organisations that a record is about."""
    match record:
        case Lot():
            found: tuple[bytes | None, ...] = (record.holder, record.pending_to)
        case Voucher():
            found = (record.debtor, record.first_payee)
        case CreditLine():
            found = (record.obligor, record.grantor)
        case Instruction():
            found = (record.payer, record.payee, record.bank)
        case Financing():
            found = (record.funder, record.obligor, record.agent_bank)
        case FinancingRequest():
            found = (record.holder, *record.funders)
        case Document():
            found = record.parties
        case _:
            found = ()
    return tuple(party for party in found if party is not None)


def is_listed(organisation: bytes, record: Record) -> bool:
    """Whether a record is its own affair, and no mere background: a lot that somebody is still to be paid for
    and that it holds or is offered; anything else that names it."""
    if isinstance(record, Lot) and record.state not in OPEN_LOTS:
        return False
    return organisation in parties(record)


def about(id: bytes, record: Record) -> bytes:
    """The record with which this one changes; empty for those that change by themselves."""
    match record:
        case Lot():
            return id[:ID_BYTES]
        case Financing() | FinancingRequest():
            return record.voucher
        case Instruction():
            return record.reference
        case _:
            return b""


def hangs_on(record: Record) -> Iterator[Want]:
    """What is to be read together with a record, beside what is kept `about` it."""
    match record:
        case Voucher():
            yield Want(Kind.CREDIT_LINE, record.issue_line)
            for use in record.documents:
                yield Want(Kind.DOCUMENT, use.document)
        case Financing():
            yield Want(Kind.INSTRUCTION, record.instruction)
            if any(record.voucher):
                yield Want(Kind.VOUCHER, record.voucher)
        case FinancingRequest():
            yield Want(Kind.VOUCHER, record.voucher)


def wanted(event: Event) -> Iterator[Want]:
    """What an event that concerns the organisation may have changed."""
    if event.kind in FOLLOWED:
        # What was cut off behind the range begins at its end.
        spans = ((event.start, event.end), (event.end, event.end + 1))
        some = frozenset(spans if event.end > event.start else ())
        yield Want(Kind(event.kind), event.subject, some)
    if len(event.reference) == ID_BYTES:
        yield Want(None, event.reference)
