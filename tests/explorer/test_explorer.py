"""The explorer and the twins find nothing in the core as it is, and find what is broken on purpose."""

from __future__ import annotations

import pytest

import consensus.state
import tallynet.blocks
from tools.explorer.scenarios import SCENARIOS, TWO_WAY
from tools.explorer.scope import EXPLORATIONS, Scope
from tools.explorer.search import Explorer
from tools.explorer.twins import replay, run_range

STATES = 2_000
"""Per exploration: a second or two each; `tally explore` goes on."""
GROUP = 160
STARTS = (0, TWO_WAY // 2, (TWO_WAY + SCENARIOS) // 2)
"""Two sets, later, and three sets."""


@pytest.mark.parametrize("scope", EXPLORATIONS, ids=lambda scope: scope.describe())
def test_no_state_breaks_a_promise(scope: Scope) -> None:
    report = Explorer(scope).run(STATES)
    assert not report.violation, "\n".join([*report.transcript, report.violation])
    assert report.complete or report.states >= STATES


@pytest.mark.parametrize("start", STARTS)
def test_a_validator_that_runs_twice_forks_nothing(start: int) -> None:
    tally = run_range(range(start, start + GROUP))
    assert tally.scenarios == GROUP
    assert not tally.violations, tally.first
    assert tally.blocks > 0
    assert tally.caught > 0


def test_a_scenario_is_the_same_every_time() -> None:
    lines: list[list[str]] = [[], []]
    for told in lines:
        assert not replay(4711, told.append).violation
    assert lines[0] == lines[1]
    assert len(lines[0]) > 20


def test_with_a_quorum_of_two_of_four_twins_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quorum that need not share a correct validator with another one (A14)."""
    for module in (consensus.state, tallynet.blocks):
        monkeypatch.setattr(module, "quorum", lambda _n: 2)
    tally = run_range(range(GROUP))
    assert tally.violations > 0
