"""Finding a page by what people have at hand: an id, a height, a name, OWNER/LABEL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from node.web.book import PageError
from node.web.node_book import NodeBook
from node.web.views.ask import Ask, Data
from tallynet.hashing import record_id
from tallynet.records import (
    RECORD_TYPES,
    Financing,
    FinancingRequest,
    Guarantee,
    Instruction,
    Kind,
    Record,
)

__all__ = ["only_hit", "view"]

QUERY_MAX: Final = 200
HITS_MAX: Final = 20
_HEX: Final = re.compile("[0-9a-f]+")
_LABELLED: Final = (Kind.VOUCHER, Kind.PROGRAMME, Kind.OFFER, Kind.ACCOUNT, Kind.FUND_POOL)
"""Whose ids follow from owner and label."""
_NOT_BY_ID: Final = (Kind.NETWORK, Kind.LOT, Kind.KEY, Kind.REMEMBERED)
_OWNER_FIELDS: Final = (
    "owner",
    "funder",
    "grantor",
    "organisation",
    "holder",
    "publisher",
    "debtor",
)
"""Of records without a page of their own: the page of whose they are."""


@dataclass(frozen=True, slots=True)
class Hit:
    what: str
    """Name of a `Kind`, or BLOCK, TRANSACTION."""
    name: str
    href: str


def view(ask: Ask) -> Data:
    asked = ask.query.get("q", "").strip()[:QUERY_MAX]
    return {
        "height": ask.book.height,
        "query": asked,
        "hits": list(_hits(ask, asked)) if asked else [],
    }


def only_hit(data: Data) -> str | None:
    """Where the reader wants to go, if there is one place only."""
    hits: list[Hit] = data["hits"]
    return hits[0].href if len(hits) == 1 else None


def _hits(ask: Ask, asked: str) -> Iterator[Hit]:
    found: dict[str, Hit] = {}
    lower = asked.lower()
    for hit in (
        *_by_height(ask, lower),
        *_by_id(ask, lower),
        *_by_label(ask, asked),
        *_by_name(ask, lower),
    ):
        found.setdefault(hit.href, hit)
    yield from list(found.values())[:HITS_MAX]


def _by_height(ask: Ask, asked: str) -> Iterator[Hit]:
    on_chain = isinstance(ask.book, NodeBook) and asked.isascii() and asked.isdigit()
    if on_chain and len(asked) <= 18 and 1 <= int(asked) <= ask.book.height:
        yield Hit("BLOCK", str(int(asked)), f"/blocks/{int(asked)}")


def _by_id(ask: Ask, asked: str) -> Iterator[Hit]:
    if not _HEX.fullmatch(asked):
        return
    if len(asked) == 64:
        with suppress(PageError):
            ask.book.happened(bytes.fromhex(asked))
            yield Hit("TRANSACTION", asked, f"/transactions/{asked}")
    elif len(asked) == 32:
        for kind in RECORD_TYPES:
            if kind not in _NOT_BY_ID:
                yield from _record(ask, kind, bytes.fromhex(asked))


def _by_label(ask: Ask, asked: str) -> Iterator[Hit]:
    owner, slash, label = asked.partition("/")
    if not slash or not 1 <= len(label.encode()) <= 32:
        return
    owners = [id for id, name in ask.names.items() if name == owner]
    if _HEX.fullmatch(owner) and len(owner) == 32:
        owners.append(bytes.fromhex(owner))
    for id in owners:
        for kind in _LABELLED:
            yield from _record(ask, kind, record_id(kind, id, label.encode()))


def _by_name(ask: Ask, asked: str) -> Iterator[Hit]:
    for id, name in sorted(ask.names.items(), key=lambda item: item[1]):
        if asked in name.lower():
            yield Hit(Kind.ORGANISATION.name, name, f"/organisations/{id.hex()}")


def _record(ask: Ask, kind: Kind, id: bytes) -> Iterator[Hit]:
    record: Any = ask.book.peek(kind, id)
    href = None if record is None else _page(kind, id, record)
    if href is not None:
        yield Hit(kind.name, id.hex(), href)


def _page(kind: Kind, id: bytes, record: Record) -> str | None:
    """Where a record is shown: on its own page, its voucher's, or its owner's."""
    match record:
        case Financing() | FinancingRequest() if any(record.voucher):
            return f"/vouchers/{record.voucher.hex()}"
        case Instruction() | Guarantee():
            return f"/organisations/{record.bank.hex()}"
    if kind is Kind.VOUCHER:
        return f"/vouchers/{id.hex()}"
    if kind is Kind.ORGANISATION:
        return f"/organisations/{id.hex()}"
    owners = (getattr(record, field, None) for field in _OWNER_FIELDS)
    return next((f"/organisations/{owner.hex()}" for owner in owners if owner), None)
