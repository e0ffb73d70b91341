"""What a lying validator may do. It holds its own key and hears everything; it has nobody else's key."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

from consensus.votes import DOMAINS
from tallynet.codec import Wire, encode
from tallynet.hashing import signed_bytes
from tallynet.messages import PeerMessage, Signed, SignedKind

if TYPE_CHECKING:
    from tools.simulator.node import SimulatedNode
    from tools.simulator.run import Run


class Behaviour:
    """A correct validator, as it stands. Subclasses distort."""

    def __init__(self, run: Run, index: int) -> None:
        self.run: Final = run
        self.index: Final = index
        self.random: Final = Random(run.scheduler.random.getrandbits(64))
        self.node: SimulatedNode
        """Set once the process exists."""

    def send(self, to: int, message: bytes) -> None:
        """The machine wants to send `message` to validator `to`."""
        self.emit(to, message)

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> None:
        """A message arrived; the machine gets it next."""

    def tick(self) -> None:
        """Time passed."""

    def reply(self, message: bytes) -> bytes | None:
        """What a client is told instead of `message`; None: nothing."""
        return message

    # --- what subclasses use --------------------------------------------------------------------

    def emit(self, to: int, message: bytes, wait_us: int = 0) -> None:
        """Let a message go, perhaps later."""
        self.run.lies += 1
        if wait_us:
            network = self.run.network
            self.run.scheduler.after(wait_us, network.send, self.node.number, to, message)
        else:
            self.run.network.send(self.node.number, to, message)

    def sign(self, kind: SignedKind, body: Wire | bytes) -> Signed:
        """Sign anything with the own key, past every guard."""
        raw = body if isinstance(body, bytes) else encode(body)
        key: Any = self.run.town.validators[self.index]
        message = signed_bytes(DOMAINS[kind], self.run.town.hash, raw)
        return Signed(kind, raw, self.index, key.sign(message))

    @property
    def others(self) -> list[int]:
        return [i for i in range(self.run.plan.n) if i != self.index]
