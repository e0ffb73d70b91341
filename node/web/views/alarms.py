"""What a bank should look at among what is owed to it and what it lets others use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from node.state.view import Index
from node.web.book import Book, records
from node.web.views.positions import Holding, Loan
from tallynet.records import CreditLine, FlowAlarm, FlowAnchor, Kind, Organisation

__all__ = ["Alarm", "Concern", "alarms"]


class Concern(StrEnum):
    OVERDUE = "OVERDUE"
    OVER_LIMIT = "OVER_LIMIT"
    COLLAPSE = "COLLAPSE"
    DISPUTE = "DISPUTE"
    FREEZE = "FREEZE"
    BLOCKED = "BLOCKED"
    DISTRESS = "DISTRESS"


@dataclass(frozen=True, slots=True)
class Alarm:
    concern: Concern
    kind: Kind
    id: bytes
    """Of the record that shows it."""
    organisation: bytes
    """Whom it is about."""
    currency: str
    """Empty: no amount."""
    amount: int


def alarms(
    book: Book,
    held: Iterable[Holding],
    lent: Iterable[Loan],
    lines: Iterable[tuple[bytes, CreditLine]],
) -> list[Alarm]:
    """By concern, largest amounts first."""
    held, lent, lines = list(held), list(lent), list(lines)
    debtors = dict.fromkeys(
        [
            *(holding.voucher.debtor for holding in held),
            *(loan.financing.debtor for loan in lent),
            *(line.obligor for _, line in lines),
        ]
    )
    found = [*_of_holdings(held), *_of_loans(lent), *_of_lines(lines), *_of_debtors(book, debtors)]
    order = list(Concern)
    return sorted(found, key=lambda a: (order.index(a.concern), -a.amount, a.id))


def _of_holdings(held: Iterable[Holding]) -> Iterator[Alarm]:
    by_voucher: dict[bytes, tuple[Holding, int]] = {}
    for holding in held:
        before = by_voucher.get(holding.id)
        by_voucher[holding.id] = (holding, holding.amount + (before[1] if before else 0))
    for id, (holding, amount) in by_voucher.items():
        voucher = holding.voucher
        for concern, there in (
            (Concern.OVERDUE, holding.overdue),
            (Concern.DISPUTE, voucher.disputes > 0),
            (Concern.FREEZE, voucher.freezes > 0),
        ):
            if there:
                yield Alarm(concern, Kind.VOUCHER, id, voucher.debtor, voucher.currency, amount)


def _of_loans(lent: Iterable[Loan]) -> Iterator[Alarm]:
    for loan in lent:
        if loan.overdue:
            financing = loan.financing
            yield Alarm(
                Concern.OVERDUE, Kind.FINANCING, loan.id, financing.obligor, financing.currency,
                loan.outstanding,
            )  # fmt: skip


def _of_lines(lines: Iterable[tuple[bytes, CreditLine]]) -> Iterator[Alarm]:
    for id, line in lines:
        over = line.used + line.reserved - line.granted
        if over > 0 and not line.seasonal:
            yield Alarm(Concern.OVER_LIMIT, Kind.CREDIT_LINE, id, line.obligor, line.currency, over)


def _of_debtors(book: Book, debtors: Iterable[bytes]) -> Iterator[Alarm]:
    for id in debtors:
        record = book.peek(Kind.ORGANISATION, id)
        if not isinstance(record, Organisation):
            continue
        for concern, there in (
            (Concern.FREEZE, record.freezes > 0),
            (Concern.BLOCKED, record.blocked_automatic or record.blocked_manual),
            (Concern.DISTRESS, record.distress_declared),
            (Concern.COLLAPSE, _has_collapsed(book, id)),
        ):
            if there:
                yield Alarm(concern, Kind.ORGANISATION, id, id, "", 0)


def _has_collapsed(book: Book, publisher: bytes) -> bool:
    if not book.may_list(Index.PUBLISHER_FLOWS, publisher):
        return False
    flows = records(book, Index.PUBLISHER_FLOWS, Kind.FLOW_ANCHOR, publisher).rows
    return any(
        isinstance(flow.record, FlowAnchor) and flow.record.alarm is FlowAlarm.COLLAPSED
        for flow in flows
    )
