"""`tally bank notice`: the file by which a buyer tells the debtor that claims on it were assigned."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tallynet.penetration import PathEvent, Trace, Up
from tools.arguments import UsageError, format_amount, format_day
from tools.bank.notices import purchases_of, require_bought
from tools.bank.pain001 import Party
from tools.bank.tsin008 import ITEMS_MAX, Notice, Purchase, write
from tools.kept_documents import write_private
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, NetworkOption, OutputOption
from tools.output import Output, print_json, print_rows
from tools.penetration_cli import ask, lot_of
from tools.proof_text import BUSINESS_ZONE
from tools.records_by_name import AddressBook


def bank_notice(
    *lots: str,
    as_: AsOption,
    out: Annotated[Path, Parameter(name="--out", help="file to write")],
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Write the ISO 20022 tsin.008.001.01 file that tells a debtor who bought claims on it.

    The lots are held by --as, which bought them, and are owed by one debtor. Who sold them is read from the log
    of the voucher, with proof. Nothing changes on the ledger.

    For example:

        tally bank notice harbour-tours/v1:47600000 --as bank-2 --out notice.xml

    Parameters
    ----------
    lots
        OWNER/LABEL:START or VOUCHER-ID:START, may be repeated.
    """
    if out.exists():
        raise UsageError("FILE_EXISTS", f"{out} exists already; name another file")
    if not lots:
        raise UsageError("USAGE", "name at least one lot: OWNER/LABEL:START")
    book = AddressBook(network)
    names = book.names()
    debtor, purchases = _read(network, book, as_, lots)
    wallet = book.wallet(as_)
    now = datetime.now(BUSINESS_ZONE)
    notice = Notice(
        message=f"{now:%Y%m%d}-{secrets.token_hex(8)}",
        day=now.toordinal() - _EPOCH,
        buyer=Party(wallet.id, wallet.name),
        debtor=_party(debtor, names),
        purchases=purchases,
    )
    write_private(out, write(notice))
    _show(output, out, notice)


_EPOCH = date(1970, 1, 1).toordinal()


def _party(id: bytes, names: Mapping[bytes, str]) -> Party:
    return Party(id, names.get(id, id.hex()))


def _read(
    network: Path, book: AddressBook, acting: str, lots: Sequence[str]
) -> tuple[bytes, list[Purchase]]:
    """The debtor of the lots, and the purchases behind them."""
    holder = book.wallet(acting).id
    found: dict[tuple[bytes, int], Purchase] = {}
    debtors = set()
    for reference in lots:
        answer = ask(network, book, acting, Up(*lot_of(book, reference)))
        (trace,) = answer.of(Trace)
        lot, voucher = trace.lot, trace.voucher
        require_bought(reference, lot, holder)
        debtors.add(voucher.debtor)
        events = [row.event for row in answer.of(PathEvent)]
        parts = purchases_of(holder, lot.start, lot.end, events)
        if sum(part.end - part.start for part in parts) < lot.end - lot.start:
            raise UsageError(
                "HISTORY_GONE",
                f"{reference}: the node does not hold the log of its purchase any more",
            )
        for part in parts:
            found[trace.voucher_id, part.start] = Purchase(
                trace.voucher_id, part.start, part.end, voucher.currency, _party(part.seller, book.names()),
                voucher.issue_day, lot.acquired_day, voucher.maturity,
            )  # fmt: skip
    if len(debtors) > 1:
        raise UsageError("USAGE", "the lots are owed by several debtors; write one notice for each")
    if len(found) > ITEMS_MAX:
        raise UsageError("USAGE", f"more than {ITEMS_MAX} purchases; write several notices")
    return debtors.pop(), list(found.values())


def _show(output: Output, out: Path, notice: Notice) -> None:
    if output is Output.json:
        rows = [
            {
                "voucher": each.voucher.hex(),
                "start": each.start,
                "end": each.end,
                "currency": each.currency,
                "seller": each.seller.id.hex(),
                "maturity": format_day(each.maturity),
            }
            for each in notice.purchases
        ]
        print_json({"file": str(out), "debtor": notice.debtor.id.hex(), "purchases": rows})
        return
    shown = [
        (
            each.voucher.hex(), each.seller.name, format_amount(each.amount, each.currency), each.currency,
            format_day(each.maturity),
        )
        for each in notice.purchases
    ]  # fmt: skip
    title = f"notice to {notice.debtor.name} in {out}"
    print_rows(title, ("voucher", "bought from", "face", "", "maturity"), shown)
