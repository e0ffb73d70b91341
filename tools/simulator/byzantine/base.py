"""What a lying validator may do: everything that its own key, its own machine and its friends allow.

A liar runs a correct machine and sits between it and the world: it sees and may change what the machine
is told, what it says, and what it tells clients, and it may say things of its own at any time. It has no
key but its own and those of the other liars.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from consensus.events import Event
from consensus.state import State
from node.machine import Machine
from node.store.tables import BlockRow
from tallynet.codec import Wire, decode, encode
from tallynet.envelope import SignedEnvelope
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import signed_bytes
from tallynet.messages import DOMAINS, PeerMessage, Signed, SignedKind, ViewChange

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run

LIES_PER_SECOND_MAX: Final = 60
"""Messages per liar and virtual second that its machine did not want to send: some hundred in a run, so
that a seed stays a matter of tenths of a second, and far more than a correct validator needs."""
BEAT_US: Final = 100_000
"""How often a liar acts of its own accord."""
RECENT_MAX: Final = 32
OLD_MAX: Final = 32
OLD_EVERY: Final = 20
"""Of each kind the newest messages are kept, and every so-manieth one for longer."""

T = TypeVar("T")

Heard = tuple[int, bytes, PeerMessage]
"""(validator it came from, bytes, message)."""


def opened(kind: type[T], raw: bytes) -> T | None:
    """The value in these bytes; None when somebody, or the weather, has spoiled them."""
    try:
        return decode(kind, raw)
    except RemoteProtocolError:
        return None


class Archive:
    """What was heard, some of it new and some old, a bounded number of each kind."""

    def __init__(self) -> None:
        self._recent: Final[dict[str, OrderedDict[bytes, Heard]]] = {}
        self._old: Final[dict[str, deque[Heard]]] = {}
        self._count = 0

    def add(self, source: int, raw: bytes, message: PeerMessage) -> None:
        kind = kind_of(message)
        recent = self._recent.setdefault(kind, OrderedDict())
        if raw in recent:
            return
        recent[raw] = (source, raw, message)
        self._count += 1
        if len(recent) > RECENT_MAX:
            _, oldest = recent.popitem(last=False)
            if self._count % OLD_EVERY == 0:
                self._old.setdefault(kind, deque(maxlen=OLD_MAX)).append(oldest)

    def recent(self, kind: str) -> list[Heard]:
        """Newest last."""
        return list(self._recent.get(kind, {}).values())

    def all(self, kind: str) -> list[Heard]:
        """Oldest first."""
        return [*self._old.get(kind, ()), *self.recent(kind)]

    def kinds(self) -> list[str]:
        return list(self._recent)


def kind_of(message: PeerMessage) -> str:
    """PREPARE, COMMIT, ... for what is signed, the type's name otherwise."""
    return message.kind.name if isinstance(message, Signed) else type(message).__name__


class Ring:
    """The liars of one run, by their numbers. They share their keys and what they hear."""

    def __init__(self, run: Run, members: tuple[int, ...]) -> None:
        self._run: Final = run
        self.members: Final = members
        self.archive: Final = Archive()
        self._lies: Final[dict[int, tuple[int, int]]] = {}
        """Member -> (second, lies in it)."""

    def may_lie(self, member: int) -> bool:
        """Count one lie, unless there were enough in this second."""
        second = self._run.scheduler.now_us // 1_000_000
        last, count = self._lies.get(member, (second, 0))
        count = 1 if last != second else count + 1
        if count > LIES_PER_SECOND_MAX:
            return False
        self._lies[member] = (second, count)
        self._run.lies += 1
        return True

    def sign_as(self, member: int, kind: SignedKind, body: Wire | bytes, signer: int) -> Signed:
        """Sign anything with a liar's key, past every guard, as the validator of this index."""
        raw = body if isinstance(body, bytes) else encode(body)
        key: Any = self._run.town.validators[member]
        message = signed_bytes(DOMAINS[kind], self._run.town.hash, raw)
        return Signed(kind, raw, signer, key.sign(message))


def mutilated(raw: bytes, random: Random) -> bytes:
    """Another copy of an envelope: the same body, signatures that are worth nothing (C2)."""
    envelope = opened(SignedEnvelope, raw)
    if envelope is None:
        return raw
    signatures = envelope.signatures
    changed = random.choice(
        (
            tuple(random.randbytes(64) for _ in signatures),
            (*signatures[1:], random.randbytes(64)),
            signatures[:-1],
            (*signatures, random.randbytes(64)),
        )
    )
    return encode(SignedEnvelope(envelope.body, changed))


