"""One validator process: a real replica, the disk that survives it, and what a driver does between them.

A step is handled to its end at once: executions are answered, what has to be durable is written, and only then the
messages leave. `cut_off` is the same with a crash in the middle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from consensus.config import ReplicaConfig, Tip
from consensus.effects import Deliver, Effects, Send
from consensus.events import Event, Executed, Persisted, Transaction
from consensus.replica import Replica
from tallynet.errors import invariant
from tallynet.hashing import block_hash
from tallynet.messages import CertifiedBlock
from tools.explorer.network import GENESIS, GENESIS_TIME_MS, roots_of, signer, verify

WALL_MS: Final = GENESIS_TIME_MS + 1
STEPS_MAX: Final = 50
"""Steps that one event may lead to: it executes and delivers a few blocks, each of which is one more."""


@dataclass(slots=True)
class Disk:
    """What survives a crash."""

    journal: dict[bytes, bytes] = field(default_factory=dict)
    chain: list[CertifiedBlock] = field(default_factory=list)
    remembered: set[bytes] = field(default_factory=set)
    """Envelope hashes in committed blocks; nobody makes a second copy of a transaction here."""
    accused: set[bytes] = field(default_factory=set)
    """Keys of the proofs of misbehaviour that are kept."""

    def write(self, effects: Effects) -> None:
        """What one step wants to be durable."""
        for entry in effects.persist:
            if entry.value is None:
                self.journal.pop(entry.key, None)
            else:
                self.journal[entry.key] = entry.value
        for block in effects.deliver:
            self.chain.append(certified(block))
            self.remembered.update(block.envelopes)
        self.accused.update(accusation.key for accusation in effects.evidence)

    def copy(self) -> Disk:
        return Disk(dict(self.journal), list(self.chain), set(self.remembered), set(self.accused))


def certified(block: Deliver) -> CertifiedBlock:
    """A delivered block as peers may fetch it; everybody holds all bodies, so none are in it."""
    return CertifiedBlock(block.header_bytes, block.envelopes, block.certificate, ())


@dataclass(slots=True)
class Outcome:
    """What the world sees of an event."""

    sends: list[Send] = field(default_factory=list)
    blocks: list[Deliver] = field(default_factory=list)
    evidence: list[bytes] = field(default_factory=list)
    """Encoded proofs of misbehaviour."""
    log: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    wrote: bool = False
    """Something became durable."""

    def add(self, effects: Effects) -> None:
        self.sends += effects.send_now
        self.sends += effects.send_after
        self.blocks += effects.deliver
        self.evidence += [accusation.proof for accusation in effects.evidence]
        self.log += effects.log
        self.wrote = self.wrote or bool(effects.persist or effects.deliver)

    def join(self, later: Outcome) -> None:
        """What came of the next event."""
        self.sends += later.sends
        self.blocks += later.blocks
        self.evidence += later.evidence
        self.log += later.log
        self.wrote = self.wrote or later.wrote


class Process:
    """A validator from its start to its crash; `restarted` is its next life on the same disk.

    Every process holds the bodies of all `transactions`. Answers its replica's questions to the ledger itself.
    """

    def __init__(
        self,
        config: ReplicaConfig,
        transactions: Mapping[bytes, Transaction],
        disk: Disk,
        now_ms: int,
        wall_ms: int,
    ) -> None:
        self.config: Final = config
        self.disk: Final = disk
        self._transactions: Final = transactions
        self.replica: Final = Replica(
            config=config,
            sign=signer(config.index),
            verify=verify,
            ledger=self,
            tip=_tip(config, disk),
            journal=dict(disk.journal),
            accused=sorted(disk.accused),
            now_ms=now_ms,
            wall_ms=wall_ms,
        )

    def is_remembered(self, transaction: Transaction) -> bool:
        return transaction.envelope in self.disk.remembered

    def admits(self, transaction: Transaction, time_s: int) -> bool:
        """All are, as nothing is executed here."""
        del transaction, time_s
        return True

    def held(self, envelope: bytes) -> Transaction | None:
        return self._transactions.get(envelope)

    def wants_block(self, time_ms: int) -> bool:
        """No block without transactions is ever due."""
        return False

    def next_validators(self, epoch: int) -> bytes:
        """The set stays."""
        return self.config.validators_hash

    def handle(self, event: Event, *, turns_max: int = STEPS_MAX) -> Outcome:
        """One event with everything that follows from it.

        With `turns_max` the process dies after so many steps became durable: a later step leaves nothing but what may
        be sent at once. It must not be used any more then.
        """
        outcome = Outcome()
        queue: deque[Event] = deque((event,))
        unsaid = False
        for turn in range(STEPS_MAX):
            effects = self.replica.step(queue.popleft())
            if turn >= turns_max:
                outcome.sends += effects.send_now
                return outcome
            self.disk.write(effects)
            outcome.add(effects)
            unsaid = unsaid or bool(effects.persist or effects.deliver)
            for request in effects.execute:
                queue.append(Executed(request.block, *roots_of(request.block)))
            if not queue:
                if not unsaid:
                    return outcome
                queue.append(Persisted(self.replica.turn))
                unsaid = False
        invariant(False, "EXPLORER a step that never ends")
        return outcome

    def restarted(self, now_ms: int, wall_ms: int) -> Process:
        """The next life; the replica remembers what the disk remembers."""
        return Process(self.config, self._transactions, self.disk.copy(), now_ms, wall_ms)


def _tip(config: ReplicaConfig, disk: Disk) -> Tip:
    if not disk.chain:
        return Tip(None, GENESIS, None, 0)
    newest = disk.chain[-1]
    epoch = len(disk.chain) // config.epoch_length
    return Tip(newest.header, block_hash(newest.header), newest.certificate, epoch)
