"""B12, the other side of it: whose register is whole is silenced by nobody who shows it what it has signed.

Four correct validators on a network that loses, mixes and delays, with restarts, changes of view and of epoch. Whatever
a validator has ever signed is shown to it again and again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from consensus.effects import ALL, Deliver
from consensus.statistics import ReplicaStatus
from tallynet.blocks import Certificate, Commit, Prepare
from tallynet.codec import decode
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    FetchBlocks,
    NewView,
    PeerMessage,
    PrePrepare,
    Signed,
    SignedKind,
)
from tests.sim.bench import Bench, transactions

SEEDS = 12
STEPS = 150
EPOCH = 6
SHOWN_MAX = 60
"""Own votes shown at once: the newest, and some of the others."""


@dataclass
class Four:
    """The validators, what is on its way between them, and what each of them has signed."""

    random: Random
    members: list[Bench] = field(
        default_factory=lambda: [Bench(i, epoch_length=EPOCH) for i in range(4)]
    )
    on_the_way: list[tuple[int, int, PeerMessage]] = field(default_factory=list)
    said: list[dict[PeerMessage, None]] = field(default_factory=lambda: [{} for _ in range(4)])
    chain: dict[int, Deliver] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    batches: int = 0

    def collect(self) -> None:
        """Take what the members have sent, and note whose votes are in it."""
        for source, member in enumerate(self.members):
            for to, message in member.out:
                self._note(message)
                receivers = range(4) if to == ALL else (to,)
                self.on_the_way += [(source, i, message) for i in receivers if i != source]
            member.out.clear()
            for deliver in member.delivered:
                self.chain[deliver.header.height] = deliver
                self._note_certificate(deliver.certificate)
            member.delivered.clear()

    def _note(self, message: PeerMessage) -> None:
        if isinstance(message, PrePrepare):
            vote = decode(Signed, message.prepare)
            self.said[vote.signer][message] = None
            self._note(vote)
        elif isinstance(message, Signed) and message.kind is not SignedKind.STATUS:
            self.said[message.signer][message] = None
            if message.kind is SignedKind.NEW_VIEW:
                for raw in decode(NewView, message.body).prepares:
                    self._note(decode(Signed, raw))

    def _note_certificate(self, certificate: Certificate) -> None:
        signatures = zip(certificate.signers, certificate.signatures, strict=True)
        for signer, signature in signatures:
            self._note(Signed(SignedKind.COMMIT, certificate.vote, signer, signature))

    # --- what happens ---------------------------------------------------------------------------

    def work(self) -> None:
        self.batches += 1
        for member in self.members:
            member.hold(transactions(2, tag=f"batch {self.batches} "))

    def carry(self) -> None:
        for _ in range(self.random.choice((3, 15, 60))):
            if self.on_the_way:
                at = self.random.randrange(len(self.on_the_way))
                source, to, message = self.on_the_way.pop(at)
                if self.random.random() < 0.05:
                    continue
                if isinstance(message, FetchBlocks):
                    self.members[source].receive(to, self._blocks(message.first))
                else:
                    self.members[to].receive(source, message)
                self.collect()

    def _blocks(self, first: int) -> Blocks:
        found = [self.chain[h] for h in range(first, first + 8) if h in self.chain]
        return Blocks(
            tuple(CertifiedBlock(d.header_bytes, d.envelopes, d.certificate, ()) for d in found)
        )

    def pass_time(self) -> None:
        ms = self.random.choice((20, 300, 3_000))
        for member in self.members:
            member.tick(ms)

    def restart(self) -> None:
        self.random.choice(self.members).restart()
        self.seen["restart"] += 1

    def lose(self) -> None:
        """Everything on its way is lost; more than one view without a block follows."""
        self.on_the_way.clear()
        for member in self.members:
            member.tick(4_000)

    def show(self) -> None:
        """Everybody is shown votes of its own, also those that nobody has received."""
        for index, member in enumerate(self.members):
            votes = list(self.said[index])
            older = self.random.sample(votes, min(len(votes), SHOWN_MAX // 2))
            for message in (*votes[-SHOWN_MAX // 2 :], *older):
                self._count(member, message)
                member.receive((index + 1) % 4, message)
            if self.chain:
                first = self.random.choice(sorted(self.chain))
                member.receive((index + 1) % 4, self._blocks(first))
            status = member.replica.statistics().status
            assert status is not ReplicaStatus.MUTE, member.log[-3:]

    def _count(self, member: Bench, message: PeerMessage) -> None:
        here = member.replica.statistics()
        if not isinstance(message, Signed):
            return
        if message.kind not in (SignedKind.PREPARE, SignedKind.COMMIT):
            self.seen[message.kind.name] += 1
            return
        kind = Prepare if message.kind is SignedKind.PREPARE else Commit
        vote = decode(kind, message.body)
        if vote.epoch < here.epoch:
            self.seen["earlier epoch"] += 1
        elif vote.height > here.committed:
            when = "this view" if vote.view == here.view else "a view that was left"
            self.seen[f"{kind.__name__} of {when}, {here.status.name}"] += 1


@pytest.fixture(scope="module")
def runs() -> list[Four]:
    """Nobody was silenced in any of them."""
    made = [Four(Random(seed)) for seed in range(SEEDS)]
    for four in made:
        acts = (
            four.carry,
            four.carry,
            four.carry,
            four.work,
            four.pass_time,
            four.restart,
            four.lose,
        )
        weights = (6, 6, 6, 6, 4, 1, 1)
        for _ in range(STEPS):
            four.random.choices(acts, weights)[0]()
            four.collect()
            four.show()
            four.collect()
    return made


@pytest.mark.parametrize(
    "what",
    [
        "restart", "earlier epoch", "COMPLAINT", "VIEW_CHANGE", "NEW_VIEW", "Prepare of this view, NORMAL", "Commit of this view, NORMAL",
        "Commit of this view, CHANGING", "Prepare of a view that was left, NORMAL",
        "Commit of a view that was left, NORMAL", "Commit of a view that was left, CHANGING",
    ],
)  # fmt: skip
def test_its_own_votes_silence_nobody_whose_register_is_whole(runs: list[Four], what: str) -> None:
    assert sum(four.seen[what] for four in runs) > 0, "never shown: the runs say nothing of it"
