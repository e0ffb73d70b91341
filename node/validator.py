"""A validator process: everything put together, started in order and ended cleanly.

Order at the start: configuration, genesis, key, scan of the database in a child process, store,
genesis state or the stored tip, the validator set, replica from its journal, then the listener, the mesh
and the driver.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from net import ClientHandler, ClientSession, Listener, Mesh, NodeIdentity, PeerInbox
from node.ciphertexts import CiphertextService, CiphertextStore, Surroundings
from node.config import ConfigError, NodeConfig, PeerAddress, load_config
from node.driver import Driver
from node.handovers import Life, keep_handovers, life_of, load_succession
from node.machine import Clock, Machine, Peers, prepare_store
from node.signer import Signer
from node.state import CommittedState, Overlay
from node.store import ScanReport, Store, open_store, scan_in_child
from tallynet.ciphertexts import (
    CiphertextPiece,
    FetchCiphertext,
    NoCiphertext,
    PutCiphertext,
    QueryCiphertext,
)
from tallynet.client import Client, NodeAddress
from tallynet.codec import decode
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis, genesis_hash
from tallynet.handshake import software_fingerprint
from tallynet.keyfile import load_key_file
from tallynet.messages import ClientRequest, EvidenceKind, PeerMessage
from tallynet.plain import PlainError, from_plain
from tallynet.signatures import self_test, verify_kind
from tallynet.validators import Handover

SCAN_SECONDS_MAX: Final = 20.0
"""At the start a large database is scanned in part, what voting stands on first."""
JOIN_PERIOD_SECONDS: Final = 2.0
"""How often a node that waits to become a validator asks how the set has changed."""
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
        self._directory: Final = directory
        self._data: Final = directory / self.config.data_directory
        self._key_mark: Final = key_path.with_suffix(".mark")
        self._signer: Final = Signer(self._key, self.genesis_hash)
        self._clock: Final = self._make_clock()

    def _addresses(self, life: Life, *, complete: bool) -> dict[int, tuple[str, int]]:
        """Where the other validators of a set listen. Read anew for each set, so that a node learns the
        address of a new validator without a restart.

        Raises:
            ConfigError: PEER_MISSING, if they have to be `complete`.
        """
        keys = life.voters.keys
        peers = {bytes.fromhex(peer.public_key): peer for peer in self._listed_peers()}
        others = [index for index in range(len(keys)) if index != life.index]
        missing = [keys[index].hex() for index in others if keys[index] not in peers]
        if missing and complete:
            raise ConfigError("PEER_MISSING", f"no address for: {', '.join(missing)}")
        for key in missing:
            self._log.error("no address for a validator of the new set", public_key=key)
        found = {index: peers[keys[index]] for index in others if keys[index] in peers}
        return {index: (peer.host, peer.port) for index, peer in found.items()}

    def _listed_peers(self) -> tuple[PeerAddress, ...]:
        """As the configuration file says now; a file that was spoiled meanwhile stops no running node."""
        try:
            return load_config(self._directory).peers
        except ConfigError as error:
            self._log.error("configuration not read again", code=error.code, reason=error.message)
            return self.config.peers

    # --- start --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled. Raises what made the node stop."""
        self_test()
        self._log.info(
            "node starting",
            network=self.genesis.name,
            genesis=self.genesis_hash,
            public_key=self.public_key,
            software=software_fingerprint(),
        )
        if (self._data / "data.mdb").exists():
            report = await trio.to_thread.run_sync(self._scan)
            self._log.info("database scanned", values=report.values, complete=report.complete)
        self._store = self._open()
        if prepare_store(self._store, self.genesis, self.genesis_hash):
            # The store accepts writes of one thread only: this one now, the writer's after reopening.
            self._store.close()
            self._store = self._open()
        try:
            await self._serve(await self._first_life())
        finally:
            self._store.close()
            self._log.info("node stopped")

    def _life(self) -> Life | None:
        """In which validator set this node lives, by what is stored."""
        succession = load_succession(self._store, self.genesis, verify_kind)
        with self._store.reader() as reader:
            tip = reader.tip()
        return life_of(succession, 0 if tip is None else tip.height, self.public_key)

    async def _first_life(self) -> Life:
        """Of a new validator's node: once the set that it belongs to has taken over. Until then it asks the
        others, as a client does, how the set has changed; there is no machine yet that could."""
        while (life := self._life()) is None:
            if not self.config.join:
                raise ConfigError(
                    "KEY_NOT_VALIDATOR",
                    f"{self.config.key_file}: this key is no validator of {self.genesis.name!r}; use the"
                    " key that was named in the genesis, or set join = true and let the banks add it",
                )
            self._log.info("waiting until this node belongs to the validator set")
            handovers = await self._ask_handovers()
            if handovers:
                keep_handovers(self._store, handovers)
                # Written by this thread, and the store accepts writes of one only.
                self._store.close()
                self._store = self._open()
            else:
                await trio.sleep(JOIN_PERIOD_SECONDS)
        return life

    async def _ask_handovers(self) -> list[Handover]:
        """What other nodes show of changes of the set that is not known here; checked."""
        known = load_succession(self._store, self.genesis, verify_kind)
        found: list[Handover] = []
        nodes = [
            NodeAddress(peer.host, peer.port, bytes.fromhex(peer.public_key))
            for peer in self._listed_peers()
        ]
        try:
            async with Client.connect(nodes, self.genesis, self._key) as client:
                async for raw in client.evidence(EvidenceKind.HANDOVERS):
                    handover = decode(Handover, raw)
                    if known.add(handover):
                        found.append(handover)
        except (TallynetError, ValueError) as error:
            self._log.info("nobody shows how the validator set has changed", reason=str(error))
        return found

    def _open(self) -> Store:
        return open_store(
            self._data,
            genesis=self.genesis_hash,
            node_key=self.public_key,
            key_mark=self._key_mark,
            map_bytes=self.config.map_gib << 30,
        )

    def _scan(self) -> ScanReport:
        return scan_in_child(self._data, seconds=SCAN_SECONDS_MAX)

    async def _serve(self, life: Life) -> None:
        self._build_network(life)
        self._build_machine()
        self._ciphertexts = self._build_ciphertexts()
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._listener.run)
                self._log.info(
                    "node listening", host=self.config.listen_host, port=self.config.listen_port
                )
                nursery.start_soon(self._run_mesh)
                nursery.start_soon(self._run_machine, life)
                nursery.start_soon(self._ciphertexts.run)
                nursery.start_soon(self._drop_expired)
                nursery.start_soon(self._come_back)
        finally:
            self._machine.close()

    def _build_network(self, life: Life) -> None:
        """The listener lives as long as the process; machines come and go behind it."""
        identity = self._identity(life)
        # A set that came later may lack an address here; that is no reason not to start again.
        founders = life.voters.since == 0
        self._mesh = Mesh(identity, self._addresses(life, complete=founders))
        self._mesh_scope = trio.CancelScope()
        self._listener = Listener(
            identity,
            self.config.listen_host,
            self.config.listen_port,
            peers=PeerInbox(
                self._from_peer,
                lambda: self._driver.inbox_full,
                lambda: self._driver.wait_for_room(),
            ),
            clients=ClientHandler(
                self._from_client,
                lambda session: self._machine.service.forget(session),
            ),
            committed_height=lambda: self._machine.executor.head.height,
        )

    def _identity(self, life: Life) -> NodeIdentity:
        return NodeIdentity(genesis=self.genesis_hash, key=self._key, validators=life.voters.keys)

    def _change_set(self, life: Life) -> None:
        """Other validators are spoken to and listened to from now on."""
        identity = self._identity(life)
        self._mesh = Mesh(identity, self._addresses(life, complete=False))
        self._mesh_scope.cancel()
        self._listener.change_set(identity)

    async def _run_mesh(self) -> None:
        """One mesh after the other."""
        while True:
            with trio.CancelScope() as self._mesh_scope:
                await self._mesh.run()

    def _build_machine(self) -> None:
        if self._store.vote_bar:
            self._log.error("this node will not vote", reason=self._store.vote_bar)
        self._machine = Machine(
            name=self.config.name,
            genesis=self.genesis,
            genesis_hash=self.genesis_hash,
            signer=self._signer,
            verify=self._verify,
            store=self._store,
            peers=self._peers(self._mesh),
            limits=self.config.limits,
            clock=self._clock,
            offer=lambda event: self._driver.offer(event),
            log=lambda event, fields: self._log.info(event, **fields),
            state_sync_blocks=self.config.state_sync_blocks,
            keep_blocks=self.config.keep_blocks,
        )
        self._driver = Driver(self._machine.shell, self._store, self._clock)
        self._machine.start()

    async def _run_machine(self, life: Life) -> None:
        """One machine after the other: a fetched state ends the one that fetched it, and another validator
        set that of the set before."""
        while True:
            await self._driver.run()
            # No checkpoint from here on: nobody meets a store that is closed. It is opened again, because
            # it accepts the writes of one thread only, and the old driver's has ended.
            self._machine.close()
            self._store.close()
            self._store = self._open()
            before, life = life, self._life() or life
            if life.voters != before.voters:
                self._change_set(life)
            self._build_machine()
            code = "STATE_FETCHED" if life.voters == before.voters else "VALIDATORS_CHANGED"
            self._listener.disconnect_clients(code, "what you wait for may be behind us")

    async def _come_back(self) -> None:
        """A retired validator may be added again: it asks the others, as a client does."""
        while True:
            await trio.sleep(JOIN_PERIOD_SECONDS)
            machine = self._machine
            if machine.replica.ended:
                handovers = await self._ask_handovers()
                if machine is self._machine:
                    machine.learn(handovers)

    def _make_clock(self) -> Clock:
        """The machine's own. Scenarios let days pass."""
        return Clock(_now_ms, _wall_ms)

    def _peers(self, mesh: Mesh) -> Peers:
        """What the machine speaks through: the mesh itself. Fault tools put a traitor in between."""
        return mesh

    def _verify(self, kind: bytes, body: bytes, public_key: bytes, signature: bytes) -> bool:
        return verify_kind(kind, self.genesis_hash, body, public_key, signature)

    # --- ciphertexts --------------------------------------------------------------------------

    def _build_ciphertexts(self) -> CiphertextService:
        """As long-lived as the process: machines come and go beside it."""
        limits = self.config.limits
        place = self._data / "ciphertexts"
        try:
            store = CiphertextStore(
                place,
                per_organisation_max=limits.ciphertexts_per_organisation_mib << 20,
                total_max=limits.ciphertexts_total_mib << 20,
            )
        except OSError as error:
            raise ConfigError("FILE_UNUSABLE", f"{place}: {error.strerror}") from None
        around = Surroundings(
            state=self._committed_state,
            send=lambda to, message: self._mesh.send(to, message),
            peers=lambda: self._mesh.reachable(),
            now=time.time,
            log=lambda event, fields: self._log.warning(event, **fields),
        )
        return CiphertextService(store, around)

    @contextmanager
    def _committed_state(self) -> Iterator[Overlay]:
        with self._store.reader() as reader:
            yield Overlay(CommittedState.snapshot(reader))

    # --- traffic ------------------------------------------------------------------------------

    def _from_client(self, session: ClientSession, requests: list[ClientRequest]) -> None:
        others: list[ClientRequest] = []
        for request in requests:
            if isinstance(request, PutCiphertext | QueryCiphertext):
                self._ciphertexts.handle(session, request)
            else:
                others.append(request)
        self._machine.service.handle(session, others)

    def _from_peer(self, source: int, messages: list[PeerMessage]) -> None:
        others: list[PeerMessage] = []
        for message in messages:
            if isinstance(message, FetchCiphertext | CiphertextPiece | NoCiphertext):
                self._ciphertexts.receive(source, message)
            else:
                others.append(message)
        for_core, invalid = self._machine.receive(source, others)
        for _ in range(invalid):
            self._listener.strike(source)
        if for_core:
            self._driver.offer_messages(source, for_core)

    async def _drop_expired(self) -> None:
        while True:
            await trio.sleep(EXPIRY_PERIOD_SECONDS)
            self._machine.drop_expired()


def _passphrase() -> bytes | None:
    """Of an encrypted node key, from TALLY_PASSPHRASE."""
    text = os.environ.get("TALLY_PASSPHRASE")
    return text.encode() if text else None


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


__all__ = ["Validator", "load_genesis"]
