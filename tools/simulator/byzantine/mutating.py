"""The small-scope mutator: what its machine says, with one thing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallynet.messages import PeerMessage, Signed, SignedKind
from tools.simulator.byzantine.base import Behaviour
from tools.simulator.byzantine.mutation import Mutation, Mutator, RandomChooser, Seen

if TYPE_CHECKING:
    from tools.simulator.run import Run

LEARN_PERCENT: Final = 10
"""Share of the heard messages whose values are remembered: walking through one costs as much as it
costs the machine to handle it."""


class Mutating(Behaviour):
    """Changes one field of some of its messages, of own ones and of others' that it passes on."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._seen: Final = Seen()
        self._mutator: Final = Mutator(RandomChooser(self.random), self._seen, self._signed)
        self._share: Final = self.random.choice((0.02, 0.2, 0.8))

    def _signed(self, signer: int, kind: SignedKind, body: bytes) -> Signed | None:
        return self.sign_as(signer, kind, body) if signer in self.allies else None

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        if self.random.randrange(100) < LEARN_PERCENT:
            self._seen.learn(message)
        return message

    def send(self, to: int, message: bytes) -> None:
        if self.random.random() >= self._share:
            self.emit(to, message)
            return
        changed = self._mutate(self.run.decoded(message))
        order = self.random.randrange(3)
        if order == 0:
            self.emit(to, message)
        if not self.lie(to, changed.value):
            self.emit(to, message)
            return
        self.run.mutations[changed.name] += 1
        if order == 1:
            self.emit(to, message)

    def _mutate(self, message: PeerMessage) -> Mutation:
        return self._mutator.mutate(message)

    def beat(self) -> None:
        """Somebody else's message, changed: kinds that this machine would not say now."""
        archive = self.ring.archive
        kinds = archive.kinds()
        if not kinds:
            return
        _, _, message = self.random.choice(archive.recent(self.random.choice(kinds)))
        changed = self._mutate(message)
        if self.lie(self.random.choice(self.others), changed.value):
            self.run.mutations[changed.name] += 1
