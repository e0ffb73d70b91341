"""Answers to penetration queries, evaluated from what is proven. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tallynet.client.trust import Certified, Trust
from tallynet.codec import decode
from tallynet.errors import LedgerError, RemoteProtocolError
from tallynet.messages import Penetration
from tallynet.penetration import EventsFound, Listing, Page, Question, evaluate
from tallynet.penetration.evaluate import Row
from tallynet.receipts import Event
from tallynet.records import RECORD_TYPES, Kind, Lot, Record, lot_id
from tallynet.state_proof import ROW_BYTES, StateProof, verify_state_proof

__all__ = ["ProvenPage", "proven_page"]


@dataclass(frozen=True, slots=True)
class ProvenPage:
    """Part of an answer, as of one block. Another page may be of a later one."""

    page: Page[Row]
    block: Certified
    gone: bool
    """Events before those shown are in blocks that the node does not hold; another node may."""


def proven_page(trust: Trust, question: Question, after: bytes, answer: Penetration) -> ProvenPage:
    """The rows that the proven part of the answer gives.

    Raises RemoteProtocolError when a proof does not hold, or what is proven gives no answer.
    """
    block = trust.certified(answer.header, answer.certificate)
    shown = _Shown(trust, block.commit.state_root, answer)
    try:
        page = evaluate(shown, question, after)
        shown.require_all_used()
    except LedgerError as error:
        raise RemoteProtocolError("BAD_ANSWER", f"the answer is not complete: {error}") from None
    return ProvenPage(page, block, answer.gone)


class _Shown:
    """A `tallynet.penetration.View` over one answer."""

    def __init__(self, trust: Trust, root: bytes, answer: Penetration) -> None:
        self._trust: Final = trust
        self._answer: Final = answer
        self._records: Final[dict[tuple[int, bytes], Record]] = {}
        self._rows: Final[dict[bytes, dict[int, bytes]]] = {}
        """Of each voucher: start of every lot -> its hash."""
        for shown in answer.records:
            proof = decode(StateProof, shown.proof)
            raw = verify_state_proof(root, shown.kind, shown.id, proof)
            if raw is None:
                raise _broken("a record that is not there")
            kind = Kind(shown.kind)
            self._records[kind, shown.id] = decode(RECORD_TYPES[kind], raw)
            if kind is Kind.VOUCHER:
                self._rows[shown.id] = _starts(proof.rows)
        self._lots: Final[dict[bytes, Lot]] = {}
        for lot in answer.lots:
            record = decode(Lot, lot.record)
            if self._rows.get(lot.voucher, {}).get(record.start) != sha256(lot.record).digest():
                raise _broken("a lot that is not one of its voucher")
            self._lots[lot_id(lot.voucher, record.start)] = record
        self._listed = 0
        self._used: Final[set[tuple[int, bytes]]] = set()

    def require_all_used(self) -> None:
        """One answer has one form: nothing is sent along that the question does not read."""
        unused = self._records.keys() - self._used
        if unused or self._listed != len(self._answer.listings):
            raise _broken("more than the question reads")

    def get(self, kind: Kind, id: bytes) -> Record | None:
        self._used.add((kind, id))
        return self._records.get((kind, id))

    def lot(self, voucher: bytes, start: int) -> Lot | None:
        return self._lots.get(lot_id(voucher, start))

    def lot_starts(self, voucher: bytes) -> Sequence[int]:
        return list(self._rows.get(voucher, ()))

    def listing(self, listing: Listing, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        if self._listed >= len(self._answer.listings):
            raise _broken(f"entries of {listing.name} are missing")
        entries = self._answer.listings[self._listed]
        self._listed += 1
        before = after
        for entry in entries:
            if entry <= before or not entry.startswith(prefix):
                raise _broken(f"entries of {listing.name} that were not asked for")
            before = entry
        if len(entries) > limit:
            raise _broken(f"more entries of {listing.name} than were asked for")
        return list(entries)

    def events(self, voucher: bytes, start: int, end: int, below: int) -> EventsFound:
        events: list[Event] = []
        before = below
        for shown in self._answer.events:
            event = self._trust.event(shown)
            concerned = event.kind == Kind.VOUCHER and event.subject == voucher
            if not concerned or event.sequence >= before:
                raise _broken("an event of something else, or out of order")
            if not (event.start < end and start < event.end):
                raise _broken("an event of another range")
            before = event.sequence
            events.append(event)
        older = self._answer.older
        if older is not None and (older > before or older >= below):
            raise _broken("the history goes back and forth")
        return EventsFound(tuple(events), older, self._answer.gone)


def _starts(rows: bytes) -> dict[int, bytes]:
    return {
        int.from_bytes(rows[at : at + 8], "big"): rows[at + 8 : at + ROW_BYTES]
        for at in range(0, len(rows), ROW_BYTES)
    }


def _broken(what: str) -> RemoteProtocolError:
    return RemoteProtocolError("BAD_ANSWER", f"the node shows {what}")
