"""How many transactions went through lately, from the blocks themselves, and how long blocks took at this node."""

from __future__ import annotations

from typing import Final

from node.recent import SPAN_MS, STEP_MS
from node.web.views.ask import Ask, Data
from tallynet.blocks import Header
from tallynet.codec import decode_trusted

__all__ = ["view"]

BLOCKS_MAX: Final = 500
"""That are looked at: some 20 ms. A network that makes more in the span is shown for as long as these reach."""


def view(ask: Ask) -> Data:
    """Unix seconds of each step, oldest first; transactions a second in it; and of its blocks the mean and the
    longest milliseconds from proposal to commit, None where there is none that this process saw proposed."""
    book = ask.node
    newest = book.time_ms // STEP_MS
    counts: dict[int, int] = {}
    first = newest - SPAN_MS // STEP_MS + 1
    lowest = max(1, book.snapshot.base(), book.height - BLOCKS_MAX + 1)
    for height in range(book.height, lowest - 1, -1):
        block = book.block(height)
        step = decode_trusted(Header, block.header).time_ms // STEP_MS
        if step < first:
            break
        counts[step] = counts.get(step, 0) + len(block.envelopes)
    else:
        # What lies below was not looked at; below the first block there is nothing.
        first = first if lowest == 1 else min(counts, default=newest)
    steps = range(first, newest + 1)
    means, longest = ask.facts["recent"].means_and_longest(steps)
    return {
        "height": book.height,
        "seconds": [step * STEP_MS // 1000 for step in steps],
        "per_second": [counts.get(step, 0) * 1000 / STEP_MS for step in steps],
        "mean_ms": _milliseconds(means),
        "longest_ms": _milliseconds(longest),
    }


def _milliseconds(seconds: list[float | None]) -> list[float | None]:
    return [None if value is None else round(value * 1000, 1) for value in seconds]
