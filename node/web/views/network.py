"""The network: whether blocks are made, who votes, what was made last."""

from __future__ import annotations

from typing import Final

from node.web.node_book import NodeBook
from node.web.views.ask import Ask, Data
from node.web.views.chain import newest_rows
from tallynet.records import NETWORK_ID, Kind

__all__ = ["view"]

BLOCKS: Final = 8
"""As many as fit a screen beside the rest."""


def view(ask: Ask) -> Data:
    book = ask.book
    blocks = newest_rows(book, book.height + 1, BLOCKS) if isinstance(book, NodeBook) else []
    network = book.find(Kind.NETWORK, NETWORK_ID)
    facts = {name: said for name, said in ask.facts.items() if name != "recent"}  # the charts'
    return {"height": book.height, "network": network, "blocks": blocks, **facts}
