"""What a verified proof file says: plain values for people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tallynet.blocks import Header
from tallynet.envelope import Envelope
from tallynet.genesis import Genesis
from tallynet.receipts import EnvelopeReceipt, Event
from tallynet.records import Document, Kind, Lot, Record, Validator, Voucher

__all__ = [
    "EventsFact", "Fact", "FieldsFact", "HistoryFact", "Proven", "ProvenBlock", "ProvenEvent",
    "ReceiptFact", "RecordFact", "VoucherFact",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProvenBlock:
    """The block that a statement is true of, and who vouches for it."""

    header: Header
    hash: bytes
    signers: tuple[int, ...]
    """Indices in `validators`: a quorum."""
    validators: tuple[Validator, ...]
    """The whole set of its epoch."""


@dataclass(frozen=True, slots=True)
class RecordFact:
    kind: Kind
    id: bytes
    record: Record | None
    """None: there is no such record."""


@dataclass(frozen=True, slots=True)
class VoucherFact:
    id: bytes
    voucher: Voucher
    lots: tuple[Lot, ...]
    """All of them, by start; they tile the face."""


@dataclass(frozen=True, slots=True)
class HistoryFact:
    id: bytes
    voucher: Voucher
    lots: tuple[Lot, ...]
    events: tuple[Event, ...]
    """Everything that happened to the voucher, from its issue on."""


@dataclass(frozen=True, slots=True)
class ReceiptFact:
    receipt: EnvelopeReceipt
    index: int
    """Place of the envelope in its block, from 0."""
    envelope: Envelope | None
    """None where the file shows the result alone."""


@dataclass(frozen=True, slots=True)
class ProvenEvent:
    height: int
    index: int
    """Place in the block, from 0."""
    time_ms: int
    """Of the block."""
    event: Event


@dataclass(frozen=True, slots=True)
class EventsFact:
    first: int
    last: int
    """Heights, both included."""
    events: tuple[ProvenEvent, ...]
    """All of these blocks, in order."""


@dataclass(frozen=True, slots=True)
class FieldsFact:
    id: bytes
    document: Document
    fields: Mapping[str, bytes]


Fact = RecordFact | VoucherFact | HistoryFact | ReceiptFact | EventsFact | FieldsFact


@dataclass(frozen=True, slots=True)
class Proven:
    """One verified file."""

    genesis: Genesis
    network: bytes
    """Genesis hash."""
    handovers: int
    """Changes of the validator set between the genesis and the set that signed."""
    block: ProvenBlock
    """As of which block the fact is true; of a range of events the last one."""
    fact: Fact
