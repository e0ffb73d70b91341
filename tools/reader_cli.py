"""`tally key reading`, `tally document grant|disclose|check|complain`: who reads, and what is shown of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import msgspec
import trio
from cyclopts import App, Parameter

from tallynet.client.errors import OutcomeUnknown
from tallynet.codec import encode
from tallynet.commands import DocumentComplaint, OpenedField, ReadingKeySet
from tallynet.documents import Disclosure, decode_disclosure, find_lie, verify_disclosure
from tallynet.hashing import reader_hint
from tallynet.records import Document, Kind, ReadingKey, ReadingSuite
from tools.arguments import UsageError
from tools.connect import asking, connect
from tools.document_access import Grantee, grants, load_document, reading_keys_of
from tools.document_cli import LabelOption
from tools.kept_documents import (
    create_reading_key,
    directory_of,
    load_kept,
    open_kept,
    read_file,
    reading_key_path,
    write_private,
)
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, Common, NetworkOption, OutputOption, execute
from tools.organisation_cli import DryRunOption, SignAsOption, made_for_the_act, put_key_aside
from tools.output import ERRORS, Exit, Output, print_json, print_rows, say, stop, told
from tools.participant import new_label
from tools.records_by_name import AddressBook
from tools.wallet import WalletError, load_wallet

COMPLAINT_FIELDS_MAX: Final = 16
"""As many as the command carries."""
FieldsOption = Annotated[str, Parameter(name="--fields", help="paths of fields, with commas")]
DocumentOption = Annotated[str, Parameter(name="--document", help="document: OWNER/LABEL or id")]


class DisclosureFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is handed to somebody who may know some fields."""

    document: str
    """Hex id; the root under which the fields stand is on the chain."""
    disclosure: str
    """Hex of an encoded `Disclosure`."""


