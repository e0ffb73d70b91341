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

from net import ClientHandler, Listener, Mesh, NodeIdentity, PeerInbox
from node.config import ConfigError, NodeConfig, load_config
from node.driver import Driver
from node.machine import Clock, Machine, Peers, prepare_store
from node.signer import Signer
from node.store import ScanReport, Store, open_store, scan_in_child
from tallynet.genesis import Genesis, genesis_hash
from tallynet.handshake import software_fingerprint
from tallynet.keyfile import load_key_file
from tallynet.messages import (
    PeerMessage,
)
from tallynet.plain import PlainError, from_plain
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
        self._signer: Final = Signer(self._key, self.genesis_hash)
        self._clock: Final = self._make_clock()

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
        self._store = self._open()
        if prepare_store(self._store, self.genesis, self.genesis_hash):
            # The store accepts writes of one thread only: this one now, the writer's after reopening.
            self._store.close()
            self._store = self._open()
        try:
            await self._serve()
        finally:
            self._store.close()
            self._log.info("node stopped")

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

    async def _serve(self) -> None:
        self._build_network()
        self._build_machine()
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._listener.run)
                self._log.info(
                    "node listening", host=self.config.listen_host, port=self.config.listen_port
                )
                nursery.start_soon(self._mesh.run)
                nursery.start_soon(self._run_machine)
                nursery.start_soon(self._drop_expired)
        finally:
            self._machine.close()

    def _build_network(self) -> None:
        """Lives as long as the process; machines come and go behind it."""
        identity = NodeIdentity(genesis=self.genesis_hash, key=self._key, validators=self.keys)
        self._mesh = Mesh(identity, self._addresses)
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
                lambda session, requests: self._machine.service.handle(session, requests),
                lambda session: self._machine.service.forget(session),
            ),
            committed_height=lambda: self._machine.executor.head.height,
        )

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

    async def _run_machine(self) -> None:
        """One machine after the other: a fetched state ends the one that fetched it."""
        while True:
            await self._driver.run()
            # No checkpoint from here on: nobody meets a store that is closed. It is opened again, because
            # it accepts the writes of one thread only, and the old driver's has ended.
            self._machine.close()
            self._store.close()
            self._store = self._open()
            self._build_machine()
            self._listener.disconnect_clients("STATE_FETCHED", "what you wait for may be behind us")

    def _make_clock(self) -> Clock:
        """The machine's own. Scenarios let days pass."""
        return Clock(_now_ms, _wall_ms)

    def _peers(self, mesh: Mesh) -> Peers:
        """What the machine speaks through: the mesh itself. Fault tools put a traitor in between."""
        return mesh

    def _verify(self, kind: bytes, body: bytes, public_key: bytes, signature: bytes) -> bool:
        return verify_kind(kind, self.genesis_hash, body, public_key, signature)

    # --- traffic ------------------------------------------------------------------------------

    def _from_peer(self, source: int, messages: list[PeerMessage]) -> None:
        for_core, invalid = self._machine.receive(source, messages)
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
