"""Rows of blocks, as several pages list them."""

from __future__ import annotations

from typing import Any

from node.web.node_book import NodeBook
from tallynet.blocks import Commit, Header
from tallynet.codec import decode_trusted
from tallynet.receipts import PrologueReceipt

__all__ = ["block_row", "newest_rows"]


def block_row(book: NodeBook, height: int) -> dict[str, Any]:
    """Raises PageError NO_SUCH_BLOCK, HISTORY_GONE."""
    block = book.block(height)
    header = decode_trusted(Header, block.header)
    vote = decode_trusted(Commit, block.certificate.vote)
    return {
        "height": height,
        "hash": block.block,
        "time_ms": header.time_ms,
        "epoch": header.epoch,
        "view": vote.view,
        "proposer": header.proposer,
        "envelopes": len(block.envelopes),
        "acts": _acts(book, height),
        "signers": block.certificate.signers,
    }


def _acts(book: NodeBook, height: int) -> int:
    """What the block did by itself, e.g. vouchers that matured."""
    given = book.receipts(height)
    return 0 if given is None else decode_trusted(PrologueReceipt, given.receipts[0]).acts


def newest_rows(book: NodeBook, below: int, limit: int) -> list[dict[str, Any]]:
    """The newest blocks under a height, as far as they are held."""
    lowest = max(1, book.snapshot.base(), below - limit)
    return [block_row(book, height) for height in range(below - 1, lowest - 1, -1)]
