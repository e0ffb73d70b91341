"""What pages read: one state of one block, as far as it is shown to whoever looks.

A node reads it from a snapshot of its store (`node.web.node_book`), a light node from its verified copy
(`node.web.copy_book`); the pages do not know which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from node.state.view import Index
from tallynet.errors import TallynetError
from tallynet.receipts import Event
from tallynet.records import Kind, Lot, Network, Organisation, Record, Voucher

__all__ = [
    "EVENTS_MAX",
    "LIST_MAX",
    "Book",
    "Found",
    "Happened",
    "History",
    "PageError",
    "Part",
    "records",
]

LIST_MAX: Final = 200
"""Entries of one list of a page: more than anybody reads, and some 10 ms."""
EVENTS_MAX: Final = 200
"""Of a voucher's history on its page, the newest; a node reads each from its block."""
R = TypeVar("R")


class PageError(TallynetError):
    """A page cannot be shown: NO_SUCH_PAGE, RECORD_NOT_FOUND, ID_UNREADABLE, NOT_AUTHORISED, NO_SUCH_BLOCK,
    HISTORY_GONE, QUERY_INVALID, BUSY; at the desk SIGN_IN_NEEDED, NOT_ALLOWED, FORM_FOREIGN, UPLOAD_TOO_LARGE. `what`
    was looked for."""

    def __init__(
        self, code: str, what: str = "", kind: Kind | None = None, height: int = 0
    ) -> None:
        super().__init__(code, what)
        self.what: Final = what
        self.kind: Final = kind
        self.height: Final = height
        """Of the state that was looked at, or from which on there is history."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record with its id; of a lot, the voucher's and eight bytes."""

    id: bytes
    record: Record


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of a list."""

    rows: tuple[Found, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class History:
    """Events of a voucher, oldest first."""

    events: tuple[Event, ...]
    complete: bool
    """False: some are not held here, not shown, or too many."""


@dataclass(frozen=True, slots=True)
class Happened:
    """What a transaction changed."""

    height: int
    """Of its block."""
    time_ms: int
    events: tuple[Event, ...]
    hidden: int
    """How many more there are that are not shown; a light node does not know of them."""


class Book(Protocol):
    """One state. Everything raises PageError NOT_AUTHORISED for what is not shown."""

    @property
    def height(self) -> int:
        """Of its block; 0: there is none yet."""

    @property
    def today(self) -> int:
        """Business date."""

    def find(self, kind: Kind, id: bytes) -> Record | None:
        """The record; None: there is none."""

    def peek(self, kind: Kind, id: bytes) -> Record | None:
        """The same; None also for what is not shown."""

    def organisation(self, id: bytes) -> Organisation | None:
        """Its record; None: organisations are not held here. Raises PageError RECORD_NOT_FOUND."""

    def may_list(self, index: Index, prefix: bytes) -> bool:
        """Whether `entries` of this are shown."""

    def lots(self, id: bytes, voucher: Voucher) -> tuple[Lot, ...]:
        """Lots of a voucher, ascending; those that are shown."""

    def entries(self, index: Index, prefix: bytes, limit: int) -> list[bytes]:
        """What an index lists behind `prefix`, at most `limit`."""

    def history(self, id: bytes, voucher: Voucher) -> History: ...

    def happened(self, transaction: bytes) -> Happened:
        """Raises PageError RECORD_NOT_FOUND, HISTORY_GONE."""


def records(book: Book, index: Index, kind: Kind, prefix: bytes, limit: int = LIST_MAX) -> Part:
    """The records that an index lists behind `prefix`, whose entries end with their ids; those that are shown."""
    entries = book.entries(index, prefix, limit + 1)
    size = 24 if kind is Kind.LOT else 16
    rows: list[Found] = []
    for entry in entries[:limit]:
        record = book.peek(kind, entry[-size:])
        if record is not None:
            rows.append(Found(entry[-size:], record))
    return Part(tuple(rows), len(entries) > limit)


def today_of(network: Record | None) -> int:
    """The business date in the network's own record."""
    return network.business_date if isinstance(network, Network) else 0


def require(book: Book, record_type: type[R], kind: Kind, id: bytes) -> R:
    """The record. Raises PageError RECORD_NOT_FOUND, NOT_AUTHORISED."""
    record = book.find(kind, id)
    if not isinstance(record, record_type):
        raise PageError("RECORD_NOT_FOUND", id.hex(), kind, book.height)
    return record
