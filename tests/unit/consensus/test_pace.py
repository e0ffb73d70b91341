"""The leader's pace: time with work, by who was waited for."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.constants import PACE_SLACK_MS
from consensus.pace import Mode, Pace
from tests.sim.bench import Bench

CONFIG = Bench().config


def pace_of(*stages: tuple[Mode, int], times: int = 1) -> Pace:
    """A pace that has seen these stages, each so many ms, with a block committed after each round."""
    pace = Pace(CONFIG, 0)
    now = 0
    for _ in range(times):
        for mode, ms in stages:
            pace.end_turn()
            pace.tick(now, mode)
            for step in range(20, ms + 20, 20):
                pace.tick(now + min(step, ms), mode)
            now += ms
        pace.tick(now, Mode.IDLE)
        pace.committed()
    return pace


def test_time_without_work_does_not_count() -> None:
    pace = pace_of((Mode.IDLE, 60_000), (Mode.FLIGHT, 100))
    assert (pace.busy_ms, pace.wasted_ms) == (100, 0)


def test_a_turn_as_long_as_the_votes_is_allowed() -> None:
    pace = pace_of((Mode.OWED, 40), (Mode.FLIGHT, 40), times=50)
    assert pace.efficiency is not None
    assert pace.efficiency > 950
    assert pace.allowance_ms == 50, "some slack and what a block takes"


def test_what_a_turn_takes_beyond_that_is_wasted() -> None:
    pace = pace_of((Mode.OWED, 900), (Mode.FLIGHT, 20), times=5)
    assert pace.efficiency is not None
    assert pace.efficiency < 60
    assert pace.is_slow


def told(news: Sequence[bool]) -> Pace:
    """Turns of 80 ms after blocks of 40; when one is over time, the leader is given what may be news."""
    pace, now = Pace(CONFIG, 0), 0
    for is_news in news:
        pace.end_turn()
        pace.tick(now, Mode.OWED)
        for _ in range(8):
            now += 10
            pace.tick(now, Mode.OWED)
            if pace.late_at_ms is not None and now >= pace.late_at_ms:
                pace.tell(news=is_news)
        pace.tick(now, Mode.FLIGHT)
        now += 40
        pace.tick(now, Mode.IDLE)
        pace.committed()
    return pace


def test_for_what_is_news_to_the_leader_it_has_its_time_once_more() -> None:
    assert told([True] * 20).wasted_ms == 60, "of the first turn, when no block was measured yet"
    assert told([False] * 20).wasted_ms == 70 + 19 * 30


def test_only_once_in_a_turn() -> None:
    pace = Pace(CONFIG, 0)
    for now in range(0, 3_000, 10):
        pace.tick(now, Mode.OWED)
        if pace.late_at_ms is not None and now >= pace.late_at_ms:
            pace.tell(news=True)
    assert pace.wasted_ms > 2_900


def test_nothing_is_judged_before_three_seconds_with_work_or_without_a_block() -> None:
    assert pace_of((Mode.OWED, 900), (Mode.FLIGHT, 20), times=3).efficiency is None
    pace = Pace(CONFIG, 0)
    for now in range(0, 9_000, 200):
        pace.tick(now, Mode.OWED)
    assert not pace.is_slow, "that is the progress timer's"


def test_the_past_weighs_less_and_less() -> None:
    pace = pace_of((Mode.OWED, 20), (Mode.FLIGHT, 80), times=600)
    assert pace.busy_ms < 2 * CONFIG.pace_ms


def test_a_process_that_stood_still_blames_nobody() -> None:
    pace = Pace(CONFIG, 0)
    pace.tick(0, Mode.OWED)
    pace.tick(60_000, Mode.OWED)
    assert pace.busy_ms == CONFIG.status_ms


def test_votes_that_never_came_do_not_excuse_the_leader() -> None:
    """However long a block took, the allowance has a cap."""
    pace = pace_of((Mode.FLIGHT, 30_000))
    assert pace.allowance_ms == PACE_SLACK_MS + CONFIG.progress_ms // 4


def test_where_all_recent_leaders_were_slow_the_best_of_them_is_expected_for_ten_minutes() -> None:
    pace = Pace(CONFIG, 0)
    now = 0
    for waits_ms in (900, 500, 900, 900):
        assert pace.expected == 1000
        for _ in range(8):
            for mode, ms in ((Mode.OWED, waits_ms), (Mode.FLIGHT, 100)):
                pace.end_turn()
                pace.tick(now, mode)
                for _ in range(ms // 100):
                    now += 100
                    pace.tick(now, mode)
            pace.committed()
        pace.leave_view()
    assert 150 < pace.expected < 600
    pace.tick(now + 600_001, Mode.IDLE)
    assert pace.expected == 1000
