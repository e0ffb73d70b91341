"""Organisations of the network, a page at a time."""

from __future__ import annotations

from typing import Final

from node.web.book import Found
from node.web.views.ask import Ask, Data, hex_id
from tallynet.records import Kind

__all__ = ["view"]

ROWS: Final = 100


def view(ask: Ask) -> Data:
    book = ask.node
    after = ask.query.get("after", "")
    ids = book.organisations(hex_id(after) if after else b"", ROWS + 1)
    rows = [Found(id, record) for id in ids[:ROWS] if (record := book.find(Kind.ORGANISATION, id))]
    return {
        "height": book.height,
        "organisations": rows,
        "after": ids[ROWS - 1] if len(ids) > ROWS else None,
    }
