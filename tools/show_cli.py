"""Reading the network: `tally voucher show|list`, `tally show`, `tally events`, `tally transaction`,
`tally instruction list`, `tally financing requests`.

Records are proven against a quorum's certificate before they are shown. Lists come from a node's
indexes: each entry is proven when it is read, but a node could leave entries out; the events are one
node's word as well. The output says which is which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import App, Parameter

from node.ledger.own_indexes import DAY_BYTES
from node.state.view import Index
from tallynet.client import Client, UnprovenPhase
from tallynet.client.trust import ProvenRecord, Receipt
from tallynet.errors import TallynetError
from tallynet.messages import TransactionPhase
from tallynet.plain import to_plain
from tallynet.receipts import Event
from tallynet.records import (
    FLAG_COUNTED,
    FLAG_DISPUTED,
    FLAG_FROZEN,
    FLAG_NO_TRANSFER,
    FLAG_WRITTEN_OFF,
    NETWORK_ID,
    FinancingRequest,
    Instruction,
    Kind,
    Lot,
    Network,
    Voucher,
    lot_id,
)
from tools.arguments import UsageError, format_amount, format_day, format_rate
from tools.connect import asking, connect
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, NetworkOption, OutputOption
from tools.organisation_cli import one_of
from tools.output import (
    Exit,
    Output,
    json_text,
    print_json,
    print_record,
    print_rows,
    printable,
    stop,
    told,
)
from tools.records_by_name import AddressBook

ID_BYTES: Final = 16
UNPROVEN: Final = "from one node's index; each row is proven, but the node could leave rows out"
_FLAGS: Final = (
    (FLAG_NO_TRANSFER, "no transfer"),
    (FLAG_FROZEN, "frozen"),
    (FLAG_DISPUTED, "disputed"),
    (FLAG_WRITTEN_OFF, "written off"),
    (FLAG_COUNTED, "counted by the holder's line"),
)
AskingOption = Annotated[
    str,
    Parameter(name="--as", help="whose key the node sees, where it shows each what concerns it"),
]
_TRANSACTION: Final = re.compile("[0-9a-f]{64}")


class NotFound(TallynetError):
    """The record does not exist, and that is proven."""


# --- voucher --------------------------------------------------------------------------------------


def voucher_show(
    reference: str,
    *,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Show a voucher and every lot of it, proven: who holds which part, and none hidden.

    For example:

        tally voucher show harbour-tours/v1

    Parameters
    ----------
    reference
        OWNER/LABEL or id.
    """
    trio.run(_voucher_show, network, as_, reference, output)


async def _voucher_show(network: Path, acting: str, reference: str, output: Output) -> None:
    book = AddressBook(network)
    id = book.record(Kind.VOUCHER, reference)
    async with asking(network, acting=acting) as client:
        proven = await client.read_proven(Kind.VOUCHER, id)
        voucher = proven.record
        if not isinstance(voucher, Voucher):
            raise NotFound("RECORD_NOT_FOUND", f"there is no voucher {reference}")
        lots = proven.lots
        if lots is None:
            lots = await read_lots(client, id, voucher)
    if output is Output.json:
        record: dict[str, Any] = {"id": id.hex(), "height": proven.block.height}
        print_json(record | to_plain(voucher) | {"lots": [to_plain(lot) for lot in lots]})
        return
    names = book.names()
    title = f"voucher {id.hex()}, proven by block {proven.block.height}"
    print_rows(title, ("field", "value"), voucher_rows(voucher, names))
    print_rows(
        "lots",
        ("start", "end", "amount", "holder", "state", "hops", "flags"),
        [lot_row(lot, voucher.currency, names) for lot in lots],
    )


