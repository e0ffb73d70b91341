"""`tally document register|upload|open` and `tally invoice read`: invoice files and the network.

The network sees a tag, a root, a ciphertext's hash, a total and a day. The ciphertext goes to a node, and
from there to the nodes of whoever may read it; what opens it stays in the wallet (`tools.kept_documents`).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import App, Parameter

from tallynet.documents import (
    CURRENCIES,
    DocumentError,
    Invoice,
    OpenedDocument,
    Party,
    Registration,
    open_document,
    read_invoice,
    registration_fields,
)
from tallynet.records import Kind
from tools.arguments import UsageError, format_day
from tools.connect import connect
from tools.document_access import Grantee, access_of, fetch, grants, load_document, reading_keys_of
from tools.kept_documents import (
    SECRET_FILE,
    Secret,
    directory_of,
    document_id,
    keep,
    load_kept,
    open_kept,
    read_file,
    shown,
    write_kept,
    write_private,
)
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, Common, NetworkOption, OutputOption, execute
from tools.onboarding import document
from tools.organisation_cli import DryRunOption, SignAsOption, made_for_the_act
from tools.output import ERRORS, Output, print_json, print_rows, say, told
from tools.penetration_cli import asking_key
from tools.records_by_name import AddressBook, label_bytes
from tools.wallet import Wallet, WalletError, load_wallet

_LABEL_CHARACTERS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)

FileOption = Annotated[Path, Parameter(name="--file", help="invoice file (XML)")]
LabelOption = Annotated[str, Parameter(name="--label", help="name under which it is kept")]
NodeOption = Annotated[str, Parameter(name="--node", help="ask this node only; default: any")]
ReadersOption = Annotated[
    str, Parameter(name="--readers", help="who may read it: wallet names or ids, with commas")
]

invoice_app = App(name="invoice", help="Invoice files")


def register_document(
    *,
    as_: AsOption,
    label: LabelOption,
    file: FileOption,
    creditor: str,
    debtor: str,
    readers: ReadersOption = "",
    node: NodeOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Seal an invoice file, bring its ciphertext to a node, and register it.

    It can then back vouchers once in the whole network. Readers need a reading key
    (`tally key reading`); more can be named later (`tally document grant`).

    For example:

        tally document register --as gate-devices --label inv-1 --file invoice.xml
            --creditor gate-devices --debtor harbour-tours --readers harbour-tours,bank-2

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
    named = [book.organisation(name) for name in readers.split(",") if name]
    source = read_file(file)
    invoice = read_invoice(source)
    directory = directory_of(network, owner, label)
    if directory.exists():
        raise WalletError("DOCUMENT_KEPT", f"{directory} exists; choose another label")
    salt, key, hint_key = os.urandom(32), os.urandom(32), os.urandom(32)
    sealed = registration_fields(invoice, source, document_salt=salt, document_key=key)
    warn_of_payee(sealed)
    keep(directory, sealed, salt, key, hint_key)

    def put_aside() -> None:
        directory.rename(directory.with_name(f"{label}.refused-{int(time.time())}"))

    with made_for_the_act(lambda: shutil.rmtree(directory), put_aside, dry_run=dry_run):
        grantees = trio.run(
            partial(_prepare, network, book, as_, sealed, named, node, upload=not dry_run)
        )
        execute(
            Common(network, as_, label, sign_as, dry_run, output),
            document(label_bytes(label), sealed, *parties),
            *grants(document_id(sealed), key, hint_key, grantees),
        )
    if output is Output.table:
        say(f"document {document_id(sealed).hex()}")


async def _prepare(
    network: Path,
    book: AddressBook,
    acting: str,
    sealed: Registration,
    readers: Sequence[bytes],
    node: str,
    *,
    upload: bool,
) -> list[Grantee]:
    """Readers' keys as the chain has them; the ciphertext at a node."""
    key = asking_key(network, book, acting)
    async with connect(network, key=key, only=node or None) as client:
        grantees = await reading_keys_of(client, book, readers)
        if upload:
            await client.put_ciphertext(
                Kind.DOCUMENT, document_id(sealed), sealed.ciphertext, shown("ciphertext sent")
            )
    return grantees


