"""What a replica is told at its start: who validates, who it is, how long it waits, where it left off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from consensus import constants
from tallynet.blocks import Certificate, Commit, faulty_max, quorum
from tallynet.errors import invariant
from tallynet.messages import WINDOW_MAX
from tallynet.validators import ValidatorSet

OBSERVER: Final = -1
"""Index of a replica that is in no validator set. It equals no signer, leader or source."""


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """Constant for the life of a replica. Times in milliseconds unless the name says otherwise."""

    genesis: bytes
    """Genesis hash: parent of height 1, and the network in every signature."""
    genesis_time_ms: int
    """No block is older."""
    validators: tuple[bytes, ...]
    """Public keys in order of index: unique, sorted (INV-16)."""
    validators_hash: bytes
    """What `Header.next_validators` must hold: `tallynet.genesis.validators_hash` of the set."""
    index: int
    """Own validator index, or OBSERVER."""
    followed: int = 0
    """Of an observer: how many nodes it follows. They are numbered from 0, whether they validate or not."""
    since: int = 0
    """First epoch of this set. A replica that is still below it only follows until it has a state of this
    set's own epochs."""
    previous: ValidatorSet | None = None
    """The set before; of what it signed only the certificate that ended its last epoch counts."""
    voting: bool = True
    """False: follow and execute, but sign nothing except Status (a restored copy, B3). An observer signs
    nothing at all."""
    window: int = constants.WINDOW
    epoch_length: int = constants.EPOCH_LENGTH
    batch_transactions_max: int = constants.BATCH_TRANSACTIONS_MAX
    batch_bytes_max: int = constants.BATCH_BYTES_MAX
    pool_max: int = constants.POOL_MAX
    transaction_ttl_s: int = constants.TRANSACTION_TTL_S
    progress_ms: int = constants.T_PROGRESS_MS
    progress_max_ms: int = constants.T_PROGRESS_MAX_MS
    status_ms: int = constants.T_STATUS_MS
    status_answer_ms: int = constants.T_STATUS_ANSWER_MS
    leader_silent_ms: int = constants.T_LEADER_SILENT_MS
    transaction_complain_ms: int = constants.T_TRANSACTION_COMPLAIN_MS
    pace_ms: int = constants.T_PACE_MS
    complaint_life_ms: int = constants.T_COMPLAINT_LIFE_MS
    clock_window_ms: int = constants.CLOCK_WINDOW_MS
    fetch_grace_ms: int = constants.FETCH_GRACE_MS
    fetch_retry_ms: int = constants.FETCH_RETRY_MS

    @property
    def observes(self) -> bool:
        """This replica is in no validator set."""
        return self.index == OBSERVER

    @property
    def reach(self) -> int:
        """Messages come from, and go to, numbers below this one: validators, or nodes that are followed."""
        return self.followed if self.observes else len(self.validators)

    def set_of(self, epoch: int) -> ValidatorSet | None:
        """Who votes in an epoch; None before the sets that are known here."""
        if epoch >= self.since:
            return ValidatorSet(self.since, self.validators, self.validators_hash)
        return self.previous if epoch == self.since - 1 else None

    def commit_keys(self, commit: Commit) -> tuple[bytes, ...] | None:
        """Whose commit certificate this must be: of this set, or for the very last block before it, of
        the previous one; None: it counts nothing here (INV-15)."""
        if commit.epoch >= self.since:
            return self.validators
        last = (commit.epoch, commit.height) == (self.since - 1, self.since * self.epoch_length)
        return self.previous.keys if last and self.previous is not None else None

    def __post_init__(self) -> None:
        n = len(self.validators)
        invariant(n == 1 or n >= 4, "CONFIG_VALIDATORS")  # INV-16; one alone is for development
        invariant(tuple(sorted(set(self.validators))) == self.validators, "CONFIG_KEYS")
        invariant(self.observes or 0 <= self.index < n, "CONFIG_INDEX")
        invariant(self.observes == (self.followed > 0), "CONFIG_FOLLOWED")
        invariant(not (self.observes and self.voting), "CONFIG_OBSERVER_VOTES")
        invariant((self.since > 0) == (self.previous is not None), "CONFIG_PREVIOUS")
        invariant(2 * quorum(n) - n >= faulty_max(n) + 1, "CONFIG_QUORUM")
        invariant(quorum(n) <= n - faulty_max(n), "CONFIG_QUORUM")
        invariant(1 <= self.window <= WINDOW_MAX, "CONFIG_WINDOW")
        invariant(self.epoch_length >= 1, "CONFIG_EPOCH_LENGTH")
        invariant(
            1 <= self.batch_transactions_max <= constants.BATCH_TRANSACTIONS_MAX, "CONFIG_BATCH"
        )
        invariant(0 < self.status_ms < self.progress_ms <= self.progress_max_ms, "CONFIG_TIMERS")


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest committed block as stored: where a replica continues."""

    header: bytes | None
    """Encoded header; None at genesis."""
    block: bytes
    """Its hash; the genesis hash at genesis."""
    certificate: Certificate | None
    """Its commit certificate; None at genesis. Verified again on load (INV-12)."""
    epoch: int
    """Epoch of the NEXT block: the tip's height // epoch length."""
