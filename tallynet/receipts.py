"""Receipts and events: what a block says about each envelope, committed by its receipts root.

Leaves of the receipts tree, in order: the encoded `PrologueReceipt`, then one encoded
`EnvelopeReceipt` per envelope of the block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from tallynet.codec import Wire, decode
from tallynet.fields import Day, Hash, Id, Seconds, Small, Uint, Units

Code = Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]{1,31}$")]


class Event(Wire):
    """One entry of an append-only log: of a voucher where `voucher` is set (voucher law §6)."""

    type: Annotated[str, Meta(min_length=1, max_length=48)]
    """Command or system act that caused it, e.g. `lot.transfer` or `system.voucher.mature`."""
    kind: Small
    """Kind of the subject record."""
    subject: bytes
    """Id of the subject record: the voucher for everything about its lots."""
    sequence: Uint
    """Position in the subject's log, from 0; only vouchers count, others have 0."""
    start: Units
    end: Units
    """Range of the voucher concerned, or 0, 0."""
    source: Id | None
    """Holder or organisation before."""
    target: Id | None
    """Holder or organisation after."""
    amount: Units
    """Money or line amount concerned, minor units, else 0."""
    reference: bytes
    """Other record concerned (financing, instruction, line, document), or empty."""
    transaction: Hash | None
    """None for acts of the block prologue."""


class Created(Wire):
    kind: Small
    id: bytes


class CommandReceipt(Wire):
    """Result of one command."""

    code: Code
    """OK or an error code (voucher law §20)."""
    created: Annotated[tuple[Created, ...], Meta(max_length=512)]
    events: Small
    """Number of events it appended."""
    result: Annotated[tuple[Uint, ...], Meta(max_length=8)]
    """Result fields of the command type, e.g. a draw: discount, net; a consent: k, n; an aborted
    atomic envelope: index of the failing command."""


class EnvelopeReceipt(Wire):
    """Certified result of one envelope."""

    transaction: Hash
    code: Code
    """OK when admitted (commands have their own codes); else why this copy was inadmissible, which
    uses nothing up: the transaction can still take effect."""
    commands: Annotated[tuple[CommandReceipt, ...], Meta(max_length=1000)]
    events_digest: Hash
    """`events_digest` of the events of the envelope."""


class PrologueReceipt(Wire):
    """What the block did before its transactions."""

    time: Seconds
    business_date: Day
    acts: Uint
    """System acts carried out."""
    backlog: bool
    """Work was left for the next block (`system_work_per_block`)."""
    events_digest: Hash


def events_digest(events: Iterable[bytes]) -> bytes:
    """SHA-256 over the SHA-256 of each encoded event, in order: one event can be shown to be among them
    by the hashes of the others, without showing those (voucher law §16)."""
    return sha256(b"".join([sha256(event).digest() for event in events])).digest()


def split_events(
    receipts: Sequence[bytes], events: Sequence[bytes]
) -> tuple[tuple[bytes, ...], ...]:
    """The events of a block by the leaf of its receipts tree that counts them: envelopes say how many they
    have, the block's own come first. What comes out is right where each part has its receipt's digest."""
    counts = [
        sum(command.events for command in decode(EnvelopeReceipt, receipt).commands)
        for receipt in receipts[1:]
    ]
    at = max(0, len(events) - sum(counts))
    parts = [tuple(events[:at])]
    for count in counts:
        parts.append(tuple(events[at : at + count]))
        at += count
    return tuple(parts)
