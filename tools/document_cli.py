"""`tally document register|open` and `tally invoice read`: invoice files on their way to the network.

The network sees a tag, a root, a ciphertext's hash, a total and a day. What opens them stays here,
readable by this user alone, and has to be backed up:

    wallets/<name>/documents/<label>/secret.json       salt and key
    wallets/<name>/documents/<label>/ciphertext.bin    what is sent to readers
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from tallynet.documents import (
    CURRENCIES,
    Invoice,
    Party,
    Registration,
    open_document,
    read_invoice,
    registration_fields,
)
from tallynet.hashing import record_id
from tallynet.records import Kind
from tools.arguments import UsageError, format_day
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, Common, NetworkOption, OutputOption, execute
from tools.onboarding import document
from tools.organisation_cli import DryRunOption, SignAsOption, made_for_the_act
from tools.output import ERRORS, OUT, Output, print_json, print_rows
from tools.records_by_name import AddressBook, label_bytes
from tools.wallet import WALLETS, WalletError, load_wallet

DOCUMENTS: Final = "documents"
SECRET_FILE: Final = "secret.json"
CIPHERTEXT_FILE: Final = "ciphertext.bin"
FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Far above what the invoice reader takes; keeps a wrong file name from filling the memory."""
_LABEL_CHARACTERS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)

FileOption = Annotated[Path, Parameter(name="--file", help="invoice file (XML)")]
LabelOption = Annotated[str, Parameter(name="--label", help="name under which it is kept")]

invoice_app = App(name="invoice", help="Invoice files")


def read_file(path: Path) -> bytes:
    """Content of a user's file. Raises UsageError FILE_MISSING."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError("FILE_INVALID", f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise UsageError("FILE_MISSING", f"{path}: {error.strerror}") from None


def register_document(
    *,
    as_: AsOption,
    label: LabelOption,
    file: FileOption,
    creditor: str,
    debtor: str,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Seal an invoice file and register it, so that it can back vouchers once in the whole network.

    For example:

        tally document register --as gate-devices --label inv-1 --file invoice.xml
            --creditor gate-devices --debtor harbour-tours

    Parameters
    ----------
    creditor
        Who is owed: wallet name or id of the seller.
    debtor
        Who owes: wallet name or id of the buyer.
    """
    label_bytes(label)
    if not set(label) <= _LABEL_CHARACTERS or label.startswith("."):
        raise UsageError("USAGE", f"{label!r}: use letters, digits, hyphen, underscore, point")
    book = AddressBook(network)
    owner = load_wallet(network, as_)
    parties = (book.organisation(creditor), book.organisation(debtor))
    source = read_file(file)
    invoice = read_invoice(source)
    directory = network / WALLETS / owner.name / DOCUMENTS / label
    if directory.exists():
        raise WalletError("DOCUMENT_KEPT", f"{directory} exists; choose another label")
    salt, key = os.urandom(32), os.urandom(32)
    sealed = registration_fields(invoice, source, document_salt=salt, document_key=key)
    warn_of_payee(sealed)
    keep(directory, sealed, salt, key)

    def put_aside() -> None:
        directory.rename(directory.with_name(f"{label}.refused-{int(time.time())}"))

    with made_for_the_act(lambda: shutil.rmtree(directory), put_aside, dry_run=dry_run):
        execute(
            Common(network, as_, label, sign_as, dry_run, output),
            document(label_bytes(label), sealed, *parties),
        )
    if output is Output.table:
        OUT.print(f"document {document_id(sealed).hex()}")


def document_id(sealed: Registration) -> bytes:
    """One id per invoice in the whole network, whoever registers it (voucher law §16.5)."""
    return record_id(Kind.DOCUMENT, b"", sealed.uniqueness_tag)


def warn_of_payee(sealed: Registration) -> None:
    """An invoice that names a payee other than its seller may have been assigned already."""
    if sealed.payee is not None:
        ERRORS.print(
            f"warning: the invoice is to be paid to {sealed.payee.name!r}, not to its seller;"
            " it may have been sold to them",
            markup=False,
        )


def keep(directory: Path, sealed: Registration, salt: bytes, key: bytes) -> None:
    """Write what opens the document, before anybody can rely on it."""
    directory.mkdir(parents=True, mode=0o700)
    secret = {
        "document": document_id(sealed).hex(),
        "root": sealed.root.hex(),
        "salt": salt.hex(),
        "key": key.hex(),
    }
    write_private(directory / SECRET_FILE, (json.dumps(secret, indent=1) + "\n").encode())
    write_private(directory / CIPHERTEXT_FILE, sealed.ciphertext)