def voucher_rows(voucher: Voucher, names: Mapping[bytes, str]) -> list[tuple[str, str]]:
    """What people ask about a voucher; `--output json` has every field."""

    def money(units: int) -> str:
        return f"{format_amount(units, voucher.currency)} {voucher.currency}"

    promise = voucher.promise
    waived = (
        ("set-off waived", promise.waive_setoff),
        ("defences waived", promise.waive_defence),
        ("consent to notice by transfer", promise.notice_consent),
    )
    documents = "\n".join(f"{use.document.hex()} {money(use.amount)}" for use in voucher.documents)
    return [
        ("status", voucher.status.name),
        ("debtor", name_of(voucher.debtor, names)),
        ("first payee", name_of(voucher.first_payee, names)),
        ("face", money(voucher.face)),
        ("issued", format_day(voucher.issue_day)),
        ("to be claimed by", format_day(voucher.claim_deadline)),
        ("maturity", format_day(voucher.maturity)),
        ("grace ends", format_day(voucher.grace_end)),
        ("clearing bank", name_of(voucher.clearing_bank, names)),
        ("documents", documents),
        ("promise", promise.commitment.hex()),
        ("", ", ".join(text for text, given in waived if given)),
        ("transfers", f"{voucher.accept_mode.name}, at most {voucher.max_hops} hops"),
        ("paid in by the debtor", money(voucher.funds_in)),
        ("redeemed", money(voucher.redeemed)),
        ("cancelled", money(voucher.cancelled)),
        ("penalty when late", f"{format_rate(voucher.penalty_ppm_day)} per day"),
        ("programme", voucher.programme.hex()),
        ("issue line", voucher.issue_line.hex()),
    ]


async def read_lots(client: Client, id: bytes, voucher: Voucher) -> tuple[Lot, ...]:
    """The lots of a voucher that has too many for one proof, read one by one: they tile the face, so
    each lot's end is the next one's start and none can be left out."""
    lots: list[Lot] = []
    start = 0
    while start < voucher.face:
        lot = await client.read(Kind.LOT, lot_id(id, start))
        if not isinstance(lot, Lot):
            raise NotFound("RECORD_NOT_FOUND", f"the voucher changed while it was read, at {start}")
        lots.append(lot)
        start = lot.end
    return tuple(lots)


def lot_row(lot: Lot, currency: str, names: Mapping[bytes, str]) -> tuple[str, ...]:
    state = lot.state.name
    if lot.pending_to is not None:
        state += f" to {name_of(lot.pending_to, names)}"
    flags = ", ".join(text for bit, text in _FLAGS if lot.flags & bit)
    return (
        str(lot.start),
        str(lot.end),
        format_amount(lot.end - lot.start, currency),
        name_of(lot.holder, names),
        state,
        str(lot.hops),
        flags or "-",
    )


def name_of(organisation: bytes | None, names: Mapping[bytes, str]) -> str:
    return "-" if organisation is None else names.get(organisation, organisation.hex())


