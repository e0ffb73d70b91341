"""Clients put ciphertexts here and ask for them; other nodes ask on behalf of theirs.

Who may is decided on the event loop, by the state of that moment. Disk work is done in one thread, one job
after the other from a bounded queue, so that neither a slow disk nor a large file holds up a vote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from node.ciphertexts.access import (
    address_for_put,
    address_for_query,
    is_named,
    named_hashes,
    record_of,
)
from node.ciphertexts.pulls import Pulls
from node.ciphertexts.store import Address, CiphertextRefused, CiphertextStore
from node.questions import Questions
from node.state.view import StateView
from tallynet.ciphertexts import (
    PIECE_BYTES_MAX,
    CiphertextPart,
    CiphertextPiece,
    CiphertextState,
    FetchCiphertext,
    NoCiphertext,
    PutCiphertext,
    QueryCiphertext,
)
from tallynet.codec import encode
from tallynet.errors import TallynetError
from tallynet.messages import RequestRefused
from tallynet.records import Kind

__all__ = ["CiphertextService", "Session", "Surroundings"]

JOBS_MAX: Final = 256
"""Pieces waiting for the disk: 32 MiB at most; more are asked to come again."""
GRACE_SECONDS: Final = 3_600
"""How long a ciphertext is kept that no record names: it is put before the record is ordered, and a person
may have to sign in between. A part that grows no more is kept as long."""
SWEEP_SECONDS: Final = 10.0
SWEEP_MAX: Final = 100
"""Ciphertexts looked at in one sweep; the next goes on from there."""
ANSWER_PERIOD_SECONDS: Final = 0.1
"""How often questions are looked at that waited for their asker's allowance."""
MISSING_SECONDS: Final = 2.0
"""After nobody had it, how long a client is told so without asking everybody again."""
MISSING_MAX: Final = 1_024

Job = Callable[[], Callable[[], None]]
"""Done in the thread; returns what is to be done on the event loop afterwards."""


