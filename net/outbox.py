"""A bounded queue of messages for one connection; whoever puts never waits.

One task writes each connection. It takes everything that is queued, up to WRITE_BYTES_MAX, as one
piece: one call into TLS and one into the kernel for many messages, which at thousands of votes a
second is the difference between 10 and 100 µs each.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from tallynet.limits import WRITE_BYTES_MAX

__all__ = ["Outbox"]


class Outbox:
    """Holds framed messages, at most `messages_max` of together `bytes_max`."""

    __slots__ = ("_bytes", "_queue", "_ready", "bytes_max", "dropped", "messages_max", "put_total")

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._queue: Final[deque[bytes]] = deque()
        self._bytes = 0
        self._ready = trio.Event()
        self.messages_max = messages_max
        self.bytes_max = bytes_max
        self.dropped = 0
        """Messages that fell out because the other side was too slow."""
        self.put_total = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def size(self) -> int:
        """Bytes queued."""
        return self._bytes

    @property
    def over(self) -> bool:
        return self._bytes > self.bytes_max or len(self._queue) > self.messages_max

    def put(self, framed: bytes) -> None:
        """Queue a message; the caller judges `over` or calls `drop_oldest`."""
        self._queue.append(framed)
        self._bytes += len(framed)
        self.put_total += 1
        if len(self._queue) == 1:
            self._ready.set()

    def drop_oldest(self) -> None:
        """Back within bounds. Old votes and proposals are the ones that matter least."""
        while self.over:
            self._bytes -= len(self._queue.popleft())
            self.dropped += 1

    def resize(self, messages_max: int, bytes_max: int) -> None:
        """New bounds, applied at once."""
        self.messages_max, self.bytes_max = messages_max, bytes_max
        self.drop_oldest()

    async def take(self) -> bytes:
        """What to write next, at least one message; waits for it. For one task only."""
        while not self._queue:
            self._ready = trio.Event()
            await self._ready.wait()
        queue = self._queue
        size = len(queue[0])
        if len(queue) == 1:
            self._bytes -= size
            return queue.popleft()
        part: list[bytes] = []
        taken = 0
        while queue and (not part or taken + len(queue[0]) <= WRITE_BYTES_MAX):
            framed = queue.popleft()
            part.append(framed)
            taken += len(framed)
        self._bytes -= taken
        return b"".join(part)
