"""Where the parts of a voucher went: from the debtor through tiers of suppliers to banks, as a graph.

Edges are drawn from the voucher's events, each sort between two organisations summed up. Where events are missing the
lots tell what they can: who has them, and after how many hops.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tallynet.receipts import Event
from tallynet.records import AcceptMode, AcquiredBy, Lot, LotState, Voucher

__all__ = ["Edge", "Graph", "Passage", "provenance"]


class Passage(StrEnum):
    """How a part of a voucher comes from one organisation to another."""

    ISSUE = "ISSUE"
    TRANSFER = "TRANSFER"
    SALE = "SALE"
    LOAN = "LOAN"
    FORCED = "FORCED"
    GUARANTEE = "GUARANTEE"


_BY_EVENT: Final = {
    "voucher.issue": Passage.ISSUE,
    "lot.accept": Passage.TRANSFER,
    "system.transfer.deem": Passage.TRANSFER,
    "financing.payout.confirm": Passage.SALE,
    "financing.rediscount.confirm": Passage.SALE,
    "freeze.force_transfer": Passage.FORCED,
    "guarantee.pay.confirm": Passage.GUARANTEE,
}
_RELEASED: Final = "financing.release"
"""Only what was pledged is released."""
_BY_ACQUIRED: Final = {
    AcquiredBy.ISSUE: Passage.TRANSFER,
    AcquiredBy.TRANSFER: Passage.TRANSFER,
    AcquiredBy.SALE: Passage.SALE,
    AcquiredBy.GUARANTEE: Passage.GUARANTEE,
    AcquiredBy.COURT: Passage.FORCED,
}


@dataclass(frozen=True, slots=True)
class Edge:
    source: bytes
    target: bytes
    passage: Passage
    amount: int
    """Face, summed."""
    via_others: bool
    """Organisations in between are not known here."""


@dataclass(frozen=True, slots=True)
class Graph:
    debtor: bytes
    edges: tuple[Edge, ...]
    complete: bool
    """False: drawn from the lots, not from the events."""

    @property
    def nodes(self) -> list[bytes]:
        """Organisations, the debtor first, each once."""
        found = dict.fromkeys([self.debtor])
        for edge in self.edges:
            found |= {edge.source: None, edge.target: None}
        return list(found)


def provenance(
    voucher: Voucher,
    lots: Sequence[Lot],
    events: Sequence[Event],
    *,
    complete: bool,
    loans: Collection[bytes] = (),
) -> Graph:
    """`events`: oldest first, `complete` if none is missing; `loans`: financings that are known to be loans."""
    if not complete:
        return Graph(voucher.debtor, _summed(_from_lots(voucher, lots)), False)
    holders = {lot.start: lot.holder for lot in lots}
    known = {*loans, *(event.reference for event in events if event.type == _RELEASED)}
    return Graph(voucher.debtor, _summed(_from_events(voucher, events, holders, known)), True)


def _from_events(
    voucher: Voucher,
    events: Iterable[Event],
    holders: Mapping[int, bytes],
    loans: Collection[bytes],
) -> Iterable[Edge]:
    at_once = voucher.accept_mode is AcceptMode.IMMEDIATE
    offered: dict[int, bytes | None] = {}
    """Start of a lot on its way -> who offered it."""
    for event in events:
        if event.source is None or event.target is None:
            continue
        passage = _BY_EVENT.get(event.type)
        if event.type == "lot.transfer":
            offered[event.start] = event.source
            passage = Passage.TRANSFER if at_once else None
        if passage is None or offered.get(event.start) == event.target:
            continue  # nothing moved, or it went back to who had offered it
        pledged = event.reference in loans or holders.get(event.start) == event.source
        if passage is Passage.SALE and pledged:
            passage = Passage.LOAN
        yield Edge(event.source, event.target, passage, event.end - event.start, False)


def _from_lots(voucher: Voucher, lots: Iterable[Lot]) -> Iterable[Edge]:
    if voucher.first_payee != voucher.debtor:
        yield Edge(voucher.debtor, voucher.first_payee, Passage.ISSUE, voucher.face, False)
    for lot in lots:
        if lot.holder != voucher.first_payee and lot.state is not LotState.PENDING_CLAIM:
            passage = _BY_ACQUIRED[lot.acquired_by]
            hidden = lot.hops > (1 if passage is Passage.TRANSFER else 0)
            yield Edge(voucher.first_payee, lot.holder, passage, lot.end - lot.start, hidden)


def _summed(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    sums: dict[tuple[bytes, bytes, Passage, bool], int] = {}
    for edge in edges:
        key = (edge.source, edge.target, edge.passage, edge.via_others)
        sums[key] = sums.get(key, 0) + edge.amount
    return tuple(
        Edge(source, target, passage, amount, via)
        for (source, target, passage, via), amount in sums.items()
    )
