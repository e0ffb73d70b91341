"""Protocol §5.4.5, INV-11: other results than the others', or another chain than a quorum: stop for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.events import Executed
from consensus.journal import DIVERGED
from consensus.statistics import ReplicaStatus, WaitingReason
from tallynet.blocks import Certificate
from tallynet.codec import decode
from tallynet.evidence import Divergence
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    FetchVotes,
    Proposal,
    Signed,
    SignedKind,
)
from tests.sim.bench import Bench, transactions
from tests.sim.validators import GENESIS, roots_of

WRONG = (b"\1" * 32, b"\2" * 32)


def by_votes() -> Bench:
    """f+1 Commits with other roots."""
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.prepare_all(one)
    for index in (2, 3):
        backup.receive(index, backup.commit(index, one, roots=WRONG))
    return backup


def by_certificate() -> Bench:
    """A commit certificate on other roots."""
    backup = Bench()
    (one,) = backup.chain(1)
    votes = [backup.commit(i, one, roots=WRONG) for i in (0, 2, 3)]
    certificate = Certificate(votes[0].body, (0, 2, 3), tuple(v.signature for v in votes))
    backup.receive(3, Blocks((CertifiedBlock(one.header_bytes, one.envelopes, certificate, ()),)))
    return backup


def by_own_commit() -> Bench:
    """Before the restart the same block gave other results."""
    backup = Bench()
    (one,) = backup.chain(1)
    backup.propose(one)
    backup.receive(2, backup.prepare(2, one))
    backup.start()
    backup.auto_execute = False
    backup.tick()
    backup.step(Executed(one.block, *WRONG))
    return backup


def by_rival_certificate() -> Bench:
    """A certificate for another block at the height of the newest one."""
    backup, first, second = committed_one()
    certificate = backup.commit_certificate(second, 0, (0, 2, 3))  # type: ignore[arg-type]
    backup.receive(
        3, Blocks((CertifiedBlock(second.header_bytes, second.envelopes, certificate, ()),))
    )
    del first
    return backup


def by_chain_off_ours() -> Bench:
    """A certified block that does not follow the newest one, fetched."""
    backup, _, second = committed_one()
    above = backup.block(2, second.block, transactions(1, tag="above"))
    certificate = backup.commit_certificate(above, 0, (0, 2, 3))
    backup.receive(
        3, Blocks((CertifiedBlock(above.header_bytes, above.envelopes, certificate, ()),))
    )
    return backup


def by_votes_off_our_chain() -> Bench:
    """The same, certified by votes as they come in."""
    backup, _, second = committed_one()
    ids = transactions(1, tag="above")
    backup.hold(ids)
    above = backup.block(2, second.block, ids)
    for index in (0, 2, 3):
        backup.receive(index, backup.commit(index, above))
    backup.tick()
    backup.receive(2, Proposal(above.header_bytes, above.envelopes))
    return backup


def committed_one():  # type: ignore[no-untyped-def]
    backup = Bench()
    ids = transactions(2)
    backup.hold(ids)
    first, second = backup.block(1, GENESIS, ids[:1]), backup.block(1, GENESIS, ids[1:])
    backup.run_block(first)
    assert backup.heights == [1]
    return backup, first, second


RESULTS = [by_votes, by_certificate, by_own_commit]
FORKS = [by_rival_certificate, by_chain_off_ours, by_votes_off_our_chain]


def record(bench: Bench) -> Divergence:
    return decode(Divergence, bench.journal[DIVERGED])


@pytest.mark.parametrize("cause", RESULTS)
def test_what_speaks_against_our_results_is_written_down(cause: Callable[[], Bench]) -> None:
    backup = cause()
    kept = record(backup)
    assert not kept.is_fork
    assert kept.height == 1
    own = WRONG if cause is by_own_commit else roots_of(GENESIS, kept.block)
    assert (kept.state_root, kept.receipts_root) == own
    assert (len(kept.others), kept.certificate is not None) == {
        by_votes: (2, False),
        by_certificate: (0, True),
        by_own_commit: (1, False),
    }[cause]
    assert "diverged" in backup.logs
    assert backup.replica.statistics().waiting.reason is WaitingReason.DIVERGED


@pytest.mark.parametrize("cause", FORKS)
def test_a_certificate_against_our_chain_is_written_down_and_does_not_crash(
    cause: Callable[[], Bench],
) -> None:
    backup = cause()
    kept = record(backup)
    assert kept.is_fork
    assert kept.certificate is not None
    assert "forked" in backup.logs
    assert backup.heights == [1]
    assert backup.replica.statistics().waiting.reason is WaitingReason.FORKED


@pytest.mark.parametrize("cause", RESULTS + FORKS)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_diverged_replica_signs_nothing_but_status_also_after_a_restart(
    cause: Callable[[], Bench], restarted: bool
) -> None:
    backup = cause()
    if restarted:
        backup.restart()
    assert backup.replica.statistics().status is ReplicaStatus.DIVERGED
    backup.out.clear()
    committed = backup.replica.statistics().committed
    ids = transactions(1, tag="more")
    backup.hold(ids)
    parent = backup.replica._s.tip_block
    more = backup.block(committed + 1, parent, ids)
    backup.propose(more)
    backup.prepare_all(more)
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
        backup.receive(index, backup.view_change(index, 1))
    backup.receive(0, FetchVotes(0, 0, 0))
    backup.receive(2, backup.status(2, view=0))
    backup.tick(8_000)
    own = [m for _, m in backup.out if isinstance(m, Signed) and m.signer == backup.index]
    assert {m.kind for m in own} == {SignedKind.STATUS}
    assert backup.replica.statistics().status is ReplicaStatus.DIVERGED


@pytest.mark.parametrize("cause", RESULTS + FORKS)
def test_nothing_is_delivered_any_more(cause: Callable[[], Bench]) -> None:
    backup = cause()
    before = backup.heights
    backup.restart()
    backup.receive(2, backup.status(2, committed=9))
    backup.tick(1_000)
    assert backup.heights == []
    assert before == ([1] if cause in FORKS else [])


def test_the_first_finding_stays() -> None:
    """What was written down first is what explains the rest."""
    backup = by_votes()
    before = record(backup)
    (one,) = backup.chain(1)
    backup.receive(0, backup.commit(0, one, roots=WRONG))
    assert record(backup) == before
