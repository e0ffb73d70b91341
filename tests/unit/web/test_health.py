"""When a node says that it is ready, and why it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.statistics import ReplicaStatistics, ReplicaStatus, Waiting, WaitingReason
from node.store import StoreStatistics
from node.web.health import why_not_ready

REPLICA = ReplicaStatistics(
    index=0, epoch=0, view=0, voted_view=0, leader=0, status=ReplicaStatus.NORMAL, committed=7, in_flight=0,
    pool=0, pool_full=False, pool_refused=0, refused_by_code=(), behind=0, stash=0, evidence=0, refused=0, failed_views=0,
    waiting=Waiting(WaitingReason.NOTHING_TO_DO),
)  # fmt: skip
STORE = StoreStatistics(
    used_bytes=1 << 20, map_bytes=1 << 36, disk_free_bytes=1 << 40, commits=7, rows={}
)


def codes(
    replica: ReplicaStatistics = REPLICA,
    store: StoreStatistics = STORE,
    reached: int = 3,
    fetching: str = "",
) -> list[str]:
    found = why_not_ready(replica, store, reached=reached, validators=4, fetching=fetching)
    return [code for code, _ in found]


def test_a_node_in_step_is_ready() -> None:
    assert codes() == []


@pytest.mark.parametrize("status", [ReplicaStatus.CHANGING, ReplicaStatus.MUTE])
def test_one_that_changes_view_or_has_no_vote_still_serves(status: ReplicaStatus) -> None:
    assert codes(replace(REPLICA, status=status)) == []


@pytest.mark.parametrize("status", [ReplicaStatus.DIVERGED, ReplicaStatus.RETIRED])
def test_one_that_has_stopped_is_not(status: ReplicaStatus) -> None:
    assert codes(replace(REPLICA, status=status)) == [status.name]


def test_one_that_is_far_behind_or_fetches_the_state_is_not() -> None:
    assert codes(replace(REPLICA, behind=3)) == []
    assert codes(replace(REPLICA, behind=300)) == ["BEHIND"]
    assert codes(replace(REPLICA, behind=300), fetching="10 %") == ["FETCHING_STATE"]


def test_a_quorum_has_to_be_seen_with_itself_counted() -> None:
    assert codes(reached=2) == []
    assert codes(reached=1) == ["NO_QUORUM"]


def test_an_observer_needs_one_node_to_follow() -> None:
    observer = replace(REPLICA, status=ReplicaStatus.OBSERVER)
    assert codes(observer, reached=1) == []
    assert codes(observer, reached=0) == ["NOBODY_REACHED"]


def test_one_that_cannot_write_is_not() -> None:
    assert codes(store=replace(STORE, disk_free_bytes=1 << 20)) == ["DISK_FULL"]
    assert codes(store=replace(STORE, used_bytes=STORE.map_bytes)) == ["MAP_FULL"]