def write_private(path: Path, content: bytes) -> None:
    """A new file that only this user can read, durable before it is used."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def open_kept(
    *,
    as_: AsOption,
    label: LabelOption,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Open a kept document, check it against its root, and print its fields.

    For example:

        tally document open --as gate-devices --label inv-1
    """
    directory = network / WALLETS / load_wallet(network, as_).name / DOCUMENTS / label
    try:
        secret = msgspec.json.decode(read_file(directory / SECRET_FILE), type=dict[str, str])
        key, root = bytes.fromhex(secret["key"]), bytes.fromhex(secret["root"])
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise WalletError("WALLET_INVALID", f"{directory / SECRET_FILE}: {error}") from None
    opened = open_document(read_file(directory / CIPHERTEXT_FILE), key, root)
    fields = {
        path: value.hex() if path == "source_sha256" else value.decode()
        for path, value in opened.fields.items()
    }
    if output is Output.json:
        print_json({"document": secret.get("document", ""), "fields": fields})
    else:
        print_rows(f"document {secret.get('document', '')}", ("field", "value"), [*fields.items()])


@invoice_app.command(name="read")
def read_command(file: Path, *, output: OutputOption = Output.table) -> None:
    """Print what the importer reads in an invoice file; nothing is sent anywhere.

    For example:

        tally invoice read invoice.xml

    Parameters
    ----------
    file
        UBL 2.1 Invoice, UN/CEFACT Cross Industry Invoice or fully digitalised e-invoice.
    """
    invoice = read_invoice(read_file(file))
    if output is Output.json:
        print_json(invoice_plain(invoice))
        return
    head = {k: v for k, v in invoice_plain(invoice).items() if k != "lines"}
    rows = [(name, text_of(value)) for name, value in head.items()]
    print_rows(str(file), ("field", "value"), rows)
    lines = [
        (str(number), line.description, line.quantity, line.unit, money(invoice, line.net_amount))
        for number, line in enumerate(invoice.lines, 1)
    ]
    print_rows("lines", ("#", "description", "quantity", "unit", "net amount"), lines)


def text_of(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(str(part) for part in value.values() if part) or "-"
    return "-" if value in (None, "") else str(value)


def money(invoice: Invoice, units: int) -> str:
    """Plain decimal text in the invoice's major unit."""
    exponent = CURRENCIES[invoice.currency]
    sign, (major, minor) = "-" if units < 0 else "", divmod(abs(units), 10**exponent)
    return f"{sign}{major}" + (f".{minor:0{exponent}d}" if exponent else "")


def invoice_plain(invoice: Invoice) -> dict[str, Any]:
    """An invoice as a dictionary: amounts as decimal text, days as dates."""

    def day(value: int | None) -> str | None:
        return None if value is None else format_day(value)

    def party(value: Party | None) -> dict[str, str] | None:
        if value is None:
            return None
        return {"name": value.name, "tax_id": value.tax_id, "country": value.country}

    return {
        "format": invoice.format.value,
        "number": invoice.number,
        "code": invoice.code,
        "issue_date": day(invoice.issue_date),
        "due_date": day(invoice.due_date),
        "delivery_date": day(invoice.delivery_date),
        "currency": invoice.currency,
        "seller": party(invoice.seller),
        "buyer": party(invoice.buyer),
        "payee": party(invoice.payee),
        "order_reference": invoice.order_reference,
        "net_total": money(invoice, invoice.net_total),
        "tax_total": money(invoice, invoice.tax_total),
        "gross_total": money(invoice, invoice.gross_total),
        "prepaid": money(invoice, invoice.prepaid),
        "payable": money(invoice, invoice.payable),
        "source_sha256": invoice.source_sha256.hex(),
        "lines": [
            {
                "description": line.description,
                "quantity": line.quantity,
                "unit": line.unit,
                "net_amount": money(invoice, line.net_amount),
            }
            for line in invoice.lines
        ],
    }


def add_document_commands(app: App, nouns: dict[str, App]) -> None:
    """Add the commands of this module."""
    nouns["document"].command(register_document, name="register")
    nouns["document"].command(open_kept, name="open")
    app.command(invoice_app)


__all__ = ["add_document_commands", "document_id", "invoice_plain", "read_file", "write_private"]
