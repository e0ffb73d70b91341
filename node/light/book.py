"""The copy as web pages read it: what concerns its organisation, and nothing of others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, final

from node.ledger.own_indexes import OPEN_LOTS, day_bytes
from node.light.copy import Copy, Kept
from node.state.view import Index
from node.web.book import EVENTS_MAX, Happened, History, PageError
from tallynet.records import (
    CreditLine,
    Instruction,
    InstructionState,
    Kind,
    Lot,
    Organisation,
    Record,
    Voucher,
)

__all__ = ["CopyBook"]

LOOKED_AT_MAX: Final = 10_000
"""Records for one list, some 200 ms; an enterprise with more that are open runs an observer."""
_KINDS: Final = {
    Index.OPEN_LOTS: Kind.LOT,
    Index.PARTY_PENDING: Kind.LOT,
    Index.DEBTOR_VOUCHERS: Kind.VOUCHER,
    Index.ORGANISATION_LINES: Kind.CREDIT_LINE,
    Index.PARTY_FINANCINGS: Kind.FINANCING,
    Index.PARTY_REQUESTS: Kind.FINANCING_REQUEST,
}
"""Lists of its own that a copy can make."""
_OPEN: Final = (InstructionState.NEW, InstructionState.SENT, InstructionState.FAILED)


@final
class CopyBook:
    """A `node.web.book.Book`."""

    today: Final = 0
    """The copy does not hold the network's record, which knows it."""

    def __init__(self, copy: Copy) -> None:
        self._copy: Final = copy
        self.height: Final = copy.height

    def find(self, kind: Kind, id: bytes) -> Record | None:
        kept = self._copy.get(kind, id)
        return None if kept is None else kept.record

    def peek(self, kind: Kind, id: bytes) -> Record | None:
        return self.find(kind, id)

    def organisation(self, id: bytes) -> Organisation | None:
        del id
        self._require_filled()
        return None

    def may_list(self, index: Index, prefix: bytes) -> bool:
        del index
        return prefix == self._copy.organisation

    def lots(self, id: bytes, voucher: Voucher) -> tuple[Lot, ...]:
        del voucher
        found = [kept.record for kept in self._copy.about(id) if isinstance(kept.record, Lot)]
        return tuple(sorted(found, key=lambda lot: lot.start))

    def entries(self, index: Index, prefix: bytes, limit: int) -> list[bytes]:
        self._require_filled()
        if index is Index.VOUCHER_INSTRUCTIONS:
            return [prefix + kept.id for kept in self._to_settle(prefix)][:limit]
        kind = _KINDS.get(index)
        if kind is None:
            return []
        found: list[bytes] = []
        for kept in self._copy.listed(kind, limit=LOOKED_AT_MAX):
            entry = _entry(index, prefix, kept)
            if entry is not None:
                found.append(entry)
            if len(found) == limit:
                break
        return found

    def history(self, id: bytes, voucher: Voucher) -> History:
        """As far as the copy has seen it."""
        seen = self._copy.events.newest_about(id, EVENTS_MAX)
        events = tuple(each.event for each in seen)
        return History(events, len(events) == voucher.event_count)

    def happened(self, transaction: bytes) -> Happened:
        seen = self._copy.events.made_by(transaction, EVENTS_MAX)
        if not seen:
            raise PageError("RECORD_NOT_FOUND", transaction.hex(), None, self.height)
        events = tuple(each.event for each in seen)
        return Happened(seen[0].place.height, seen[0].time_ms, events, 0)

    def _to_settle(self, voucher: bytes) -> Iterator[Kept]:
        for kept in self._copy.about(voucher):
            if isinstance(kept.record, Instruction) and kept.record.state in _OPEN:
                yield kept

    def _require_filled(self) -> None:
        if self._copy.place is None:
            raise PageError("COPY_EMPTY")


def _entry(index: Index, party: bytes, kept: Kept) -> bytes | None:
    """The entry that a node's index has for this record; None: it has none."""
    match kept.record:
        case Lot() as lot:
            if index is Index.OPEN_LOTS and lot.holder == party and lot.state in OPEN_LOTS:
                return party + day_bytes(lot.acquired_day) + kept.id
            if index is Index.PARTY_PENDING and lot.pending_to == party:
                return party + kept.id
            return None
        case Voucher(debtor=debtor) if debtor != party:
            return None
        case CreditLine() as line if party not in (line.grantor, line.obligor):
            return None
    return party + kept.id
