"""What is owed to an organisation: lots that it holds, loans that it gave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from node.state.view import Index
from node.web.book import Book
from tallynet.penetration.evaluate import LENDING, OWED, UNPAID
from tallynet.records import Financing, FinancingState, Kind, Lot, Voucher

__all__ = ["SUM_MAX", "Holding", "Loan", "Rung", "holdings", "ladder", "loans"]

SUM_MAX: Final = 1_000
"""Lots, and loans, that one page sums up: some 30 ms."""


@dataclass(frozen=True, slots=True)
class Holding:
    id: bytes
    voucher: Voucher
    lot: Lot

    @property
    def amount(self) -> int:
        return self.lot.end - self.lot.start

    @property
    def overdue(self) -> bool:
        return self.voucher.status in UNPAID


@dataclass(frozen=True, slots=True)
class Loan:
    id: bytes
    financing: Financing

    @property
    def outstanding(self) -> int:
        return self.financing.principal - self.financing.repaid

    @property
    def overdue(self) -> bool:
        return self.financing.state is not FinancingState.OUTSTANDING


@dataclass(frozen=True, slots=True)
class Rung:
    """What falls due on one day, in one currency."""

    day: int
    currency: str
    held: int
    lent: int


def holdings(book: Book, holder: bytes, limit: int = SUM_MAX) -> tuple[list[Holding], bool]:
    """Lots that somebody is still to be paid for, longest held first; and whether there are more."""
    entries = book.entries(Index.OPEN_LOTS, holder, limit + 1)
    return _lots(book, entries[:limit]), len(entries) > limit


def offered(book: Book, receiver: bytes, limit: int) -> list[Holding]:
    """Lots on their way to it."""
    return _lots(book, book.entries(Index.PARTY_PENDING, receiver, limit))


def _lots(book: Book, entries: Iterable[bytes]) -> list[Holding]:
    vouchers: dict[bytes, Voucher | None] = {}
    found: list[Holding] = []
    for entry in entries:
        id = entry[-24:-8]
        if id not in vouchers:
            record = book.peek(Kind.VOUCHER, id)
            vouchers[id] = record if isinstance(record, Voucher) else None
        voucher, lot = vouchers[id], book.peek(Kind.LOT, entry[-24:])
        if voucher is not None and isinstance(lot, Lot):
            found.append(Holding(id, voucher, lot))
    return found


def loans(book: Book, lender: bytes, limit: int = SUM_MAX) -> tuple[list[Loan], bool]:
    """Those that it gave and that are not repaid; and whether there may be more."""
    entries = book.entries(Index.PARTY_FINANCINGS, lender, limit + 1)
    found: list[Loan] = []
    for entry in entries[:limit]:
        record = book.peek(Kind.FINANCING, entry[-16:])
        if (
            isinstance(record, Financing)
            and record.funder == lender
            and record.kind in LENDING
            and record.state in OWED
        ):
            found.append(Loan(entry[-16:], record))
    return found, len(entries) > limit


def ladder(held: Iterable[Holding], lent: Iterable[Loan]) -> list[Rung]:
    """By day and currency, earliest first."""
    sums: dict[tuple[int, str], list[int]] = {}
    for holding in held:
        key = (holding.voucher.maturity, holding.voucher.currency)
        sums.setdefault(key, [0, 0])[0] += holding.amount
    for loan in lent:
        key = (loan.financing.end_day, loan.financing.currency)
        sums.setdefault(key, [0, 0])[1] += loan.outstanding
    return [Rung(*key, *sums[key]) for key in sorted(sums)]
