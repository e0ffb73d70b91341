"""An envelope that one validator alone has: it is given to the leader, or nobody waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallynet import commands as c
from tallynet.messages import Bodies
from tests.rules.law_world import key_id
from tests.unit.node.machines import Net, offer

LEADER = 0
VICTIM = 2
LIAR = 3
LONG_MS = 4_000
"""Longer than every timer that may accuse a leader of this; the liar is as good as silent."""


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path)
    yield made
    made.close()


def unmoved(net: Net) -> bool:
    """Nobody has complained about anybody."""
    return not any("complained" in node.logs for node in net.nodes)


def test_the_leader_gets_it_from_whoever_has_it(net: Net) -> None:
    net.inject(LIAR, VICTIM, Bodies((offer(net).raw,)))
    assert net.run(LONG_MS, lambda: all(node.height == 1 for node in net.nodes))
    assert unmoved(net)


def test_nobody_waits_for_what_is_inadmissible_by_now(net: Net) -> None:
    """The liar gives it away just before the block that revokes its key; the leader refuses it then."""
    whispered = offer(net)
    revocation = c.KeyRevoke(net.world.label, key_id("bank-1", "maker"))
    net.inject(LIAR, VICTIM, Bodies((whispered.raw,)))
    net.nodes[LEADER].submit(net.world.envelope("bank-1", revocation))
    net.run(LONG_MS)
    assert all(node.height == 1 for node in net.nodes)
    assert net.nodes[VICTIM].machine.replica.statistics().pool == 0
    assert unmoved(net)
