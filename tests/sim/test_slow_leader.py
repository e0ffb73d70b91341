"""Reliability E1: a leader that stays under every timeout is left, and no other leader ever is.

Blocks hold two transactions here, so that a few dozen a second already fill a slow leader's blocks;
everything else is as shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from consensus.config import ReplicaConfig
from consensus.constants import T_TRANSACTION_COMPLAIN_MS
from tallynet.blocks import Header, Prepare
from tallynet.codec import decode
from tallynet.messages import Bodies, PeerMessage, PrePrepare, Proposal, Signed, SignedKind
from tests.sim.driven import DrivenRun
from tools.simulator.node import SimulatedNode
from tools.simulator.options import Weather
from tools.simulator.oracles import Committed, Oracle

BATCH = 2
LOAD_MS = 100
"""A client's period."""


def limit_blocks(monkeypatch: pytest.MonkeyPatch, transactions_max: int) -> None:
    """Blocks of validators that start from now on hold at most so many transactions."""

    def small(**settings: Any) -> ReplicaConfig:
        return ReplicaConfig(**settings | {"batch_transactions_max": transactions_max})

    monkeypatch.setattr("node.machine.ReplicaConfig", small)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_blocks(monkeypatch, BATCH)


class Work(Oracle):
    """Counts what validator 1 commits, and makes blocks cost time."""

    def __init__(self, run: DrivenRun) -> None:
        super().__init__(run)
        self.committed_transactions = 0
        self.execution_ms = [0] * run.plan.n
        """Validator -> how long it executes a block; its process does nothing else meanwhile."""
        self._free_us = [0] * run.plan.n

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        if node.index == 1:
            self.committed_transactions += len(block.names)

    def signed(self, node: SimulatedNode, kind: SignedKind) -> None:
        """The Commit of a block is signed when it has been executed."""
        wait_ms = self.execution_ms[node.index]
        if kind is SignedKind.COMMIT and wait_ms:
            now_us = self.run.scheduler.now_us
            free_us = max(now_us, self._free_us[node.index]) + wait_ms * 1000
            self._free_us[node.index] = free_us
            node.pause(free_us - now_us)


class Paced(DrivenRun):
    """A network in which proposals of some leaders and executions of some validators take longer.

    Nothing of a proposal is to be seen before its time: not the leader's Prepare in its repeated votes, and
    not the content in an answer. Repetitions would else be faster than the proposals."""

    def __init__(self, *, n: int = 4, window: int = 4, delay_ms: int = 5) -> None:
        weather = Weather(0, 0, delay_ms * 1000, 0, 0, False)
        super().__init__(n=n, window=window, epoch_length=10**6, weather=weather)
        self.held_back: dict[int, Callable[[int], int]] = {}
        """Leader -> when a proposal that it sends now arrives, ms."""
        self._arrivals_ms: dict[tuple[int, int], int] = {}
        """(leader, height) -> when its proposal arrives."""
        self.work = Work(self)
        self.oracles.append(self.work)
        self.network.detour = self._detour

    def _detour(self, source: int, message: bytes) -> int:
        arrival = self.held_back.get(source)
        height = arrival and self._shown(source, self.decoded(message))
        if arrival is None or height is None:
            return 0
        if (source, height) not in self._arrivals_ms:
            self._arrivals_ms[source, height] = arrival(self.now_ms)
        return max(0, self._arrivals_ms[source, height] - self.now_ms) * 1000

    def _shown(self, source: int, message: PeerMessage) -> int | None:
        """The height of the validator's own proposal that it shows with this message, if it does."""
        if isinstance(message, Proposal):
            header = decode(Header, message.header)
            return header.height if header.proposer == source else None
        if isinstance(message, PrePrepare):
            message = decode(Signed, message.prepare)
        if not isinstance(message, Signed) or message.kind is not SignedKind.PREPARE:
            return None
        vote = decode(Prepare, message.body)
        return vote.height if message.signer == source == vote.view % self.plan.n else None

    def load(self, ms: int, per_second: Callable[[int], int] | int) -> int:
        """Clients submit at this rate (of the time since the start) for so long; returns how many
        transactions validator 1 committed meanwhile."""
        before = self.work.committed_transactions
        start, debt = self.now_ms, 0
        while self.now_ms < start + ms:
            since = self.now_ms - start
            debt += (per_second if isinstance(per_second, int) else per_second(since)) * LOAD_MS
            count, debt = divmod(debt, 1000)
            alive = [node for node in self.nodes if node.alive]
            self.submit(self.scheduler.random.choice(alive), self.documents(count))
            self.let_pass(LOAD_MS)
        return self.work.committed_transactions - before


def each_by(ms: int) -> Callable[[int], int]:
    """Every proposal arrives so much later."""
    return lambda now_ms: now_ms + ms


def apart(ms: int) -> Callable[[int], int]:
    """One proposal at a time, so far apart: just under T_PROGRESS from commit to commit."""
    last = [0]

    def hold(now_ms: int) -> int:
        if now_ms > last[0]:
            last[0] = max(now_ms, last[0] + ms)
        return last[0]

    return hold


@pytest.mark.parametrize("hold", [each_by(900), apart(900), each_by(400)])
def test_E1_a_leader_that_delays_its_proposals_is_left_and_throughput_is_back(
    hold: Callable[[int], int],
) -> None:
    run = Paced()
    run.held_back[0] = hold
    assert run.load(3_000, 40) < 3 * 40 // 2, "it is slow at all"
    assert set(run.views()) == {0}, "not before it has been observed for long enough"
    run.load(2_500, 40)
    assert set(run.views()) == {1}
    assert run.load(4_000, 40) >= 4 * 40, "clean throughput, and the backlog"
    assert set(run.views()) == {1}


