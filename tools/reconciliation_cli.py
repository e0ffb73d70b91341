"""`tally reconciliation show`: what debtors owed at the end of a day, and which banks say the same.

Each anchor is proven against a quorum's certificate; the list of anchors comes from a node's index, which
could leave some out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import App, Parameter

from node.ledger.own_indexes import DAY_BYTES, day_bytes
from node.state.view import Index
from tallynet.client import Client
from tallynet.plain import to_plain
from tallynet.records import AnchorAttestation, Kind, ReconciliationAnchor
from tools.arguments import UsageError, format_amount, format_day, parse_day
from tools.connect import asking
from tools.ledger_cli import DEFAULT_NETWORK, NetworkOption, OutputOption
from tools.output import Output, print_json, print_rows
from tools.records_by_name import AddressBook
from tools.show_cli import ID_BYTES, UNPROVEN, name_of

COLUMNS: Final = ("day", "debtor", "", "vouchers", "left to pay", "banks")


def reconciliation_show(
    *,
    debtor: Annotated[str, Parameter(name="--debtor", help="all anchors of this debtor")] = "",
    date: Annotated[
        str,
        Parameter(name="--date", help="anchors of this day; with --debtor, what held at its end"),
    ] = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """What debtors owed at the end of each day, and which banks agree or have other figures.

    A day on which nothing changed has no anchor: the one before still holds. With --date and --output
    json it is the day's file for a bank's reconciliation.

    For example:

        tally reconciliation show --date 2027-03-01 --output json
    """
    if not debtor and not date:
        raise UsageError("USAGE", "say --debtor, --date, or both")
    trio.run(_show, network, debtor, parse_day(date) if date else None, output)


async def _show(network: Path, debtor: str, day: int | None, output: Output) -> None:
    book = AddressBook(network)
    async with asking(network) as client:
        if debtor:
            anchors = await _of_debtor(client, book.organisation(debtor), day)
        else:
            anchors = await _read(client, Index.DAY_ANCHORS, day_bytes(day or 0))
    if output is Output.json:
        print_json([anchor_plain(anchor) for anchor in anchors])
        return
    names = book.names()
    rows = [anchor_row(anchor, names) for anchor in anchors]
    print_rows(f"reconciliation anchors ({UNPROVEN})", COLUMNS, rows)


async def _of_debtor(client: Client, debtor: bytes, day: int | None) -> list[ReconciliationAnchor]:
    """All anchors of a debtor, or those that held at the end of a day: the newest of each currency."""
    anchors = await _read(client, Index.DEBTOR_ANCHORS, debtor)
    if day is None:
        return anchors
    newest = {anchor.currency: anchor for anchor in anchors if anchor.day <= day}
    return [newest[currency] for currency in sorted(newest)]


async def _read(client: Client, index: Index, prefix: bytes) -> list[ReconciliationAnchor]:
    """The anchors that an index names, in its order: ascending by day."""
    found = []
    async for entry in client.unproven_index_all(index, prefix):
        anchor = await client.read(Kind.RECONCILIATION_ANCHOR, entry[-ID_BYTES:])
        if isinstance(anchor, ReconciliationAnchor) and _is_named(anchor, index, entry):
            found.append(anchor)
    return found


def _is_named(anchor: ReconciliationAnchor, index: Index, entry: bytes) -> bool:
    """Whether the record is what the entry says: a node could name any."""
    named = entry[-ID_BYTES - DAY_BYTES : -ID_BYTES] == day_bytes(anchor.day)
    return named and (index is Index.DAY_ANCHORS or entry.startswith(anchor.debtor))


def differs(anchor: ReconciliationAnchor, given: AnchorAttestation) -> bool:
    return (given.count, given.sum) != (anchor.count, anchor.sum)


def anchor_row(anchor: ReconciliationAnchor, names: Mapping[bytes, str]) -> Sequence[str]:
    return (
        format_day(anchor.day),
        name_of(anchor.debtor, names),
        anchor.currency,
        str(anchor.count),
        format_amount(anchor.sum, anchor.currency),
        "\n".join(attested(anchor, given, names) for given in anchor.attestations) or "-",
    )


def attested(
    anchor: ReconciliationAnchor, given: AnchorAttestation, names: Mapping[bytes, str]
) -> str:
    """What a bank says, as words."""
    bank = name_of(given.bank, names)
    if not differs(anchor, given):
        return f"{bank} agrees"
    return f"{bank} DIFFERS: {given.count} with {format_amount(given.sum, anchor.currency)}"


def anchor_plain(anchor: ReconciliationAnchor) -> dict[str, Any]:
    """An anchor for programs: days as dates, and `alarm` true if a bank differs."""
    attestations = [
        to_plain(given) | {"day": format_day(given.day), "differs": differs(anchor, given)}
        for given in anchor.attestations
    ]
    alarm = any(differs(anchor, given) for given in anchor.attestations)
    plain: dict[str, Any] = to_plain(anchor)
    return plain | {"day": format_day(anchor.day), "attestations": attestations, "alarm": alarm}


def add_reconciliation_commands(nouns: dict[str, App]) -> None:
    """Add the command of this module."""
    nouns["reconciliation"].command(reconciliation_show, name="show")
