"""Penetration queries: `tally lot up`, `tally voucher down`, `tally position exposure|ladder|idle`,
`tally debtor portfolio|idle|impact`.

Every row is evaluated here from records that are proven against a quorum's certificate. What the node asked
could do is to leave something out where its index says what to look at; `voucher down` shows the whole face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclopts import App, Parameter

from tallynet.penetration import (
    Chain,
    ChainPart,
    Down,
    Exposure,
    Hit,
    Holding,
    Idle,
    IdleLot,
    Impact,
    PathEvent,
    Position,
    Positions,
    Question,
    Rung,
    Slice,
    Trace,
    Up,
    exposures,
    hits_by_party,
    ladder,
    slices,
)
from tallynet.penetration.evaluate import Row
from tallynet.plain import to_plain
from tallynet.records import Kind, Role
from tools.arguments import UsageError, format_amount, format_day
from tools.connect import asking
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, NetworkOption, OutputOption
from tools.output import Output, print_json, print_rows
from tools.records_by_name import AddressBook
from tools.show_cli import lot_row, name_of
from tools.wallet import WalletError, private_key

OfOption = Annotated[
    str, Parameter(name="--of", help="organisation asked about: itself, a branch; regulators: any")
]
HIDDEN: Final = "(not shown)"
PEOPLE: Final = frozenset((Role.MAKER, Role.CHECKER, Role.APPROVER, Role.ADMIN))
R = TypeVar("R")
START_DIGITS_MAX: Final = 17
"""Of the largest amount."""


class Answer:
    """All rows of an answer, and how far they can be relied on."""

    def __init__(self) -> None:
        self.rows: Final[list[Row]] = []
        self.heights: Final[list[int]] = []
        self.gone = False

    def of(self, kind: type[R]) -> list[R]:
        return [row for row in self.rows if isinstance(row, kind)]

    @property
    def title(self) -> str:
        """By which blocks the rows are proven."""
        first, last = min(self.heights), max(self.heights)
        return f"block {first}" if first == last else f"blocks {first} to {last}"


def asking_key(network: Path, book: AddressBook, name: str) -> Ed25519PrivateKey:
    """A key of one of the wallet's people: nodes show each organisation what it may see.

    Raises WalletError SIGNERS_MISSING.
    """
    wallet = book.wallet(name)
    for person in wallet.people:
        if not PEOPLE.isdisjoint(person.role_set):
            return private_key(network, wallet, person)
    raise WalletError("SIGNERS_MISSING", f"wallet {name!r} holds no key of a person")


def ask(network: Path, book: AddressBook, acting: str, question: Question) -> Answer:
    """The whole answer. Raises what `Client.penetrate` raises."""
    return trio.run(partial(_ask, network, asking_key(network, book, acting), question))


async def _ask(network: Path, key: Ed25519PrivateKey, question: Question) -> Answer:
    answer = Answer()
    async with asking(network, key=key) as client:
        async for proven in client.penetrate_all(question):
            answer.rows.extend(proven.page.rows)
            answer.heights.append(proven.block.height)
            answer.gone |= proven.gone
    return answer


def plain(row: object) -> dict[str, Any]:
    """A row for programs: ids in hexadecimal, choices by name."""
    found: dict[str, Any] = {}
    for field in fields(row):  # type: ignore[arg-type]  # every row is a dataclass
        value = getattr(row, field.name)
        found[field.name] = value.name if isinstance(value, IntEnum) else to_plain(value)
    return found


def money(amount: int, currency: str) -> str:
    return f"{format_amount(amount, currency)} {currency}"


# --- up and down ----------------------------------------------------------------------------------


def lot_up(
    reference: str,
    *,
    as_: AsOption,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """What stands behind a lot: its way back to the debtor, documents, guarantors, lender.

    For example:

        tally lot up harbour-tours/v1:0 --as corner-parts

    Parameters
    ----------
    reference
        OWNER/LABEL:START or VOUCHER-ID:START.
    """
    book = AddressBook(network)
    answer = ask(network, book, as_, Up(*lot_of(book, reference)))
    (trace,) = answer.of(Trace)
    events = [row.event for row in answer.of(PathEvent)]
    if output is Output.json:
        print_json(plain(trace) | {"events": to_plain(events), "gone": answer.gone})
        return
    names = book.names()
    print_rows(f"behind the lot, proven by {answer.title}", ("", ""), trace_rows(trace, names))
    rows = [
        (
            str(event.sequence),
            event.type,
            str(event.start),
            str(event.end),
            name_of(event.source, names),
            name_of(event.target, names),
        )
        for event in events
    ]
    gone = ", older ones are in blocks that the node does not hold" if answer.gone else ""
    columns = ("#", "event", "start", "end", "from", "to")
    print_rows(f"its way, newest first{gone}", columns, rows)


def lot_of(book: AddressBook, reference: str) -> tuple[bytes, int]:
    """`OWNER/LABEL:START` -> voucher and start. Raises UsageError USAGE."""
    voucher, _, start = reference.rpartition(":")
    if not voucher or not start.isascii() or not start.isdigit() or len(start) > START_DIGITS_MAX:
        raise UsageError("USAGE", f"{reference!r} names no lot; write OWNER/LABEL:START")
    return book.record(Kind.VOUCHER, voucher), int(start)


def trace_rows(trace: Trace, names: Mapping[bytes, str]) -> list[tuple[str, str]]:
    """What stands behind a lot, one fact a row."""
    voucher, lot = trace.voucher, trace.lot
    documents = [
        f"{document.document_type.name} {id.hex()} root {document.root.hex()}"
        for id, document in trace.documents
    ]
    guarantees = [
        f"{name_of(g.guarantor, names)}: {money(g.cap - g.called, g.currency)} until {format_day(g.expiry)}"
        for _, g in trace.guarantees
    ]
    if trace.more_guarantees:
        guarantees.append("and perhaps more")
    goods = [f"{receipt.pledged} {receipt.unit} of {receipt.sku}" for _, receipt in trace.receipts]
    rows = [
        ("voucher", f"{trace.voucher_id.hex()} ({voucher.status.name})"),
        ("lot", f"[{lot.start}, {lot.end}) {money(lot.end - lot.start, voucher.currency)}"),
        ("holder", f"{name_of(lot.holder, names)}, {lot.state.name}, {lot.hops} hops"),
        ("first payee", name_of(voucher.first_payee, names)),
        ("debtor", ", of ".join(name_of(id, names) for id, _ in trace.debtors)),
        ("maturity", format_day(voucher.maturity)),
        ("documents", "\n".join(documents) or "-"),
        ("guarantors", "\n".join(guarantees) or "-"),
    ]
    if trace.financing is not None:
        rows.append(("funder", name_of(trace.financing.funder, names)))
    if goods:
        rows.append(("goods", "\n".join(goods)))
    return rows


def voucher_down(
    reference: str,
    *,
    as_: AsOption,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """All lots of a voucher: who holds them and who financed them, as far as --as may see.

    For example:

        tally voucher down harbour-tours/v1 --as harbour-tours

    Parameters
    ----------
    reference
        OWNER/LABEL or id.
    """
    book = AddressBook(network)
    id = book.record(Kind.VOUCHER, reference)
    answer = ask(network, book, as_, Down(id))
    holdings = answer.of(Holding)
    if output is Output.json:
        print_json([plain(row) for row in holdings])
        return
    names = book.names()
    columns = ("start", "end", "amount", "holder", "state", "hops", "flags", "funder")
    rows = [holding_row(row, names) for row in holdings]
    print_rows(f"lots of {id.hex()}, proven by {answer.title}", columns, rows)


def holding_row(row: Holding, names: Mapping[bytes, str]) -> Sequence[str]:
    if row.lot is None:
        amount = format_amount(row.end - row.start, row.currency)
        return (str(row.start), str(row.end), amount, HIDDEN, "-", "-", "-", "-")
    return (*lot_row(row.lot, row.currency, names), name_of(row.financier, names))


# --- positions ------------------------------------------------------------------------------------


def _positions(network: Path, acting: str, of: str) -> tuple[Answer, list[Position]]:
    book = AddressBook(network)
    answer = ask(network, book, acting, Positions(book.organisation(of or acting)))
    return answer, answer.of(Position)


def position_exposure(
    *,
    as_: AsOption,
    of: OfOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """How much is owed to an organisation, by debtor with all its branches: lots held, loans given.

    For example:

        tally position exposure --as bank-2
    """
    answer, positions = _positions(network, as_, of)
    sums = exposures(positions)
    if output is Output.json:
        print_json([plain(row) for row in sums])
        return
    names = AddressBook(network).names()
    columns = ("debtor group", "", "held", "lent", "of it overdue")
    rows = [exposure_row(row, names) for row in sums]
    print_rows(f"exposure of {of or as_}, proven by {answer.title}", columns, rows)


def exposure_row(row: Exposure, names: Mapping[bytes, str]) -> Sequence[str]:
    amounts = (format_amount(n, row.currency) for n in (row.held, row.lent, row.overdue))
    return (name_of(row.group, names), row.currency, *amounts)


def position_ladder(
    *,
    as_: AsOption,
    of: OfOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """What falls due to an organisation, day by day: lots held, loans given.

    For example:

        tally position ladder --as bank-2
    """
    answer, positions = _positions(network, as_, of)
    rungs = ladder(positions)
    if output is Output.json:
        print_json([plain(row) for row in rungs])
        return
    columns = ("falls due", "", "held", "lent")
    rows = [rung_row(row) for row in rungs]
    print_rows(f"maturities of {of or as_}, proven by {answer.title}", columns, rows)


def rung_row(row: Rung) -> Sequence[str]:
    amounts = (format_amount(n, row.currency) for n in (row.held, row.lent))
    return (format_day(row.day), row.currency, *amounts)


def position_idle(
    *,
    as_: AsOption,
    of: OfOption = "",
    days: Annotated[int, Parameter(name="--days", help="held at least so long")] = 30,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Lots that lie idle: held for so many days, neither financed nor passed on.

    For example:

        tally position idle --as corner-parts --days 14
    """
    if not 0 <= days <= 65_535:
        raise UsageError("USAGE", "--days is 0 to 65535")
    book = AddressBook(network)
    answer = ask(network, book, as_, Idle(book.organisation(of or as_), days))
    lots = answer.of(IdleLot)
    if output is Output.json:
        print_json([plain(row) for row in lots])
        return
    columns = ("voucher", "start", "amount", "", "maturity", "days")
    rows = [idle_row(row) for row in lots]
    print_rows(f"idle lots of {of or as_}, proven by {answer.title}", columns, rows)


