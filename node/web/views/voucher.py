"""A voucher: its lots, where its parts went, what happened to it."""

from __future__ import annotations

from typing import Final

from node.state.view import Index
from node.web.book import Found, Part, records, require
from node.web.provenance import provenance
from node.web.views.ask import Ask, Data, hex_id
from tallynet.penetration.evaluate import LENDING
from tallynet.records import Document, Financing, Kind, Lot, Voucher

__all__ = ["view"]

FINANCINGS_MAX: Final = 100
"""Liens of one voucher that are looked up."""


def view(ask: Ask) -> Data:
    book, id = ask.book, hex_id(ask.path["id"])
    voucher = require(book, Voucher, Kind.VOUCHER, id)
    lots = book.lots(id, voucher)
    history = book.history(id, voucher)
    financings = _financings(ask, lots)
    loans = [found.id for found in financings.rows if _is_loan(found)]
    shown = sum(lot.end - lot.start for lot in lots)
    return {
        "height": book.height,
        "today": book.today,
        "id": id,
        "voucher": voucher,
        "lots": lots,
        "hidden": voucher.face - shown,
        "provenance": provenance(
            voucher, lots, history.events, complete=history.complete, loans=loans
        ),
        "history": history,
        "financings": financings,
        "documents": _documents(ask, voucher),
        "instructions": records(book, Index.VOUCHER_INSTRUCTIONS, Kind.INSTRUCTION, id),
    }


def _documents(ask: Ask, voucher: Voucher) -> list[Data]:
    """What it was issued on. The content is sealed: a party has the key, anybody else opens it when it was granted
    to him, which the state does not tell."""
    rows: list[Data] = []
    for use in voucher.documents:
        record = ask.book.peek(Kind.DOCUMENT, use.document)
        party = isinstance(record, Document) and ask.home in record.parties
        rows.append({"id": use.document, "amount": use.amount, "record": record, "is_party": party})
    return rows


def _is_loan(found: Found) -> bool:
    return isinstance(found.record, Financing) and found.record.kind in LENDING


def _financings(ask: Ask, lots: tuple[Lot, ...]) -> Part:
    """Those that have a lien on a lot; terms are shown to their two sides."""
    liens = list(dict.fromkeys(lot.lien for lot in lots if lot.lien is not None))
    rows: list[Found] = []
    for lien in liens[:FINANCINGS_MAX]:
        record = ask.book.peek(Kind.FINANCING, lien)
        if record is not None:
            rows.append(Found(lien, record))
    return Part(tuple(rows), len(liens) > FINANCINGS_MAX)