def reading(
    *,
    as_: AsOption,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Make a reading key for the acting organisation and register it.

    Documents are encrypted for its newest one. Earlier ones stay in the wallet: they open
    what was encrypted before.

    For example:

        tally key reading --as bank-2
    """
    wallet = load_wallet(network, as_)
    epoch = 1 + trio.run(_newest_epoch, network, wallet.id)
    path = reading_key_path(network, wallet, epoch)
    public = create_reading_key(path).public_bytes
    command = ReadingKeySet(new_label(), epoch, ReadingSuite.MLKEM768_X25519, public)
    with made_for_the_act(path.unlink, lambda: put_key_aside(path), dry_run=dry_run):
        try:
            execute(Common(network, as_, "", sign_as, dry_run, output), command)
        except OutcomeUnknown:
            ERRORS.print(
                f"{path} is kept; see with: tally show reading-key {wallet.organisation}",
                markup=False,
            )
            raise


async def _newest_epoch(network: Path, organisation: bytes) -> int:
    async with connect(network) as client:
        key = await client.read(Kind.READING_KEY, organisation)
    return key.epoch if isinstance(key, ReadingKey) else 0


def grant(
    *,
    as_: AsOption,
    label: LabelOption,
    to: Annotated[str, Parameter(name="--to", help="readers: wallet names or ids, with commas")],
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Let others read a document that the acting organisation owns and keeps.

    The document's key is encrypted for them; the ciphertext stays as it is. The chain does
    not say who they are. What was read cannot be unread, so there is no way back.

    For example:

        tally document grant --as gate-devices --label inv-1 --to bank-2
    """
    book = AddressBook(network)
    directory = directory_of(network, load_wallet(network, as_), label)
    secret, _ = load_kept(directory)
    if not secret.hint_key:
        raise WalletError("WALLET_INVALID", f"{directory} is of a reader; the owner grants access")
    readers = [book.organisation(name) for name in to.split(",") if name]
    grantees = trio.run(_grantees, network, book, readers)
    key, hint_key = bytes.fromhex(secret.key), bytes.fromhex(secret.hint_key)
    commands = grants(bytes.fromhex(secret.document), key, hint_key, grantees)
    execute(Common(network, as_, "", sign_as, dry_run, output), *commands)


async def _grantees(network: Path, book: AddressBook, readers: list[bytes]) -> list[Grantee]:
    async with connect(network) as client:
        return await reading_keys_of(client, book, readers)


# --- disclosure -----------------------------------------------------------------------------------


def disclose(
    *,
    as_: AsOption,
    label: LabelOption,
    fields: FieldsOption,
    out: Annotated[Path, Parameter(name="--out", help="file to write")],
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Write a file that shows some fields of a kept document, and nothing of the others.

    Whoever gets the file checks it against the chain with `tally document check`.

    For example:

        tally document disclose --as gate-devices --label inv-1 --fields payable,delivery_day
            --out payable.json
    """
    secret, opened = open_kept(directory_of(network, load_wallet(network, as_), label))
    shown = opened.sealed.disclose([path for path in fields.split(",") if path])
    file = DisclosureFile(secret.document, encode(shown).hex())
    write_private(out, (json.dumps(msgspec.to_builtins(file), indent=1) + "\n").encode())
    told(
        output,
        f"{out}: {len(shown.fields)} of {len(opened.fields)} fields",
        file=str(out),
        shown=len(shown.fields),
        fields=len(opened.fields),
    )


def check(
    file: Path,
    *,
    as_: Annotated[str, Parameter(name="--as", help="who asks the node: a wallet's name")] = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Check disclosed fields against the document on the chain, and print them.

    For example:

        tally document check payable.json

    Parameters
    ----------
    file
        File of `tally document disclose`.
    """
    id, disclosure = load_disclosure(file)
    known = trio.run(_document, network, id, as_)
    if not verify_disclosure(known.root, disclosure):
        stop(Exit.DIFFERENCE, "DISCLOSURE_FALSE", "these fields are not those of the document")
    fields = {
        field.path: field.value.hex() if field.path == "source_sha256" else field.value.decode()
        for field in disclosure.fields
    }
    if output is Output.json:
        print_json({"document": id.hex(), "status": known.status.name, "fields": fields})
    else:
        title = f"document {id.hex()}, {known.status.name}; these fields are proven"
        print_rows(title, ("field", "value"), [*fields.items()])


def load_disclosure(file: Path) -> tuple[bytes, Disclosure]:
    """Raises UsageError FILE_MISSING, FILE_INVALID; DocumentError DOCUMENT_MALFORMED."""
    try:
        content = msgspec.json.decode(read_file(file), type=DisclosureFile)
        return bytes.fromhex(content.document), decode_disclosure(bytes.fromhex(content.disclosure))
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError("FILE_INVALID", f"{file}: {error}") from None


async def _document(network: Path, id: bytes, acting: str) -> Document:
    async with asking(network, acting=acting) as client:
        return await load_document(client, id)


# --- complaint ------------------------------------------------------------------------------------


def complain(
    *,
    as_: AsOption,
    document: DocumentOption,
    fields: FieldsOption = "payable",
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Say on the chain, as a reader, that the ciphertext is not the registered document.

    Needs `tally document open --document` before, which fetched it. Some fields as the
    ciphertext gives them are opened, and the secret that shows that a key was granted;
    everybody can then see who was cheated.

    For example:

        tally document complain --as bank-2 --document gate-devices/inv-1 --fields payable,number
    """
    wallet = load_wallet(network, as_)
    id = AddressBook(network).record(Kind.DOCUMENT, document)
    kept, ciphertext = load_kept(directory_of(network, wallet, id.hex()))
    secret = bytes.fromhex(kept.hint_secret)
    if not secret:
        raise WalletError("WALLET_INVALID", "this document was not fetched as a reader")
    lie = find_lie(ciphertext, bytes.fromhex(kept.key), bytes.fromhex(kept.root))
    opened: list[OpenedField] = []
    if lie is not None:
        paths = [path for path in fields.split(",") if path in lie.fields]
        paths = paths or sorted(lie.fields)
        opened = [
            OpenedField(path, lie.salts[path], lie.fields[path])
            for path in sorted(set(paths))[:COMPLAINT_FIELDS_MAX]
        ]
    command = DocumentComplaint(new_label(), id, secret, tuple(opened))
    execute(Common(network, as_, "", sign_as, dry_run, output), command)
    if output is Output.table:
        say(f"reader {reader_hint(secret, id, wallet.id).hex()}: {len(opened)} fields opened")


def add_reader_commands(nouns: dict[str, App]) -> None:
    """Add the commands of this module."""
    nouns["key"].command(reading, name="reading")
    nouns["document"].command(grant, name="grant")
    nouns["document"].command(disclose, name="disclose")
    nouns["document"].command(check, name="check")
    nouns["document"].command(complain, name="complain")
