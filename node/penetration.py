"""Penetration queries as a node answers them: what a page was evaluated from, with proofs (voucher law §13).

The question is evaluated on one snapshot through a view that shows what the asker may see and remembers what
was shown. The client evaluates the same again on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from node.event_pages import event_counts
from node.state import CommittedState, Overlay, prove
from node.state.view import Index
from node.store import Snapshot
from node.store.tables import Logged
from node.visibility import Sight, asker_of
from tallynet.blocks import Header
from tallynet.codec import decode_trusted, encode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.merkle import ListTree
from tallynet.messages import (
    Penetration,
    QueryPenetration,
    ShownEvent,
    ShownLot,
    ShownRecord,
)
from tallynet.penetration import EventsFound, Listing, evaluate
from tallynet.receipts import Event
from tallynet.records import Kind, Lot, Record, lot_id

EVENTS_PER_PAGE: Final = 10
"""As many as a voucher passes through hands by default: each comes with a certificate."""
EVENT_BYTES_PER_PAGE: Final = 1024 * 1024
"""Of their proofs; a receipt of a thousand commands has some 50 KiB."""
LOG_ROWS_PER_PAGE: Final = 1_000
"""Rows of a voucher's log that are looked through for a page, 36 bytes each."""


def answer(snapshot: Snapshot, public_key: bytes, query: QueryPenetration) -> Penetration:
    """One page for the organisation of this key.

    Raises:
        LedgerError: KEY_UNKNOWN, KEY_REVOKED, NOT_AUTHORISED, RECORD_NOT_FOUND.
        RemoteProtocolError: NO_BLOCK, BAD_CURSOR.
    """
    tip = snapshot.tip()
    block = None if tip is None else snapshot.block(tip.height)
    if block is None:
        raise RemoteProtocolError("NO_BLOCK", "the network has no block yet, nothing is proven")
    state = CommittedState.snapshot(snapshot)
    overlay = Overlay(state)
    time = decode_trusted(Header, block.header).time_ms // 1000
    sight = Sight(overlay, asker_of(overlay, public_key, time))
    sight.require(query.question)
    shown = ShownState(snapshot, overlay, sight)
    evaluate(shown, query.question, query.after)
    return Penetration(
        query.request, block.header, block.certificate,
        tuple(ShownRecord(kind, id, _proof(state, kind, id)) for kind, id in shown.records),
        tuple(shown.lots), tuple(shown.listings), tuple(shown.proven), shown.older, shown.gone,
    )  # fmt: skip


def _proof(state: CommittedState, kind: Kind, id: bytes) -> bytes:
    """Lots come apart from their voucher: those that are shown."""
    proof = prove(state, kind, id)
    if kind is Kind.VOUCHER:
        proof = msgspec.structs.replace(proof, lots=(), rows=state.lots(id)[1])
    return encode(proof)


class ShownState:
    """A `tallynet.penetration.View` that remembers what it showed."""

    def __init__(self, snapshot: Snapshot, state: Overlay, sight: Sight) -> None:
        self._snapshot: Final = snapshot
        self._state: Final = state
        self._sight: Final = sight
        self.records: Final[list[tuple[Kind, bytes]]] = []
        self.lots: Final[list[ShownLot]] = []
        self.listings: Final[list[tuple[bytes, ...]]] = []
        self.proven: Final[list[ShownEvent]] = []
        self.older: int | None = None
        self.gone = False

    def get(self, kind: Kind, id: bytes) -> Record | None:
        record = self._state.get(kind, id)
        if record is None or not self._sight.record(record):
            return None
        self.records.append((kind, id))
        return record

    def lot(self, voucher: bytes, start: int) -> Lot | None:
        lot = self._state.get(Kind.LOT, lot_id(voucher, start))
        if not isinstance(lot, Lot) or not self._sight.lot(voucher, start):
            return None
        self.lots.append(ShownLot(voucher, encode(lot)))
        return lot

    def lot_starts(self, voucher: bytes) -> Sequence[int]:
        return self._state.lot_starts(voucher)

    def listing(self, listing: Listing, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        found = self._state.index_scan(Index(listing), prefix, after=after, limit=limit)
        self.listings.append(tuple(found))
        return found

    def events(self, voucher: bytes, start: int, end: int, below: int) -> EventsFound:
        rows = self._snapshot.log(voucher, below, LOG_ROWS_PER_PAGE)
        found: list[Event] = []
        lowest, room = below, EVENT_BYTES_PER_PAGE
        for row in rows:
            if len(found) >= EVENTS_PER_PAGE or room <= 0:
                break
            self.gone |= row.sequence != lowest - 1
            lowest = row.sequence
            if row.start < end and start < row.end:
                proven = prove_event(self._snapshot, row)
                self.gone |= proven is None
                if proven is not None and self._sight.event(decode_trusted(Event, proven.event)):
                    found.append(decode_trusted(Event, proven.event))
                    self.proven.append(proven)
                    room -= len(proven.receipt) + len(proven.hashes)
        else:
            if len(rows) < LOG_ROWS_PER_PAGE:
                self.gone |= lowest > 0
                lowest = 0
        self.older = lowest or None
        return EventsFound(tuple(found), self.older, self.gone)


def prove_event(snapshot: Snapshot, row: Logged) -> ShownEvent | None:
    """The event at that place; None if its block is not held with its receipts."""
    block, given = snapshot.block(row.height), snapshot.receipts(row.height)
    if block is None or given is None:
        return None
    index, first, count = _envelope_at(given.receipts, len(given.events), row.position)
    hashes = b"".join(sha256(e).digest() for e in given.events[first : first + count])
    proof = ListTree(given.receipts).prove(index)
    return ShownEvent(
        block.header, block.certificate, given.receipts[index], proof, hashes,
        given.events[row.position],
    )  # fmt: skip


def _envelope_at(receipts: Sequence[bytes], events: int, position: int) -> tuple[int, int, int]:
    """(leaf of the receipts tree, position of its first event, number of its events) for the event at
    this position: the prologue's events come first, then envelope by envelope."""
    first = 0
    for index, count in enumerate(event_counts(receipts, events)):
        if position < first + count:
            return index, first, count
        first += count
    invariant(False, "STORE_LOG names an event that its block does not have")
    raise LookupError(position)


__all__ = ["answer", "prove_event"]
