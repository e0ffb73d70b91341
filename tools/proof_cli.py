"""`tally proof ...` writes proof files, `tally verify` checks them: statements about the ledger for a court.

A file is verified here before it is written, with nothing but the genesis file, as its reader will do it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import App, Parameter

from tallynet.codec import decode
from tallynet.durable import replace_file
from tallynet.genesis import read_genesis
from tallynet.proofs import (
    AbsenceStatement,
    DocumentStatement,
    EventsStatement,
    HistoryStatement,
    RecordStatement,
    Statement,
    VoucherStatement,
    make_proof,
    verify_proof,
)
from tallynet.records import Kind, Voucher
from tallynet.signatures import self_test
from tallynet.state_proof import entity_key
from tools.arguments import UsageError
from tools.connect import connect, genesis_of
from tools.document_cli import LabelOption
from tools.figures import write_figures
from tools.kept_documents import directory_of, open_kept, read_file
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, NetworkOption, OutputOption
from tools.organisation_cli import one_of
from tools.output import Exit, Output, print_json, say, stop, told, working
from tools.proof_mutations import Original, Outcome, mutate, published
from tools.proof_sources import ClientSource, ProofError, Source, StoreSource, stopped_source
from tools.proof_text import print_proven, proven_plain
from tools.records_by_name import AddressBook
from tools.show_cli import AskingOption, record_reference
from tools.testnet_files import GENESIS_FILE
from tools.wallet import load_wallet

proof_app = App(
    name="proof",
    help="Proof files: statements about the ledger that anybody can check offline, years later",
)

OutOption = Annotated[Path, Parameter(name="--out", help="file to write; is overwritten")]
StoppedOption = Annotated[
    bool,
    Parameter(
        name="--stopped",
        negative=(),
        help="read the files of a stopped node instead of asking one that runs",
    ),
]
GenesisOption = Annotated[
    Path, Parameter(name="--genesis", help="genesis.json of the network, from a source you trust")
]
_TRANSACTION: Final = re.compile("[0-9a-f]{64}")

MakeStatement = Callable[[Source], Awaitable[Statement]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the parts of a proof file come from."""

    network: Path
    stopped: bool
    """From files, not from a node that runs."""
    acting: str
    """Wallet whose key a running node sees; empty: a fresh key."""
    output: Output


@asynccontextmanager
async def _source(asked: Asked) -> AsyncIterator[Source]:
    if asked.stopped:
        with stopped_source(asked.network) as stored:
            yield stored
    else:
        async with connect(asked.network, acting=asked.acting) as client:
            yield ClientSource(client)


async def _write(asked: Asked, out: Path, make: MakeStatement) -> None:
    network = asked.network
    genesis, _ = genesis_of(network)
    with working("collecting the parts of the proof"):
        async with _source(asked) as source:
            statement = await make(source)
            data = make_proof(genesis, await source.handovers(), statement)
    proven = verify_proof(data, (network / GENESIS_FILE).read_bytes())
    replace_file(out, data)
    height = proven.block.header.height
    told(
        asked.output,
        f"{out}: {len(data):,} bytes, proven by block {height}."
        f" Check it with: tally verify {out} --genesis {network / GENESIS_FILE}",
        file=str(out),
        bytes=len(data),
        height=height,
    )


# --- making ---------------------------------------------------------------------------------------------


