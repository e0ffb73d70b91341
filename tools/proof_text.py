"""What a verified proof file says, for people and for programs.

Names are those of the genesis file, which is what the proof stands on; the names in anybody's wallets are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from tallynet.blocks import quorum
from tallynet.commands import command_name
from tallynet.envelope import Envelope
from tallynet.plain import to_plain
from tallynet.proofs import (
    EventsFact,
    Fact,
    FieldsFact,
    HistoryFact,
    Proven,
    ReceiptFact,
    RecordFact,
    VoucherFact,
)
from tallynet.receipts import Event
from tallynet.records import Kind, Lot, Voucher, lot_id
from tools.arguments import format_amount
from tools.output import print_record, print_rows, say
from tools.show_cli import event_line, lot_row, name_of, voucher_rows

BUSINESS_ZONE: Final = timezone(timedelta(hours=8), "UTC+8")
"""Of the legal dates (voucher law §5)."""


def block_time_text(time_ms: int) -> str:
    """A block's time with its zone, and the same in that of the legal dates."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    local = moment.astimezone(BUSINESS_ZONE)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC ({local:%Y-%m-%d %H:%M:%S} UTC+8)"


def known_names(proven: Proven) -> dict[bytes, str]:
    """Organisation id -> name, of the validators in the genesis and in the set that signed."""
    validators = (*proven.genesis.validators, *proven.block.validators)
    return {validator.organisation: validator.name for validator in validators}


# --- for people --------------------------------------------------------------------------------------


def print_proven(proven: Proven) -> None:
    """Statement, witnesses, values."""
    names = known_names(proven)
    say(f"PROVEN: {sentence(proven.fact)}")
    print_rows("", ("", "who says so, and as of when"), witness_rows(proven))
    _print_fact(proven.fact, names)


def sentence(fact: Fact) -> str:
    """The fact in one sentence."""
    match fact:
        case RecordFact():
            what = f"{fact.kind.name.lower().replace('_', ' ')} {fact.id.hex()}"
            if fact.record is None:
                return f"there is no {what}"
            return f"{what} has the values below"
        case VoucherFact():
            return f"voucher {fact.id.hex()} has the {lots_text(fact.lots)} below, and no other"
        case HistoryFact():
            return (
                f"voucher {fact.id.hex()} has the {lots_text(fact.lots)} below, and no other; the"
                f" {len(fact.events)} events below are all that ever happened to it"
            )
        case ReceiptFact():
            asked = "" if fact.envelope is None else ", whose content is below,"
            return f"transaction {fact.receipt.transaction.hex()}{asked} had the result below"
        case EventsFact():
            return (
                f"the {len(fact.events)} events below are all that happened in blocks {fact.first}"
                f" to {fact.last}"
            )
        case FieldsFact():
            return (
                f"document {fact.id.hex()} was registered with the {len(fact.fields)} fields below"
            )


def lots_text(lots: Sequence[Lot]) -> str:
    return "1 lot" if len(lots) == 1 else f"{len(lots)} lots"


def witness_rows(proven: Proven) -> list[tuple[str, str]]:
    """Network, block and signers."""
    block = proven.block
    signers = ", ".join(block.validators[index].name for index in block.signers)
    count = len(block.validators)
    changes = f"{proven.handovers} changes of the validators since"
    return [
        ("network", f"{proven.genesis.name}, genesis hash {proven.network.hex()}"),
        ("block", f"height {block.header.height}, hash {block.hash.hex()}"),
        ("time of the block", block_time_text(block.header.time_ms)),
        ("signed by", f"{len(block.signers)} of {count} validators, {quorum(count)} are needed: {signers}"),
        ("epoch", f"{block.header.epoch}; {changes if proven.handovers else 'validators of'} the genesis"),
    ]  # fmt: skip


def _print_fact(fact: Fact, names: Mapping[bytes, str]) -> None:
    match fact:
        case RecordFact():
            if fact.record is not None:
                print_record(fact.kind.name.lower(), fact.record, names, {})
        case VoucherFact():
            _print_voucher(fact.voucher, fact.lots, names)
        case HistoryFact():
            _print_voucher(fact.voucher, fact.lots, names)
            columns = ("#", "event", "from", "to", "range", "amount", "transaction")
            currency = fact.voucher.currency
            rows = [history_row(event, currency, names) for event in fact.events]
            print_rows("history", columns, rows)
        case ReceiptFact():
            _print_receipt(fact, names)
        case EventsFact():
            for entry in fact.events:
                seconds = entry.time_ms // 1000
                line = event_line(entry.height, entry.index, seconds, entry.event, names)
                say(line)
        case FieldsFact():
            fields = [(path, field_text(value)) for path, value in fact.fields.items()]
            print_rows("fields", ("field", "value"), fields)
            print_record("its record", fact.document, names, {})


