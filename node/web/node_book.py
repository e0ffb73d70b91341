"""A node's state as pages read it: one snapshot of its store, shown by the rules of `node.door`.

Pages are for the node's own organisation. Where the node answers each organisation what concerns it, its pages show
what concerns that one; where it answers everybody everything, they show everything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final, final

from node.door import Answers, Door
from node.event_pages import event_counts
from node.state import CommittedState, Overlay
from node.state.view import Index
from node.store import Snapshot
from node.store.tables import BlockRow, ReceiptsRow
from node.web.book import EVENTS_MAX, Happened, History, PageError, require, today_of
from tallynet.blocks import Header
from tallynet.codec import decode_trusted
from tallynet.envelope import Envelope, open_envelope
from tallynet.errors import LedgerError
from tallynet.receipts import Event
from tallynet.records import NETWORK_ID, Kind, Lot, Organisation, Record, Voucher, lot_id

__all__ = ["NodeBook"]

LOTS_MAX: Final = 500
"""Of a voucher; programmes allow fewer."""


@final
class NodeBook:
    """A `Book`, and the chain below it. Used while its snapshot is open, by one thread."""

    def __init__(self, snapshot: Snapshot, organisation: bytes | None, answers: Answers) -> None:
        """`organisation`: to whom it is shown; None: to nobody that is known."""
        self.snapshot: Final = snapshot
        tip = snapshot.tip()
        block = None if tip is None else snapshot.block(tip.height)
        self.height: Final = 0 if tip is None else tip.height
        self.time_ms: Final = 0 if block is None else decode_trusted(Header, block.header).time_ms
        self._state: Final = Overlay(CommittedState.snapshot(snapshot))
        self._door: Final = (
            Door(self._state, b"", 0, answers)
            if organisation is None
            else Door.of(self._state, organisation, answers)
        )
        self._newest_read: tuple[int, ReceiptsRow | None] = (0, None)
        """Height and receipts: of one block, since those of a full one take a megabyte."""

    @cached_property
    def today(self) -> int:
        return today_of(self._state.get(Kind.NETWORK, NETWORK_ID))

    # --- state ------------------------------------------------------------------------------------------

    def find(self, kind: Kind, id: bytes) -> Record | None:
        self._ask(lambda: self._door.record(kind, id), kind, id)
        return self._state.get(kind, id)

    def peek(self, kind: Kind, id: bytes) -> Record | None:
        try:
            return self.find(kind, id)
        except PageError:
            return None

    def organisation(self, id: bytes) -> Organisation:
        return require(self, Organisation, Kind.ORGANISATION, id)

    def organisations(self, after: bytes, limit: int) -> list[bytes]:
        """Ids of all, ascending, behind `after`."""
        return self._state.index_scan(Index.ORGANISATIONS, b"", after=after, limit=limit)

    def may_list(self, index: Index, prefix: bytes) -> bool:
        try:
            self._door.index(index, prefix)
        except LedgerError:
            return False
        return True

    def lots(self, id: bytes, voucher: Voucher) -> tuple[Lot, ...]:
        del voucher
        found: list[Lot] = []
        for start in self._state.lot_starts(id)[:LOTS_MAX]:
            lot = self._state.get(Kind.LOT, lot_id(id, start))
            if isinstance(lot, Lot) and self._door.shows(Kind.LOT, lot_id(id, start)):
                found.append(lot)
        return tuple(found)

    def entries(self, index: Index, prefix: bytes, limit: int) -> list[bytes]:
        self._ask(lambda: self._door.index(index, prefix), Kind.ORGANISATION, prefix)
        return self._state.index_scan(index, prefix, limit=limit)

    def history(self, id: bytes, voucher: Voucher) -> History:
        rows = self.snapshot.log(id, voucher.event_count, EVENTS_MAX)
        found: list[Event] = []
        for row in rows:
            receipts = self.receipts(row.height)
            if receipts is not None:
                event = decode_trusted(Event, receipts.events[row.position])
                if self.shows(event):
                    found.append(event)
        return History(tuple(reversed(found)), len(found) == voucher.event_count)

    def happened(self, transaction: bytes) -> Happened:
        height, index, _ = self.place_of(transaction)
        events, hidden = self.events(height, index + 1)
        header = decode_trusted(Header, self.block(height).header)
        return Happened(height, header.time_ms, tuple(events), hidden)

    def place_of(self, transaction: bytes) -> tuple[int, int, ReceiptsRow]:
        """Height, place in its block, and what the block gave. Raises PageError RECORD_NOT_FOUND, HISTORY_GONE."""
        place = self.snapshot.transaction(transaction)
        if place is None:
            raise PageError("RECORD_NOT_FOUND", transaction.hex(), None, self.height)
        given = self.receipts(place[0])
        if given is None:
            raise PageError("HISTORY_GONE", transaction.hex(), None, self.snapshot.base())
        return *place, given

    def events(self, height: int, leaf: int) -> tuple[list[Event], int]:
        """Of one leaf of a block's receipts, those that are shown, and how many are not; leaf 0 is the block
        itself."""
        given = self.receipts(height)
        if given is None:
            return [], 0
        counts = event_counts(given.receipts, len(given.events))
        first = sum(counts[:leaf])
        events = [decode_trusted(Event, raw) for raw in given.events[first : first + counts[leaf]]]
        shown = [event for event in events if self.shows(event)]
        return shown, len(events) - len(shown)

    def shows(self, event: Event) -> bool:
        try:
            return self._door.event(event)
        except LedgerError:
            return False

    def acts_as(self, organisation: bytes) -> bool:
        """Whether what this organisation commanded is shown."""
        try:
            self._door.act(organisation)
        except LedgerError:
            return False
        return True

    def _ask(self, ask: Callable[[], object], kind: Kind, id: bytes) -> None:
        try:
            ask()
        except LedgerError as error:
            raise PageError("NOT_AUTHORISED", id.hex(), kind, self.height) from error

    # --- chain ------------------------------------------------------------------------------------------

    def block(self, height: int) -> BlockRow:
        """Raises PageError NO_SUCH_BLOCK, HISTORY_GONE."""
        block = self.snapshot.block(height) if 1 <= height <= self.height else None
        if block is None:
            if not 1 <= height <= self.height:
                raise PageError("NO_SUCH_BLOCK", str(height), None, self.height)
            raise PageError("HISTORY_GONE", str(height), None, self.snapshot.base())
        return block

    def receipts(self, height: int) -> ReceiptsRow | None:
        """What a block gave; None: it is not held."""
        if height != self._newest_read[0]:
            self._newest_read = height, self.snapshot.receipts(height)
        return self._newest_read[1]

    def envelopes(self, height: int, block: bytes) -> tuple[Envelope, ...] | None:
        """What a block ordered; None: it is not held."""
        bodies = self.snapshot.envelopes(height, block)
        return None if bodies is None else tuple(map(open_envelope, bodies))
