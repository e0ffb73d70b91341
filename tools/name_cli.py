"""`tally organisation disclose|check`: who stands behind a pseudonym, shown to one and checked by him."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import trio
from cyclopts import App, Parameter

from tallynet.names import Fact, opens
from tallynet.records import Kind, Organisation
from tools.arguments import UsageError
from tools.connect import asking
from tools.kept_documents import read_file, write_private
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, NetworkOption, OutputOption
from tools.onboarding import OPENING_FILE
from tools.output import Exit, Output, print_json, print_rows, stop, told
from tools.wallet import WALLETS, WalletError, load_wallet


class FactFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fact about an organisation, with what opens its commitment."""

    organisation: str
    """Hex id."""
    fact: Fact
    text: str
    salt: str
    """Hex."""


def disclose(
    *,
    as_: AsOption,
    out: Annotated[Path, Parameter(name="--out", help="file to write")],
    fact: Annotated[Fact, Parameter(name="--fact", help="name or tax-id")] = Fact.name,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Write a file that shows the acting organisation's name, or its tax id, and not the other.

    Whoever gets it checks it with `tally organisation check`.

    For example:

        tally organisation disclose --as corner-parts --out name.json
    """
    wallet = load_wallet(network, as_)
    path = network / WALLETS / wallet.name / OPENING_FILE
    try:
        kept = msgspec.json.decode(read_file(path), type=dict[Fact, dict[str, str]])[fact]
        shown = FactFile(wallet.organisation, fact, kept["text"], kept["salt"])
    except (msgspec.DecodeError, KeyError) as error:
        raise WalletError("WALLET_INVALID", f"{path}: {error}") from None
    text = json.dumps(msgspec.to_builtins(shown), indent=1, ensure_ascii=False) + "\n"
    write_private(out, text.encode())
    told(
        output,
        f"{out}: the {fact.value} of {wallet.organisation}",
        file=str(out),
        fact=fact.value,
        organisation=wallet.organisation,
    )


def check(
    file: Path, *, network: NetworkOption = DEFAULT_NETWORK, output: OutputOption = Output.table
) -> None:
    """Check a disclosed name or tax id against the organisation's record, and print it.

    For example:

        tally organisation check name.json

    Parameters
    ----------
    file
        File of `tally organisation disclose`.
    """
    try:
        shown = msgspec.json.decode(read_file(file), type=FactFile)
        id, salt = bytes.fromhex(shown.organisation), bytes.fromhex(shown.salt)
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError("FILE_INVALID", f"{file}: {error}") from None
    record = trio.run(_organisation, network, id)
    if not opens(record, shown.fact, salt, shown.text):
        stop(Exit.DIFFERENCE, "DISCLOSURE_FALSE", "this is not what the record commits to")
    if output is Output.json:
        print_json({"organisation": id.hex(), shown.fact.value: shown.text})
    else:
        print_rows(f"organisation {id.hex()}", ("fact", "proven"), [(shown.fact.value, shown.text)])


async def _organisation(network: Path, id: bytes) -> Organisation:
    async with asking(network) as client:
        record = await client.read(Kind.ORGANISATION, id)
    if not isinstance(record, Organisation):
        raise UsageError("RECORD_NOT_FOUND", f"no organisation {id.hex()}")
    return record


def add_name_commands(nouns: dict[str, App]) -> None:
    """Add the commands of this module."""
    nouns["organisation"].command(disclose, name="disclose")
    nouns["organisation"].command(check, name="check")
