"""The adversary that lets one validator hoard votes arranges what random cuts seldom do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from consensus import view_change, views
from consensus.view_change import OpenViewChange, Selection
from tools.simulator.judge import judge
from tools.simulator.seeds import plan_of
from tools.simulator.variants import seeds_of

SEEDS_MAX = 16


def test_certificates_of_two_views_meet_in_a_view_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A3 is about rival certificates of one height in a quorum of ViewChanges: some soon are, and no promise is
    broken."""
    rivals = 0
    select = view_change.select_new_view

    def watched(changes: Sequence[OpenViewChange], window: int) -> Selection:
        nonlocal rivals
        found = {(entry.height, entry.block) for change in changes for entry in change.prepared}
        rivals += len(found) > len({height for height, _ in found})
        return select(changes, window)

    for module in (view_change, views):
        if hasattr(module, "select_new_view"):
            monkeypatch.setattr(module, "select_new_view", watched)
    for seed in seeds_of("hoards", 0, SEEDS_MAX):
        assert not judge(plan_of(seed)).violations
        if rivals:
            return
    pytest.fail("no rival certificates")