class Session(Protocol):
    """A client's connection, `net.ClientSession`."""

    @property
    def key(self) -> bytes: ...

    def send(self, message: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the service asks of the rest of the node."""

    state: Callable[[], AbstractContextManager[StateView]]
    """The newest committed state."""
    send: Callable[[int, bytes], None]
    """To another node, by index."""
    peers: Callable[[], Sequence[int]]
    """Those that can be asked."""
    now: Callable[[], float]
    """Unix seconds."""
    log: Callable[[str, dict[str, object]], None]


class CiphertextService:
    def __init__(self, store: CiphertextStore, surroundings: Surroundings) -> None:
        self._store: Final = store
        self._around: Final = surroundings
        self._jobs, self._work = trio.open_memory_channel[Job](JOBS_MAX)
        self._wanted, self._to_pull = trio.open_memory_channel[Address](JOBS_MAX)
        self._questions: Final = Questions()
        self._left_over = trio.Event()
        """Set while questions wait."""
        self._pulls: Final = Pulls(self._append, self._here, self._ask)
        self._missing: Final[dict[Address, tuple[float, str]]] = {}
        """When it was last not to be had, and the code that says why."""
        self._swept = 0

    def change_quotas(self, *, per_organisation: int, total: int) -> None:
        """Other bounds, in bytes, from now on."""
        self._store.set_bounds(per_organisation_max=per_organisation, total_max=total)

    # --- clients --------------------------------------------------------------------------------

    def handle(self, session: Session, request: PutCiphertext | QueryCiphertext) -> None:
        """Answer one request, now or when the disk has."""
        try:
            with self._around.state() as state:
                time = int(self._around.now())
                if isinstance(request, PutCiphertext):
                    address = address_for_put(state, request, session.key, time)
                else:
                    address = address_for_query(state, request, session.key, time)
                named = is_named(state, address)
        except TallynetError as error:
            _refuse(session, request.request, error.code, error.message)
            return
        if isinstance(request, PutCiphertext):
            self._put(session, request, address, named=named)
        else:
            self._query(session, request, address)

    def _put(self, session: Session, put: PutCiphertext, address: Address, *, named: bool) -> None:
        now = self._around.now()

        def work() -> bytes:
            held = self._store.append(address, put.size, put.offset, put.data, now, named=named)
            return encode(CiphertextState(put.request, held))

        self._for_client(session, put.request, work)

    def _query(self, session: Session, query: QueryCiphertext, address: Address) -> None:
        held = self._store.held(address)
        if held is None or not held.whole:
            code = self._fetch(address)
            _refuse(session, query.request, code, "ask again in a moment")
            return

        def work() -> bytes:
            data = self._store.read(address, query.offset, PIECE_BYTES_MAX)
            return encode(CiphertextPart(query.request, held.size, data))

        self._for_client(session, query.request, work)

    def _for_client(self, session: Session, request: int, work: Callable[[], bytes]) -> None:
        def job() -> Callable[[], None]:
            try:
                answer = work()
            except CiphertextRefused as refusal:
                code, text = refusal.code, refusal.message
                return lambda: _refuse(session, request, code, text)
            except OSError as error:
                reason = str(error)
                self._around.log("ciphertext_disk", {"reason": reason})
                return lambda: _refuse(session, request, "CIPHERTEXT_DISK", "try another node")
            return lambda: session.send(answer)

        try:
            self._jobs.send_nowait(job)
        except trio.WouldBlock:
            _refuse(session, request, "CIPHERTEXT_BUSY", "ask again in a moment")

    # --- from other nodes -----------------------------------------------------------------------

    def _fetch(self, address: Address) -> str:
        """See to it that it comes; the code for the client that waits."""
        known = self._missing.get(address)
        if known is not None and self._around.now() - known[0] < MISSING_SECONDS:
            return known[1]
        if not self._pulls.is_running(address):
            try:
                self._wanted.send_nowait(address)
            except trio.WouldBlock:
                return "CIPHERTEXT_BUSY"
        return "CIPHERTEXT_ON_ITS_WAY"

    async def _pull(self, address: Address) -> None:
        held = self._store.held(address)
        if held is not None and held.whole:
            return
        code = ""
        try:
            if not await self._pulls.pull(address, self._around.peers()):
                code = "CIPHERTEXT_MISSING"
        except CiphertextRefused as refusal:
            code = refusal.code
        except OSError as error:
            code = "CIPHERTEXT_DISK"
            self._around.log("ciphertext_disk", {"reason": str(error)})
        self._missing.pop(address, None)
        if code:
            if len(self._missing) >= MISSING_MAX:
                self._missing.pop(next(iter(self._missing)))
            self._missing[address] = (self._around.now(), code)

    def _here(self, address: Address) -> int:
        held = self._store.held(address)
        return 0 if held is None else held.bytes

    def _ask(self, peer: int, question: FetchCiphertext) -> None:
        self._around.send(peer, encode(question))

    async def _append(self, address: Address, size: int, offset: int, data: bytes) -> int:
        """`CiphertextStore.append` in its turn. Raises as it does."""
        done = trio.Event()
        outcome: list[int | CiphertextRefused | OSError] = []

        def job() -> Callable[[], None]:
            try:
                now = self._around.now()
                outcome.append(self._store.append(address, size, offset, data, now, named=True))
            except (CiphertextRefused, OSError) as error:
                outcome.append(error)
            return done.set

        await self._jobs.send(job)
        await done.wait()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    # --- for other nodes ------------------------------------------------------------------------

    def receive(
        self, source: int, message: FetchCiphertext | CiphertextPiece | NoCiphertext
    ) -> None:
        """A message of another node."""
        if isinstance(message, FetchCiphertext):
            self._questions.put(source, message)
            self._answer()
        else:
            self._pulls.answered(source, message)

    def _answer(self) -> None:
        """As many questions as may be answered now."""
        now_ms = int(trio.current_time() * 1000)
        while (asked := self._questions.take(now_ms)) is not None:
            source, question = asked
            if isinstance(question, FetchCiphertext):
                self._questions.charge(source, PIECE_BYTES_MAX, now_ms)
                self._give(source, question)
        if self._questions.count:
            self._left_over.set()
        elif self._left_over.is_set():
            self._left_over = trio.Event()

    def _give(self, source: int, question: FetchCiphertext) -> None:
        with self._around.state() as state:
            record = record_of(state, question.kind, question.record)
        owner = named_hashes(record).get(question.hash)
        address = Address(owner or b"", question.kind, question.record, question.hash)
        held = self._store.held(address)
        if held is None or not held.whole or question.offset >= held.size:
            self._around.send(source, encode(NoCiphertext(question.hash)))
            return

        def job() -> Callable[[], None]:
            try:
                data = self._store.read(address, question.offset, PIECE_BYTES_MAX)
                piece = encode(CiphertextPiece(question.hash, held.size, question.offset, data))
            except OSError:
                piece = encode(NoCiphertext(question.hash))
            return lambda: self._around.send(source, piece)

        with suppress(trio.WouldBlock):  # then it asks another node, or again
            self._jobs.send_nowait(job)

    # --- tasks ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._work_off)
            nursery.start_soon(self._start_pulls, nursery)
            nursery.start_soon(self._keep_answering)
            nursery.start_soon(self._keep_sweeping)

    async def _work_off(self) -> None:
        async for job in self._work:
            (await trio.to_thread.run_sync(job))()

    async def _start_pulls(self, nursery: trio.Nursery) -> None:
        async for address in self._to_pull:
            if not self._pulls.is_running(address) and self._pulls.has_room:
                nursery.start_soon(self._pull, address)
                await trio.lowlevel.checkpoint()

    async def _keep_answering(self) -> None:
        while True:
            await self._left_over.wait()
            await trio.sleep(ANSWER_PERIOD_SECONDS)
            self._answer()

    async def _keep_sweeping(self) -> None:
        while True:
            await trio.sleep(SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Drop what no record names, and parts that grow no more, once their time is over. What a document
        names needs no second look, for a document never leaves the state."""
        every = self._store.loose()
        if self._swept >= len(every):
            self._swept = 0
        part = every[self._swept : self._swept + SWEEP_MAX]
        self._swept += len(part)
        late = self._around.now() - GRACE_SECONDS
        jobs: list[Job] = []
        with self._around.state() as state:
            for address, held in part:
                if is_named(state, address) and (held.whole or held.touched >= late):
                    jobs.append(self._settling(address))
                elif held.touched < late:
                    jobs.append(self._dropping(address))
        with suppress(trio.WouldBlock):  # the rest at the next sweep
            for job in jobs:
                self._jobs.send_nowait(job)

    def _settling(self, address: Address) -> Job:
        def job() -> Callable[[], None]:
            self._store.settle(address, for_good=address.kind == Kind.DOCUMENT)
            return _nothing

        return job

    def _dropping(self, address: Address) -> Job:
        def job() -> Callable[[], None]:
            try:
                self._store.drop(address)
            except OSError as error:
                self._around.log("ciphertext_disk", {"reason": str(error)})
            return _nothing

        return job


def _nothing() -> None:
    """Nothing is to be done on the event loop."""


def _refuse(session: Session, request: int, code: str, text: str) -> None:
    session.send(encode(RequestRefused(request, code, text[:400])))