@proof_app.default
def proof(
    *,
    out: OutOption,
    any_voucher: Annotated[
        bool,
        Parameter(
            name="--any-voucher", negative=(), help="of a voucher that the stopped network has"
        ),
    ] = False,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Write a proof file of some voucher of a stopped network, for a try; see the commands for more.

    For example:

        tally proof --network network --any-voucher --out any.proof
    """
    if not any_voucher:
        raise UsageError(
            "USAGE", "say what to prove, e.g. tally proof voucher OWNER/LABEL, or --any-voucher"
        )

    async def make(source: Source) -> Statement:
        if not isinstance(source, StoreSource):
            raise UsageError("USAGE", "--any-voucher is for a stopped network")
        id = source.any_voucher()
        return VoucherStatement((found := await source.voucher(id))[0], id, found[1])

    trio.run(_write, Asked(network, True, "", output), out, make)


@proof_app.command(name="record")
def record_command(
    kind: str,
    reference: str = "",
    *,
    out: OutOption,
    stopped: StoppedOption = False,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Prove the value of a record, or that there is none: a line, a key, a document, an instruction, ...

    For example:

        tally proof record line issue:bank-1:harbour-tours --out line.proof

    Parameters
    ----------
    kind
        As for `tally show`.
    reference
        As for `tally show`.
    """
    wanted = Kind.CREDIT_LINE if kind == "line" else one_of(Kind, kind)
    id = record_reference(AddressBook(network), wanted, reference)

    trio.run(
        _write, Asked(network, stopped, as_, output), out, partial(_record_statement, wanted, id)
    )


async def _record_statement(kind: Kind, id: bytes, source: Source) -> Statement:
    block, shown = await source.record(kind, id)
    if shown.record is None:
        asked = entity_key(bytes((kind,)) + id)
        return AbsenceStatement(block, int(kind), id, asked, shown)
    if kind is Kind.VOUCHER:
        raise UsageError("USAGE", "the voucher exists: tally proof voucher shows it with its lots")
    return RecordStatement(block, int(kind), id, shown)


@proof_app.command(name="voucher")
def voucher_command(
    reference: str,
    *,
    out: OutOption,
    stopped: StoppedOption = False,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Prove a voucher and every lot of it: who holds which part, and that none is left out.

    For example:

        tally proof voucher harbour-tours/v1 --out v1.proof

    Parameters
    ----------
    reference
        OWNER/LABEL or id.
    """
    id = AddressBook(network).record(Kind.VOUCHER, reference)

    async def make(source: Source) -> Statement:
        block, shown = await source.voucher(id)
        require_voucher(shown.record, reference)
        return VoucherStatement(block, id, shown)

    trio.run(_write, Asked(network, stopped, as_, output), out, make)


def require_voucher(record: bytes | None, reference: str) -> Voucher:
    """Raises ProofError RECORD_NOT_FOUND."""
    if record is None:
        raise ProofError(
            "RECORD_NOT_FOUND", f"there is no voucher {reference}; prove that with: record"
        )
    return decode(Voucher, record)


@proof_app.command(name="history")
def history_command(
    reference: str,
    *,
    out: OutOption,
    stopped: StoppedOption = False,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Prove a voucher, its lots, and everything that ever happened to it, nothing left out.

    For example:

        tally proof history harbour-tours/v1 --out v1-history.proof

    Parameters
    ----------
    reference
        OWNER/LABEL or id.
    """
    id = AddressBook(network).record(Kind.VOUCHER, reference)

    async def make(source: Source) -> Statement:
        block, shown = await source.voucher(id)
        events = await source.log(id, require_voucher(shown.record, reference).event_count)
        return HistoryStatement(block, id, shown, events)

    trio.run(_write, Asked(network, stopped, as_, output), out, make)


@proof_app.command(name="lot")
def lot_command(
    reference: str,
    *,
    out: OutOption,
    stopped: StoppedOption = False,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Prove one lot: who holds this part of a voucher, without showing the other holders.

    For example:

        tally proof lot harbour-tours/v1:0 --out lot.proof

    Parameters
    ----------
    reference
        OWNER/LABEL:START, START in minor units.
    """
    id = record_reference(AddressBook(network), Kind.LOT, reference)
    trio.run(
        _write, Asked(network, stopped, as_, output), out, partial(_record_statement, Kind.LOT, id)
    )


@proof_app.command(name="receipt")
def receipt_command(
    id: str,
    *,
    out: OutOption,
    envelope: Annotated[
        Path | None, Parameter(name="--envelope", help="file with the envelope as it was sent")
    ] = None,
    stopped: StoppedOption = False,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Prove what became of a transaction; with its envelope also what was asked, and who signed.

    The envelope is taken from a stopped node's files, or given: nodes do not hand out others' envelopes.

    For example:

        tally proof receipt HEX --out receipt.proof

    Parameters
    ----------
    id
        64 hexadecimal digits, as printed with each act.
    """
    if not _TRANSACTION.fullmatch(id):
        raise UsageError("USAGE", f"{id!r} is no transaction id: 64 hexadecimal digits are needed")
    asked = None if envelope is None else read_file(envelope)

    async def make(source: Source) -> Statement:
        return await source.execution(bytes.fromhex(id), asked)

    trio.run(_write, Asked(network, stopped, as_, output), out, make)


@proof_app.command(name="events")
def events_command(
    *,
    from_: Annotated[int, Parameter(name="--from", help="first height")],
    to: Annotated[int, Parameter(name="--to", help="last height")],
    out: OutOption,
    stopped: StoppedOption = False,
    as_: AskingOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Prove everything that happened from one block to another, nothing left out between.

    For example:

        tally proof events --from 10 --to 20 --out events.proof
    """

    async def make(source: Source) -> Statement:
        return EventsStatement(from_, to, await source.events(from_, to))

    trio.run(_write, Asked(network, stopped, as_, output), out, make)


@proof_app.command(name="document")
def document_command(
    *,
    as_: AsOption,
    label: LabelOption,
    fields: Annotated[str, Parameter(name="--fields", help="e.g. payable,due_day,seller/name")],
    out: OutOption,
    stopped: StoppedOption = False,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Prove some fields of a document that the wallet keeps; the others stay hidden.

    For example:

        tally proof document --as gate-devices --label inv-1 --fields payable,due_day --out inv-1.proof
    """
    secret, opened = open_kept(directory_of(network, load_wallet(network, as_), label))
    id = bytes.fromhex(secret.document)
    shown = opened.sealed.disclose(fields.split(","))

    async def make(source: Source) -> Statement:
        block, proven = await source.record(Kind.DOCUMENT, id)
        if proven.record is None:
            raise ProofError("RECORD_NOT_FOUND", f"document {label} is not registered")
        return DocumentStatement(block, id, proven, len(shown.fields), shown)

    trio.run(_write, Asked(network, stopped, as_, output), out, make)


# --- checking -------------------------------------------------------------------------------------------


def verify(
    file: Path,
    *,
    genesis: GenesisOption,
    output: OutputOption = Output.table,
) -> None:
    """Check a proof file with nothing but the network's genesis file; say what it proves, and as of when.

    Exit code 0: proven. 1: not, and the code says why.

    For example:

        tally verify v1.proof --genesis genesis.json

    Parameters
    ----------
    file
        Made by `tally proof`.
    """
    self_test()
    proven = verify_proof(read_file(file), read_file(genesis))
    if output is Output.json:
        print_json(proven_plain(proven))
    else:
        print_proven(proven)


@proof_app.command(name="mutate")
def mutate_command(
    *files: Path,
    genesis: Annotated[
        Path | None, Parameter(name="--genesis", help="genesis.json of the network of the files")
    ] = None,
    count: Annotated[int, Parameter(name="--count", help="mutations in all")] = 100_000,
    seed: Annotated[int, Parameter(name="--seed", help="chooses the mutations")] = 1,
    json_file: Annotated[
        Path | None, Parameter(name="--json", help="write the figures to this file")
    ] = None,
) -> None:
    """Change proof files in all kinds of ways and show that the verifier accepts none of the changed ones.

    Exit code 6 when one is accepted; it is then written to NAME.accepted.

    For example:

        tally proof mutate                         # the published examples of every kind
        tally proof mutate v1.proof --genesis genesis.json --count 10000

    Parameters
    ----------
    files
        Proof files of one network.
    """
    if count < 1 or (genesis is None) != (not files):
        raise UsageError(
            "USAGE", "name proof files and their --genesis, or neither; --count from 1 on"
        )
    if genesis is None:
        network, originals = published()
    else:
        network = read_genesis(read_file(genesis))
        originals = [Original(path.name, read_file(path)) for path in files]
    outcome = mutate(originals, network, count, seed)
    print_outcome(outcome)
    figures = {
        "mutations": outcome.mutations,
        "accepted": len(outcome.accepted),
        "refused": outcome.refused,
        "files": [original.name for original in originals],
        "seed": seed,
        "cpu_seconds": outcome.cpu_seconds,
    }
    write_figures(json_file, figures)
    for name, mutation in outcome.accepted:
        Path(f"{name}.accepted").write_bytes(mutation)
    if outcome.accepted:
        names = ", ".join(f"{name}.accepted" for name, _ in outcome.accepted)
        stop(Exit.DIFFERENCE, "PROOF_MUTATED", f"changed files are accepted: {names}")


def print_outcome(outcome: Outcome) -> None:
    """How many were accepted, and with what the others were refused."""
    say(
        f"{len(outcome.accepted)} accepted of {outcome.mutations:,} mutations,"
        f" {outcome.cpu_seconds} s of CPU; refused with"
    )
    for code, times in sorted(outcome.refused.items(), key=lambda item: -item[1]):
        say(f"  {times:>9,}  {code}")
