"""One simulated validator process: a `Machine` on a simulated disk, with a clock of its own.

What the trio driver of a real process does is done here in virtual time: events are stepped at once,
the taken batch is committed after the disk's latency, and a crash forgets everything but the disk.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import lmdb

from consensus.effects import ALL
from consensus.events import Event, Received, Tick
from node.config import Limits
from node.handovers import keep_handovers
from node.machine import Clock, Machine, NoMember, prepare_store
from node.signer import Signer
from node.state.tables import STATE_TABLES
from node.store import CRASH_POINTS, Store, StoreError, StoreFatal, WriteBatch
from node.store.mark import Mark
from node.store.scan import scan_environment
from node.store.tables import (
    BLOCKS,
    BODIES,
    EVIDENCE,
    HANDOVERS,
    JOURNAL,
    META,
    RECEIPTS,
    TRANSACTIONS,
    VIEWS,
)  # fmt: skip
from tallynet.blocks import Prepare
from tallynet.codec import decode
from tallynet.errors import InvariantViolated, RemoteProtocolError
from tallynet.messages import ClientRequest, SignedKind
from tools.simulator.disk import SimulatedDisk
from tools.simulator.network import Network

if TYPE_CHECKING:
    from tools.simulator.byzantine import Behaviour
    from tools.simulator.clients import Session
    from tools.simulator.run import Run

COMMIT_US: Final = (200, 3_000)
"""Range of the latency of a commit on a healthy disk."""
SLOW_COMMIT_US: Final = 1_000_000
DRIFT_PPM_MAX: Final = 10_000
"""One per cent (reliability §5)."""
EXPIRY_PERIOD_US: Final = 5_000_000
JOIN_US: Final = 50_000
"""When a process asks how the validator set has changed."""
BACKLOG_MAX: Final = 20_000
"""Messages that a paused process finds in its sockets afterwards; more were lost."""


ASKED: Final = (
    *STATE_TABLES, BLOCKS, BODIES, RECEIPTS, TRANSACTIONS, EVIDENCE, VIEWS, HANDOVERS, JOURNAL, META,
)  # fmt: skip
"""Tables whose rows answer questions."""


class Votes:
    """What one key has voted for, as its register should know."""

    def __init__(self) -> None:
        self.commits: dict[bytes, None] = {}
        """Their bodies."""
        self.prepared: dict[tuple[int, int], int] = {}
        """(epoch, height) -> newest view of a Prepare."""

    def add(self, kind: SignedKind, body: bytes) -> None:
        if kind is SignedKind.COMMIT:
            self.commits[body] = None
        elif kind is SignedKind.PREPARE:
            vote = decode(Prepare, body)
            self.prepared[vote.epoch, vote.height] = vote.view  # views only grow

    def copy(self) -> Votes:
        made = Votes()
        made.commits, made.prepared = dict(self.commits), dict(self.prepared)
        return made


class _PowerLost(BaseException):
    """Ends a commit in its middle."""


class _WatchedSigner(Signer):
    """Tells the oracles what is signed, whether or not it ever leaves."""

    def __init__(self, key: Any, genesis: bytes, node: SimulatedNode) -> None:
        super().__init__(key, genesis)
        self._node: Final = node

    def sign(self, kind: SignedKind, body: bytes) -> bytes:
        self._node.signs(kind, body)
        return super().sign(kind, body)


class SimulatedMark:
    """The key mark, which lies beside the key and not on the data disk."""

    def __init__(self, name: str) -> None:
        self.path: Final = Path(name)
        self.marks: dict[bytes, Mark] = {}
        self.fails = False
        """It cannot be written: its disk is full, or read-only."""

    def read(self, genesis: bytes) -> Mark | None:
        return self.marks.get(genesis)

    def write(self, genesis: bytes, mark: Mark) -> None:
        if self.fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.marks[genesis] = mark


class SimulatedNode:
    """A process that can be started, crashed, paused and lied to."""

    def __init__(self, run: Run, index: int, name: str, behaviour: Behaviour | None) -> None:
        self._run: Final = run
        self.index: Final = index
        self.name: Final = name
        self.behaviour: Final = behaviour
        self.disk: Final = SimulatedDisk()
        self.mark: Final = SimulatedMark(name)
        self.number: Final = run.network.add(index, self.receive)
        self._random: Final = Random(run.scheduler.random.getrandbits(64))
        self.machine: Machine | None = None
        self.store: Store | None = None
        self.offset_ms = 0
        """Of the wall clock."""
        self.drift_ppm = self._random.randint(-DRIFT_PPM_MAX, DRIFT_PPM_MAX)
        """Of the monotonic clock."""
        self.slow_disk_until_us = 0
        self.halted = ""
        """Why the process ended by itself; empty while it runs or was merely crashed."""
        self.places: Sequence[int] = range(run.plan.n)
        """Numbers of the validators by their indices in the set that it lives in."""
        self.starts = 0
        self.voted_life = 0
        """The newest start after which it let a vote go."""
        self.taken = 0
        """Turns whose batch was handed to the disk."""
        self.durable = 0
        """The newest of them that is on it."""
        self.silent_turn: int | None = None
        """The turn in which it said that it votes no more."""
        self.barred = False
        """Its disk was lost or rolled back in a way that the key mark shows, or its register is missing: it
        must not vote (B12)."""
        self.votes = Votes()
        """What was signed in the history that its disk holds; of charged validators only."""
        self._paused_until_us = 0
        self._backlog: Final[deque[tuple[Callable[..., None], tuple[Any, ...]]]] = deque()
        self._inbox: Final[deque[Event]] = deque()
        self._signer: Signer | None = None
        self._writing: WriteBatch | None = None
        self._crash_at = ""
        self._tick_at_us = 0
        self._life = 0

    def __repr__(self) -> str:
        return self.name

    @property
    def faulty(self) -> bool:
        """Counts towards f: nothing is promised about it."""
        return self.behaviour is not None or self.index in self._run.charged

    @property
    def alive(self) -> bool:
        return self.machine is not None

    @property
    def signer(self) -> int:
        """Its index in the validator set that it lives in; its number while it lives in none."""
        return self.index if self.machine is None else self.machine.life.index

    # --- clocks ---------------------------------------------------------------------------------

    def now_ms(self) -> int:
        now = self._run.scheduler.now_us
        return (now + now * self.drift_ppm // 1_000_000) // 1000

    def wall_ms(self) -> int:
        return self._run.true_wall_ms() + self.offset_ms

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Boot: scan, open, restore, as `node.validator` does."""
        if self.machine is not None:
            return
        run, town = self._run, self._run.town
        self._life += 1
        self.starts += 1
        self.halted = ""
        self._writing = None
        self._inbox.clear()
        self._backlog.clear()
        self._paused_until_us = 0
        self.disk.begin_life()
        directory = Path(self.name)
        key = town.validators[self.index]
        try:
            scan_environment(self.disk, directory)
            store = Store(
                directory,
                self.disk,
                -1,
                genesis=town.hash,
                mark=self.mark,  # type: ignore[arg-type]
                new_id=lambda: self._random.randbytes(16),
                crash_point=self._at_crash_point,
            )
            store.prepare(key.public_key().public_bytes_raw())
            prepare_store(store, town.genesis, town.hash)
            if self.index >= town.founders and run.handovers:
                keep_handovers(store, run.handovers)  # it asked the others, as a client does
            machine = self._build(store, _WatchedSigner(key, town.hash, self))
        except (StoreFatal, StoreError) as error:
            self._halt(error.code, error.message)
            return
        except lmdb.Error as error:
            self._halt("STORE_WRITE", str(error))
            return
        except NoMember:
            self._end()
            return
        except InvariantViolated as error:
            self._broken(error)
            return
        run.started(self)
        if run.plan.spares:
            run.scheduler.after(JOIN_US, self.hears_of_sets)
        self._run.scheduler.after(EXPIRY_PERIOD_US, self._drop_expired, self._life)
        self._guard(machine.start)

    def _build(self, store: Store, signer: Signer) -> Machine:
        run, town = self._run, self._run.town
        self._signer = signer
        self.store = store
        self.machine = Machine(
            name=self.name,
            genesis=town.genesis,
            genesis_hash=town.hash,
            signer=signer,
            verify=run.verify_vote,
            store=store,
            peers=_Peers(self, run.network),
            limits=Limits(),
            clock=Clock(self.now_ms, self.wall_ms),
            offer=self._inbox.append,
            log=lambda event, fields: run.log(self, event, fields),
            state_sync_blocks=run.plan.state_sync_blocks,
            keep_blocks=run.plan.keep_blocks,
            batch_transactions_max=run.plan.batch_transactions_max,
        )
        if run.plan.spares:
            self.places = [town.number_of(key) for key in self.machine.life.voters.keys]
        return self.machine

    def _replace_machine(self, old: Machine, store: Store) -> None:
        """A fetched state has ended the machine that fetched it, or another validator set that of the set
        before; the process goes on."""
        height = old.executor.head.height
        old.close()
        self._inbox.clear()
        if self._signer is not None:
            machine = self._build(store, self._signer)
            if machine.executor.head.height > height:
                self._run.adopted(self)
            else:
                self._run.note(self.name, f"lives in the set since {machine.life.voters.since}")
            machine.start()

    def hears_of_sets(self) -> None:
        """It asks the others how the validator set has changed, as a client does: to live in it for the
        first time, or again."""
        if self.machine is None:
            self.start()
        elif self.machine.replica.ended:
            self._guard(self.machine.learn, self._run.handovers)

    def crash(self) -> None:
        """Power is lost. A commit under way may have reached the disk, or not."""
        if self.machine is None:
            return
        batch, store = self._writing, self.store
        self._end()
        if batch is not None and store is not None:
            self._die_within(store, batch)

    def _die_within(self, store: Store, batch: WriteBatch) -> None:
        """The commit that was under way gets as far as one of the store's crash points, or is done."""
        self._crash_at = self._random.choice((*CRASH_POINTS, ""))
        landed = self.disk.landed
        try:
            store.commit(batch)
        except (StoreFatal, _PowerLost):
            pass  # it is on the disk or not, whatever ended it
        finally:
            self._crash_at = ""
        if self.disk.landed > landed:
            self._stored(batch)

    def _stored(self, batch: WriteBatch) -> None:
        self.durable = self.taken
        self._run.stored(self, batch)

    def _at_crash_point(self, name: str) -> None:
        if name == self._crash_at:
            raise _PowerLost

    def remembers_until(self, life: int, votes: Votes, *, mark_lost: bool) -> None:
        """The disk is now as it was in that life, with these votes; 0: empty. Without its mark nothing on this
        machine knows of votes since; with it, the node must see that it has voted since (B12)."""
        if mark_lost:
            self.mark.marks.clear()
            self.voted_life = 0
        self.barred = self.voted_life > life
        self.votes = votes
        self.silent_turn = None

    def forgets_votes(self) -> None:
        """The disk holds the chain, but not the register any more; nobody puts together a database without one."""
        blocks = self.disk.tables.get(BLOCKS)
        if blocks is not None and blocks.rows:
            self.disk.empty(JOURNAL)
            self.barred = True
            self.votes = Votes()

    def _end(self) -> None:
        self._life += 1
        if self.machine is not None:
            self.machine.close()
        self.machine = None
        self.store = None
        self._writing = None
        self._inbox.clear()
        self._backlog.clear()

    def _halt(self, code: str, why: str) -> None:
        self.halted = code
        self._end()
        self._run.halted(self, code, why)

    def _broken(self, error: InvariantViolated) -> None:
        self.halted = error.code
        self._end()
        self._run.invariant_broken(self, error)

    def pause(self, length_us: int) -> None:
        """The process is stopped (SIGSTOP) and goes on later."""
        self._paused_until_us = self._run.scheduler.now_us + length_us
        self._run.scheduler.after(length_us, self._resume, self._life)

    def _resume(self, life: int) -> None:
        if life != self._life or self._run.scheduler.now_us < self._paused_until_us:
            return
        while self._backlog and self.machine is not None and not self.paused:
            act, arguments = self._backlog.popleft()
            self._guard(act, *arguments)
        self._schedule_tick()

    @property
    def paused(self) -> bool:
        return self._run.scheduler.now_us < self._paused_until_us

    # --- events ---------------------------------------------------------------------------------

    def signs(self, kind: SignedKind, body: bytes) -> None:
        if self.index in self._run.charged:
            self.votes.add(kind, body)
        self._run.signed(self, kind)

    def receive(self, source: int, raw: bytes) -> None:
        """Bytes of another validator arrive on its authenticated connection."""
        if self.machine is not None:
            self._guard(self._received, source, raw)

    def _received(self, source: int, raw: bytes) -> None:
        machine = self.machine
        if machine is None:
            return
        try:
            message = self._run.decoded(raw)
        except RemoteProtocolError:
            self._run.refused_messages += 1
            return
        if source not in self.places:
            return  # in another set, the door is closed
        source = self.places.index(source)
        if self.behaviour is not None:
            message = self.behaviour.receive(source, raw, message)
            if message is None:
                return
        for_core, invalid = machine.receive(source, (message,))
        self._run.refused_messages += invalid
        self._inbox.extend(Received(source, message) for message in for_core)

    def ask(self, session: Session, request: ClientRequest) -> None:
        """A client's request arrives."""
        if self.machine is not None:
            self._guard(self._asked, session, request)

    def read_all(self) -> None:
        """Somebody asks for everything that is stored, as an audit does."""
        if self.machine is not None:
            self._guard(self._read_all)

    def _read_all(self) -> None:
        if self.store is None:
            return
        with self.store.reader() as reader:
            for table in ASKED:
                for _ in reader.dump(table):
                    pass

    def _asked(self, session: Session, request: ClientRequest) -> None:
        if self.machine is not None and self.machine is session.machine:
            self.machine.service.handle(session, (request,))

    def _guard(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do something inside the process, then everything that follows from it at once."""
        if self.paused:
            if len(self._backlog) < BACKLOG_MAX:
                self._backlog.append((act, arguments))
            return
        life = self._life
        try:
            act(*arguments)
            self._drain()
        except StoreFatal as error:
            self._halt(error.code, error.message)
        except InvariantViolated as error:
            self._broken(error)
        if self.disk.breach:
            self._run.breached(self)
        if life == self._life:
            self._schedule_tick()

    def _drain(self) -> None:
        machine = self.machine
        while machine is not None:
            while self._inbox:
                self._step(machine, self._inbox.popleft())
            batch = machine.shell.take()
            if batch is None:
                if self._writing is None:  # nothing of what was said needs the disk
                    self.taken += 1
                    self.durable = self.taken
                return
            self.taken += 1
            if len(batch):
                self._writing = batch
                latency = self._random.randint(*COMMIT_US)
                if self._run.scheduler.now_us < self.slow_disk_until_us:
                    latency = self._random.randrange(SLOW_COMMIT_US)
                self._run.scheduler.after(latency, self._commit, self._life)
                return
            self.durable = self.taken
            self._inbox.append(machine.shell.written())

    def _step(self, machine: Machine, event: Event) -> None:
        if self.behaviour is not None:
            changed = self.behaviour.step(event)
            if changed is None:
                return
            event = changed
        machine.shell.step(event)

    def _commit(self, life: int) -> None:
        if life == self._life:
            self._guard(self._written)

    def _written(self) -> None:
        batch, store, machine = self._writing, self.store, self.machine
        if batch is None or store is None or machine is None:
            return
        landed = self.disk.landed
        try:
            store.commit(batch)
        finally:
            self._writing = None
            if self.disk.landed > landed:
                self._stored(batch)
        self._inbox.append(machine.shell.written())
        if machine.shell.finished:
            self._replace_machine(machine, store)

    def _schedule_tick(self) -> None:
        machine = self.machine
        if machine is None:
            return
        due_us = machine.replica.next_tick_ms * 1000
        due_us -= due_us * self.drift_ppm // 1_000_000
        now = self._run.scheduler.now_us
        at = max(due_us, now + 1000)
        if now < self._tick_at_us <= at:
            return
        self._tick_at_us = at
        self._run.scheduler.after(at - now, self._tick, self._life, at)

    def _tick(self, life: int, at_us: int) -> None:
        if life == self._life and at_us == self._tick_at_us:
            self._guard(self._ticked)

    def _ticked(self) -> None:
        if self.machine is not None:
            self._step(self.machine, Tick(self.now_ms(), self.wall_ms()))

    def _drop_expired(self, life: int) -> None:
        if life == self._life and self.machine is not None:
            self._run.scheduler.after(EXPIRY_PERIOD_US, self._drop_expired, life)
            self._guard(self.machine.drop_expired)

    # --- looking --------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """Newest durable height while it runs."""
        return 0 if self.machine is None else self.machine.executor.head.height


class _Peers:
    """What the machine sends goes through the behaviour, if it has one, into the network."""

    def __init__(self, node: SimulatedNode, network: Network) -> None:
        self._node: Final = node
        self._network: Final = network

    def send(self, to: int, message: bytes) -> None:
        node = self._node
        if node.behaviour is not None:
            node.behaviour.send(to, message)
            return
        node._run.sent(node, to, message)
        self._network.send(node.number, node.places[to], message)

    def broadcast(self, message: bytes) -> None:
        node = self._node
        if node.behaviour is not None:
            for to in node.behaviour.others:
                node.behaviour.send(to, message)
            return
        node._run.sent(node, ALL, message)
        if node._run.plan.spares:
            for number in node.places:
                if number != node.index:
                    self._network.send(node.number, number, message)
            return
        self._network.broadcast(node.number, message)

    def connected(self) -> int:
        return len(self._node.places) - 1