def warn_of_payee(sealed: Registration) -> None:
    """An invoice that names a payee other than its seller may have been assigned already."""
    if sealed.payee is not None:
        ERRORS.print(
            f"warning: the invoice is to be paid to {sealed.payee.name!r}, not to its seller;"
            " it may have been sold to them",
            markup=False,
        )


def upload(
    *,
    as_: AsOption,
    label: LabelOption,
    node: NodeOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Bring a kept document's ciphertext to a node again, or to one more.

    An interrupted transfer goes on where it stopped.

    For example:

        tally document upload --as gate-devices --label inv-1 --node bank-3
    """
    secret, ciphertext = load_kept(directory_of(network, load_wallet(network, as_), label))
    trio.run(_upload, network, as_, node, bytes.fromhex(secret.document), ciphertext)
    told(
        output,
        f"{len(ciphertext)} bytes of ciphertext are kept",
        document=secret.document,
        bytes=len(ciphertext),
    )


async def _upload(
    network: Path, acting: str, node: str, document: bytes, ciphertext: bytes
) -> None:
    key = asking_key(network, AddressBook(network), acting)
    async with connect(network, key=key, only=node or None) as client:
        await client.put_ciphertext(Kind.DOCUMENT, document, ciphertext, shown("ciphertext sent"))


# --- open -----------------------------------------------------------------------------------------


def open_command(
    *,
    as_: AsOption,
    label: LabelOption = "",
    document: Annotated[
        str, Parameter(name="--document", help="document of somebody else: OWNER/LABEL or id")
    ] = "",
    out: Annotated[
        Path | None, Parameter(name="--out", help="write the original file here")
    ] = None,
    node: NodeOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Open a document, check it against its root, and print its fields.

    With --label one that the wallet keeps; with --document one that the acting organisation
    was given access to: its wrapped key is found, the ciphertext fetched and decrypted, and
    the root compared with the chain's. It is kept then, under its id.

    For example:

        tally document open --as gate-devices --label inv-1

        tally document open --as bank-2 --document gate-devices/inv-1
    """
    wallet = load_wallet(network, as_)
    if bool(label) == bool(document):
        raise UsageError("USAGE", "give --label or --document")
    if document:
        id = AddressBook(network).record(Kind.DOCUMENT, document)
        label = id.hex()
        if not (directory_of(network, wallet, label) / SECRET_FILE).exists():
            trio.run(partial(_fetch, network, wallet, id, node))
    secret, opened = open_kept(directory_of(network, wallet, label))
    if out is not None:
        write_private(out, opened.source)
    show_opened(secret, opened, output)


async def _fetch(network: Path, wallet: Wallet, id: bytes, node: str) -> None:
    """Get a document that others own, keep it, and say so if its ciphertext lies."""
    key = asking_key(network, AddressBook(network), wallet.name)
    directory = directory_of(network, wallet, id.hex())
    async with connect(network, key=key, only=node or None) as client:
        known = await load_document(client, id)
        access = await access_of(client, network, wallet, id)
        ciphertext = await fetch(client, directory, id, known.ciphertext_hash, access.secret)
    secret = Secret(
        document=id.hex(),
        root=known.root.hex(),
        key=access.key.hex(),
        hint_secret=access.secret.hex(),
    )
    write_kept(directory, secret, ciphertext)
    try:
        open_document(ciphertext, access.key, known.root)
    except DocumentError:
        ERRORS.print(
            f"the ciphertext is not the registered document; to say so on the chain:"
            f" tally document complain --as {wallet.name} --document {id.hex()}",
            markup=False,
        )
        raise


def show_opened(secret: Secret, opened: OpenedDocument, output: Output) -> None:
    fields = {
        path: value.hex() if path == "source_sha256" else value.decode()
        for path, value in opened.fields.items()
    }
    if output is Output.json:
        print_json({"document": secret.document, "fields": fields})
    else:
        print_rows(f"document {secret.document}", ("field", "value"), [*fields.items()])


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
    nouns["document"].command(upload, name="upload")
    nouns["document"].command(open_command, name="open")
    app.command(invoice_app)


__all__ = ["add_document_commands", "invoice_plain"]
