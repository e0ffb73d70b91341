"""The picture a replica shows: why there is no block, and whom it waits for."""

from __future__ import annotations

from consensus.statistics import WaitingReason
from tests.sim.bench import Bench, transactions


def test_every_stage_names_what_it_waits_for() -> None:
    backup = Bench()

    def waiting() -> tuple[WaitingReason, tuple[int, ...]]:
        waiting = backup.replica.statistics().waiting
        return waiting.reason, waiting.validators

    (one,) = backup.chain(1)
    assert waiting() == (WaitingReason.PROPOSAL, (0,))
    backup.auto_execute = False
    backup.propose(one)
    assert waiting() == (WaitingReason.PREPARES, (2, 3))
    effects = backup.receive(2, backup.prepare(2, one))
    assert waiting() == (WaitingReason.EXECUTION, ())
    from consensus.events import Executed

    (request,) = effects.execute
    roots = backup.execute(request.header.parent, request.block)
    backup.step(Executed(request.block, *roots))
    assert waiting() == (WaitingReason.COMMITS, (0, 2, 3))
    backup.receive(3, backup.commit(3, one))
    assert waiting() == (WaitingReason.COMMITS, (0, 2))
    for index in (0, 2):
        backup.receive(index, backup.complaint(index))
    assert waiting() == (WaitingReason.VIEW_CHANGES, (0, 2, 3))


def test_a_full_pool_shows() -> None:
    backup = Bench(pool_max=5)
    backup.hold(t for i in range(9) for t in transactions(1, organisation=bytes([i]) * 16))
    statistics = backup.replica.statistics()
    assert (statistics.pool, statistics.pool_full, statistics.pool_refused) == (5, True, 4)


def test_the_next_tick_is_the_next_thing_that_time_brings() -> None:
    """A Tick before `next_tick_ms` would change nothing; none is ever due in the past."""
    leader = Bench(index=0, window=1)
    leader.tick()
    assert leader.replica.next_tick_ms == 250, "Status"
    leader.hold(transactions(1))
    leader.hold(transactions(2)[1:])
    assert leader.replica.next_tick_ms == 250, "the window is full: only votes help"