def _print_voucher(voucher: Voucher, lots: Sequence[Lot], names: Mapping[bytes, str]) -> None:
    print_rows("voucher", ("field", "value"), voucher_rows(voucher, names))
    columns = ("start", "end", "amount", "holder", "state", "hops", "flags")
    print_rows("lots", columns, [lot_row(lot, voucher.currency, names) for lot in lots])


def history_row(event: Event, currency: str, names: Mapping[bytes, str]) -> tuple[str, ...]:
    """One event of a voucher's log."""
    return (
        str(event.sequence),
        event.type,
        name_of(event.source, names),
        name_of(event.target, names),
        f"[{event.start}, {event.end})" if event.end > event.start else "-",
        format_amount(event.amount, currency) if event.amount else "-",
        "of the network itself" if event.transaction is None else event.transaction.hex(),
    )


def _print_receipt(fact: ReceiptFact, names: Mapping[bytes, str]) -> None:
    rows = [
        (
            str(index),
            command.code,
            "\n".join(f"{Kind(made.kind).name} {made.id.hex()}" for made in command.created) or "-",
            ", ".join(str(number) for number in command.result) or "-",
        )
        for index, command in enumerate(fact.receipt.commands)
    ]
    title = f"result: {fact.receipt.code}, envelope {fact.index} of its block"
    print_rows(title, ("#", "code", "created", "result"), rows)
    if fact.envelope is not None:
        _print_envelope(fact.envelope, names)


def _print_envelope(envelope: Envelope, names: Mapping[bytes, str]) -> None:
    body = envelope.body
    signers = [f"key {signer.key.hex()} as {signer.role.name}" for signer in body.signers]
    rows = [
        ("acting", name_of(body.organisation, names)),
        ("signed by", "\n".join(signers)),
        ("valid until", block_time_text(body.valid_until * 1000)),
        ("mode", body.mode.name),
    ]
    print_rows("what was asked", ("", ""), rows)
    for index, command in enumerate(body.commands):
        print_record(f"command {index}: {command_name(type(command))}", command, names, {})


def field_text(value: bytes) -> str:
    """A field of a document: text where it is printable, else hexadecimal."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex()
    return text if text.isprintable() else value.hex()


# --- for programs ------------------------------------------------------------------------------------


def proven_plain(proven: Proven) -> dict[str, Any]:
    """The same as plain values."""
    block = proven.block
    return {
        "proven": sentence(proven.fact),
        "network": proven.genesis.name,
        "genesis_hash": proven.network.hex(),
        "height": block.header.height,
        "block": block.hash.hex(),
        "time": datetime.fromtimestamp(block.header.time_ms / 1000, UTC).isoformat(),
        "epoch": block.header.epoch,
        "validators_changed": proven.handovers,
        "validators": [validator.name for validator in block.validators],
        "signed_by": [
            {"name": block.validators[i].name, "public_key": block.validators[i].public_key.hex()}
            for i in block.signers
        ],
        "needed": quorum(len(block.validators)),
        "fact": _fact_plain(proven.fact),
    }


def _fact_plain(fact: Fact) -> dict[str, Any]:
    match fact:
        case RecordFact():
            record = None if fact.record is None else to_plain(fact.record)
            return {"kind": fact.kind.name, "id": fact.id.hex(), "record": record}
        case VoucherFact():
            return _voucher_plain(fact.id, fact.voucher, fact.lots)
        case HistoryFact():
            whole = _voucher_plain(fact.id, fact.voucher, fact.lots)
            return whole | {"events": to_plain(fact.events)}
        case ReceiptFact():
            envelope = None if fact.envelope is None else to_plain(fact.envelope.body)
            receipt = to_plain(fact.receipt)
            return {
                "kind": "RECEIPT",
                "index": fact.index,
                "receipt": receipt,
                "envelope": envelope,
            }
        case EventsFact():
            events = [
                {"height": e.height, "index": e.index, "time_ms": e.time_ms} | to_plain(e.event)
                for e in fact.events
            ]
            return {"kind": "EVENTS", "first": fact.first, "last": fact.last, "events": events}
        case FieldsFact():
            fields = {path: field_text(value) for path, value in fact.fields.items()}
            record = to_plain(fact.document)
            return {"kind": "DOCUMENT", "id": fact.id.hex(), "fields": fields, "record": record}


def _voucher_plain(id: bytes, voucher: Voucher, lots: Sequence[Lot]) -> dict[str, Any]:
    shown = [{"id": lot_id(id, lot.start).hex()} | to_plain(lot) for lot in lots]
    return {"kind": "VOUCHER", "id": id.hex(), "record": to_plain(voucher), "lots": shown}


__all__ = ["block_time_text", "print_proven", "proven_plain", "sentence"]
