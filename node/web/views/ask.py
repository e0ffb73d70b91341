"""What a view is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from node.web.book import Book, PageError
from node.web.node_book import NodeBook

__all__ = ["Ask", "Data", "View", "hex_id", "number"]

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    book: Book
    path: Mapping[str, str]
    """What the path says, e.g. `id`."""
    query: Mapping[str, str]
    facts: Data
    """What the process says of itself."""
    names: Mapping[bytes, str]
    home: bytes | None

    @property
    def node(self) -> NodeBook:
        """Pages about the chain are served by nodes only. Raises PageError NO_SUCH_PAGE."""
        if not isinstance(self.book, NodeBook):
            raise PageError("NO_SUCH_PAGE")
        return self.book


View = Callable[[Ask], Data]


def hex_id(text: str, digits: int = 32) -> bytes:
    """An id in a path. Raises PageError ID_UNREADABLE."""
    try:
        id = bytes.fromhex(text)
    except ValueError:
        id = b""
    if len(id) * 2 != digits or id.hex() != text:
        raise PageError("ID_UNREADABLE", text[:80], height=digits)
    return id


def number(text: str) -> int:
    """A height or a place in a list. Raises PageError QUERY_INVALID."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise PageError("QUERY_INVALID", text[:80])
    return int(text)
