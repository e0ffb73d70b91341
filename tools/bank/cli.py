"""`tally bank payments|receipts|reconcile`: files for a bank's payment system, and its files back."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import App, Parameter

from tallynet.records import NETWORK_ID, Kind, Network
from tools.arguments import (
    EXPONENTS,
    UsageError,
    format_amount,
    format_day,
    parse_day,
    parse_hex_id,
)
from tools.bank.notice_cli import bank_notice
from tools.bank.pain001 import Initiation, Party, Payment, write
from tools.bank.payments import ACCOUNT_CHARACTERS_MAX, Held, Wishes, choose, payment_of, send
from tools.bank.receipts import MATCHED, Answer, Result, apply
from tools.bank.record import Act, Line, PaymentRecord, opened
from tools.bank.reports import Report, read_report
from tools.bank.statements import Finding, Reconciliation, reconcile
from tools.connect import asking, genesis_of
from tools.kept_documents import read_file, write_private
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, NetworkOption, OutputOption
from tools.organisation_cli import DryRunOption
from tools.output import Exit, Output, print_json, print_rows, stop
from tools.participant import Participant
from tools.records_by_name import AddressBook
from tools.wallet import load_wallet

FINDING_COLUMNS: Final = (
    "difference", "end-to-end id", "bank's reference", "booked", "confirmed", "", "booked on",
    "confirmed on",
)  # fmt: skip


# --- payments -------------------------------------------------------------------------------------


def bank_payments(
    *,
    as_: AsOption,
    out: Annotated[Path, Parameter(name="--out", help="file to write")],
    debit: Annotated[
        list[str], Parameter(name="--debit", help="CUR:ACCOUNT the bank pays from, may be repeated")
    ],
    date: Annotated[
        str, Parameter(name="--date", help="what is due until this day; default: business date")
    ] = "",
    accounts: Annotated[
        Path | None,
        Parameter(name="--accounts", help="JSON file: account's ledger id -> its number"),
    ] = None,
    again: Annotated[
        bool,
        Parameter(name="--again", negative=(), help="also what was written and is not confirmed"),
    ] = False,
    network: NetworkOption = DEFAULT_NETWORK,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Write the payments that a bank has to make into an ISO 20022 pain.001.001.09 file.

    Each is marked on the ledger as SENT, and is in no second file unless --again asks for it. What the
    ledger would not let the bank confirm (a freeze, a missing registration) is left out, and shown.
    With --dry-run nothing is marked, written or remembered.

    For example:

        tally bank payments --as bank-2 --debit CNY:0000000098 --out pain001.xml
    """
    if out.exists() and not dry_run:
        raise UsageError("FILE_EXISTS", f"{out} exists already; name another file")
    debits = dict(_debit(text) for text in debit)
    known = {} if accounts is None else _read_accounts(accounts)
    until = parse_day(date) if date else None
    asked = _Asked(until, again, known, debits)
    payments, held = trio.run(_payments, network, as_, out, asked, dry_run)
    _show_payments(output, payments, held, out if payments and not dry_run else None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options of `tally bank payments`, read."""

    until: int | None
    again: bool
    accounts: Mapping[bytes, str]
    debits: Mapping[str, str]


def _debit(text: str) -> tuple[str, str]:
    currency, _, account = text.partition(":")
    if currency not in EXPONENTS or not 1 <= len(account) <= ACCOUNT_CHARACTERS_MAX:
        raise UsageError("USAGE", f"--debit {text!r}: write CUR:ACCOUNT, e.g. CNY:0000000098")
    return currency, account


def _read_accounts(path: Path) -> dict[bytes, str]:
    """`{"<hexadecimal id>": "<number>"}`. Raises UsageError FILE_MISSING, FILE_INVALID."""
    try:
        given = json.loads(read_file(path))
    except ValueError as error:
        raise UsageError("FILE_INVALID", f"{path}: {error}") from None
    found = {}
    for key, number in given.items() if isinstance(given, dict) else [("", None)]:
        id = parse_hex_id(key)
        if id is None or not isinstance(number, str):
            raise UsageError("FILE_INVALID", f'{path}: write {{"<id of an account>": "<number>"}}')
        found[id] = number
    return found


async def _payments(
    network: Path, acting: str, out: Path, asked: _Asked, dry_run: bool
) -> tuple[list[Payment], list[Held]]:
    with opened(network, load_wallet(network, acting).name) as record:
        async with asking(network, acting=acting) as client:
            participant = Participant(network, acting, client, genesis_of(network)[1])
            state = await client.read(Kind.NETWORK, NETWORK_ID)
            today = state.business_date if isinstance(state, Network) else 0
            until = today if asked.until is None else asked.until
            wishes = Wishes(until, today, asked.again, asked.accounts, frozenset(asked.debits))
            chosen, held = await choose(participant, record, wishes)
            names = AddressBook(network).names()
            paid = [await payment_of(participant, due, wishes, names) for due in chosen]
            if not dry_run:
                sent, refused = await send(participant, chosen)
                held += refused
                kept = {due.order.id for due in sent}
                paid = [payment for payment in paid if payment.instruction in kept]
        if paid and not dry_run:
            bank = Party(participant.id, participant.wallet.name)
            _hand_out(record, out, bank, asked.debits, paid)
    return paid, held


def _hand_out(
    record: PaymentRecord,
    out: Path,
    bank: Party,
    debits: Mapping[str, str],
    payments: Sequence[Payment],
) -> None:
    """Kept, remembered, and only then there for the payment system."""
    now = datetime.now(UTC)
    message = f"{now:%Y%m%d}-{secrets.token_hex(8)}"
    created = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    content = write(Initiation(message, created, bank, debits, payments))
    record.keep_file(message, content)
    record.append(
        Line(Act.WRITTEN, p.reference, p.instruction.hex(), p.amount, p.currency, message)
        for p in payments
    )
    part = out.with_name(f".{out.name}.{message}")
    write_private(part, content)
    part.replace(out)


def _show_payments(
    output: Output,
    payments: Sequence[Payment],
    held: Sequence[Held],
    out: Path | None,
) -> None:
    if output is Output.json:
        print_json(
            {
                "file": str(out) if out else None,
                "payments": [_payment_plain(payment) for payment in payments],
                "held": [
                    {"instruction": each.order.hex(), "code": each.code, "reason": each.reason}
                    for each in held
                ],
            }
        )
        return
    rows = [
        (
            payment.reference, payment.purpose, payment.payee.name,
            format_amount(payment.amount, payment.currency), payment.currency,
            format_day(payment.execution),
        )
        for payment in payments
    ]  # fmt: skip
    title = (
        f"{len(rows)} payments in {out}" if out else f"{len(rows)} payments; no file was written"
    )
    print_rows(title, ("end-to-end id", "purpose", "payee", "amount", "", "execution"), rows)
    if held:
        rest = [(each.order.hex(), each.code, each.reason) for each in held]
        print_rows("due, and not in the file", ("instruction", "code", "why"), rest)


def _payment_plain(payment: Payment) -> dict[str, Any]:
    return {
        "end_to_end_id": payment.reference,
        "instruction": payment.instruction.hex(),
        "purpose": payment.purpose,
        "payee": payment.payee.id.hex(),
        "account": payment.account,
        "amount": payment.amount,
        "currency": payment.currency,
        "execution": format_day(payment.execution),
        "remittance": payment.remittance,
    }


# --- receipts -------------------------------------------------------------------------------------


def bank_receipts(
    file: Path,
    *,
    as_: AsOption,
    network: NetworkOption = DEFAULT_NETWORK,
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Confirm on the ledger what a bank's pain.002, camt.054 or camt.053 file says was paid.

    A booking confirms its instruction, with the bank's reference as receipt; an acceptance marks it as
    SENT; a rejection reports it as failed. Rows stand alone. Exit code 6 if any of them does not match.

    For example:

        tally bank receipts camt054.xml --as bank-2

    Parameters
    ----------
    file
        Report of the bank's payment system.
    """
    report = read_report(read_file(file), str(file))
    answers = trio.run(_receipts, network, as_, report, dry_run)
    _show_answers(output, report, answers, dry_run)
    wrong = sum(answer.result not in MATCHED for answer in answers)
    if wrong:
        stop(Exit.DIFFERENCE, "ROWS_UNMATCHED", f"{wrong} of {len(answers)} rows do not match")


async def _receipts(network: Path, acting: str, report: Report, dry_run: bool) -> list[Answer]:
    with opened(network, load_wallet(network, acting).name) as record:
        async with asking(network, acting=acting) as client:
            participant = Participant(network, acting, client, genesis_of(network)[1])
            return await apply(participant, record, report.rows, dry_run=dry_run)


def _show_answers(output: Output, report: Report, answers: Sequence[Answer], dry_run: bool) -> None:
    if output is Output.json:
        rows = [_answer_plain(answer) for answer in answers]
        print_json({"kind": report.kind, "dry_run": dry_run, "rows": rows})
        return
    shown = [
        (
            answer.row.reference or "-", _money(answer.row.amount, answer.row.currency),
            answer.row.currency, answer.row.said.value, answer.row.entry or "-",
            answer.result.value, " ".join(part for part in (answer.code, answer.text or answer.row.reason) if part),
        )
        for answer in answers
        if answer.result is not Result.FOREIGN
    ]  # fmt: skip
    foreign = len(answers) - len(shown)
    title = f"{report.kind}: {len(shown)} rows" + (f", {foreign} of others" if foreign else "")
    columns = ("end-to-end id", "amount", "", "the file", "reference", "result", "")
    print_rows(title + (" (dry run: nothing was ordered)" if dry_run else ""), columns, shown)


def _money(amount: int | None, currency: str) -> str:
    return "-" if amount is None else format_amount(amount, currency)


def _answer_plain(answer: Answer) -> dict[str, Any]:
    row = answer.row
    return {
        "place": row.place,
        "end_to_end_id": row.reference,
        "amount": row.amount,
        "currency": row.currency,
        "said": row.said.value,
        "reference": row.entry,
        "reason": row.reason,
        "result": answer.result.value,
        "code": answer.code,
        "text": answer.text,
    }


# --- reconcile ------------------------------------------------------------------------------------


def bank_reconcile(
    file: Path,
    *,
    as_: AsOption,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Compare a camt.053 statement with what the ledger says was paid and received; exit code 6 if they differ.

    For example:

        tally bank reconcile camt053.xml --as bank-2 --output json

    Parameters
    ----------
    file
        Statement of the account that the bank pays from.
    """
    report = read_report(read_file(file), str(file))
    if report.kind != "camt.053":
        raise UsageError("FILE_INVALID", f"{file}: a {report.kind}; a statement is a camt.053")
    found = trio.run(_reconcile, network, as_, report)
    if output is Output.json:
        findings = [_finding_plain(finding) for finding in found.findings]
        print_json({"matched": found.matched, "foreign": found.foreign, "differences": findings})
    else:
        title = f"{found.matched} bookings match, {found.foreign} are not of this ledger"
        print_rows(title, FINDING_COLUMNS, [_finding_row(finding) for finding in found.findings])
    if found.findings:
        stop(Exit.DIFFERENCE, "STATEMENT_DIFFERS", f"{len(found.findings)} differences")


async def _reconcile(network: Path, acting: str, report: Report) -> Reconciliation:
    with opened(network, load_wallet(network, acting).name) as record:
        async with asking(network, acting=acting) as client:
            participant = Participant(network, acting, client, genesis_of(network)[1])
            return await reconcile(participant, record, report)


def _finding_row(finding: Finding) -> Sequence[str]:
    return (
        finding.difference.value, finding.reference or "-", finding.entry or "-",
        _money(finding.booked, finding.currency), _money(finding.confirmed, finding.currency),
        finding.currency, _day(finding.booked_on) or "-", _day(finding.confirmed_on) or "-",
    )  # fmt: skip


def _finding_plain(finding: Finding) -> dict[str, Any]:
    return {
        "difference": finding.difference.name,
        "end_to_end_id": finding.reference,
        "reference": finding.entry,
        "booked": finding.booked,
        "confirmed": finding.confirmed,
        "currency": finding.currency,
        "booked_on": _day(finding.booked_on),
        "confirmed_on": _day(finding.confirmed_on),
    }


def _day(day: int | None) -> str | None:
    return None if day is None else format_day(day)


bank = App(name="bank", help="Files for a bank's payment system (ISO 20022)")
bank.command(bank_payments, name="payments")
bank.command(bank_receipts, name="receipts")
bank.command(bank_reconcile, name="reconcile")
bank.command(bank_notice, name="notice")
