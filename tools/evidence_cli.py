"""`tally evidence list|save|verify` and `tally forensics`: who misbehaved, and how that is proven.

Nodes keep proofs of misbehaviour and the NewViews that opened their views. What a node shows is checked here
before it is believed: a proof convicts by the signatures in it, whoever hands it over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import trio
from cyclopts import App, Parameter
from rich.progress import Progress

from node.config import load_config
from node.store import Snapshot
from node.validator import load_genesis as load_node_genesis
from tallynet.blocks import Certificate, Commit, faulty_max
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError, TallynetError
from tallynet.evidence import Conviction, Divergence, culprit
from tallynet.evidence_file import EvidenceFile, evidence_text
from tallynet.forensics import Statements
from tallynet.genesis import Genesis, genesis_hash
from tallynet.messages import EvidenceKind, SignedKind
from tallynet.validators import Handover, Succession
from tools.arguments import UsageError
from tools.audit import stopped_store
from tools.connect import connect, genesis_of
from tools.ledger_cli import DEFAULT_NETWORK, NetworkOption, OutputOption
from tools.output import ERRORS, Exit, Output, print_json, print_rows, say, told
from tools.testnet_files import load_network

ASK_SECONDS_MAX: Final = 10.0
"""A node that takes longer to show its evidence is reported as not answering."""
BLOCKS_MAX: Final = 10_000
"""Certificates of a chain that are compared above the first difference: ten epochs of 1000."""
BLOCKS_SAVED_MAX: Final = 1_000
"""Asked for one by one; a fork stops a node within a window of blocks."""
NodeOption = Annotated[str, Parameter(name="--node", help="this node alone, e.g. bank-2")]


class EvidenceError(TallynetError):
    """Something that should hold evidence does not: the text names it and what to do."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one node showed of itself."""

    proofs: tuple[bytes, ...]
    divergence: Divergence | None
    handovers: tuple[bytes, ...]
    """Changes of the validator set, oldest first."""


# --- list -----------------------------------------------------------------------------------------


