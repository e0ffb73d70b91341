"""B4: the business records of a day, anchored by their totals and one root each."""

from __future__ import annotations

import time
from typing import Final

from node.ledger.flow import DAY_SECONDS, flow_id
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.envelope import Envelope
from tallynet.merkle import ListTree, verify_list_proof
from tools.scenarios.stage import Stage

PUBLISHERS: Final = 10
STREAMS: Final = 10
"""Of each publisher."""
LEAVES: Final = 10_000
"""Business records behind one anchor."""
VALUE: Final = 35
"""Of each record."""


def anchor(
    stage: Stage,
    stream: str,
    day: int,
    units: int,
    *,
    period: tuple[int, int] = (0, DAY_SECONDS),
    tree: ListTree | None = None,
) -> c.FlowAnchorPublish:
    """The totals of a period of a day; without a tree its records stay with the publisher."""
    count, root = (tree.count, tree.root) if tree else (units, stage.receipt())
    return c.FlowAnchorPublish(stage.label(), stream, day, *period, count, units, root)


async def run(stage: Stage, anchors: int) -> None:
    """`anchors` anchors of one day, in as many streams as the law has room for, period after period."""
    facts = stage.facts
    periods = anchors // (PUBLISHERS * STREAMS)
    seconds = DAY_SECONDS // periods
    names = [f"publisher-{i}" for i in range(PUBLISHERS)]
    await stage.join(*names, kind=r.OrganisationKind.CORE, size=r.Size.LARGE)
    today = await stage.today()
    started = time.perf_counter()
    # Records differ by publisher only: 100 million of them would measure this process, not the ledger.
    records = {name: [_record(name, number) for number in range(LEAVES)] for name in names}
    trees = {name: ListTree(leaves) for name, leaves in records.items()}
    facts.note("a root over 10,000 records, ms", _milliseconds(started, PUBLISHERS))
    started = time.perf_counter()
    for number in range(periods):
        period = (number * seconds, (number + 1) * seconds)
        envelopes: list[Envelope] = []
        for name in names:
            commands = [
                anchor(stage, f"s{s}", today, LEAVES * VALUE, period=period, tree=trees[name])
                for s in range(STREAMS)
            ]
            envelopes += stage.signed_in_parts(name, commands)
        await stage.send_ok(envelopes)
    facts.note("an anchor, ms", _milliseconds(started, anchors))
    facts.require("business records anchored", periods * PUBLISHERS * STREAMS * LEAVES, anchors * LEAVES)  # fmt: skip
    streams = [
        key for name in names for key in await stage.scan(Index.PUBLISHER_FLOWS, stage.id(name))
    ]
    facts.require("records of state, one a stream", len(streams), PUBLISHERS * STREAMS)
    sums = proven = 0
    for name in names:
        flow = await stage.record(
            r.FlowAnchor, r.Kind.FLOW_ANCHOR, flow_id(stage.id(name), f"s{STREAMS - 1}")
        )
        sums += flow.daily[-1]
        proven += verify_list_proof(flow.records_root, records[name][7], trees[name].prove(7))
    facts.require("sum of one stream each", sums, PUBLISHERS * periods * LEAVES * VALUE)
    facts.require("records proven by their anchors", proven, PUBLISHERS)
    late = anchor(stage, "s0", today, 1, period=(0, 1))
    await stage.refused("FLOW_OVERLAP", names[0], late)


def _record(publisher: str, number: int) -> bytes:
    return f"{publisher}/{number}/{VALUE}".encode()


def _milliseconds(started: float, count: int) -> float:
    return round((time.perf_counter() - started) / count * 1000, 3)