def idle_row(row: IdleLot) -> Sequence[str]:
    amount = format_amount(row.end - row.start, row.currency)
    day = format_day(row.maturity)
    return (row.voucher.hex(), str(row.start), amount, row.currency, day, str(row.days))


# --- a debtor's chain -----------------------------------------------------------------------------


def _chain(network: Path, acting: str, of: str, days: int) -> tuple[Answer, list[ChainPart]]:
    if not 0 <= days <= 65_535:
        raise UsageError("USAGE", "--days is 0 to 65535")
    book = AddressBook(network)
    answer = ask(network, book, acting, Chain(book.organisation(of or acting)))
    return answer, answer.of(ChainPart)


def debtor_portfolio(
    *,
    as_: AsOption,
    of: OfOption = "",
    days: Annotated[int, Parameter(name="--days", help="idle when held so long")] = 30,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """What a debtor and its branches have left to pay, by tier, by kind of holder and by state.

    For example:

        tally debtor portfolio --as harbour-tours
    """
    answer, parts = _chain(network, as_, of, days)
    found = slices(parts, days)
    if output is Output.json:
        print_json([plain(row) for row in found])
        return
    columns = ("by", "", "", "lots", "amount", "of it overdue", f"idle for {days} days")
    title = f"left to pay by {of or as_} and its branches, proven by {answer.title}"
    print_rows(title, columns, [slice_row(row) for row in found])


def slice_row(row: Slice) -> Sequence[str]:
    amounts = (format_amount(n, row.currency) for n in (row.amount, row.overdue, row.idle))
    return (row.by.name, row.value, row.currency, str(row.lots), *amounts)


def debtor_idle(
    *,
    as_: AsOption,
    of: OfOption = "",
    days: Annotated[int, Parameter(name="--days", help="held at least so long")] = 30,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Lots of a debtor's chain that lie idle: held for so many days, neither financed nor passed on.

    For example:

        tally debtor idle --as harbour-tours --days 14
    """
    answer, parts = _chain(network, as_, of, days)
    idle = [part for part in parts if part.idle_days is not None and part.idle_days >= days]
    idle.sort(key=lambda part: (-(part.idle_days or 0), part.voucher, part.start))
    if output is Output.json:
        print_json([plain(row) for row in idle])
        return
    names = AddressBook(network).names()
    columns = ("voucher", "start", "amount", "", "holder", "tier", "maturity", "days")
    rows = [
        (
            part.voucher.hex(),
            str(part.start),
            format_amount(part.amount, part.currency),
            part.currency,
            name_of(part.holder, names),
            str(part.tier),
            format_day(part.maturity),
            str(part.idle_days),
        )
        for part in idle
    ]
    print_rows(f"idle in the chain of {of or as_}, proven by {answer.title}", columns, rows)


# --- impact ---------------------------------------------------------------------------------------


def debtor_impact(
    *,
    as_: AsOption,
    of: OfOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Who is hit if a debtor fails with its branches: holders by tier, lenders, guarantors, largest first.

    For example:

        tally debtor impact --as harbour-tours
    """
    book = AddressBook(network)
    answer = ask(network, book, as_, Impact(book.organisation(of or as_)))
    hits = answer.of(Hit)
    if output is Output.json:
        print_json([plain(row) for row in hits])
        return
    names = book.names()
    rows = [
        (
            HIDDEN if party is None else name_of(party, names),
            role.name,
            str(tier),
            format_amount(amount, currency),
            currency,
        )
        for party, role, tier, currency, amount in hits_by_party(hits)
    ]
    columns = ("who", "as", "tier", "amount", "")
    print_rows(f"hit if {of or as_} fails, proven by {answer.title}", columns, rows)


def add_penetration_commands(nouns: dict[str, App]) -> None:
    """Add the commands of this module."""
    nouns["lot"].command(lot_up, name="up")
    nouns["voucher"].command(voucher_down, name="down")
    nouns["position"].command(position_exposure, name="exposure")
    nouns["position"].command(position_ladder, name="ladder")
    nouns["position"].command(position_idle, name="idle")
    nouns["debtor"].command(debtor_portfolio, name="portfolio")
    nouns["debtor"].command(debtor_idle, name="idle")
    nouns["debtor"].command(debtor_impact, name="impact")
