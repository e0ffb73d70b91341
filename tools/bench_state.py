"""The state that `tally bench` starts from, made by the voucher law itself without a network.

Signed envelopes are admitted and executed block by block, as validators do it, and what they write goes to the
database of one of them; only consensus is left out, and the blocks are not kept. The last block gets a
certificate of its validators, whose keys lie in the network's directory: all nodes then stand where one that
has fetched this state would (decision 0040).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import lmdb

from consensus.journal import VIEW, ViewRecord
from consensus.proposals import epoch_of
from node.ledger.execute import execute_block
from node.machine import prepare_store
from node.state import CommittedState, Overlay
from node.store import BlockRow, Store, Tip, WriteBatch
from node.store.batch import BASE_KEY, TIP_KEY
from node.store.errors import DATA_FILE
from node.store.store import lock_directory
from node.store.tables import (
    BLOCKS,
    MAP_BYTES,
    META,
    NODE_KEY,
    SEEDS,
    TABLES,
    height_key,
    sealed,
)
from tallynet.blocks import PROTOCOL_VERSION, Certificate, Commit, Header, quorum
from tallynet.codec import decode, encode
from tallynet.envelope import Envelope
from tallynet.genesis import validators_hash
from tallynet.hashing import block_hash, signed_bytes
from tallynet.keyfile import load_key_file
from tallynet.merkle import list_root
from tallynet.receipts import EnvelopeReceipt
from tallynet.records import NETWORK_ID, Kind, Network
from tallynet.signatures import KIND_COMMIT
from tools.bench_world import Site, World
from tools.testnet_files import NODE_KEY_FILE
from tools.wallet import environment_passphrase

BLOCK_ENVELOPES: Final = 20
"""Of a hundred commands each: two thousand, as in a full block of the network."""
COMMIT_BLOCKS: Final = 20
"""Written together. It costs memory for their changes, and saves writing pages near the root again."""


class LawCarrier:
    """Carries envelopes out on a state of its own. Use `prepare_state`."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site: Final = site
        self._store: Final = store
        prepare_store(store, site.genesis, site.hash)
        self._committed: Final = CommittedState(store.live_reader())
        self._waiting: Final[list[Overlay]] = []
        """Executed and not written, oldest first."""
        self._batch = WriteBatch()
        self._validators: Final = validators_hash(site.genesis.validators)
        self.header = self._next_header(0, site.hash, site.genesis.time_ms, ())
        """Of the newest block."""
        self.envelopes: tuple[bytes, ...] = ()
        self.roots = (b"", b"")
        """State and receipts root after it."""

    def _next_header(
        self, height: int, parent: bytes, time_ms: int, envelopes: tuple[bytes, ...]
    ) -> Header:
        epoch = epoch_of(height, self._site.genesis.epoch_length) if height else 0
        return Header(
            self._site.hash, PROTOCOL_VERSION, epoch, height, parent, list_root(envelopes), time_ms, 0,
            self._validators,
        )  # fmt: skip

    @property
    def _newest(self) -> Overlay | CommittedState:
        return self._waiting[-1] if self._waiting else self._committed

    async def today(self) -> int:
        network = Overlay(self._newest).get(Kind.NETWORK, NETWORK_ID)
        return network.business_date if isinstance(network, Network) else 0

    async def carry(self, envelopes: Iterable[Envelope]) -> Sequence[EnvelopeReceipt]:
        receipts: list[EnvelopeReceipt] = []
        source = iter(envelopes)
        while block := list(islice(source, BLOCK_ENVELOPES)):
            receipts += self._block(block)
        return receipts

    def _block(self, envelopes: Sequence[Envelope]) -> list[EnvelopeReceipt]:
        before = self.header
        parent = block_hash(encode(before)) if before.height else self._site.hash
        self.envelopes = tuple(envelope.hash for envelope in envelopes)
        time_ms = max(before.time_ms + 1, int(time.time() * 1000))
        self.header = self._next_header(before.height + 1, parent, time_ms, self.envelopes)
        overlay = Overlay(self._newest)
        result = execute_block(overlay, self._site.hash, self.header, envelopes)
        self.roots = (overlay.seal(), result.receipts_root)
        self._batch.state(overlay.changes())
        self._waiting.append(overlay)
        if len(self._waiting) >= COMMIT_BLOCKS:
            self.write()
        return [decode(EnvelopeReceipt, receipt) for receipt in result.receipts]

    def write(self) -> None:
        """Put what was executed into the store."""
        self._store.commit(self._batch)
        self._batch = WriteBatch()
        for overlay in self._waiting:
            overlay.commit()
        self._waiting.clear()

    def finish(self) -> None:
        """The newest block is final, and no earlier one is held."""
        raw, height = encode(self.header), self.header.height
        block = block_hash(raw)
        vote = encode(Commit(self.header.epoch, 0, height, block, *self.roots))
        certificate = _certificate(self._site, vote)
        row = BlockRow(block, raw, self.envelopes, certificate)
        self._batch.rows.setdefault(BLOCKS, {})[height_key(height)] = encode(row)
        epoch = height // self._site.genesis.epoch_length
        # What a validator has written that has voted and stands at this height.
        self._batch.journal(VIEW, encode(ViewRecord(epoch, 0, 0, b"", b"")))
        self._batch.meta(BASE_KEY, height_key(height + 1))
        self._batch.meta(TIP_KEY, encode(Tip(height, block, self.roots[0])))
        self.write()


def _certificate(site: Site, vote: bytes) -> Certificate:
    """Signed by the first validators that are enough."""
    signers = range(quorum(len(site.genesis.validators)))
    message = signed_bytes(KIND_COMMIT, site.hash, vote)
    signatures = []
    for index in signers:
        path = site.directory / site.network.nodes[index].name / NODE_KEY_FILE
        signatures.append(load_key_file(path, environment_passphrase()).sign(message))
    return Certificate(vote, tuple(signers), tuple(signatures))


async def prepare_state(site: Site, lots: int) -> World:
    """Suppliers, vouchers and so many lots (0: uncut vouchers) in the database of every validator of a network
    that has never run. Raises BenchFailed."""
    validators = site.network.nodes[: len(site.genesis.validators)]
    first = site.directory / validators[0].name / "data"
    store = _open(first, site, bytes.fromhex(validators[0].public_key))
    try:
        carrier = LawCarrier(site, store)
        world = World(site, carrier)
        await world.build(lots)
        carrier.finish()
    finally:
        store.close()
    for node in validators[1:]:
        _copy(first, site.directory / node.name / "data", bytes.fromhex(node.public_key))
    return world


def _open(directory: Path, site: Site, key: bytes) -> Store:
    """A store that syncs nothing: what a power cut takes is made again."""
    directory.mkdir(mode=0o700)
    environment = lmdb.open(
        str(directory), map_size=MAP_BYTES, max_dbs=len(TABLES), sync=False,
        readahead=False, mode=0o600,
    )  # fmt: skip
    lock = lock_directory(directory, exclusive=True)
    store = Store(directory, environment, lock, genesis=site.hash, mark=None)
    store.prepare(key)
    return store


def _copy(source: Path, target: Path, key: bytes) -> None:
    """The same database for the node with this public key."""
    target.mkdir(mode=0o700)
    shutil.copy(source / DATA_FILE, target / DATA_FILE)
    with lmdb.open(str(target), map_size=MAP_BYTES, max_dbs=len(TABLES), mode=0o600) as environment:
        meta = environment.open_db(META.encode(), create=False)
        with environment.begin(write=True, db=meta) as transaction:
            transaction.put(NODE_KEY, sealed(SEEDS[META], NODE_KEY, key))