def test_E1_f_slow_leaders_in_a_row_are_left_one_after_the_other() -> None:
    run = Paced(n=7)
    run.held_back = {0: each_by(900), 1: each_by(900)}
    run.load(10_000, 10)
    assert set(run.views()) == {2}


def test_E1_a_leader_that_was_fast_for_long_gets_no_credit() -> None:
    run = Paced(delay_ms=20)
    run.load(9_000, 20)
    run.held_back[0] = each_by(900)
    run.load(6_500, 20)
    assert set(run.views()) == {1}


def test_E1_a_leader_of_tiny_blocks_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks come at once, with one transaction each, while whole batches wait: no timeout, and no
    organisation is passed over."""
    limit_blocks(monkeypatch, 4)
    run = Paced(delay_ms=40, window=1)
    state = run.replica(0)._s
    state.pool = Stingy(state.pool)  # type: ignore[assignment]
    run.load(5_500, 30)
    assert set(run.views()) == {1}


class Trickling(Paced):
    """A leader whose proposals come late to everybody and out of it by and by: what repeats a vote of its own it
    sends, to one follower after the other."""

    def _shown(self, source: int, message: PeerMessage) -> int | None:
        return None if isinstance(message, Signed | Proposal) else super()._shown(source, message)


def test_E1_a_leader_that_lets_its_proposals_trickle_out_costs_less_than_half() -> None:
    """Whoever has one passes it on: nobody waits for a quorum of those to whom it was repeated."""
    run = Trickling()
    clean = run.load(6_000, 40)
    run.held_back[0] = each_by(900)
    run.load(1_000, 40)
    assert run.load(6_000, 40) >= clean // 2


class Stingy:
    """The pool of a faulty leader: gives one transaction at a time."""

    def __init__(self, pool: object) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)

    def take(self, count_max: int, *arguments: object) -> object:
        return self._pool.take(1, *arguments)  # type: ignore[attr-defined]


LOADS: dict[str, Callable[[int], int]] = {
    "steady": lambda _: 20,
    "saturated": lambda ms: 150 if ms < 4_000 else 0,
    "bursts": lambda ms: 250 if ms % 2_000 < 100 else 0,
    "falls to a trickle": lambda ms: 75 if ms < 2_000 else 3,
}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("window", [1, 4])
def test_E1_a_correct_leader_is_never_left(load: str, window: int) -> None:
    run = Paced(window=window, delay_ms=20)
    run.load(12_000, LOADS[load])
    assert set(run.views()) == {0}
    paces = [run.replica(index)._s.pace for index in (1, 2, 3)]
    assert all(pace.busy_ms and 4 * pace.wasted_ms < pace.busy_ms for pace in paces), "margin"


@pytest.mark.parametrize("window", [1, 4])
def test_E1_slow_execution_common_to_all_is_not_the_leaders_fault(window: int) -> None:
    """From one moment on every block takes 100 ms: throughput falls by far."""
    run = Paced(window=window)
    run.load(4_000, 40)
    run.work.execution_ms = [100] * 4
    assert run.load(12_000, 40) < 12 * 40 * 2 // 3, "it is slow at all"
    assert set(run.views()) == {0}


def test_E2_nor_that_organisations_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one transaction, votes on whose results take 650 ms: a fair round takes longer than
    anybody may be passed over (decision 0015)."""
    limit_blocks(monkeypatch, 1)
    run = Paced(window=1)

    def detour(_source: int, message: bytes) -> int:
        vote = run.decoded(message)
        is_commit = isinstance(vote, Signed) and vote.kind is SignedKind.COMMIT
        return 650_000 if is_commit else 0

    run.network.detour = detour
    committed = run.load(20_000, 4)
    assert 20_000 * len(run.town.clients) > T_TRANSACTION_COMPLAIN_MS * committed, "a long round"
    assert set(run.views()) == {0}


def test_E1_nor_is_a_slow_follower_whose_vote_is_needed() -> None:
    """One validator is dead and another executes slowly: the window is limited by the slow one."""
    run = Paced()
    run.nodes[3].crash()
    run.work.execution_ms[2] = 150
    run.load(12_000, 20)
    assert set(run.views()) == {0}


def test_E1_nor_are_long_lines() -> None:
    """60 ms one way: a transaction travels as far as the votes do."""
    run = Paced(delay_ms=60)
    run.load(12_000, 10)
    run.load(6_000, 50)
    assert set(run.views()) == {0}


def test_E1_nor_is_a_leader_whom_gossip_does_not_reach() -> None:
    """The others give it what they hold: each of them once, well before they would complain."""
    run = Paced()
    lost: set[bytes] = set()

    def drops(_source: int, target: int, raw: bytes) -> bool:
        message = run.decoded(raw)
        if target != 0 or not isinstance(message, Bodies) or message.bodies[0] in lost:
            return False
        lost.add(message.bodies[0])
        return True

    run.network.drops = drops
    assert run.load(12_000, 3) >= 12 * 3 - 3
    assert lost
    assert set(run.views()) == {0}


def test_E1_where_every_leader_is_slow_views_stop_changing() -> None:
    """Proposals of everybody take 400 ms longer than votes: less than two rounds of leaders, then
    peace. More than one, because nobody measures himself, nor whom others were quicker to leave."""
    run = Paced()
    run.held_back = {i: each_by(400) for i in range(4)}
    run.load(24_000, 20)
    (view,) = set(run.views())
    assert 4 <= view < 2 * 4
    run.load(8_000, 20)
    assert set(run.views()) == {view}
