"""One block: what it ordered, and who signed for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from node.web.book import Book
from node.web.views.ask import Ask, Data, number
from node.web.views.chain import block_row
from tallynet.blocks import Commit, Header
from tallynet.codec import decode_trusted
from tallynet.commands import command_name
from tallynet.receipts import EnvelopeReceipt, Event
from tallynet.records import NETWORK_ID, Kind

__all__ = ["currencies", "outcome", "view"]


def view(ask: Ask) -> Data:
    book, height = ask.node, number(ask.path["height"])
    block = book.block(height)
    given = book.receipts(height)
    envelopes = book.envelopes(height, block.block)
    rows: list[dict[str, Any]] = []
    for index, envelope in enumerate(envelopes or ()):
        shown = book.acts_as(envelope.body.organisation)
        receipt = decode_trusted(EnvelopeReceipt, given.receipts[index + 1]) if given else None
        rows.append(
            {
                "transaction": envelope.transaction,
                "organisation": envelope.body.organisation if shown else None,
                "commands": [command_name(command) for command in envelope.body.commands]
                if shown
                else None,
                "code": outcome(receipt) if receipt else None,
            }
        )
    own = book.events(height, 0)
    return {
        "height": book.height,
        "block": block_row(book, height),
        "header": decode_trusted(Header, block.header),
        "vote": decode_trusted(Commit, block.certificate.vote),
        "transactions": rows,
        "bodies_held": envelopes is not None,
        "events": own[0],
        "currencies": currencies(book, own[0]),
        "events_hidden": own[1],
        "network": book.find(Kind.NETWORK, NETWORK_ID),
    }


def outcome(receipt: EnvelopeReceipt) -> str:
    """OK, or the first code that is not."""
    codes = (receipt.code, *(command.code for command in receipt.commands))
    return next((code for code in codes if code != "OK"), "OK")


def currencies(book: Book, events: Iterable[Event]) -> dict[str, str]:
    """Id of a subject, hexadecimal -> currency of the amounts in its events."""
    found: dict[str, str] = {}
    for event in events:
        if event.amount and event.subject.hex() not in found:
            currency = getattr(book.peek(Kind(event.kind), event.subject), "currency", None)
            if currency is not None:
                found[event.subject.hex()] = currency
    return found
