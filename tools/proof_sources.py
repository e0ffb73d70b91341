"""Where the parts of a proof file come from: nodes that run, or the files of one that is stopped.

Neither is believed: what is put together here is verified before it is written (`tools.proof_cli`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import msgspec

from node.config import CONFIG_FILE, load_config
from node.state import CommittedState, prove
from node.state.tables import RECORDS, record_of
from node.store import Snapshot
from node.store.store import has_data
from tallynet.client import Client, EventEntry, Receipt
from tallynet.codec import decode, encode
from tallynet.errors import TallynetError
from tallynet.hashing import envelope_hash
from tallynet.merkle import ListTree
from tallynet.messages import EvidenceKind, ProvenReceipt, Receipts
from tallynet.proofs import (
    ActStatement,
    BlockEvents,
    FinalBlock,
    ReceiptAndEvents,
    ReceiptStatement,
)
from tallynet.proofs.files import EVENT_BLOCKS_MAX
from tallynet.receipts import Event, split_events
from tallynet.records import Kind, lot_id
from tallynet.state_proof import LOTS_MAX, ROW_BYTES, StateProof
from tallynet.validators import Handover
from tools.arguments import UsageError
from tools.audit import stopped_store
from tools.testnet_files import NETWORK_FILE, load_network

__all__ = ["ClientSource", "ProofError", "Proved", "Source", "StoreSource", "stopped_source"]

Proved = tuple[FinalBlock, StateProof]
Execution = ReceiptStatement | ActStatement


class ProofError(TallynetError):
    """There is nothing to prove here, or not with what this source has; the text says why."""


class Source(Protocol):
    """What proofs are made of."""

    async def handovers(self) -> list[Handover]:
        """All changes of the validator set, oldest first."""

    async def record(self, kind: Kind, id: bytes) -> Proved:
        """A record, or its absence, in the newest state."""

    async def voucher(self, id: bytes) -> Proved:
        """A voucher in the newest state with all its lots, however many."""

    async def log(self, voucher: bytes, count: int) -> tuple[bytes, ...]:
        """The first `count` events of a voucher, encoded."""

    async def execution(self, transaction: bytes, envelope: bytes | None) -> Execution:
        """The receipt of an envelope; with what was asked, where the envelope is given or held here."""

    async def events(self, first: int, last: int) -> tuple[BlockEvents, ...]:
        """Everything that happened from one height to another, both included."""


def _execution(
    block: FinalBlock, proven: ProvenReceipt, hashes: tuple[bytes, ...], envelope: bytes | None
) -> Execution:
    """`hashes` are those of all envelopes of the block; not used without `envelope`."""
    if envelope is None:
        return ReceiptStatement(block, proven.receipt, proven.proof)
    index = proven.proof.index - 1
    if envelope_hash(envelope) != hashes[index]:
        raise ProofError("FILE_INVALID", "this is not the copy of the envelope that was ordered")
    place = ListTree(hashes).prove(index)
    return ActStatement(block, proven.receipt, proven.proof, envelope, place)


def _require_heights(first: int, last: int, newest: int) -> None:
    if not 1 <= first <= last <= newest:
        raise UsageError("USAGE", f"heights {first} to {last}: blocks 1 to {newest} exist")
    if last - first >= EVENT_BLOCKS_MAX:
        raise UsageError("USAGE", f"one file takes {EVENT_BLOCKS_MAX:,} blocks; make several")


def _block_events(
    block: FinalBlock, receipts: tuple[bytes, ...], events: tuple[bytes, ...]
) -> BlockEvents:
    parts = zip(receipts, split_events(receipts, events), strict=True)
    return BlockEvents(block, tuple(ReceiptAndEvents(receipt, part) for receipt, part in parts))


# --- a stopped node ----------------------------------------------------------------------------------


class StoreSource:
    """The database of a node that does not run, read and not changed."""

    def __init__(self, stored: Snapshot) -> None:
        self._stored: Final = stored

    def any_voucher(self) -> bytes:
        """Id of some voucher of the newest state. Raises ProofError RECORD_NOT_FOUND."""
        for key, _ in self._stored.dump(RECORDS, bytes((Kind.VOUCHER,))):
            named = record_of(key)
            if named is not None and named[0] is Kind.VOUCHER:
                return named[1]
        raise ProofError("RECORD_NOT_FOUND", "the ledger has no voucher yet")

    async def handovers(self) -> list[Handover]:
        return [decode(Handover, raw) for _, raw in self._stored.handovers()]

    async def record(self, kind: Kind, id: bytes) -> Proved:
        return self._newest(), prove(self._state(), kind, id)

    async def voucher(self, id: bytes) -> Proved:
        return self._newest(), prove(self._state(), Kind.VOUCHER, id, lots_max=LOTS_MAX)

    def _state(self) -> CommittedState:
        return CommittedState.snapshot(self._stored)

    def _newest(self) -> FinalBlock:
        tip = self._stored.tip()
        if tip is None or tip.height == 0:
            raise ProofError("NO_BLOCK", "the network has no block yet")
        return self._final(tip.height)[0]

    def _final(self, height: int) -> tuple[FinalBlock, tuple[bytes, ...], bytes]:
        row = self._stored.block(height)
        if row is None:
            raise ProofError("HISTORY_GONE", f"this node does not hold block {height}")
        return FinalBlock(row.header, row.certificate), row.envelopes, row.block

    def _given(self, height: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Receipts and events of a block."""
        given = self._stored.receipts(height)
        if given is None:
            raise ProofError("HISTORY_GONE", f"this node does not hold the receipts of {height}")
        return given.receipts, given.events

    async def log(self, voucher: bytes, count: int) -> tuple[bytes, ...]:
        places = self._stored.log(voucher, count, count)
        if len(places) != count:
            raise ProofError("HISTORY_GONE", "this node does not hold all events of the voucher")
        return tuple(self._given(at.height)[1][at.position] for at in reversed(places))

    async def execution(self, transaction: bytes, envelope: bytes | None) -> Execution:
        place = self._stored.transaction(transaction)
        if place is None:
            raise ProofError("RECORD_NOT_FOUND", "this node knows no such transaction")
        height, index = place
        block, hashes, name = self._final(height)
        receipts, _ = self._given(height)
        bodies = self._stored.envelopes(height, name)
        if envelope is None and bodies is not None:
            envelope = bodies[index]
        proven = ProvenReceipt(receipts[index + 1], ListTree(receipts).prove(index + 1))
        return _execution(block, proven, hashes, envelope)

    async def events(self, first: int, last: int) -> tuple[BlockEvents, ...]:
        tip = self._stored.tip()
        _require_heights(first, last, 0 if tip is None else tip.height)
        return tuple(
            _block_events(self._final(height)[0], *self._given(height))
            for height in range(first, last + 1)
        )