def voucher_list(
    *,
    as_: AsOption,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """List what an organisation holds: its lots of all vouchers.

    For example:

        tally voucher list --as corner-parts
    """
    trio.run(_voucher_list, network, as_, output)


async def _voucher_list(network: Path, acting: str, output: Output) -> None:
    book = AddressBook(network)
    holder = book.organisation(acting)
    names = book.names()
    found: list[tuple[bytes, Voucher, Lot]] = []
    async with asking(network, acting=acting) as client:
        entries = [entry async for entry in client.unproven_index_all(Index.OPEN_LOTS, holder)]
        vouchers: dict[bytes, ProvenRecord] = {}
        for entry in entries:
            named = entry[ID_BYTES + DAY_BYTES :]
            id, start = named[:ID_BYTES], int.from_bytes(named[ID_BYTES:], "big")
            if id not in vouchers:
                vouchers[id] = await client.read_proven(Kind.VOUCHER, id)
            voucher = vouchers[id].record
            lot = await client.read(Kind.LOT, lot_id(id, start))
            if isinstance(voucher, Voucher) and isinstance(lot, Lot) and lot.holder == holder:
                found.append((id, voucher, lot))
    if output is Output.json:
        print_json([holding_plain(*holding) for holding in found])
        return
    rows = [
        (
            id.hex(),
            name_of(voucher.debtor, names),
            str(lot.start),
            format_amount(lot.end - lot.start, voucher.currency),
            voucher.currency,
            format_day(voucher.maturity),
            voucher.status.name,
            lot.state.name,
        )
        for id, voucher, lot in found
    ]
    columns = ("voucher", "debtor", "start", "amount", "", "maturity", "voucher is", "lot is")
    print_rows(f"held by {acting} ({UNPROVEN})", columns, rows)


def holding_plain(id: bytes, voucher: Voucher, lot: Lot) -> dict[str, Any]:
    head = {
        "voucher": id.hex(),
        "debtor": voucher.debtor.hex(),
        "currency": voucher.currency,
        "maturity": format_day(voucher.maturity),
        "voucher_status": voucher.status.name,
    }
    return head | {"lot": to_plain(lot)}


# --- any record -----------------------------------------------------------------------------------


def show(
    kind: str,
    reference: str = "",
    *,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Show one record with its proof checked: organisation, account, line, offer, document, ...

    For example:

        tally show line issue:bank-1:harbour-tours

    Parameters
    ----------
    kind
        network, organisation, key, policy, account, programme, line, document, voucher, offer,
        financing, instruction, parameter, calendar.
    reference
        OWNER/LABEL; the name of an organisation or parameter; KIND:GRANTOR:OBLIGOR for a line; or
        the id. Nothing for the network.
    """
    trio.run(_show, network, as_, kind, reference, output)


def record_reference(book: AddressBook, kind: Kind, reference: str) -> bytes:
    """The id that a reference means for this kind of record. Raises UsageError."""
    from node.ledger.parameters import parameter_id

    if kind is Kind.NETWORK:
        return NETWORK_ID
    if kind is Kind.CALENDAR:
        return NETWORK_ID
    if not reference:
        raise UsageError("USAGE", f"say which {kind.name.lower()}")
    if kind in (Kind.ORGANISATION, Kind.POLICY):
        return book.organisation(reference)
    if kind is Kind.CREDIT_LINE:
        return book.line(reference)
    if kind is Kind.PARAMETER:
        return parameter_id(reference)
    if kind is Kind.LOT:
        voucher, _, start = reference.rpartition(":")
        if not voucher or not start.isascii() or not start.isdigit():
            raise UsageError("USAGE", f"{reference!r} names no lot; write OWNER/LABEL:START")
        return lot_id(book.record(Kind.VOUCHER, voucher), int(start))
    return book.record(kind, reference)


async def _show(network: Path, acting: str, kind_name: str, reference: str, output: Output) -> None:
    book = AddressBook(network)
    kind = Kind.CREDIT_LINE if kind_name == "line" else one_of(Kind, kind_name)
    id = record_reference(book, kind, reference)
    async with asking(network, acting=acting) as client:
        proven = await client.read_proven(kind, id)
    if proven.record is None:
        raise NotFound(
            "RECORD_NOT_FOUND",
            f"there is no {kind_name} {reference or id.hex()}, as block {proven.block.height} proves",
        )
    if output is Output.json:
        head: dict[str, Any] = {"id": id.hex(), "height": proven.block.height}
        print_json(head | to_plain(proven.record))
        return
    title = f"{kind_name} {id.hex()}, proven by block {proven.block.height}"
    print_record(title, proven.record, book.names(), {})


def status(
    *, network: NetworkOption = DEFAULT_NETWORK, output: OutputOption = Output.table
) -> None:
    """What is proven about the network now: newest block, business date, validators.

    For example:

        tally status
    """
    trio.run(_status, network, output)


async def _status(network: Path, output: Output) -> None:
    async with connect(network) as client:
        node = await client.status()
        if node.committed == 0:
            text = f"{node.name}: no block yet; the first act makes one"
            told(output, text, height=0, asked=node.name)
            return
        proven = await client.read_proven(Kind.NETWORK, NETWORK_ID)
    record = proven.record
    if not isinstance(record, Network):
        raise NotFound("RECORD_NOT_FOUND", "the network's own record is missing")
    facts: dict[str, Any] = {
        "height": proven.block.height,
        "block_time": block_time(proven.block.time_ms // 1000),
        "business_date": format_day(record.business_date),
        "epoch": record.epoch,
        "validators": [validator.name for validator in record.validators],
        "next_validators": [v.name for v in record.next.validators] if record.next else [],
        "next_validators_from_epoch": record.next.epoch if record.next else 0,
        "asked": node.name,
        "view": node.view,
        "leader": node.leader,
        "pending": node.pending,
    }
    if output is Output.json:
        print_json(facts)
        return
    rows = [(k, ", ".join(v) if isinstance(v, list) else str(v)) for k, v in facts.items()]
    print_rows("network (view, leader and pending: the asked node's word)", ("", "value"), rows)


def block_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- events and transactions ------------------------------------------------------------------------


def events(
    *,
    from_: Annotated[int, Parameter(name="--from", help="first height")] = 0,
    cursor: Annotated[
        str, Parameter(name="--cursor", help="go on where the reader of this name stopped")
    ] = "",
    follow: Annotated[
        bool, Parameter(name="--follow", negative=(), help="wait for new ones; end with Ctrl-C")
    ] = False,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Print the events of the committed log, one line each; with --output json, one object a line.

    Each is proven, and so is that none is left out. What the node does not show to --as stands there
    as such.

    For example:

        tally events --from 1 --follow
        tally events --cursor books
    """
    trio.run(_events, network, as_, from_, cursor, follow, output)


async def _events(
    network: Path, acting: str, height: int, cursor: str, follow: bool, output: Output
) -> None:
    names = AddressBook(network).names()
    async with connect(network, acting=acting) as client:
        async for entry in client.events(height, follow=follow, cursor=cursor):
            if output is Output.json:
                place = {"height": entry.height, "index": entry.index, "time": entry.time}
                event = {"hidden": True} if entry.event is None else to_plain(entry.event)
                line = json_text(place | event)
            else:
                line = event_line(entry.height, entry.index, entry.time, entry.event, names)
            print(printable(line), flush=follow)


def event_line(
    height: int, index: int, time: int, event: Event | None, names: Mapping[bytes, str]
) -> str:
    """One event, at this place of the log and unix second, as a line of text."""
    place = (f"{height}.{index}", block_time(time))
    if event is None:
        return "  ".join((*place, "not shown to this key"))
    kind = Kind(event.kind).name.lower().replace("_", " ")
    parts = [
        *place,
        event.type,
        f"{kind} {names.get(event.subject, event.subject.hex())}",
    ]
    if event.end > event.start:
        parts.append(f"[{event.start}, {event.end})")
    if event.source is not None:
        parts.append(f"from {name_of(event.source, names)}")
    if event.target is not None:
        parts.append(f"to {name_of(event.target, names)}")
    if event.amount:
        parts.append(f"amount {event.amount} minor units")
    return "  ".join(parts)


def transaction(
    id: str, *, network: NetworkOption = DEFAULT_NETWORK, output: OutputOption = Output.table
) -> None:
    """What became of a transaction: its certified receipt, or that it is pending or unknown.

    For example:

        tally transaction HEX

    Parameters
    ----------
    id
        64 hexadecimal digits, as printed with each act.
    """
    if not _TRANSACTION.fullmatch(id):
        raise UsageError("USAGE", f"{id!r} is no transaction id: 64 hexadecimal digits are needed")
    trio.run(_transaction, network, id, output)


async def _transaction(network: Path, id: str, output: Output) -> None:
    async with connect(network) as client:
        outcome = await client.outcome(bytes.fromhex(id))
    if isinstance(outcome, UnprovenPhase):
        what = {
            TransactionPhase.PENDING: "it waits in the pool of the node asked",
            TransactionPhase.UNKNOWN: "the node asked does not know it; ask again until its validity"
            " has passed, then sign anew",
            TransactionPhase.COMMITTED: "it is committed, the receipt follows; ask again",
        }
        stop(Exit.UNKNOWN, "OUTCOME_UNKNOWN", f"{outcome.phase.name}: {what[outcome.phase]}")
    if output is Output.json:
        place = {"height": outcome.height, "block_time": block_time(outcome.block.time_ms // 1000)}
        print_json(place | to_plain(outcome.receipt))
        return
    print_receipt(outcome)


def print_receipt(outcome: Receipt) -> None:
    rows = []
    for index, command in enumerate(outcome.receipt.commands):
        created = "\n".join(f"{Kind(item.kind).name} {item.id.hex()}" for item in command.created)
        result = ", ".join(str(number) for number in command.result)
        rows.append((str(index), command.code, created or "-", result or "-"))
    title = (
        f"transaction {outcome.transaction.hex()}: {outcome.code}, block {outcome.height},"
        f" {block_time(outcome.block.time_ms // 1000)}"
    )
    print_rows(title, ("#", "code", "created", "result"), rows)


# --- instructions ---------------------------------------------------------------------------------


def instruction_list(
    *,
    as_: AsOption,
    ids: Annotated[
        bool, Parameter(name="--ids", negative=(), help="ids only, for scripts")
    ] = False,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """List the open payment instructions of a bank: new, sent or failed.

    For example:

        tally instruction list --as bank-2
    """
    trio.run(_instruction_list, network, as_, ids, output)


async def _instruction_list(network: Path, acting: str, ids: bool, output: Output) -> None:
    book = AddressBook(network)
    bank = book.organisation(acting)
    found: list[tuple[bytes, Instruction]] = []
    async with asking(network, acting=acting) as client:
        async for entry in client.unproven_index_all(Index.BANK_INSTRUCTIONS, bank):
            record = await client.read(Kind.INSTRUCTION, entry[ID_BYTES:])
            if isinstance(record, Instruction) and record.bank == bank:
                found.append((entry[ID_BYTES:], record))
    if ids:
        for id, _ in found:
            print(id.hex())
        return
    if output is Output.json:
        print_json([{"id": id.hex()} | to_plain(record) for id, record in found])
        return
    names = book.names()
    columns = ("instruction", "purpose", "payer", "payee", "amount", "paid", "", "due", "state")
    rows = [instruction_row(id, record, names) for id, record in found]
    print_rows(f"open instructions of {acting} ({UNPROVEN})", columns, rows)


def instruction_row(id: bytes, record: Instruction, names: Mapping[bytes, str]) -> Sequence[str]:
    return (
        id.hex(),
        record.purpose.name,
        name_of(record.payer, names),
        name_of(record.payee, names),
        "sealed"
        if record.price_commitment is not None
        else format_amount(record.amount, record.currency),
        format_amount(record.paid, record.currency),
        record.currency,
        format_day(record.due),
        record.state.name,
    )


# --- requests for quotes --------------------------------------------------------------------------


def financing_requests(
    *,
    as_: AsOption,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """List the open requests for quotes that an organisation made or was asked in, with their quotes.

    For example:

        tally financing requests --as bank-2
    """
    trio.run(_financing_requests, network, as_, output)


async def _financing_requests(network: Path, acting: str, output: Output) -> None:
    book = AddressBook(network)
    found: list[tuple[bytes, FinancingRequest]] = []
    async with asking(network, acting=acting) as client:
        async for entry in client.unproven_index_all(
            Index.PARTY_REQUESTS, book.organisation(acting)
        ):
            record = await client.read(Kind.FINANCING_REQUEST, entry[ID_BYTES:])
            if isinstance(record, FinancingRequest):
                found.append((entry[ID_BYTES:], record))
    if output is Output.json:
        print_json([{"id": id.hex()} | to_plain(record) for id, record in found])
        return
    names = book.names()
    columns = ("request", "holder", "voucher", "start", "amount", "", "for", "lapses", "quotes")
    rows = [request_row(id, record, names) for id, record in found]
    print_rows(f"open requests for quotes of {acting} ({UNPROVEN})", columns, rows)


def request_row(id: bytes, record: FinancingRequest, names: Mapping[bytes, str]) -> Sequence[str]:
    quotes = [
        f"{name_of(quote.funder, names)} {quote.kind.name}"
        f" {'sealed' if quote.sealed is not None else format_rate(quote.rate_ppm)}"
        f" to {format_day(quote.valid_to)}"
        for quote in record.quotes
    ]
    return (
        id.hex(),
        name_of(record.holder, names),
        record.voucher.hex(),
        str(record.start),
        format_amount(record.end - record.start, record.currency),
        record.currency,
        ", ".join(use.purpose.name for use in record.purposes),
        format_day(record.lapses),
        "; ".join(quotes) or "-",
    )


def add_show_commands(app: App, nouns: dict[str, App]) -> None:
    """Add the commands of this module."""
    nouns["voucher"].command(voucher_show, name="show")
    nouns["voucher"].command(voucher_list, name="list")
    nouns["instruction"].command(instruction_list, name="list")
    nouns["financing"].command(financing_requests, name="requests")
    app.command(show, name="show")
    app.command(status, name="status")
    app.command(events, name="events")
    app.command(transaction, name="transaction")


__all__ = ["NotFound", "add_show_commands", "event_line", "lot_row", "record_reference"]
