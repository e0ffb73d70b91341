"""A bank: what debtors owe it, what is under way, what it has to look at."""

from __future__ import annotations

from dataclasses import dataclass

from node.state.view import Index
from node.web.book import records
from node.web.views import positions
from node.web.views.alarms import alarms
from node.web.views.ask import Ask, Data, hex_id
from node.web.views.organisation import lines, organisation
from node.web.views.positions import SUM_MAX, Holding, Loan
from tallynet.records import CreditLine, Kind, LineKind

__all__ = ["view"]


@dataclass(slots=True)
class Exposure:
    """What one debtor owes, in one currency, and how much of it the bank has allowed for."""

    debtor: bytes
    currency: str
    held: int = 0
    lent: int = 0
    overdue: int = 0
    """Of both."""
    granted: int = 0
    used: int = 0
    reserved: int = 0
    sealed: bool = False
    """The line is: what is granted and used is known to the bank's own books alone."""

    @property
    def free(self) -> int:
        """Of the DEBTOR_EXPOSURE line; below zero after a cut."""
        return self.granted - self.used - self.reserved


def view(ask: Ask) -> Data:
    book, id = ask.node, hex_id(ask.path["id"])
    record = organisation(ask, id)
    held, more_held = positions.holdings(book, id)
    lent, more_lent = positions.loans(book, id)
    both = lines(ask, id)
    granted = [
        (row.id, row.record)
        for row in both["lines_granted"].rows
        if isinstance(row.record, CreditLine)
    ]
    partial = more_held or more_lent or both["lines_granted"].more
    return {
        "height": book.height,
        "today": book.today,
        "id": id,
        "organisation": record,
        "alarms": alarms(book, held, lent, granted),
        "partial": SUM_MAX if partial else None,
        "exposure": _exposures(held, lent, [line for _, line in granted]),
        "ladder": positions.ladder(held, lent),
        "requests": records(book, Index.PARTY_REQUESTS, Kind.FINANCING_REQUEST, id),
        "financings": records(book, Index.PARTY_FINANCINGS, Kind.FINANCING, id),
        "instructions": records(book, Index.BANK_INSTRUCTIONS, Kind.INSTRUCTION, id),
        "offers": records(book, Index.FUNDER_OFFERS, Kind.OFFER, id),
        **both,
    }


def _exposures(held: list[Holding], lent: list[Loan], granted: list[CreditLine]) -> list[Exposure]:
    """Largest first. A loan counts for the debtor of what is pledged for it, who pays it in the end."""
    found: dict[tuple[bytes, str], Exposure] = {}

    def of(debtor: bytes, currency: str) -> Exposure:
        return found.setdefault((debtor, currency), Exposure(debtor, currency))

    for holding in held:
        row = of(holding.voucher.debtor, holding.voucher.currency)
        row.held += holding.amount
        row.overdue += holding.amount if holding.overdue else 0
    for loan in lent:
        row = of(loan.financing.debtor, loan.financing.currency)
        row.lent += loan.outstanding
        row.overdue += loan.outstanding if loan.overdue else 0
    for line in granted:
        if line.kind is LineKind.DEBTOR_EXPOSURE:
            row = of(line.obligor, line.currency)
            row.granted, row.used, row.reserved = line.granted, line.used, line.reserved
            row.sealed = line.sealed is not None
    return sorted(found.values(), key=lambda e: (-(e.held + e.lent), -e.granted, e.debtor))
