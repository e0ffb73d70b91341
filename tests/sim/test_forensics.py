"""Reliability §12: a fork names at least f+1 validators, and evidence never names a correct one.

More than f validators run twice, each copy with a disk of its own, and the correct ones are parted so that
each side hears one copy of each. What the correct nodes keep in their stores is all that is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random

import pytest

from tallynet.blocks import faulty_max
from tallynet.evidence import Rule
from tallynet.forensics import Statements
from tallynet.validators import Succession
from tools.evidence_cli import Source, add_source, first_conflict
from tools.simulator.byzantine.copies import Twin
from tools.simulator.options import CALM, Liar, Plan, Request, Strategy
from tools.simulator.oracles.evidence import EvidenceSoundness
from tools.simulator.run import Run


@dataclass(frozen=True)
class Found:
    fork: int | None
    guilty: frozenset[int]
    rules: frozenset[Rule]
    enough: bool
    """At least f+1."""


class Anybody:
    """The copies of these twins do not choose whom to talk to; the network decides."""

    def joined(self, other: int, copy: int) -> bool:
        return True


class Fork:
    """A run with twins in which agreement is not expected."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        n = self.random.choice((4, 4, 4, 5, 7))
        f = faulty_max(n)
        self.twins = tuple(sorted(self.random.sample(range(n), self.random.randint(f + 1, 2 * f))))
        self.run = Run(
            Plan(
                seed=seed, n=n, window=self.random.choice((1, 4)), epoch_length=1000,
                day_seconds=86_400, real_signatures=False, strategy=Strategy.UNIFORM, weather=CALM,
                liars=tuple(Liar(index, "twin") for index in self.twins), charged=(), faults=(),
                requests=tuple(
                    Request(self.random.randrange(6_000), self.random.randrange(8), self.random.getrandbits(48))
                    for _ in range(20)
                ),
                length_ms=6_000, dead=(), opening=False,
            )
        )  # fmt: skip
        for node in self.run.nodes:
            if isinstance(node.behaviour, Twin):
                node.behaviour._sides = Anybody()  # type: ignore[assignment, misc]
        self.run.oracles[:] = [EvidenceSoundness(self.run)]
        self.correct = [i for i in range(n) if i not in self.twins]
        self.random.shuffle(self.correct)
        """The first half is on one side, the rest on the other."""

    def part(self) -> None:
        """Two sides, one copy of each twin on each; now and then a copy sleeps, so that views change."""
        sides: list[list[int]] = [[], []]
        for place, index in enumerate(self.correct):
            sides[2 * place < len(self.correct)].append(index)
        for index in self.twins:
            copies = [node.number for node in self.run.nodes if node.index == index]
            for side in (0, 1):
                if self.random.random() < 0.85:
                    sides[side].append(copies[side])
        self.run.network.part(sides)

    def go(self) -> Found:
        run = self.run
        for node in run.nodes:
            node.start()
        for request in run.plan.requests:
            run.scheduler.after(
                request.at_ms * 1000, run.clients[request.client].act, request.detail
            )
        now_ms = 0
        while now_ms < run.plan.length_ms:
            self.part()
            now_ms += self.random.choice((200, 700, 2_500))
            run.scheduler.run(now_ms * 1000)
        run.network.cut = {}  # the sides can talk again: certificates meet
        run.scheduler.run((now_ms + 3_000) * 1000)
        return self.judge()

    def judge(self) -> Found:
        sources = [self.source(index) for index in self.correct]
        fork = first_conflict(sources)
        statements = Statements(Succession.of(self.run.town.genesis), self.run.check)
        for source in sources:
            add_source(statements, source, fork)
        assert statements.refused == 0
        proven = [conviction for conviction, _ in statements.convictions()]
        guilty = frozenset(conviction.signer for conviction in proven)
        return Found(fork, guilty, frozenset(c.rule for c in proven), len(guilty) > self.run.plan.f)

    def source(self, index: int) -> Source:
        """What `tally forensics` reads of a stopped node."""
        node = self.run.nodes[index]
        assert node.store is not None, f"{node} ended: {node.halted}"
        with node.store.reader() as stored:
            return Source.of_store(f"n{index}", stored)


SEEDS = range(14)


@lru_cache(maxsize=len(SEEDS))
def outcome(seed: int) -> tuple[Found, frozenset[int]]:
    fork = Fork(seed)
    return fork.go(), frozenset(fork.twins)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fork_names_at_least_f_plus_1_and_only_liars(seed: int) -> None:
    found, twins = outcome(seed)
    assert found.guilty <= twins
    if found.fork is not None:
        assert found.enough, found


def test_both_kinds_of_fork_occur() -> None:
    """Of one view (two Commits) and across views (a ViewChange that hid a Commit)."""
    forks = [found for found, _ in map(outcome, SEEDS) if found.fork is not None]
    assert len(forks) >= 5
    assert any(Rule.VOTES in found.rules for found in forks)
    assert any(Rule.HIDDEN in found.rules for found in forks)
