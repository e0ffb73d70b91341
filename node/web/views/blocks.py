"""Blocks, newest first, a page at a time."""

from __future__ import annotations

from typing import Final

from node.web.views.ask import Ask, Data, number
from node.web.views.chain import newest_rows
from tallynet.records import NETWORK_ID, Kind

__all__ = ["view"]

ROWS: Final = 50


def view(ask: Ask) -> Data:
    book = ask.node
    below = min(number(ask.query.get("below") or str(book.height + 1)), book.height + 1)
    rows = newest_rows(book, below, ROWS)
    oldest = rows[-1]["height"] if rows else 1
    return {
        "height": book.height,
        "blocks": rows,
        "network": book.find(Kind.NETWORK, NETWORK_ID),
        "older": oldest if oldest > max(1, book.snapshot.base()) else None,
        "newer": below + ROWS if below <= book.height else None,
    }
