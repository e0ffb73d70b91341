"""An organisation: what it holds and when that falls due, what it owes, its lines, its offers."""

from __future__ import annotations

from typing import Any

from node.state.view import Index
from node.web.book import LIST_MAX, Part, records
from node.web.views import positions
from node.web.views.ask import Ask, Data, hex_id
from tallynet.records import CreditLine, Kind, Organisation

__all__ = ["lines", "organisation", "view"]


def view(ask: Ask) -> Data:
    book, id = ask.book, hex_id(ask.path["id"])
    record = organisation(ask, id)
    head = {"height": book.height, "today": book.today, "id": id, "organisation": record}
    if not book.may_list(Index.OPEN_LOTS, id):
        return head | {"shown": False}
    held, more_held = positions.holdings(book, id)
    lent, more_lent = positions.loans(book, id)
    return {
        **head,
        "shown": True,
        "holdings": _part(held, more_held),
        "offered": positions.offered(book, id, LIST_MAX),
        "ladder": positions.ladder(held, lent),
        "ladder_partial": more_held or more_lent,
        "owed": records(book, Index.DEBTOR_VOUCHERS, Kind.VOUCHER, id),
        **lines(ask, id),
        "offers": records(book, Index.FUNDER_OFFERS, Kind.OFFER, id),
        "financings": records(book, Index.PARTY_FINANCINGS, Kind.FINANCING, id),
        "requests": records(book, Index.PARTY_REQUESTS, Kind.FINANCING_REQUEST, id),
    }


def organisation(ask: Ask, id: bytes) -> Organisation | None:
    """Its record; a light node holds none. Raises PageError RECORD_NOT_FOUND."""
    return ask.book.organisation(id)


def lines(ask: Ask, id: bytes) -> dict[str, Part]:
    """Credit lines, by which side it is on."""
    both = records(ask.book, Index.ORGANISATION_LINES, Kind.CREDIT_LINE, id)
    granted = tuple(row for row in both.rows if _grantor(row.record) == id)
    received = tuple(row for row in both.rows if _grantor(row.record) != id)
    return {
        "lines_granted": Part(granted, both.more),
        "lines_received": Part(received, both.more),
    }


def _grantor(record: Any) -> bytes | None:
    return record.grantor if isinstance(record, CreditLine) else None


def _part(held: list[positions.Holding], more: bool) -> dict[str, Any]:
    return {"rows": held[:LIST_MAX], "more": more or len(held) > LIST_MAX}
