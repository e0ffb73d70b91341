"""Following the log over nodes that come and go: which one is asked, and when another one is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

import anyio

from tallynet.client.errors import NotConnected, StaleAnswer
from tallynet.client.events import EventEntry, EventLog
from tallynet.client.link import ANSWER_SECONDS
from tallynet.client.nodes import Nodes
from tallynet.client.trust import Trust
from tallynet.messages import EventPage, QueryEvents

__all__ = ["read_log"]

RECONNECT_SECONDS: Final = 1.0
"""Between two attempts of a follower to find a node."""
BEHIND_SECONDS: Final = 5.0
"""How long nodes may take to catch up with what this client has seen already."""
BEHIND_POLL_SECONDS: Final = 0.02
WAIT_SECONDS: Final = 120.0
"""A node that shows nothing new for so long is left for the next one: it may be withholding."""


async def read_log(
    nodes: Nodes, trust: Trust, from_height: int, from_index: int, *, follow: bool
) -> AsyncGenerator[EventEntry, None]:
    """Events from a position on, proven; as `Client.events`, which says more."""
    log = EventLog(trust, from_height)
    deadline = anyio.current_time() + BEHIND_SECONDS
    while True:
        before = (log.height, log.receipt, log.event)
        try:
            entries = await _page(nodes, trust, log, follow)
        except NotConnected:
            if not follow:
                raise
            await anyio.sleep(RECONNECT_SECONDS)
            continue
        for entry in entries:
            if (entry.height, entry.index) >= (from_height, from_index):
                yield entry
        if (log.height, log.receipt, log.event) != before:
            deadline = anyio.current_time() + BEHIND_SECONDS
        elif log.height <= trust.newest:
            if not follow and anyio.current_time() >= deadline:
                raise StaleAnswer(
                    "STATE_WENT_BACK",
                    f"every node's log ends at block {log.height - 1}, and block"
                    f" {trust.newest} has been seen; try other nodes",
                )
            nodes.go_on()
            late = anyio.current_time() >= deadline
            await anyio.sleep(RECONNECT_SECONDS if late else BEHIND_POLL_SECONDS)
        elif not follow:
            return
        else:
            await anyio.sleep(BEHIND_POLL_SECONDS)


async def _page(nodes: Nodes, trust: Trust, log: EventLog, wait: bool) -> list[EventEntry]:
    # A node that is behind would let a question wait; another one may have the blocks.
    wait = wait and log.height > trust.newest
    return await nodes.ask(
        lambda n: QueryEvents(n, log.height, log.receipt, log.event, wait),
        EventPage,
        log.take,
        seconds=WAIT_SECONDS if wait else ANSWER_SECONDS,
    )
