"""A node's process, validator or observer: everything put together, started in order and ended cleanly.

Order at the start: configuration, genesis, key, scan of the database in a child process, store,
genesis state or the stored tip, the validator set and the own role, replica from its journal, then the
listener, the mesh and the driver. Validator sets and roles change while the process runs: each *life* under
one set and in one role has a machine and a mesh of its own behind the same listener.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.routing import BaseRoute

from net import Answers, ClientHandler, ClientSession, Listener, ListenerLimits, Mesh, PeerInbox
from node import logs
from node.ciphertexts import CiphertextService, CiphertextStore, Surroundings
from node.config import ConfigError, NodeConfig, PeerAddress, load_config
from node.driver import Driver
from node.handovers import Life, Standing, life_of, load_succession
from node.links import Links, fitting, links_of
from node.lookout import look
from node.machine import Clock, Machine, Peers, prepare_store
from node.recorder import Recorder
from node.reload import needs_restart
from node.signer import Signer
from node.state import CommittedState, Overlay
from node.store import ScanReport, Store, open_store, scan_in_child
from node.supervisor import Supervisor
from node.vitals import Vitals
from node.web import errors, pages
from node.web.address import WebAddress, parse_address
from node.web.application import application
from node.web.health import health_routes
from node.web.listener import WebListener
from node.web.metrics import metrics_routes
from node.web.names import Names
from node.web.node_site import NodeSite
from tallynet.ciphertexts import (
    CiphertextPiece,
    FetchCiphertext,
    NoCiphertext,
    PutCiphertext,
    QueryCiphertext,
)
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError
from tallynet.genesis import Genesis, genesis_hash
from tallynet.handshake import software_fingerprint
from tallynet.keyfile import load_key_file
from tallynet.messages import (
    ClientRequest,
    Goodbye,
    ObserverReply,
    ObserverRequest,
    PeerMessage,
    Signed,
    SignedKind,
    Status,
)
from tallynet.plain import PlainError, from_plain
from tallynet.signatures import self_test, verify_kind
from tallynet.validators import Succession

SCAN_SECONDS_MAX: Final = 20.0
"""At the start a large database is scanned in part, what voting stands on first."""
LOOK_SECONDS: Final = 2.0
"""How often a validator to which nobody listens any more asks, as a client, how the set has changed."""
FEED_SECONDS: Final = 0.02
"""Between two turns of serving observers: how much later than validators they hear of a block, at most."""
QUIET_SECONDS: Final = 0.25
"""The same while nobody observes, who would be served so much later once; fifty turns a second cost as much as all else
that an idle node does."""
FEEDS_SKIPPED_MAX: Final = 10
"""Turns left out in a row while consensus has a backlog: observers may lag, but not starve."""
SUPERVISOR_SECONDS: Final = 10.0
"""Between two sentences of `systemctl status`."""
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

    def __init__(self, directory: Path, role: str = "") -> None:
        """Read and check everything that can be wrong before anything is opened. `role` takes the place of that
        in the configuration.

        Raises:
            ConfigError, KeyFileError: what is wrong in which file.
        """
        self.config: NodeConfig = load_config(directory)
        self.genesis: Final = load_genesis(directory / self.config.genesis_file)
        self.genesis_hash: Final = genesis_hash(self.genesis)
        web = self.config.web
        self._web: Final[WebAddress | None] = None if web is None else parse_address(web.listen)
        self._log: Final = structlog.get_logger("node")
        self._supervisor: Final = Supervisor()
        self._recorder: Final = Recorder(self._log, tells=logs.tells_everything)
        key_path = directory / self.config.key_file
        self._key: Final[Ed25519PrivateKey] = load_key_file(key_path, _passphrase())
        self.public_key: Final = self._key.public_key().public_bytes_raw()
        self._directory: Final = directory
        self._data: Final = directory / self.config.data_directory
        self._key_mark: Final = key_path.with_suffix(".mark")
        self._signer: Final = Signer(self._key, self.genesis_hash)
        self._clock: Final = self._make_clock()
        self._only_observes: Final = (role or self.config.role) == "observer"
        self._site: Final = self._make_site()
        self._moved_on_at = -1
        """Height of the own last block, once the others are known to be past it."""
        self._links: Links
        self._serving = False
        """What has to be told of other settings has been made."""

    def _links_of(self, life: Life, *, complete: bool) -> Links:
        """Who is dialled in this life. The file is read anew each time, so that a node learns the address of a
        new validator without a restart.

        Raises:
            ConfigError: NOTHING_TO_FOLLOW; PEER_MISSING, if the addresses have to be `complete`.
        """
        links = self._dialled(life, self._listed_peers())
        missing = [key.hex() for key in links.missing]
        if missing and complete:
            raise ConfigError("PEER_MISSING", f"no address for: {', '.join(missing)}")
        for public in missing:
            self._log.error("no address for a validator of the new set", public_key=public)
        return links

    def _dialled(self, life: Life, peers: Iterable[PeerAddress]) -> Links:
        return links_of(
            life, genesis=self.genesis_hash, key=self._key, peers=peers, names=self._succession()
        )

    def _listed_peers(self) -> tuple[PeerAddress, ...]:
        """As the configuration file says now; a file that was spoiled meanwhile stops no running node."""
        try:
            return load_config(self._directory).peers
        except ConfigError as error:
            self._log.error("configuration not read again", code=error.code, reason=error.message)
            return self.config.peers

    # --- settings -----------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the configuration file again and take over what can change while the node runs. If anything in it
        is wrong, or needs a new start, nothing changes; the log says what and why."""
        try:
            config = load_config(self._directory)
            if self._serving:
                self._dialled(self._machine.life, config.peers)
        except ConfigError as error:
            self._log.error("configuration not reloaded", code=error.code, reason=error.message)
            return
        fixed = needs_restart(self.config, config)
        if fixed:
            self._log.error(
                "configuration not reloaded",
                code="RESTART_NEEDED",
                settings=fixed,
                reason="these change at the next start only; restart, or put them back and reload",
            )
            return
        self.config = config
        logs.set_level(config.log_level)
        if self._serving:
            self._take_over(config)
        self._log.info("configuration reloaded")

    def _take_over(self, config: NodeConfig) -> None:
        limits = config.limits
        self._machine.reconfigure(limits, config.keep_blocks)
        self._listener.change_observers(limits.observers)
        self._ciphertexts.change_quotas(
            per_organisation=limits.ciphertexts_per_organisation_mib << 20,
            total=limits.ciphertexts_total_mib << 20,
        )

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
            await self._serve(self._first_life())
        finally:
            self._supervisor.stopping()
            self._store.close()
            self._log.info("node stopped")

    # --- role -----------------------------------------------------------------------------------

    def _succession(self) -> Succession:
        return load_succession(self._store, self.genesis, verify_kind)

    def _standing(self, height: int) -> Standing:
        """What this node may be when its chain has come to `height`."""
        if self._only_observes or self._moved_on_at == height:
            return Standing.OBSERVES
        followed = [p for p in self._listed_peers() if p.public_key != self.public_key.hex()]
        return Standing.FOLLOWS if followed else Standing.VOTES

    def _life(self) -> Life | None:
        """Under which validator set this node lives, and as what, by what is stored."""
        with self._store.reader() as reader:
            tip = reader.tip()
        height = 0 if tip is None else tip.height
        return life_of(self._succession(), height, self.public_key, self._standing(height))

    def _first_life(self) -> Life:
        """Raises ConfigError KEY_VALIDATES or KEY_NOT_VALIDATOR: the key does not fit the role."""
        return fitting(
            self._life(),
            self._succession(),
            self.public_key,
            only_observes=self._only_observes,
            join=self.config.join,
        )

    async def _look_around(self) -> None:
        """A validator to which nobody listens asks the others, as a client does: it may have been removed while
        it was down, and one that was removed may be added again."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            machine = self._machine
            if not (machine.replica.ended or self._is_lonely()):
                continue
            seen = await look(
                self._listed_peers(), genesis=self.genesis, key=self._key, known=self._succession(),
                log=self._log,
            )  # fmt: skip
            if machine is not self._machine:
                continue
            machine.learn(seen.handovers)
            height = machine.executor.head.height
            if machine.replica.ended and seen.height > height:
                self._moved_on_at = height
                machine.observe()

    def _is_lonely(self) -> bool:
        life = self._machine.life
        return not life.observes and len(life.voters.keys) > 1 and not self._mesh.connected()

    # --- one life after the other -----------------------------------------------------------------

    def _open(self) -> Store:
        return open_store(
            self._data,
            genesis=self.genesis_hash,
            node_key=self.public_key,
            key_mark=None if self._only_observes else self._key_mark,
            map_bytes=self.config.map_gib << 30,
        )

    def _scan(self) -> ScanReport:
        return scan_in_child(self._data, seconds=SCAN_SECONDS_MAX)

    async def _serve(self, life: Life) -> None:
        web = None if self._web is None else WebListener(self._web)
        self._build_network(life)
        self._build_machine(life)
        self._ciphertexts = self._build_ciphertexts()
        self._serving = True
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._listener.run)
                self._log.info(
                    "node listening", host=self.config.listen_host, port=self.config.listen_port
                )
                self._supervisor.ready()
                nursery.start_soon(self._tell_supervisor)
                nursery.start_soon(self._run_mesh)
                nursery.start_soon(self._run_machine, life)
                nursery.start_soon(self._ciphertexts.run)
                nursery.start_soon(self._drop_expired)
                nursery.start_soon(self._look_around)
                nursery.start_soon(self._feed_observers)
                if web is not None:
                    nursery.start_soon(self._serve_web, web)
        finally:
            self._machine.close()
            if web is not None:
                web.close()

    def _build_network(self, life: Life) -> None:
        """The listener lives as long as the process; machines come and go behind it."""
        # A set that came later may lack an address here; that is no reason not to start again.
        founders = life.voters.since == 0
        self._links = self._links_of(life, complete=founders)
        self._mesh = self._make_mesh()
        self._mesh_scope = trio.CancelScope()
        self._listener = Listener(
            self._links.listener,
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
            observers=ClientHandler(
                lambda session, requests: self._machine.followers.handle(session, requests),
                lambda session: self._machine.followers.forget(session),
                ObserverRequest,
            ),
            committed_height=lambda: self._machine.executor.head.height,
            admit_observer=self._admit_observer,
            limits=ListenerLimits(observers=self.config.limits.observers),
        )

    def _admit_observer(self, key: bytes) -> bool:
        named = self.config.access.observers
        return not named or key.hex() in named

    def _make_mesh(self) -> Mesh:
        links = self._links
        if not links.followed:
            return Mesh(links.dialler, links.addresses)
        return Mesh(
            links.dialler,
            links.addresses,
            on_connected=lambda number: self._machine.pass_on_again(number),
            answers=Answers(self._from_followed, lambda: self._driver.wait_for_room()),
        )

    def _change_life(self, life: Life) -> None:
        """Others are spoken to and listened to from now on."""
        self._links = self._links_of(life, complete=False)
        self._mesh = self._make_mesh()
        self._mesh_scope.cancel()
        self._listener.change_set(self._links.listener)

    async def _run_mesh(self) -> None:
        """One mesh after the other."""
        while True:
            with trio.CancelScope() as self._mesh_scope:
                await self._mesh.run()

    def _build_machine(self, life: Life) -> None:
        if self._store.vote_bar:
            self._log.error("this node will not vote", reason=self._store.vote_bar)
        self._log.info(
            "node role",
            role="observer" if life.observes else "validator",
            set_since=life.voters.since,
            validators=len(life.voters.keys),
            follows=self._links.followed,
        )
        with self._store.reader() as reader:
            tip = reader.tip()
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
            log=self._log_core,
            state_sync_blocks=self.config.state_sync_blocks,
            keep_blocks=self.config.keep_blocks,
            standing=self._standing(0 if tip is None else tip.height),
            followed=self._links.followed,
            watch=self._recorder,
        )
        self._driver = Driver(
            self._machine.shell, self._store, self._clock, self._recorder.write.add
        )
        self._machine.start()

    async def _run_machine(self, life: Life) -> None:
        """One machine after the other: a fetched state ends the one that fetched it, and another validator
        set that of the set before."""
        while True:
            await self._driver.run()
            # No checkpoint from here on: nobody meets a store that is closed. It is opened again, because
            # it accepts the writes of one thread only, and the old driver's has ended.
            self._machine.close()
            with self._site.held():
                self._store.close()
                self._store = self._open()
            before, life = life, self._life() or life
            if life != before:
                self._change_life(life)
            self._build_machine(life)
            code = "STATE_FETCHED" if life == before else "VALIDATORS_CHANGED"
            self._listener.disconnect_clients(code, "what you wait for may be behind us")

    def _make_clock(self) -> Clock:
        """The machine's own. Scenarios let days pass."""
        return Clock(_now_ms, _wall_ms)

    def _peers(self, mesh: Mesh) -> Peers:
        """What the machine speaks through: the mesh itself. Fault tools put a traitor in between."""
        return mesh

    def _verify(self, kind: bytes, body: bytes, public_key: bytes, signature: bytes) -> bool:
        begun = time.perf_counter()
        valid = verify_kind(kind, self.genesis_hash, body, public_key, signature)
        self._recorder.vote_checks.add(time.perf_counter() - begun)
        return valid

    def _log_core(self, event: str, fields: dict[str, object]) -> None:
        self._recorder.logged(event)
        self._log.info(event, **fields)

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
            # Of an observer, which follows, nobody takes such questions; its clients ask other nodes.
            peers=lambda: [] if self._links.followed else self._mesh.reachable(),
            now=time.time,
            log=lambda event, fields: self._log.warning(event, **fields),
        )
        return CiphertextService(store, around)

    @contextmanager
    def _committed_state(self) -> Iterator[Overlay]:
        with self._store.reader() as reader:
            yield Overlay(CommittedState.snapshot(reader))

    # --- web ----------------------------------------------------------------------------------

    async def _serve_web(self, listener: WebListener) -> None:
        """Raises StoreFatal when a page meets damage in the store."""
        app = application(listener.address, self._web_routes(), errors.handlers(self._site))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run, app)
            nursery.start_soon(self._site.fail)

    def _web_routes(self) -> list[BaseRoute]:
        """What this node answers over HTTP."""
        vitals = Vitals(
            self.config.name,
            self._recorder,
            lambda: self._machine,
            lambda: self._mesh,
            lambda: self._listener,
            lambda: self._store,
        )
        return [*health_routes(vitals), *metrics_routes(vitals), *pages.routes(self._site)]

    def _make_site(self) -> NodeSite:
        """What the pages read; as long-lived as the process, whichever machine and store are there."""
        names = self.config.web.names if self.config.web else None
        return NodeSite(
            store=lambda: self._store,
            describe=lambda: self._machine.describe(0),
            peers=lambda: self._machine.peers(),
            time_ms=lambda: self._machine.executor.head.time_ms,
            wall_ms=self._clock.wall_ms,
            has_backlog=lambda: self._driver.has_backlog,
            answers=self.config.limits.answers,
            names=Names(self._directory / names if names else None),
            recent=self._recorder.recent,
        )

    # --- traffic ------------------------------------------------------------------------------

    def _from_client(self, session: ClientSession, requests: list[ClientRequest]) -> None:
        begun = time.perf_counter()
        others: list[ClientRequest] = []
        for request in requests:
            if isinstance(request, PutCiphertext | QueryCiphertext):
                self._ciphertexts.handle(session, request)
            else:
                others.append(request)
        self._machine.service.handle(session, others)
        self._recorder.clients_handled.add(time.perf_counter() - begun)

    def _from_peer(self, source: int, messages: list[PeerMessage]) -> None:
        others: list[PeerMessage] = []
        for message in messages:
            if isinstance(message, FetchCiphertext | CiphertextPiece | NoCiphertext):
                self._ciphertexts.receive(source, message)
                continue
            if isinstance(message, Signed) and message.kind is SignedKind.STATUS:
                self._note_clock(source, message)
            others.append(message)
        for_core, invalid = self._machine.receive(source, others)
        for _ in range(invalid):
            self._listener.strike(source)
        if for_core:
            self._driver.offer_messages(source, for_core)

    def _note_clock(self, source: int, message: Signed) -> None:
        """For the metric alone: the core checks signatures, and goes by no clock but its own."""
        with suppress(RemoteProtocolError):
            ahead_ms = decode(Status, message.body).time_ms - self._clock.wall_ms()
            self._recorder.clock_skew[self._machine.voters[source]] = ahead_ms / 1000

    def _from_followed(self, number: int, messages: list[ObserverReply]) -> None:
        for_core, invalid = self._machine.receive(
            number, [message for message in messages if not isinstance(message, Goodbye)]
        )
        if invalid:
            self._log.warning("false answers", source=self._links.followed[number], count=invalid)
        if for_core:
            self._driver.offer_messages(number, for_core)

    async def _feed_observers(self) -> None:
        """Whoever follows this node gets what is left over: a little at a time, when consensus has no backlog."""
        skipped = 0
        while True:
            observed = self._machine.followers.count > 0
            due = trio.current_time() + (FEED_SECONDS if observed else QUIET_SECONDS)
            await trio.sleep_until(due)
            self._recorder.loop_lag.add(trio.current_time() - due)
            if self._driver.has_backlog and skipped < FEEDS_SKIPPED_MAX:
                skipped += 1
                continue
            skipped = 0
            self._machine.followers.serve(self._clock.now_ms())

    async def _tell_supervisor(self) -> None:
        """Several times within the time after which it would take this process for hung."""
        period = min(SUPERVISOR_SECONDS, (self._supervisor.watchdog_seconds or 60.0) / 4)
        while True:
            status = self._machine.describe(0)
            self._supervisor.alive(f"height {status.committed}: {status.waiting}")
            await trio.sleep(period)

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
