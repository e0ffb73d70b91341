"""Two records for every command (voucher law §21): acting on one changes nothing of the other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from twins import CREATES_ONLY, NOTHING_TO_JOIN, OF_THE_NETWORK, STORIES, Story, Twins, play

from tallynet import commands as c
from tallynet import records as r


@cache
def played(story: Callable[[Twins], Story]) -> Twins:
    world = Twins()
    play(story, world)
    return world


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_acting_on_one_record_changes_nothing_of_the_other(
    story: Callable[[Twins], Story],
) -> None:
    assert played(story).seen


def test_every_command_is_in_a_story() -> None:
    seen = set().union(*(played(story).seen for story in STORIES))
    exceptions = CREATES_ONLY | NOTHING_TO_JOIN | OF_THE_NETWORK
    assert set(c.COMMAND_TYPES) - seen - exceptions == set()


def test_the_comparison_notices_an_act_on_the_other_sides_record() -> None:
    world = Twins()
    world.side = "a"
    line = world.line(r.LineKind.BORROWER, "bank-2", "devices", 1)
    world.side = "b"
    with pytest.raises(AssertionError, match="CREDIT_LINE of a changed by b"):
        world.ok("bank-2", c.LineSuspend(world.label, line))