@contextmanager
def stopped_source(network: Path) -> Iterator[StoreSource]:
    """The first node with data of a network directory, or the one whose own directory this is.

    Raises:
        StoreError: STORE_IN_USE, STORE_MISSING, STORE_CORRUPT.
    """
    with stopped_store(_data_directory(network)) as stored:
        yield StoreSource(stored)


def _data_directory(network: Path) -> Path:
    if (network / CONFIG_FILE).exists() and not (network / NETWORK_FILE).exists():
        return network / load_config(network).data_directory
    nodes = [network / node.name for node in load_network(network).nodes]
    found = [node / load_config(node).data_directory for node in nodes]
    return next((directory for directory in found if has_data(directory)), found[0])


# --- nodes that run ------------------------------------------------------------------------------------


class ClientSource:
    """Any node of a running network, by way of the client library."""

    def __init__(self, client: Client) -> None:
        self._client: Final = client

    async def handovers(self) -> list[Handover]:
        return [
            decode(Handover, raw) async for raw in self._client.evidence(EvidenceKind.HANDOVERS)
        ]

    async def record(self, kind: Kind, id: bytes) -> Proved:
        proven = await self._client.read_proven(kind, id)
        return FinalBlock(proven.block.header_bytes, proven.block.certificate), proven.proof

    async def voucher(self, id: bytes) -> Proved:
        block, proof = await self.record(Kind.VOUCHER, id)
        if not proof.rows:
            return block, proof
        # A node leaves the lots of a very large voucher out; the rows say which they are.
        lots = [
            await self._lot(id, proof.rows[at : at + ROW_BYTES])
            for at in range(0, len(proof.rows), ROW_BYTES)
        ]
        return block, msgspec.structs.replace(proof, rows=b"", lots=tuple(lots))

    async def _lot(self, voucher: bytes, row: bytes) -> bytes:
        start, digest = int.from_bytes(row[:8], "big"), row[8:]
        lot = (await self._client.read_proven(Kind.LOT, lot_id(voucher, start))).proof.record
        if lot is None or sha256(lot).digest() != digest:
            raise ProofError("STATE_CONFLICT", "the voucher changed while it was read; try again")
        return lot

    async def log(self, voucher: bytes, count: int) -> tuple[bytes, ...]:
        found: list[bytes] = []
        async for entry in self._client.events(follow=False):
            event = entry.event
            if event is not None and (event.kind, event.subject) == (Kind.VOUCHER, voucher):
                found.append(encode(event))
                if len(found) == count:
                    return tuple(found)
        raise ProofError(
            "NOT_AUTHORISED",
            f"{len(found)} of the voucher's {count} events are shown to this key; ask with --as a party's",
        )

    async def execution(self, transaction: bytes, envelope: bytes | None) -> Execution:
        outcome = await self._client.outcome(transaction)
        if not isinstance(outcome, Receipt):
            raise ProofError("OUTCOME_UNKNOWN", f"there is no receipt yet: {outcome.phase.name}")
        message = decode(Receipts, outcome.evidence)
        block, proven = FinalBlock(message.header, message.certificate), message.receipts[0]
        hashes = (await self._client.block(outcome.height)).envelopes if envelope else ()
        return _execution(block, proven, hashes, envelope)

    async def events(self, first: int, last: int) -> tuple[BlockEvents, ...]:
        _require_heights(first, last, (await self._client.status()).committed)
        by_height: dict[int, list[bytes]] = {height: [] for height in range(first, last + 1)}
        async for entry in self._client.events(first, follow=False):
            if entry.height > last:
                break
            by_height[entry.height].append(encode(_shown(entry)))
        found = []
        for height, events in by_height.items():
            leaves = await self._client.block_receipts(height)
            block = FinalBlock(leaves.block.header_bytes, leaves.block.certificate)
            found.append(_block_events(block, leaves.receipts, tuple(events)))
        return tuple(found)


def _shown(entry: EventEntry) -> Event:
    """Raises ProofError NOT_AUTHORISED for an event that the node keeps from this key."""
    if entry.event is None:
        raise ProofError(
            "NOT_AUTHORISED",
            f"event {entry.height}.{entry.index} is not shown to this key, and the proof needs all of them",
        )
    return entry.event
