"""One transaction: what was commanded, what came of it, what it changed."""

from __future__ import annotations

from typing import Any, Final

from node.web.node_book import NodeBook
from node.web.views.ask import Ask, Data, hex_id
from node.web.views.block import currencies, outcome
from node.web.views.chain import block_row
from tallynet.codec import decode_trusted
from tallynet.commands import command_name
from tallynet.receipts import EnvelopeReceipt
from tallynet.records import Kind

__all__ = ["view"]

_NAMED: Final = {
    "voucher": Kind.VOUCHER, "line": Kind.CREDIT_LINE, "issue_line": Kind.CREDIT_LINE, "offer": Kind.OFFER,
    "financing": Kind.FINANCING, "instruction": Kind.INSTRUCTION, "request": Kind.FINANCING_REQUEST,
    "guarantee": Kind.GUARANTEE, "backstop": Kind.BACKSTOP, "receipt": Kind.WAREHOUSE_RECEIPT,
    "prepayment": Kind.PREPAYMENT, "programme": Kind.PROGRAMME, "account": Kind.ACCOUNT,
}  # fmt: skip
"""Field of a command -> the record that it names."""


def view(ask: Ask) -> Data:
    """Of a light node only what its copy keeps of it; a node's says also what was commanded."""
    book, id = ask.book, hex_id(ask.path["id"], 64)
    happened = book.happened(id)
    data: Data = {
        "height": book.height,
        "transaction": id,
        "block": {"height": happened.height, "time_ms": happened.time_ms},
        "events": happened.events,
        "events_hidden": happened.hidden,
        "currencies": currencies(book, happened.events),
    }
    return data | _ordered(ask, book, id) if isinstance(book, NodeBook) else data


def _ordered(ask: Ask, book: NodeBook, id: bytes) -> Data:
    height, index, given = book.place_of(id)
    receipt = decode_trusted(EnvelopeReceipt, given.receipts[index + 1])
    return {
        "block": block_row(book, height),
        "receipt": receipt,
        "code": outcome(receipt),
        "envelope": _envelope(ask, height, index),
    }


def _envelope(ask: Ask, height: int, index: int) -> dict[str, Any] | None:
    """What was signed, and by whom, for those who may know: receipts, which everybody gets, name nobody. None: it is
    not held any more."""
    book = ask.node
    envelopes = book.envelopes(height, book.block(height).block)
    if envelopes is None:
        return None
    body = envelopes[index].body
    if not book.acts_as(body.organisation):
        return dict.fromkeys(("organisation", "mode", "valid_until", "roles", "commands"))
    return {
        "organisation": body.organisation,
        "mode": body.mode,
        "valid_until": body.valid_until,
        "roles": [signer.role for signer in body.signers],
        "commands": [
            {
                "name": command_name(command),
                "fields": command,
                "currency": _currency(book, command),
            }
            for command in body.commands
        ],
    }


def _currency(book: NodeBook, command: Any) -> str | None:
    """Of the amounts in a command: it says so, or a record does that it names."""
    said: str | None = getattr(command, "currency", None)
    for field, kind in _NAMED.items():
        id = getattr(command, field, None)
        if said is None and isinstance(id, bytes):
            said = getattr(book.peek(kind, id), "currency", None)
    return said
