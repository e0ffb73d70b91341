"""A validator process: everything put together, started in order and ended cleanly.

Order at the start: configuration, genesis, key, scan of the database in a child process, store,
genesis state or the stored tip, replica from its journal, then the listener, the mesh and the driver.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consensus.config import ReplicaConfig, Tip
from consensus.events import Transaction, TransactionsHeld
from consensus.replica import Replica
from net import ClientHandler, Listener, Mesh, NodeIdentity, PeerInbox
from node.config import ConfigError, NodeConfig, load_config
from node.driver import Driver
from node.executor import ExecutedBlock, Executor, Head
from node.ledger.genesis_state import load as load_genesis_state
from node.ledger_view import NodeLedgerView
from node.pool import Pool
from node.service import Service, StatusSource
from node.signer import Signer
from node.state import CommittedState, Overlay
from node.store import ScanReport, Store, open_store, scan_in_child
from node.sync import SyncService
from tallynet.blocks import Certificate, Header
from tallynet.codec import decode
from tallynet.envelope import Envelope, open_envelope
from tallynet.genesis import Genesis, genesis_hash, validators_hash
from tallynet.handshake import software_fingerprint
from tallynet.keyfile import load_key_file
from tallynet.messages import (
    Blocks,
    Bodies,
    FetchBlocks,
    FetchBodies,
    NodeStatus,
    PeerMessage,
)
from tallynet.plain import PlainError, from_plain
from tallynet.records import NETWORK_ID, Kind, Network
from tallynet.signatures import self_test, verify_kind

SCAN_SECONDS_MAX: Final = 20.0
"""At the start a large database is scanned in part, what voting stands on first."""
EXPIRY_PERIOD_SECONDS: Final = 5.0
"""How often envelopes are dropped whose validity ended while they waited."""


def load_genesis(path: Path) -> Genesis:
    """Read `genesis.json`. Raises ConfigError GENESIS_MISSING or GENESIS_INVALID."""
    try:
        return from_plain(Genesis, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError("GENESIS_MISSING", f"{path} does not exist") from None
    except (ValueError, PlainError) as error:
        raise ConfigError("GENESIS_INVALID", f"{path}: {error}") from None


class Validator:
    """One node of a network. Construct inside trio, then `await run()`."""

    def __init__(self, directory: Path) -> None:
        """Read and check everything that can be wrong before anything is opened.

        Raises:
            ConfigError, KeyFileError: what is wrong in which file.
        """
        self.config: Final[NodeConfig] = load_config(directory)
        self.genesis: Final = load_genesis(directory / self.config.genesis_file)
        self.genesis_hash: Final = genesis_hash(self.genesis)
        self._log: Final = structlog.get_logger("node")
        key_path = directory / self.config.key_file
        self._key: Final[Ed25519PrivateKey] = load_key_file(key_path, _passphrase())
        self.public_key: Final = self._key.public_key().public_bytes_raw()
        self.keys: Final = tuple(v.public_key for v in self.genesis.validators)
        if self.public_key not in self.keys:
            raise ConfigError(
                "KEY_NOT_VALIDATOR",
                f"{key_path}: this key is no validator of {self.genesis.name!r};"
                " use the key that was named in the genesis",
            )
        self.index: Final = self.keys.index(self.public_key)
        self._addresses: Final = self._peer_addresses()
        self._data: Final = directory / self.config.data_directory
        self._key_mark: Final = key_path.with_suffix(".mark")
        self._fatal: BaseException | None = None

    def _peer_addresses(self) -> dict[int, tuple[str, int]]:
        addresses: dict[int, tuple[str, int]] = {}
        for peer in self.config.peers:
            key = bytes.fromhex(peer.public_key)
            if key not in self.keys:
                raise ConfigError(
                    "PEER_UNKNOWN", f"peer {peer.host}:{peer.port} is no validator of the genesis"
                )
            addresses[self.keys.index(key)] = (peer.host, peer.port)
        missing = [
            self.genesis.validators[i].name
            for i in range(len(self.keys))
            if i != self.index and i not in addresses
        ]
        if missing:
            raise ConfigError("PEER_MISSING", f"no address for: {', '.join(missing)}")
        return addresses

    # --- start --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled. Raises what made the node stop."""
        self_test()
        self._log.info(
            "node starting",
            network=self.genesis.name,
            genesis=self.genesis_hash,
            validator=self.index,
            software=software_fingerprint(),
        )
        if (self._data / "data.mdb").exists():
            report = await trio.to_thread.run_sync(self._scan)
            self._log.info("database scanned", values=report.values, complete=report.complete)
        store = self._open()
        if self._is_new(store):
            # The store accepts writes of one thread only: this one now, the writer's after reopening.
            self._write_genesis_state(store)
            store.close()
            store = self._open()
        try:
            await self._serve(store)
        finally:
            store.close()
            self._log.info("node stopped")

    def _open(self) -> Store:
        return open_store(
            self._data,
            genesis=self.genesis_hash,
            node_key=self.public_key,
            key_mark=self._key_mark,
            map_bytes=self.config.map_gib << 30,
        )

    @staticmethod
    def _is_new(store: Store) -> bool:
        state = CommittedState(store.live_reader())
        return Overlay(state).get(Kind.NETWORK, NETWORK_ID) is None

    def _write_genesis_state(self, store: Store) -> None:
        overlay = Overlay(CommittedState(store.live_reader()))
        load_genesis_state(overlay, self.genesis, self.genesis_hash)
        overlay.seal()
        batch = store.batch()
        batch.state(overlay.changes())
        store.commit(batch)

    def _scan(self) -> ScanReport:
        return scan_in_child(self._data, seconds=SCAN_SECONDS_MAX)

    async def _serve(self, store: Store) -> None:
        self._build(store)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._listener.run)
            self._log.info(
                "node listening", host=self.config.listen_host, port=self.config.listen_port
            )
            nursery.start_soon(self._mesh.run)
            nursery.start_soon(self._driver.run)
            nursery.start_soon(self._drop_expired)

    def _build(self, store: Store) -> None:
        self._store = store
        self._pool = Pool(
            total_max=self.config.limits.pending_total,
            per_organisation_max=self.config.limits.pending_per_organisation,
        )
        committed = CommittedState(store.live_reader())
        head, tip = self._restore(store, committed)
        self._executor = Executor(
            genesis=self.genesis_hash,
            committed=committed,
            pool=self._pool,
            head=head,
            body=self._stored_body,
        )
        held = self._restore_held(head.height)
        ledger = NodeLedgerView(self._executor, self._pool, store)
        with store.reader() as reader:
            journal = dict(reader.journal())
        replica = Replica(
            config=self._replica_config(store),
            sign=Signer(self._key, self.genesis_hash).sign,
            verify=self._verify,
            ledger=ledger,
            tip=tip,
            journal=journal,
            now_ms=time.monotonic_ns() // 1_000_000,
            wall_ms=time.time_ns() // 1_000_000,
        )
        self._replica = replica
        identity = NodeIdentity(genesis=self.genesis_hash, key=self._key, validators=self.keys)
        self._mesh = Mesh(identity, self._addresses)
        self._driver = Driver(
            replica=replica,
            executor=self._executor,
            store=store,
            outlet=self._mesh,
            on_committed=self._committed,
        )
        self._service = Service(
            genesis=self.genesis_hash,
            executor=self._executor,
            pool=self._pool,
            store=store,
            source=StatusSource(
                self._describe, self._driver.offer, self._mesh.broadcast, _now_seconds
            ),
        )
        self._sync = SyncService(self._executor, store)
        self._listener = Listener(
            identity,
            self.config.listen_host,
            self.config.listen_port,
            peers=PeerInbox(
                self._from_peer,
                lambda: self._driver.inbox_full,
                self._driver.wait_for_room,
            ),
            clients=ClientHandler(self._service.handle, self._service.forget),
            committed_height=lambda: self._executor.head.height,
        )
        if held:
            self._driver.offer(TransactionsHeld(tuple(held)))

    def _replica_config(self, store: Store) -> ReplicaConfig:
        if store.vote_bar:
            self._log.error("this node will not vote", reason=store.vote_bar)
        return ReplicaConfig(
            genesis=self.genesis_hash,
            genesis_time_ms=self.genesis.time_ms,
            validators=self.keys,
            validators_hash=validators_hash(self.genesis.validators),
            index=self.index,
            voting=not store.vote_bar,
            window=self.genesis.window,
            epoch_length=self.genesis.epoch_length,
        )

    def _verify(self, kind: bytes, body: bytes, public_key: bytes, signature: bytes) -> bool:
        return verify_kind(kind, self.genesis_hash, body, public_key, signature)

    def _restore(self, store: Store, committed: CommittedState) -> tuple[Head, Tip]:
        """Where the stored chain ends."""
        with store.reader() as reader:
            tip = reader.tip()
            row = None if tip is None else reader.block(tip.height)
        if tip is None or row is None:
            root = committed.root
            head = Head(0, self.genesis_hash, b"", None, root, self.genesis.time_ms)
            return head, Tip(None, self.genesis_hash, None, 0, self.keys)
        header = decode(Header, row.header)
        head = Head(
            tip.height, tip.block, row.header, row.certificate, tip.state_root, header.time_ms
        )
        epoch = tip.height // self.genesis.epoch_length
        return head, Tip(row.header, tip.block, row.certificate, epoch, self.keys)

    def _stored_body(self, transaction: bytes) -> Envelope | None:
        with self._store.reader() as reader:
            place = reader.transaction(transaction)
            row = None if place is None else reader.block(place[0])
            bodies = None if place is None or row is None else reader.envelopes(place[0], row.block)
        if place is None or bodies is None:
            return None
        return open_envelope(bodies[place[1]])

    def _restore_held(self, height: int) -> list[Transaction]:
        """Bodies of candidates above the head: a prepared block may have to be executed again."""
        envelopes: list[Envelope] = []
        with self._store.reader() as reader:
            for above in range(height + 1, height + 1 + self.genesis.window):
                for block in reader.candidates(above):
                    bodies = [open_envelope(b) for b in reader.envelopes(above, block) or ()]
                    self._executor.restore_held(block, above, [b.transaction for b in bodies])
                    envelopes.extend(bodies)
        fresh = {e.transaction: e for e in envelopes}
        return [self._pool.add(e) for e in fresh.values()]

    # --- traffic ------------------------------------------------------------------------------

    def _from_peer(self, source: int, messages: list[PeerMessage]) -> None:
        """Messages of one validator: bodies and fetches are ours, the rest is the core's."""
        for_core: list[PeerMessage] = []
        for message in messages:
            if isinstance(message, Bodies):
                for _ in range(self._service.gossiped(message)):
                    self._listener.strike(source)
            elif isinstance(message, FetchBlocks):
                self._reply(source, self._sync.blocks(message))
            elif isinstance(message, FetchBodies):
                self._reply(source, self._sync.bodies(message))
            else:
                if isinstance(message, Blocks):
                    for block in message.blocks:
                        self._service.hold_block_bodies(block.envelopes)
                for_core.append(message)
        if for_core:
            self._driver.offer_messages(source, for_core)

    def _reply(self, to: int, message: bytes | None) -> None:
        if message is not None:
            self._mesh.send(to, message)

    def _committed(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        self._service.committed(executed, certificate)

    async def _drop_expired(self) -> None:
        while True:
            await trio.sleep(EXPIRY_PERIOD_SECONDS)
            wanted = self._executor.in_flight()
            now = self._executor.head.time_ms // 1000
            gone = self._pool.expired(now, wanted.__contains__)
            self._pool.remove(gone)
            self._service.expired(gone)

    # --- what the node says of itself -----------------------------------------------------------

    def _describe(self, request: int) -> NodeStatus:
        numbers = self._replica.statistics()
        head = self._executor.head
        network = self._executor.view.get(Kind.NETWORK, NETWORK_ID)
        own = self.genesis.validators[self.index]
        return NodeStatus(
            request,
            self.config.name,
            own.organisation,
            numbers.epoch,
            numbers.view,
            numbers.leader,
            self.index,
            head.height,
            head.block,
            head.state_root,
            network.business_date if isinstance(network, Network) else 0,
            len(self._pool),
            self._mesh.statistics().connected,
            self._waiting(),
        )

    def _waiting(self) -> str:
        """Why there is no block right now, naming validators."""
        waiting = self._replica.statistics().waiting
        names = ", ".join(self.genesis.validators[i].name for i in waiting.validators)
        return waiting.reason.value + (f": {names}" if names else "")


def _passphrase() -> bytes | None:
    """Of an encrypted node key, from TALLY_PASSPHRASE."""
    text = os.environ.get("TALLY_PASSPHRASE")
    return text.encode() if text else None


def _now_seconds() -> int:
    return int(time.time())


__all__ = ["Validator", "load_genesis"]
