"""Reliability E1: a leader that stays under every timeout is left, and no other leader ever is.

Blocks hold four transactions here, so that a few dozen a second already fill a slow leader's blocks;
everything else is as shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.config import ReplicaConfig
from consensus.effects import ALL, Send
from tallynet.codec import decode, encode
from tallynet.messages import Bodies, PeerMessage, PrePrepare
from tests.sim.cluster import Cluster, Node, Weather

BATCH = 4
LOAD_MS = 50
"""A client's period."""
ORGANISATIONS = 200


class Paced(Cluster):
    """A cluster in which proposals of some leaders and executions of some nodes take longer."""

    def __init__(self, *, n: int = 4, window: int = 4, delay_ms: int = 5) -> None:
        self.held_back: dict[int, Callable[[int], int]] = {}
        """Leader -> when a proposal that it sends now arrives, ms."""
        self.execution_ms = [0] * n
        super().__init__(1, n, window, epoch_length=10**6, weather=Weather(delay_ms=delay_ms))

    def config(self, index: int) -> ReplicaConfig:
        return replace(super().config(index), batch_transactions_max=BATCH)

    def after(self, wait_ms: int, act: Callable[..., None], *arguments: object) -> None:
        node = getattr(act, "__self__", None)
        if act.__name__ == "_answer" and isinstance(node, Node):
            wait_ms += self.execution_ms[node.index]
        if act.__name__ == "_arrive":
            source, _, raw = arguments
            hold = self.held_back.get(source)  # type: ignore[call-overload]
            if hold is not None and isinstance(decode(PeerMessage, raw), PrePrepare):  # type: ignore[arg-type]
                wait_ms = max(wait_ms, hold(self.now_ms) - self.now_ms)
        super().after(wait_ms, act, *arguments)

    def give(self, count: int) -> None:
        """Clients of one validator submit at once; it passes the bodies on in one message."""
        bodies = [
            bytes([self.random.randrange(ORGANISATIONS)]) * 16 + self.random.randbytes(40)
            for _ in range(count)
        ]
        if bodies:
            self.submitted += bodies
            node = self.random.choice([node for node in self.nodes if node.alive])
            node.hold(bodies)
            self.send(node, Send(ALL, encode(Bodies(tuple(bodies)))))

    def load(self, ms: int, per_second: Callable[[int], int] | int) -> int:
        """Clients submit at this rate (of the time since the start) for so long; returns how many
        transactions node 1 committed meanwhile."""
        before = len(self.nodes[1].disk.remembered)
        start, debt = self.now_ms, 0
        while self.now_ms < start + ms:
            since = self.now_ms - start
            debt += (per_second if isinstance(per_second, int) else per_second(since)) * LOAD_MS
            count, debt = divmod(debt, 1000)
            self.give(count)
            self.run(LOAD_MS)
        return len(self.nodes[1].disk.remembered) - before

    def views(self) -> list[int]:
        return [node.replica.statistics().view for node in self.nodes if node.alive]


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
    cluster = Paced()
    cluster.held_back[0] = hold
    assert cluster.load(3_000, 80) < 3 * 80 // 2, "it is slow at all"
    assert set(cluster.views()) == {0}, "not before it has been observed for long enough"
    cluster.load(2_500, 80)
    assert set(cluster.views()) == {1}
    assert cluster.load(4_000, 80) >= 4 * 80, "clean throughput, and the backlog"
    assert set(cluster.views()) == {1}


def test_E1_f_slow_leaders_in_a_row_are_left_one_after_the_other() -> None:
    cluster = Paced(n=7)
    cluster.held_back = {0: each_by(900), 1: each_by(900)}
    cluster.load(10_000, 20)
    assert set(cluster.views()) == {2}


def test_E1_a_leader_that_was_fast_for_long_gets_no_credit() -> None:
    cluster = Paced()
    cluster.load(9_000, 20)
    cluster.held_back[0] = each_by(900)
    cluster.load(6_500, 20)
    assert set(cluster.views()) == {1}


def test_E1_a_leader_of_tiny_blocks_is_left() -> None:
    """Its blocks come at once, with one transaction each, while whole batches wait: no timeout, and no
    organisation is passed over."""
    cluster = Paced(delay_ms=40, window=1)
    pool = cluster.nodes[0].replica._s.pool
    cluster.nodes[0].replica._s.pool = Stingy(pool)  # type: ignore[misc, assignment]
    cluster.load(5_500, 30)
    assert set(cluster.views()) == {1}


class Stingy:
    """The pool of a faulty leader: gives one transaction at a time."""

    def __init__(self, pool: object) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)

    def take(self, count_max: int, *arguments: object) -> object:
        return self._pool.take(1, *arguments)  # type: ignore[attr-defined]


LOADS: dict[str, Callable[[int], int]] = {
    "steady": lambda _: 40,
    "saturated": lambda ms: 300 if ms < 4_000 else 0,
    "bursts": lambda ms: 500 if ms % 2_000 < 100 else 0,
    "falls to a trickle": lambda ms: 150 if ms < 2_000 else 3,
}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("window", [1, 4])
def test_E1_a_correct_leader_is_never_left(load: str, window: int) -> None:
    cluster = Paced(window=window, delay_ms=20)
    cluster.load(12_000, LOADS[load])
    assert set(cluster.views()) == {0}
    paces = [node.replica._s.pace for node in cluster.nodes[1:]]
    assert all(pace.busy_ms and 4 * pace.wasted_ms < pace.busy_ms for pace in paces), "margin"


@pytest.mark.parametrize("window", [1, 4])
def test_E1_slow_execution_common_to_all_is_not_the_leaders_fault(window: int) -> None:
    """From one moment on every block takes 200 ms: throughput falls to a twentieth."""
    cluster = Paced(window=window)
    cluster.load(4_000, 40)
    cluster.execution_ms = [200] * 4
    cluster.load(12_000, 40)
    assert set(cluster.views()) == {0}


def test_E1_nor_is_a_slow_follower_whose_vote_is_needed() -> None:
    """One validator is dead and another executes slowly: the window is limited by the slow one."""
    cluster = Paced()
    cluster.nodes[3].crash()
    cluster.execution_ms[2] = 150
    cluster.load(12_000, 40)
    assert set(cluster.views()) == {0}


def test_E1_nor_are_long_lines() -> None:
    """60 ms one way: a transaction travels as far as the votes do."""
    cluster = Paced(delay_ms=60)
    cluster.load(12_000, 10)
    cluster.load(6_000, 100)
    assert set(cluster.views()) == {0}


def test_E1_nor_is_a_leader_whom_gossip_does_not_reach() -> None:
    """The others give it what they hold: each of them once, well before they would complain."""
    cluster = Paced()
    lost: set[bytes] = set()

    def drop(source: int, target: int, message: PeerMessage) -> bool:
        if target != 0 or not isinstance(message, Bodies) or message.bodies[0] in lost:
            return False
        lost.add(message.bodies[0])
        return True

    cluster.drop = drop
    assert cluster.load(12_000, 3) >= 12 * 3 - 3
    assert lost
    assert set(cluster.views()) == {0}


def test_E1_where_every_leader_is_slow_views_stop_changing() -> None:
    """Proposals of everybody take 400 ms longer than votes: one round of leaders, then peace."""
    cluster = Paced()
    cluster.held_back = {i: each_by(400) for i in range(4)}
    cluster.load(22_000, 20)
    (view,) = set(cluster.views())
    assert 3 <= view <= 5
    cluster.load(8_000, 20)
    assert set(cluster.views()) == {view}
