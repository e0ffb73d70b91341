"""The seeded cluster: agreement, prefix, no double vote, exactly once, sound evidence, liveness.

Every seed draws its own shape and weather. There is no list of excluded seeds; a seed that ever
failed stays in `REGRESSIONS`.
"""

from __future__ import annotations

import random

import pytest

from tests.sim.cluster import Cluster, Node, Weather

HEALED_MS = 75_000
"""Longest wait after the network has healed: two caps of the back-off and a fetch (A11)."""
REGRESSIONS = [26, 47]
"""26: bodies held but announced only once; 47: a NewView whose base lies beyond the window."""


def stormy(seed: int) -> Cluster:
    """Loss, delay, duplication, partitions, crashes of up to f nodes and of all at once."""
    draw = random.Random(seed)
    n, window = draw.choice([4, 5, 6, 7]), draw.choice([1, 4])
    cluster = Cluster(
        seed,
        n,
        window,
        epoch_length=draw.choice([7, 1000]),
        weather=Weather(
            loss=draw.choice([0, 0.05, 0.3]),
            duplicate=draw.choice([0, 0.2]),
            delay_ms=draw.choice([2, 20, 100]),
            tail=draw.choice([0, 0.05]),
        ),
    )
    cluster.rolls = draw.choice([0, 0, 5])
    for _ in range(draw.randint(3, 8)):
        cluster.submit(draw.randint(1, 20))
        cluster.run(draw.randint(50, 2_000))
        disturb(cluster, draw, (n - 1) // 3)
    return cluster


def disturb(cluster: Cluster, draw: random.Random, faulty_max: int) -> None:
    kind = draw.random()
    dead = [node for node in cluster.nodes if not node.alive]
    if kind < 0.35 and len(dead) < faulty_max:
        leader = cluster.nodes[cluster.nodes[0].replica.statistics().leader]
        (leader if draw.random() < 0.6 else draw.choice(cluster.nodes)).crash()
    elif kind < 0.6 and dead:
        draw.choice(dead).start()
    elif kind < 0.7:
        for node in cluster.nodes:
            node.crash()
        cluster.run(10)
        for node in cluster.nodes:
            node.start()
    elif kind < 0.85:
        pairs = [(a, b) for a in range(cluster.n) for b in range(a)]
        cluster.cut = {frozenset(pair) for pair in pairs if draw.random() < 0.4}
    else:
        cluster.cut = set()


def heal(cluster: Cluster, live: list[Node]) -> None:
    """Good weather for a core of live nodes; clients send again what got no receipt."""
    cluster.cut = set()
    cluster.weather = Weather()
    for node in cluster.nodes:
        if node not in live:
            node.crash()
        elif not node.alive:
            node.start()
    cluster.run(500)
    cluster.gossip_again()
    assert cluster.run(HEALED_MS, lambda: cluster.everywhere(live)), cluster.explain()
    cluster.check_exactly_once()


@pytest.mark.parametrize("seed", [*range(24), *REGRESSIONS])
def test_storm_then_liveness_with_up_to_f_nodes_dead_for_ever(seed: int) -> None:
    cluster = stormy(seed)
    draw = random.Random(~seed)
    dead = draw.sample(range(cluster.n), draw.randint(0, (cluster.n - 1) // 3))
    heal(cluster, [node for i, node in enumerate(cluster.nodes) if i not in dead])


@pytest.mark.parametrize("seed", range(16))
def test_a_validator_running_twice_forks_nothing_and_only_it_is_accused(seed: int) -> None:
    """Twins: two honest replicas with one key on two disks are one Byzantine validator (§5 twins)."""
    draw = random.Random(seed)
    n = draw.choice([4, 5, 6, 7])
    twin = draw.randrange(n)
    cluster = Cluster(
        seed,
        n,
        draw.choice([1, 4]),
        weather=Weather(loss=draw.choice([0, 0.05]), delay_ms=draw.choice([2, 20, 100])),
        twins=(twin,),
    )
    everybody = range(n + 1)
    for _ in range(draw.randint(3, 8)):
        if draw.random() < 0.7:  # each correct node talks to one of the two only
            halves = (twin, n)
            cluster.cut = {frozenset((i, draw.choice(halves))) for i in everybody if i != twin}
        else:
            cluster.cut = set()
        cluster.submit(draw.randint(1, 20))
        cluster.run(draw.randint(50, 2_000))
    if draw.random() < 0.5:
        heal(cluster, [node for node in cluster.nodes if node.index != twin])
    else:
        cluster.cut = set()
        cluster.weather = Weather()
        cluster.run(500)
        cluster.gossip_again()
        correct = [node for node in cluster.nodes if node.index != twin]
        assert cluster.run(HEALED_MS, lambda: cluster.everywhere(correct)), cluster.explain()
    cluster.check_exactly_once()


@pytest.mark.parametrize("seed", range(8))
def test_copies_of_one_transaction_take_effect_once_and_nobody_is_blamed_for_the_others(
    seed: int,
) -> None:
    """C2, INV-14: clients send copies under other signatures to several nodes; messages get lost."""
    draw = random.Random(seed)
    cluster = Cluster(
        seed,
        draw.choice([4, 7]),
        draw.choice([1, 4]),
        weather=Weather(loss=draw.choice([0, 0.1]), duplicate=0.1, delay_ms=draw.choice([2, 50])),
    )
    for _ in range(5):
        cluster.submit(draw.randint(1, 10), copies=draw.randint(1, 4))
        cluster.run(draw.randint(10, 500))
    heal(cluster, cluster.nodes)
    views = [node.replica.statistics().view for node in cluster.nodes]
    cluster.run(20_000)
    assert [node.replica.statistics().view for node in cluster.nodes] == views
    assert all(node.replica.statistics().pool == 0 for node in cluster.nodes)
    cluster.check_exactly_once()


def test_twins_that_lead_are_caught() -> None:
    """Both copies lead view 0 and propose different blocks without a quorum for either; when the
    network heals, their votes meet."""
    cluster = Cluster(3, 4, 4, twins=(0,))
    apart = [(0, 2), (0, 3), (4, 1), (1, 2), (1, 3), (2, 3)]
    cluster.cut = {frozenset(pair) for pair in apart}
    cluster.submit(3, cluster.nodes[0])
    cluster.submit(3, cluster.nodes[4])
    cluster.run(300)
    cluster.cut = set()
    cluster.run(1_000)
    assert set(cluster.accused) == {0}


@pytest.mark.parametrize("n", [4, 5, 6, 7])
@pytest.mark.parametrize("window", [1, 4])
def test_a_killed_leader_costs_one_view_change(n: int, window: int) -> None:
    cluster = Cluster(7, n, window)
    cluster.submit(30)
    assert cluster.run(2_000, cluster.everywhere)
    cluster.nodes[0].crash()
    live = cluster.nodes[1:]
    cluster.submit(10)
    assert cluster.run(3_000, lambda: cluster.everywhere(live)), cluster.explain()
    assert {node.replica.statistics().view for node in live} == {1}


def test_all_nodes_crash_and_nothing_final_is_lost() -> None:
    """Oracle 6: what any node had made durable is in every chain afterwards."""
    cluster = Cluster(11, 4, 4)
    for _ in range(10):
        cluster.submit(20)
        cluster.run(15)
        for node in cluster.nodes:
            node.crash()
        for node in cluster.nodes:
            node.start()
    cluster.run(200)
    cluster.gossip_again()
    assert cluster.run(HEALED_MS, cluster.everywhere), cluster.explain()
    cluster.check_exactly_once()


def test_A11_views_drift_apart_and_meet_again() -> None:
    """A long outage without a quorum; after healing the first commit takes at most two caps."""
    cluster = Cluster(5, 4, 4)
    cluster.submit(5)
    cluster.run(500)
    cluster.cut = {frozenset((a, b)) for a in range(4) for b in range(a)}
    cluster.submit(5)
    cluster.run(120_000)
    heal(cluster, cluster.nodes)


def test_one_replica_cut_off_for_long_catches_up() -> None:
    cluster = Cluster(9, 4, 4, epoch_length=20)
    cluster.cut = {frozenset((3, i)) for i in range(3)}
    for _ in range(60):
        cluster.submit(3, cluster.nodes[1])
        cluster.run(40)
    assert cluster.heights()[3] == 0
    assert cluster.heights()[0] > 40
    cluster.cut = set()
    assert cluster.run(5_000, cluster.everywhere), cluster.explain()
    assert (
        cluster.nodes[3].replica.statistics().epoch == cluster.nodes[0].replica.statistics().epoch
    )


def test_a_replica_that_computes_other_roots_stops_alone() -> None:
    cluster = Cluster(13, 4, 4)
    cluster.nodes[2].salt = b"bad memory"
    cluster.submit(5)
    others = [cluster.nodes[i] for i in (0, 1, 3)]
    assert cluster.run(5_000, lambda: cluster.everywhere(others))
    cluster.run(1_000)
    assert cluster.nodes[2].replica.statistics().status.name == "DIVERGED"
    assert cluster.heights()[2] == 0


def test_an_idle_network_sends_only_status() -> None:
    cluster = Cluster(17, 4, 4)
    cluster.run(30_000)
    assert cluster.heights() == [0, 0, 0, 0]
    assert {node.replica.statistics().view for node in cluster.nodes} == {0}


def test_INV_20_equal_seeds_give_equal_traces() -> None:
    traces = {stormy(19).trace.hexdigest() for _ in range(2)}
    assert len(traces) == 1