class Behaviour:
    """A correct validator, as it stands. Subclasses distort."""

    def __init__(self, run: Run, index: int) -> None:
        """`index` is its place in the first validator set, and its number for ever."""
        self.run: Final = run
        self.number: Final = index
        self.ring: Final = run.ring
        self.random: Final = Random(run.scheduler.random.getrandbits(64))
        self.node: SimulatedNode
        """The process; set by `placed` once it exists."""
        self.copies = 1
        """How many processes run with this key; `another` makes the behaviour of each further one."""

    def placed(self, node: SimulatedNode) -> None:
        """It lives in this process."""
        self.node = node

    def another(self) -> Behaviour:
        """The behaviour of one more copy. Only asked for when `copies` is more than 1."""
        return type(self)(self.run, self.number)

    # --- what happens to it; subclasses override these ------------------------------------------

    def send(self, to: int, message: bytes) -> None:
        """The machine wants to send `message` to validator `to`."""
        self.emit(to, message)

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        """A message arrived; returns what the machine gets instead, None: nothing."""
        del source, raw
        return message

    def event(self, event: Event) -> Event | None:
        """The core is about to step this; returns what it steps instead, None: nothing."""
        return event

    def beat(self) -> None:
        """A while has passed, and the process runs."""

    def reply(self, message: bytes) -> bytes | None:
        """What a client is told instead of `message`; None: nothing."""
        return message

    # --- called by the process ------------------------------------------------------------------

    def begin(self) -> None:
        """The run begins."""
        self.run.scheduler.after(self.random.randrange(BEAT_US), self._beat)

    def _beat(self) -> None:
        self.run.scheduler.after(BEAT_US, self._beat)
        if self.node.alive and not self.node.paused:
            self.beat()

    def receive(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        self.ring.archive.add(source, raw, message)
        return self.heard(source, raw, message)

    def step(self, event: Event) -> Event | None:
        self.core.mute = False  # it does not fall silent when others show it its own votes
        return self.event(event)

    # --- what subclasses use --------------------------------------------------------------------

    def emit(self, to: int, message: bytes) -> None:
        """Let a message of the machine go as it is."""
        self.run.network.send(self.node.number, self.node.places[to], message)

    def lie(self, to: int, message: Wire | bytes, wait_us: int = 0) -> bool:
        """Send something that the machine did not say, perhaps later; False when it has lied enough
        in this second."""
        if not self.ring.may_lie(self.number):
            return False
        raw = message if isinstance(message, bytes) else encode(message)
        network, number = self.run.network, self.node.places[to]
        if wait_us:
            self.run.scheduler.after(wait_us, network.send, self.node.number, number, raw)
        else:
            network.send(self.node.number, number, raw)
        return True

    def lie_to_all(self, message: Wire | bytes) -> None:
        raw = message if isinstance(message, bytes) else encode(message)
        for to in self.victims:
            self.lie(to, raw)

    def withhold(self) -> None:
        """Count a message of the machine that does not go out."""
        self.run.lies += 1

    def sign(self, kind: SignedKind, body: Wire | bytes) -> Signed:
        """Sign anything with the own key, past every guard."""
        return self.ring.sign_as(self.number, kind, body, self.index)

    def sign_as(self, ally: int, kind: SignedKind, body: Wire | bytes) -> Signed:
        """The same with the key of the liar with this index."""
        return self.ring.sign_as(self.node.places[ally], kind, body, ally)

    def heard_changes(self, epoch: int) -> list[ViewChange]:
        """Bodies of ViewChanges that were heard, of one epoch, oldest first."""
        heard = [message for _, _, message in self.ring.archive.all("VIEW_CHANGE")]
        bodies = [opened(ViewChange, m.body) for m in heard if isinstance(m, Signed)]
        return [body for body in bodies if body is not None and body.epoch == epoch]

    @property
    def machine(self) -> Machine:
        """The own machine; only while the process runs."""
        machine = self.node.machine
        if machine is None:
            raise LookupError(f"{self.node} does not run")
        return machine

    @property
    def core(self) -> State:
        """What its own replica knows, to the last detail."""
        return self.machine.replica._s

    def stored_block(self, height: int) -> BlockRow | None:
        """What its own machine has at a height."""
        store = self.node.store
        if store is None:
            return None
        with store.reader() as reader:
            return reader.block(height)

    @property
    def leads(self) -> bool:
        return self.core.leads

    @property
    def index(self) -> int:
        """Own place in the validator set that its machine lives in."""
        return self.node.signer

    @property
    def others(self) -> list[int]:
        return [i for i in range(len(self.node.places)) if i != self.index]

    @property
    def allies(self) -> list[int]:
        """The liars of this set, itself among them."""
        members = self.ring.members
        return [i for i, number in enumerate(self.node.places) if number in members]

    @property
    def victims(self) -> list[int]:
        """Those who do not lie."""
        members = self.ring.members
        return [i for i, number in enumerate(self.node.places) if number not in members]
