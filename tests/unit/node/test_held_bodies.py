"""Bodies of candidate blocks: held while the block may still be executed, and no longer."""

from __future__ import annotations

from pathlib import Path

from node.executor import HELD_MAX
from tallynet.messages import PeerMessage, Signed, SignedKind
from tests.unit.node.machines import Net, offer

VIEWS = 6
"""View changes in a row: 63 seconds, because each one doubles the patience."""


def nothing_gets_prepared(source: int, to: int, message: PeerMessage) -> bool:
    del source, to
    return not (isinstance(message, Signed) and message.kind is SignedKind.PREPARE)


def test_INV_17_views_without_a_block_do_not_pile_up_bodies(tmp_path: Path) -> None:
    """Each leader proposes another block for one height. Held are those of this view and the last one,
    in memory and on disk, however many views fail; and the block that wins in the end is among them."""
    net = Net(tmp_path)
    net.passes = nothing_gets_prepared
    net.nodes[1].submit(offer(net))
    most = 0

    def changed() -> bool:
        nonlocal most
        for node in net.nodes:
            with node.store.reader() as reader:
                most = max(most, len(node.machine.executor._held), len(reader.candidates(1)))
        return all(node.machine.replica.statistics().view >= VIEWS for node in net.nodes)

    assert net.run(70_000, changed)
    assert most == 2 <= HELD_MAX
    net.heal()
    assert net.run(70_000, lambda: all(node.height == 1 for node in net.nodes))
    net.close()
