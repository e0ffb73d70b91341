"""Where the parts of a voucher went, from its events or from its lots."""

from __future__ import annotations

import msgspec

from node.web.provenance import Edge, Passage, provenance
from tallynet.receipts import Event
from tallynet.records import AcceptMode, AcquiredBy, Kind, Lot, LotState, Voucher
from tests.unit.web.samples import organisation, voucher

DEBTOR, FIRST, SECOND, BANK = (organisation(n) for n in range(1, 5))
LOAN = b"L" * 16


def event(
    type: str,
    start: int,
    end: int,
    source: bytes | None,
    target: bytes | None,
    reference: bytes = b"",
) -> Event:
    return Event(
        type,
        int(Kind.VOUCHER),
        b"v" * 16,
        0,
        start,
        end,
        source,
        target,
        end - start,
        reference,
        None,
    )


def lot(start: int, end: int, holder: bytes, by: AcquiredBy, hops: int) -> Lot:
    return Lot(start, end, holder, LotState.HELD, None, 0, hops, 0, 0, by, None, None, 0, 0)


def edges(
    of: Voucher, lots: list[Lot], events: list[Event], *, loans: tuple[bytes, ...] = ()
) -> set[Edge]:
    graph = provenance(of, lots, events, complete=True, loans=loans)
    assert graph.complete
    return set(graph.edges)


ISSUE = event("voucher.issue", 0, 100, DEBTOR, FIRST)
ISSUED = Edge(DEBTOR, FIRST, Passage.ISSUE, 100, False)


def test_transfers_between_the_same_two_are_one_edge() -> None:
    events = [ISSUE, *(event("lot.transfer", at, at + 10, FIRST, SECOND) for at in (50, 70))]
    assert edges(voucher(DEBTOR, FIRST), [], events) == {
        ISSUED, Edge(FIRST, SECOND, Passage.TRANSFER, 20, False),
    }  # fmt: skip


def test_what_has_to_be_accepted_counts_once_it_is() -> None:
    explicit = msgspec.structs.replace(voucher(DEBTOR, FIRST), accept_mode=AcceptMode.EXPLICIT)
    offered = event("lot.transfer", 60, 100, FIRST, SECOND)
    assert edges(explicit, [], [ISSUE, offered]) == {ISSUED}
    accepted = event("lot.accept", 60, 100, FIRST, SECOND)
    assert edges(explicit, [], [ISSUE, offered, accepted]) == {
        ISSUED, Edge(FIRST, SECOND, Passage.TRANSFER, 40, False),
    }  # fmt: skip


def test_what_goes_back_unaccepted_has_not_moved() -> None:
    explicit = msgspec.structs.replace(voucher(DEBTOR, FIRST), accept_mode=AcceptMode.DEEMED)
    offered = event("lot.transfer", 60, 100, FIRST, SECOND)
    back = event("system.transfer.deem", 60, 100, SECOND, FIRST)
    assert edges(explicit, [], [ISSUE, offered, back]) == {ISSUED}
    deemed = event("system.transfer.deem", 60, 100, FIRST, SECOND)
    assert len(edges(explicit, [], [ISSUE, offered, deemed])) == 2


def test_a_sale_is_told_from_a_loan() -> None:
    paid = event("financing.payout.confirm", 0, 30, FIRST, BANK, LOAN)
    sale, loan = (Edge(FIRST, BANK, passage, 30, False) for passage in (Passage.SALE, Passage.LOAN))
    sold = [lot(0, 30, BANK, AcquiredBy.SALE, 0)]
    assert sale in edges(voucher(DEBTOR, FIRST), sold, [ISSUE, paid])
    assert loan in edges(voucher(DEBTOR, FIRST), sold, [ISSUE, paid], loans=(LOAN,))
    kept = [lot(0, 30, FIRST, AcquiredBy.ISSUE, 0)]
    assert loan in edges(voucher(DEBTOR, FIRST), kept, [ISSUE, paid])
    released = event("financing.release", 0, 30, BANK, FIRST, LOAN)
    moved = [lot(0, 30, SECOND, AcquiredBy.TRANSFER, 1)]
    assert loan in edges(voucher(DEBTOR, FIRST), moved, [ISSUE, paid, released])


def test_forced_transfers_and_guarantors_are_shown_as_such() -> None:
    events = [
        ISSUE,
        event("freeze.force_transfer", 0, 10, FIRST, SECOND),
        event("guarantee.pay.confirm", 20, 30, FIRST, BANK),
        event("system.voucher.mature", 0, 100, None, None),
    ]
    assert edges(voucher(DEBTOR, FIRST), [], events) == {
        ISSUED, Edge(FIRST, SECOND, Passage.FORCED, 10, False), Edge(FIRST, BANK, Passage.GUARANTEE, 10, False),
    }  # fmt: skip


def test_without_all_events_the_lots_tell_what_they_can() -> None:
    lots = [
        lot(0, 40, FIRST, AcquiredBy.ISSUE, 0),
        lot(40, 60, SECOND, AcquiredBy.TRANSFER, 1),
        lot(60, 90, BANK, AcquiredBy.SALE, 2),
    ]
    graph = provenance(voucher(DEBTOR, FIRST), lots, [ISSUE], complete=False)
    assert not graph.complete
    assert set(graph.edges) == {
        ISSUED,
        Edge(FIRST, SECOND, Passage.TRANSFER, 20, False),
        Edge(FIRST, BANK, Passage.SALE, 30, True),
    }
    assert graph.nodes == [DEBTOR, FIRST, SECOND, BANK]