def evidence_list(
    *,
    node: NodeOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """List the proofs of misbehaviour that running nodes keep, each one checked here.

    Also names nodes whose own results differ from the others'. Exit code 6 when there is anything.

    For example:

        tally evidence list
    """
    genesis, _ = genesis_of(network)
    succession = Succession.of(genesis)
    shown = trio.run(_ask_nodes, network, node)
    for answer in shown.values():
        if not isinstance(answer, str):
            follow(succession, answer.handovers)
    rows: list[tuple[str, Conviction]] = []
    problems: list[str] = []
    for name, answer in shown.items():
        if isinstance(answer, str):
            problems.append(f"{name}: {answer}")
            continue
        found, refused = _checked(answer.proofs, succession)
        rows += [(name, conviction) for conviction in found]
        if refused:
            problems.append(f"{name} shows {refused} proofs that prove nothing: do not trust it")
    diverged = {
        name: answer.divergence
        for name, answer in shown.items()
        if not isinstance(answer, str) and answer.divergence is not None
    }
    if output is Output.json:
        print_json(
            {
                "proofs": [
                    {"node": n} | _conviction_plain(c, succession) for n, c in _by_culprit(rows)
                ],
                "diverged": {n: _divergence_plain(d) for n, d in diverged.items()},
                "problems": problems,
            }
        )
    else:
        _print_evidence(_by_culprit(rows), diverged, problems, succession)
    if rows or diverged or any("prove nothing" in problem for problem in problems):
        raise SystemExit(int(Exit.DIFFERENCE))


async def _ask_nodes(network: Path, only: str) -> dict[str, Shown | str]:
    """Each node's proofs, or why it does not show them."""
    names = [node.name for node in load_network(network).nodes]
    if only and only not in names:
        raise UsageError("USAGE", f"--node {only}: nodes here are {', '.join(names)}")
    answers: dict[str, Shown | str] = {}

    async def ask(name: str) -> None:
        answers[name] = "no answer in time"
        with trio.move_on_after(ASK_SECONDS_MAX):
            try:
                async with connect(network, only=name) as client:
                    proofs = [proof async for proof in client.evidence(EvidenceKind.PROOFS)]
                    changes = [raw async for raw in client.evidence(EvidenceKind.HANDOVERS)]
                    answers[name] = Shown(tuple(proofs), await client.divergence(), tuple(changes))
            except TallynetError as error:
                answers[name] = error.message

    async with trio.open_nursery() as nursery:
        for name in [only] if only else names:
            nursery.start_soon(ask, name)
    return {name: answers[name] for name in names if name in answers}


def follow(succession: Succession, handovers: Iterable[bytes]) -> None:
    """Learn of the changes of the validator set that a source shows, as far as they hold."""
    for raw in handovers:
        try:
            succession.add(decode(Handover, raw))
        except RemoteProtocolError:
            return


def _checked(proofs: Iterable[bytes], succession: Succession) -> tuple[list[Conviction], int]:
    found: list[Conviction] = []
    refused = 0
    for proof in proofs:
        try:
            found.append(culprit(proof, succession))
        except RemoteProtocolError:
            refused += 1
    return found, refused


def _by_culprit(rows: list[tuple[str, Conviction]]) -> list[tuple[str, Conviction]]:
    return sorted(rows, key=lambda row: (row[1].signer, row[1].key, row[0]))


def _print_evidence(
    rows: Sequence[tuple[str, Conviction]],
    diverged: dict[str, Divergence],
    problems: Sequence[str],
    succession: Succession,
) -> None:
    if rows:
        columns = ("kept by", "validator", "what it did", "epoch", "view", "height")
        table = [(node, *_conviction_row(conviction, succession)) for node, conviction in rows]
        print_rows("proofs of misbehaviour, checked", columns, table)
    else:
        say("no proofs of misbehaviour")
    for name, divergence in diverged.items():
        say(f"{name}: {_divergence_text(divergence)}")
    for problem in problems:
        say(problem)


def _name_of(conviction: Conviction, succession: Succession) -> str:
    """Of whom it convicts: an index means another validator in another set."""
    return succession.validators(conviction.epoch)[conviction.signer].name


def _conviction_row(conviction: Conviction, succession: Succession) -> tuple[str, ...]:
    return (
        _name_of(conviction, succession),
        conviction.rule.sentence,
        str(conviction.epoch),
        str(conviction.view),
        str(conviction.height or "-"),
    )


def _conviction_plain(conviction: Conviction, succession: Succession) -> dict[str, Any]:
    return {
        "validator": _name_of(conviction, succession),
        "index": conviction.signer,
        "rule": conviction.rule.name,
        "epoch": conviction.epoch,
        "view": conviction.view,
        "height": conviction.height,
    }


def _divergence_text(found: Divergence) -> str:
    if found.is_fork:
        return (
            f"a quorum certified another chain at height {found.height}. It has stopped. More than f"
            " validators are faulty: save everybody's evidence and run tally forensics"
        )
    return (
        f"its result of block {found.height} differs from the others'. It has stopped and votes no more."
        " Keep its data and log, find the cause (memory, disk, software), then replace it: its bank is"
        " admitted again under a new key, with data from its peers"
    )


def _divergence_plain(found: Divergence) -> dict[str, Any]:
    return {
        "fork": found.is_fork,
        "height": found.height,
        "block": found.block.hex(),
        "state_root": found.state_root.hex(),
        "receipts_root": found.receipts_root.hex(),
        "votes_of_others": len(found.others),
        "certified": found.certificate is not None,
    }


# --- save and verify ------------------------------------------------------------------------------


def evidence_save(
    file: Path,
    *,
    node: Annotated[str, Parameter(name="--node", help="the node to ask, e.g. bank-2")],
    blocks: Annotated[
        int, Parameter(name="--blocks", help="certificates of the newest blocks")
    ] = 64,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Save to a file what a running node keeps: proofs, NewViews, certificates.

    For example:

        tally evidence save bank-2.evidence --node bank-2

    Parameters
    ----------
    file
        Is overwritten.
    """
    if not 0 <= blocks <= BLOCKS_SAVED_MAX:
        raise UsageError("USAGE", f"--blocks {blocks}: 0 to {BLOCKS_SAVED_MAX}")
    saved = trio.run(_save, network, node, blocks)
    file.write_bytes(evidence_text(saved))
    told(
        output,
        f"{file}: {len(saved.proofs)} proofs, {len(saved.new_views)} NewViews,"
        f" {len(saved.certificates)} certificates",
        file=str(file),
        proofs=len(saved.proofs),
        new_views=len(saved.new_views),
        certificates=len(saved.certificates),
    )


async def _save(network: Path, node: str, blocks: int) -> EvidenceFile:
    names = [entry.name for entry in load_network(network).nodes]
    if node not in names:
        raise UsageError("USAGE", f"--node {node}: nodes here are {', '.join(names)}")
    _, network_hash = genesis_of(network)
    saved = EvidenceFile(genesis=network_hash.hex(), source=node)
    async with connect(network, only=node) as client:
        saved.proofs = [p.hex() async for p in client.evidence(EvidenceKind.PROOFS)]
        saved.handovers = [h.hex() async for h in client.evidence(EvidenceKind.HANDOVERS)]
        saved.new_views = [v.hex() async for v in client.evidence(EvidenceKind.NEW_VIEWS)]
        divergence = await client.divergence()
        if divergence is not None and divergence.certificate is not None:
            saved.certificates.append(encode(divergence.certificate).hex())
        newest = (await client.status()).committed
        with Progress(console=ERRORS, transient=True) as progress:
            heights = range(max(1, newest - blocks + 1), newest + 1)
            for height in progress.track(heights, description="certificates"):
                saved.certificates.append(encode(await client.certificate(height)).hex())
    return saved


def load_evidence(path: Path, network_hash: bytes) -> EvidenceFile:
    """Read a file of `tally evidence save`.

    Raises:
        EvidenceError: EVIDENCE_INVALID, EVIDENCE_OTHER_NETWORK.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=EvidenceFile)
        for text in (*found.proofs, *found.handovers, *found.new_views, *found.certificates):
            bytes.fromhex(text)
    except (msgspec.DecodeError, ValueError) as error:
        raise EvidenceError("EVIDENCE_INVALID", f"{path}: {error}") from None
    if found.genesis != network_hash.hex():
        raise EvidenceError("EVIDENCE_OTHER_NETWORK", f"{path} is about network {found.genesis}")
    return found


def evidence_verify(
    *files: Path,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Check the proofs in saved files: nothing is asked of any node. Exit code 6 when one is wrong.

    For example:

        tally evidence verify bank-2.evidence
    """
    if not files:
        raise UsageError("USAGE", "name at least one file: tally evidence verify bank-2.evidence")
    genesis, network_hash = genesis_of(network)
    succession = Succession.of(genesis)
    rows: list[tuple[str, Conviction]] = []
    problems: list[str] = []
    for path in files:
        saved = load_evidence(path, network_hash)
        follow(succession, map(bytes.fromhex, saved.handovers))
        found, refused = _checked(map(bytes.fromhex, saved.proofs), succession)
        rows += [(path.name, conviction) for conviction in found]
        if refused:
            problems.append(f"{path}: {refused} proofs prove nothing")
    if output is Output.json:
        plain = [{"file": n} | _conviction_plain(c, succession) for n, c in _by_culprit(rows)]
        print_json({"proofs": plain, "problems": problems})
    else:
        _print_evidence(_by_culprit(rows), {}, problems, succession)
    if problems:
        raise SystemExit(int(Exit.DIFFERENCE))


# --- forensics ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """Evidence of one node."""

    name: str
    certificates: tuple[Certificate, ...]
    """Of its newest blocks, and the foreign one that it stopped at."""
    new_views: tuple[bytes, ...]
    proofs: tuple[bytes, ...]
    handovers: tuple[bytes, ...]

    @classmethod
    def of_store(cls, name: str, stored: Snapshot) -> Source:
        """What a node's database holds."""
        return cls(
            name,
            tuple(_certificates(stored)),
            tuple(new_view for _, new_view in stored.new_views()),
            tuple(proof for _, proof in stored.evidence()),
            tuple(handover for _, handover in stored.handovers()),
        )


def _certificates(stored: Snapshot) -> Iterator[Certificate]:
    raw = stored.divergence()
    foreign = decode(Divergence, raw).certificate if raw else None
    if foreign is not None:
        yield foreign
    tip = stored.tip()
    height = 0 if tip is None else tip.height
    for at in range(max(1, height - BLOCKS_MAX + 1), height + 1):
        row = stored.block(at)
        if row is not None:
            yield row.certificate


def forensics(
    *sources: Path,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Name the validators that made a fork possible, with a proof for each.

    Give what every honest bank has: the directory of a stopped node, or a
    file of `tally evidence save`, or what a client
    kept that saw two chains. Some of them hold certificates that
    contradict each other; the NewViews of the others complete the picture.
    Exit code 6 when there is a fork or anybody is convicted.

    For example:

        tally forensics network/bank-1 bank-2.evidence

    Parameters
    ----------
    sources
        Node directories and saved files.
    """
    if not sources:
        raise UsageError("USAGE", "name sources: tally forensics network/bank-1 network/bank-2")
    genesis, found = load_sources(sources, network)
    fork = first_conflict(found)
    succession = Succession.of(genesis)
    for source in found:
        follow(succession, source.handovers)
    statements = Statements(succession)
    for source in found:
        add_source(statements, source, fork)
    proven = [conviction for conviction, _ in statements.convictions()]
    culprits = list(dict.fromkeys(_name_of(conviction, succession) for conviction in proven))
    # Two chains part in one epoch, and by its set: whoever is convicted elsewhere explains nothing of it.
    sizes = [len(succession.set_of(conviction.epoch).keys) for conviction in proven]
    enough = bool(sizes) and len(culprits) > faulty_max(max(sizes))
    if output is Output.json:
        print_json(
            {
                "fork_height": fork,
                "culprits": culprits,
                "complete": fork is None or enough,
                "proofs": [_conviction_plain(c, succession) for c in proven],
                "unreadable": statements.refused,
            }
        )
    else:
        _print_forensics(
            proven, culprits, fork, succession, enough=enough, refused=statements.refused
        )
    if fork is not None or proven:
        raise SystemExit(int(Exit.DIFFERENCE))


def _print_forensics(
    proven: Sequence[Conviction],
    culprits: Sequence[str],
    fork: int | None,
    succession: Succession,
    *,
    enough: bool,
    refused: int,
) -> None:
    if fork is None:
        say("no two of these certificates contradict each other")
    else:
        say(f"two chains from height {fork} on")
    columns = ("validator", "what it did", "epoch", "view", "height")
    if proven:
        print_rows("proven", columns, [_conviction_row(c, succession) for c in proven])
    if fork is not None:
        names = ", ".join(culprits) or "nobody"
        more = "" if enough else "; the rest needs the evidence of the other honest nodes"
        say(f"convicted: {names} ({len(culprits)}){more}")
    if refused:
        say(f"{refused} messages in the sources are not signed by whom they name")


def load_sources(sources: Sequence[Path], network: Path) -> tuple[Genesis, list[Source]]:
    """Read all sources; they must be of one network.

    Raises:
        EvidenceError, ConfigError, StoreError: which source cannot be read, and why.
    """
    directories = [path for path in sources if path.is_dir()]
    if directories:
        config = load_config(directories[0])
        genesis = load_node_genesis(directories[0] / config.genesis_file)
    else:
        genesis, _ = genesis_of(network)
    wanted = genesis_hash(genesis)
    return genesis, [
        _from_directory(path, wanted) if path.is_dir() else _from_file(path, wanted)
        for path in sources
    ]


def _from_file(path: Path, wanted: bytes) -> Source:
    saved = load_evidence(path, wanted)
    return Source(
        saved.source or path.name,
        tuple(decode(Certificate, bytes.fromhex(text)) for text in saved.certificates),
        tuple(bytes.fromhex(text) for text in saved.new_views),
        tuple(bytes.fromhex(text) for text in saved.proofs),
        tuple(bytes.fromhex(text) for text in saved.handovers),
    )


def _from_directory(path: Path, wanted: bytes) -> Source:
    config = load_config(path)
    if genesis_hash(load_node_genesis(path / config.genesis_file)) != wanted:
        raise EvidenceError("EVIDENCE_OTHER_NETWORK", f"{path} is a node of another network")
    with stopped_store(path / config.data_directory) as stored:
        return Source.of_store(config.name, stored)


def first_conflict(sources: Sequence[Source]) -> int | None:
    """Lowest height with certificates for different blocks, among all sources."""
    blocks: dict[int, bytes] = {}
    conflicts: list[int] = []
    for source in sources:
        for certificate in source.certificates:
            commit = decode(Commit, certificate.vote)
            if blocks.setdefault(commit.height, commit.block) != commit.block:
                conflicts.append(commit.height)
    return min(conflicts, default=None)


def add_source(statements: Statements, source: Source, fork: int | None) -> None:
    """Everything signed that a source holds; certificates below a fork say nothing about it."""
    for proof in source.proofs:
        statements.add_proof(proof)
    for new_view in source.new_views:
        statements.add_raw(new_view)
    for certificate in source.certificates:
        if fork is not None and decode(Commit, certificate.vote).height >= fork:
            statements.add_certificate(SignedKind.COMMIT, certificate)


evidence = App(name="evidence", help="Proofs of misbehaviour that nodes keep")
evidence.command(evidence_list, name="list")
evidence.command(evidence_save, name="save")
evidence.command(evidence_verify, name="verify")


__all__ = [
    "EvidenceError", "Source", "add_source", "evidence", "first_conflict", "forensics", "load_evidence", "load_sources",
]  # fmt: skip
