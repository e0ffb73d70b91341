"""A node's side of the pages: reads in a thread of their own, so that consensus waits for none of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, final

import trio

from node.door import Answers
from node.machine import NO_ORGANISATION, PeerSeen
from node.recent import RecentLatency
from node.store import Store
from node.store.errors import StoreFatal
from node.web.book import Book, PageError
from node.web.names import Names
from node.web.node_book import NodeBook
from node.web.standing import Standing
from tallynet.messages import NodeStatus

__all__ = ["NodeSite"]

WAITING_MAX: Final = 32
"""Pages that wait for their turn; a page takes some ten milliseconds."""
BACKLOG_SECONDS: Final = 0.02
"""How often it is looked whether consensus has caught up with what came in."""
BACKLOG_TURNS_MAX: Final = 25
"""Half a second; then a page is made all the same: an operator looks most when much is going on."""
T = TypeVar("T")


@final
class NodeSite:
    is_light: Final = False

    def __init__(
        self,
        *,
        store: Callable[[], Store],
        describe: Callable[[], NodeStatus],
        peers: Callable[[], tuple[PeerSeen, ...]],
        time_ms: Callable[[], int],
        has_backlog: Callable[[], bool],
        answers: Answers,
        names: Names,
        wall_ms: Callable[[], int],
        recent: RecentLatency,
    ) -> None:
        """`store` is the one that is open now, `time_ms` that of the newest block."""
        self.names: Final = names
        self._store: Final = store
        self._describe: Final = describe
        self._peers: Final = peers
        self._time_ms: Final = time_ms
        self._wall_ms: Final = wall_ms
        self._has_backlog: Final = has_backlog
        self._recent: Final = recent
        self._answers: Final = answers
        self._turn: Final = trio.CapacityLimiter(1)
        self._waiting = 0
        self._open: Final = threading.Lock()
        self._fatal = trio.Event()
        self._fatal_error: StoreFatal | None = None

    @property
    def home(self) -> bytes | None:
        organisation = self._describe().organisation
        return None if organisation == NO_ORGANISATION else organisation

    async def read(self, view: Callable[[Book], T]) -> T:
        """One at a time: more would share the processor with consensus, and take as long."""
        if self._waiting >= WAITING_MAX:
            raise PageError("BUSY")
        self._waiting += 1
        try:
            async with self._turn:
                await self._yield_to_consensus()
                return await trio.to_thread.run_sync(self._read, view, self.home)
        finally:
            self._waiting -= 1

    async def _yield_to_consensus(self) -> None:
        for _ in range(BACKLOG_TURNS_MAX):
            if not self._has_backlog():
                return
            await trio.sleep(BACKLOG_SECONDS)

    def _read(self, view: Callable[[Book], T], home: bytes | None) -> T:
        try:
            with self._open, self._store().reader() as snapshot:
                return view(NodeBook(snapshot, home, self._answers))
        except StoreFatal as error:
            self._fatal_error = error
            trio.from_thread.run_sync(self._fatal.set)
            raise

    def held(self) -> threading.Lock:
        """Held while the store is closed and opened again: nobody reads then."""
        return self._open

    async def fail(self) -> None:
        """Raises StoreFatal once a page has met damage: whoever finds it, the node must end."""
        await self._fatal.wait()
        if self._fatal_error is not None:
            raise self._fatal_error

    # --- the process --------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        status = self._describe()
        age_ms = self._wall_ms() - self._time_ms() if status.committed else 0
        return Standing(
            status.name,
            status.committed,
            max(0, age_ms // 1000),
            status.waiting_code,
            status.waiting_for,
            status.waiting_height,
            status.behind,
            status.evidence,
        )

    def facts(self) -> dict[str, Any]:
        return {"node": self._describe(), "peers": self._peers(), "recent": self._recent}
