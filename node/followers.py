"""Serves the observers that follow this node: blocks, states, and envelopes passed on for their clients.

Theory of operation. An observer dials as a client does and asks for what the driver answers to validators
too, on the same connection. It is told whenever there is a new block, and asks for it. Two things keep
validators undisturbed. What observers are given comes out of one allowance of bytes that all of them share,
in turns, so one that catches up takes from other observers and from nobody else. And it is read and sent
when the driver has nothing more urgent to do (`serve`), never on the path of a vote.

Observers may follow observers: this is the same on every node. Time is passed in, in milliseconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from node.questions import ANSWERS_BURST_BYTES, QUESTION_BYTES, QUESTIONS_MAX
from node.state_server import StateServer
from node.sync import Answer, SyncService
from tallynet.codec import encode
from tallynet.messages import (
    Bodies,
    FetchBlocks,
    FetchBodies,
    FetchState,
    FetchStateHead,
    Newest,
    ObserverRequest,
)

ANSWERS_PER_TURN: Final = 4
"""Each is read and encoded in a millisecond or two; fifty turns a second are as much as a full allowance needs."""
TELL_MS: Final = 5_000
"""An observer hears how far this node is so often at least: the connection counts as dead after nine of these."""

_Question = FetchBlocks | FetchBodies | FetchStateHead | FetchState


class Session(Protocol):
    """An observer's connection, `net.ClientSession`."""

    @property
    def is_behind(self) -> bool:
        """It has not read what was sent before."""

    def send(self, message: bytes) -> None: ...

    def strike(self) -> None:
        """It sent something invalid."""


@dataclass(slots=True)
class _Follower:
    session: Session
    number: int
    """Where other parts count askers by validator index: negative, so that it is nobody's."""
    questions: deque[_Question] = field(default_factory=lambda: deque(maxlen=QUESTIONS_MAX))
    """When there are more the oldest goes; a correct observer has one of each kind out."""
    told: int = -1
    """Height it was told last."""
    told_ms: int = 0


class Followers:
    """Part of one machine; see the module."""

    def __init__(
        self,
        *,
        sync: SyncService,
        states: StateServer,
        newest: Callable[[], int],
        pass_on: Callable[[Bodies], int],
        bytes_per_second: int,
    ) -> None:
        """`newest` is the height of the newest durable block; `pass_on` takes envelopes in and returns how
        many were invalid; `bytes_per_second` is read for all observers together."""
        self._sync: Final = sync
        self._states: Final = states
        self._newest: Final = newest
        self._pass_on: Final = pass_on
        self.bytes_per_second = bytes_per_second
        self._followers: Final[dict[Session, _Follower]] = {}
        self._turns: Final[deque[_Follower]] = deque()
        """Who is answered next; as long as the dictionary."""
        self._numbers = 0
        self._left = ANSWERS_BURST_BYTES
        """That may be read now; negative after a large answer."""
        self._left_ms: int | None = None
        self._last: tuple[FetchBlocks, int, Answer] | None = None
        """Question, own height, answer: observers that have caught up all ask for the same block."""

    @property
    def count(self) -> int:
        """Observers connected that have said something."""
        return len(self._followers)

    # --- the connections --------------------------------------------------------------------------

    def handle(self, session: Session, requests: Iterable[ObserverRequest]) -> None:
        """Take in what one observer sent; questions wait for `serve`."""
        follower = self._followers.get(session)
        if follower is None:
            self._numbers += 1
            follower = self._followers[session] = _Follower(session, -self._numbers)
            self._turns.append(follower)
        for request in requests:
            if isinstance(request, Bodies):
                for _ in range(self._pass_on(request)):
                    session.strike()
            elif isinstance(request, FetchBlocks | FetchBodies | FetchStateHead | FetchState):
                follower.questions.append(request)

    def forget(self, session: Session) -> None:
        """The connection is over."""
        follower = self._followers.pop(session, None)
        if follower is not None:
            self._turns.remove(follower)

    # --- answers ------------------------------------------------------------------------------------

    def serve(self, now_ms: int) -> None:
        """Tell who is not up to date, and answer a few questions; call it some fifty times a second, when
        there is time."""
        if not self._followers:
            return
        self._tell(now_ms)
        self._refill(now_ms)
        for _ in range(ANSWERS_PER_TURN):
            follower = self._next() if self._left > 0 else None
            if follower is None:
                return
            answer = self._answer(follower.number, follower.questions.popleft(), now_ms)
            self._left -= max(answer.read_bytes, QUESTION_BYTES)
            if answer.message is not None:
                follower.session.send(answer.message)

    def _tell(self, now_ms: int) -> None:
        newest = self._newest()
        message = encode(Newest(newest))
        for follower in self._followers.values():
            if follower.told != newest or now_ms - follower.told_ms >= TELL_MS:
                follower.told, follower.told_ms = newest, now_ms
                follower.session.send(message)

    def _refill(self, now_ms: int) -> None:
        if self._left_ms is not None:
            gained = (now_ms - self._left_ms) * self.bytes_per_second // 1000
            self._left = min(ANSWERS_BURST_BYTES, self._left + gained)
        self._left_ms = now_ms

    def _next(self) -> _Follower | None:
        """Whose turn it is among those that ask and read."""
        for _ in range(len(self._turns)):
            follower = self._turns[0]
            self._turns.rotate(-1)
            if follower.questions and not follower.session.is_behind:
                return follower
        return None

    def _answer(self, number: int, question: _Question, now_ms: int) -> Answer:
        match question:
            case FetchBlocks():
                return self._blocks(question)
            case FetchBodies():
                return self._sync.bodies(question)
            case FetchStateHead():
                return self._states.head(number, question, now_ms)
            case FetchState():
                return self._states.part(number, question, now_ms)

    def _blocks(self, question: FetchBlocks) -> Answer:
        newest = self._newest()
        if self._last is None or self._last[:2] != (question, newest):
            self._last = (question, newest, self._sync.blocks(question))
        return self._last[2]
