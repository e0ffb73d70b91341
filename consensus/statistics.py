"""What a replica shows of itself: above all why there is no block, and whom it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ReplicaStatus(Enum):
    NORMAL = "normal"
    CHANGING = "changing view"
    MUTE = "following without a vote"
    DIVERGED = "diverged"
    RETIRED = "in no validator set any more"
    OBSERVER = "following without belonging to a validator set"


class WaitingReason(Enum):
    """Why no block is being committed right now; the value is for people."""

    NOTHING_TO_DO = "nothing to do"
    PROPOSAL = "waiting for the leader's proposal"
    CONTENT = "waiting for the content of a block known by its hash"
    BODIES = "waiting for transactions of a proposed block"
    REJECTED = "the leader's proposal broke a rule; waiting for a view change"
    SPOILED = "the leader proposed two blocks and ours lost; waiting for the next view"
    CLOCK = "the proposal's time is too far from our clock: compare both clocks"
    EMPTY_BLOCK = "the leader proposed an empty block that our ledger does not want yet"
    PREPARES = "waiting for Prepare votes"
    EXECUTION = "executing"
    COMMITS = "waiting for Commit votes"
    DISK = "waiting for our own disk"
    VIEW_CHANGES = "waiting for ViewChange messages"
    NEW_VIEW = "waiting for the next leader's NewView"
    BLOCKS = "fetching committed blocks from others"
    DIVERGED = "our results differ from others': votes stopped, restore this node from peers"
    FORKED = "a quorum certified another chain than ours: votes stopped, run tally forensics"
    MUTE = "this node does not vote and the voters commit nothing"
    RETIRED = (
        "another validator set has taken over; this node goes on with it only if it belongs to it"
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    reason: WaitingReason
    validators: tuple[int, ...] = ()
    """Indices of the validators waited for, where the reason is about some; of an observer, numbers of the
    nodes that it follows."""
    height: int = 0
    """The height that is stuck, 0 where it does not apply."""


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """Another validator as this replica knows it; to an observer, a node that it follows."""

    index: int
    claimed: int
    """Height that it says it has committed; 0: it said nothing yet."""
    heard_ms_ago: int | None
    """Since its last message; None: there was none."""


@dataclass(frozen=True, slots=True)
class ReplicaStatistics:
    index: int
    epoch: int
    view: int
    voted_view: int
    leader: int
    status: ReplicaStatus
    committed: int
    in_flight: int
    """Accepted blocks above the committed one."""
    pool: int
    """Pending transactions, those in flight not counted."""
    pool_full: bool
    pool_refused: int
    """Arrivals the pool had no room for, since start."""
    behind: int
    """Blocks that f+1 validators claim to have above ours."""
    stash: int
    evidence: int
    """Proofs of misbehaviour kept."""
    refused: int
    """Messages refused since start."""
    refused_by_code: tuple[tuple[str, int], ...]
    failed_views: int
    """View changes since the last commit."""
    waiting: Waiting
