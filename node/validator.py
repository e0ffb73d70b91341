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
from node.machine import Clock, Machine, prepare_store
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
        if prepare_store(store, self.genesis, self.genesis_hash):
            # The store accepts writes of one thread only: this one now, the writer's after reopening.
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
        if store.vote_bar:
            self._log.error("this node will not vote", reason=store.vote_bar)
        identity = NodeIdentity(genesis=self.genesis_hash, key=self._key, validators=self.keys)
        self._mesh = Mesh(identity, self._addresses)
        self._machine = Machine(
            name=self.config.name,
            genesis=self.genesis,
            genesis_hash=self.genesis_hash,
            signer=Signer(self._key, self.genesis_hash),
            verify=self._verify,
            store=store,
            peers=self._mesh,
            limits=self.config.limits,
            clock=Clock(_now_ms, _wall_ms),
            offer=lambda event: self._driver.offer(event),
            log=lambda event, fields: self._log.info(event, **fields),
        )
        self._driver = Driver(self._machine.shell, store)
        self._listener = Listener(
            identity,
            self.config.listen_host,
            self.config.listen_port,
            peers=PeerInbox(
                self._from_peer,
                lambda: self._driver.inbox_full,
                self._driver.wait_for_room,
            ),
            clients=ClientHandler(self._machine.service.handle, self._machine.service.forget),
            committed_height=lambda: self._machine.executor.head.height,
        )
        self._machine.start()

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
