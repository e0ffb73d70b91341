"""Pages of the log as a node answers them: whole blocks of receipts and events, each with its proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import Final

import msgspec

from node.store import Snapshot
from node.store.tables import BlockRow, ReceiptsRow
from tallynet.codec import decode_trusted
from tallynet.errors import RemoteProtocolError
from tallynet.merkle import leaf_hash
from tallynet.messages import EVENT_BLOCKS_MAX, EventBlock, ReceiptEvents
from tallynet.receipts import EnvelopeReceipt, Event

__all__ = ["PAGE_BYTES", "event_blocks", "event_counts"]

PAGE_BYTES: Final = 1024 * 1024
"""Of receipts, events and certificates in one page: well below the frame limit of 4 MiB, to which the
hashes of one receipt's other events may be added."""
JUDGED_BYTES: Final = 64 * 1024
"""Of a page in which each event is judged: some 300 events, and 30 ms at 0.1 ms each."""


def event_blocks(
    snapshot: Snapshot,
    height: int,
    receipt: int,
    event: int,
    *,
    shows: Callable[[Event], bool] | None = None,
    page_bytes: int = PAGE_BYTES,
) -> tuple[EventBlock, ...]:
    """The log from (height, receipt of that block, event of that receipt) on, as much as a page holds. What `shows`
    refuses stands there by its hash; None shows everything.

    Raises:
        RemoteProtocolError: BAD_CURSOR: the block has no such receipt, or the receipt no such event.
    """
    found: list[EventBlock] = []
    room = page_bytes if shows is None else min(page_bytes, JUDGED_BYTES)
    for at in range(height, height + EVENT_BLOCKS_MAX):
        block, given = snapshot.block(at), snapshot.receipts(at)
        if block is None or given is None or room <= 0:
            break
        part = _part(block, given, _Place(receipt, event), room)
        found.append(part if shows is None else _censored(part, shows))
        if part.after or (part.receipts and part.receipts[-1].after):
            break
        room -= _size(part)
        receipt = event = 0
    return tuple(found)


def _censored(part: EventBlock, shows: Callable[[Event], bool]) -> EventBlock:
    """The same with the hashes of those events that are not shown."""
    receipts: list[ReceiptEvents] = []
    for receipt in part.receipts:
        shown = [e if shows(decode_trusted(Event, e)) else b"" for e in receipt.events]
        gone = [e for e, left in zip(receipt.events, shown, strict=True) if not left]
        receipts.append(msgspec.structs.replace(receipt, events=tuple(shown), hidden=_hashes(gone)))
    return msgspec.structs.replace(part, receipts=tuple(receipts))


def event_counts(receipts: Sequence[bytes], events: int) -> list[int]:
    """Number of events of each receipt of a block that has `events` in all: the prologue's come first, then
    envelope by envelope."""
    counts = [
        sum(command.events for command in decode_trusted(EnvelopeReceipt, receipt).commands)
        for receipt in receipts[1:]
    ]
    return [events - sum(counts), *counts]


@dataclass(frozen=True, slots=True)
class _Place:
    receipt: int
    event: int


def _part(block: BlockRow, given: ReceiptsRow, begin: _Place, room: int) -> EventBlock:
    """The rest of a block, or as much as there is room for: one event at least."""
    counts = event_counts(given.receipts, len(given.events))
    ends = list(accumulate(counts))
    if begin.receipt >= len(counts) or (begin.event and begin.event >= counts[begin.receipt]):
        raise RemoteProtocolError(
            "BAD_CURSOR", "there is no such event; ask from the block's begin"
        )
    shown: list[ReceiptEvents] = []
    skipped = begin.event
    for at in range(begin.receipt, len(counts)):
        if shown and room <= 0:
            break
        own = given.events[ends[at] - counts[at] : ends[at]]
        taken = _fitting(own[skipped:], room - len(given.receipts[at]))
        shown.append(
            ReceiptEvents(
                given.receipts[at], _hashes(own[:skipped]), own[skipped : skipped + taken], b"",
                _hashes(own[skipped + taken :]),
            )
        )  # fmt: skip
        room -= len(given.receipts[at]) + sum(map(len, shown[-1].events))
        if shown[-1].after:
            break
        skipped = 0
    end = begin.receipt + len(shown)
    before = b"".join(map(leaf_hash, given.receipts[: begin.receipt]))
    after = b"".join(map(leaf_hash, given.receipts[end:]))
    return EventBlock(block.header, block.certificate, before, tuple(shown), after)


def _fitting(events: Sequence[bytes], room: int) -> int:
    """How many of these fit; one, if there is one, so that every page goes on."""
    for count, event in enumerate(events):
        if count and room <= 0:
            return count
        room -= len(event)
    return len(events)


def _hashes(events: Sequence[bytes]) -> bytes:
    return b"".join(sha256(event).digest() for event in events)


def _size(part: EventBlock) -> int:
    certificate = 64 * len(part.certificate.signatures) + len(part.certificate.vote)
    receipts = sum(len(r.receipt) + sum(map(len, r.events)) for r in part.receipts)
    return len(part.header) + certificate + receipts
