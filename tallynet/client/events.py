"""The log as a client reads it: every event in its receipt, every receipt in its block, nothing left out. No I/O.

    certificate --> receipts root --> all receipts of the block --> digest of each --> all its events

A page continues exactly where the one before ended: blocks by height, each with its parent's hash; receipts by
the number of leaves before them; events by the number of hashes before them. So a node can end a page early,
and it can refuse to show an event to this client, which then stands there as a gap with a hash; it cannot
leave one out, put one in, or say that there was none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tallynet.client.trust import Certified, Trust
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError
from tallynet.merkle import ListTree, leaf_hash
from tallynet.messages import EventBlock, EventPage, ReceiptEvents
from tallynet.receipts import EnvelopeReceipt, Event, PrologueReceipt

__all__ = ["EventEntry", "EventLog"]

HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class EventEntry:
    """One event of the committed log, proven to stand at this place and nowhere else."""

    height: int
    index: int
    """Among the events of its block, from 0."""
    event: Event | None
    """None: there is an event here, and the node does not show it to the key that asks."""
    block: Certified

    @property
    def time(self) -> int:
        """Unix seconds of its block."""
        return self.block.time_ms // 1000


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the next page begins."""

    height: int
    receipt: int = 0
    event: int = 0
    """Of that receipt."""
    index: int = 0
    """Of the block, by counting: a node is not asked where in the block a receipt's events begin."""
    before: Certified | None = None
    """The block read last."""


class EventLog:
    """Reads the log from the first event of a block on, page by page; a page that does not hold changes
    nothing."""

    def __init__(self, trust: Trust, height: int) -> None:
        self._trust: Final = trust
        self._next = _Place(max(1, height))

    @property
    def height(self) -> int:
        """Block of the next event."""
        return self._next.height

    @property
    def receipt(self) -> int:
        return self._next.receipt

    @property
    def event(self) -> int:
        """Of that receipt."""
        return self._next.event

    def take(self, page: EventPage) -> list[EventEntry]:
        """The events of the next page.

        Raises:
            RemoteProtocolError: BAD_CERTIFICATE and its like, BAD_PROOF, EVENTS_MISSING.
            ForkSeen: these blocks do not follow from those before, and both are certified.
        """
        place = self._next
        found: list[EventEntry] = []
        for shown in page.blocks:
            entries, place = self._block(place, shown)
            found.extend(entries)
        self._next = place
        return found

    def _block(self, place: _Place, shown: EventBlock) -> tuple[list[EventEntry], _Place]:
        block = self._trust.certified(shown.header, shown.certificate)
        if block.height != place.height:
            raise _missing(f"block {block.height} where block {place.height} follows")
        if place.before is not None:
            self._trust.require_link(place.before, block)
        before, after = _split(shown.before), _split(shown.after)
        if len(before) != place.receipt or not shown.receipts:
            raise _missing(f"receipts of block {block.height} are left out")
        leaves = [*before, *(leaf_hash(each.receipt) for each in shown.receipts), *after]
        if ListTree(leaves, hashed=True).root != block.commit.receipts_root:
            raise RemoteProtocolError("BAD_PROOF", "these are not the receipts of the block")
        entries: list[EventEntry] = []
        skipped = place.event
        for number, receipt in enumerate(shown.receipts, place.receipt):
            if len(receipt.before) != HASH_BYTES * skipped:
                raise _missing(f"events of block {block.height} are left out")
            for event in _events(receipt, prologue=number == 0):
                entries.append(EventEntry(block.height, place.index + len(entries), event, block))
            skipped = 0
            if receipt.after:
                if receipt is not shown.receipts[-1] or not receipt.events:
                    raise _missing(f"events of block {block.height} are left out")
                skipped = len(receipt.before) // HASH_BYTES + len(receipt.events)
        return entries, self._behind(place, shown, block, skipped, len(entries))

    def _behind(
        self, place: _Place, shown: EventBlock, block: Certified, skipped: int, events: int
    ) -> _Place:
        """The place behind what a page shows of a block."""
        if not shown.after and not skipped:
            return _Place(place.height + 1, before=block)
        end = place.receipt + len(shown.receipts) - (1 if skipped else 0)
        return _Place(place.height, end, skipped, place.index + events, place.before)


def _events(shown: ReceiptEvents, *, prologue: bool) -> Iterator[Event | None]:
    """The events of a receipt that are shown; None for those that are hidden."""
    if prologue:
        digest = decode(PrologueReceipt, shown.receipt).events_digest
    else:
        digest = decode(EnvelopeReceipt, shown.receipt).events_digest
    hidden = iter(_split(shown.hidden))
    hashes = [sha256(event).digest() if event else next(hidden, b"") for event in shown.events]
    if next(hidden, None) is not None:
        raise RemoteProtocolError("BAD_PROOF", "hashes of events that are nowhere")
    if sha256(shown.before + b"".join(hashes) + shown.after).digest() != digest:
        raise RemoteProtocolError("BAD_PROOF", "these are not the events of the receipt")
    for event in shown.events:
        yield decode(Event, event) if event else None


def _split(joined: bytes) -> list[bytes]:
    if len(joined) % HASH_BYTES:
        raise RemoteProtocolError("BAD_PROOF", "hashes have 32 bytes each")
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


def _missing(what: str) -> RemoteProtocolError:
    return RemoteProtocolError("EVENTS_MISSING", what)
