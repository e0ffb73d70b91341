"""Waiting until something that lies on disk has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, final

import trio

__all__ = ["WAIT_SECONDS_MAX", "News"]

WAIT_SECONDS_MAX: Final = 30
"""Of one request: below what proxies and HTTP clients wait for an answer."""
T = TypeVar("T")


@final
class News:
    """Told by whoever writes; everybody who waits looks again."""

    def __init__(self) -> None:
        self._told = trio.Event()

    def tell(self) -> None:
        self._told.set()
        self._told = trio.Event()

    async def told(self) -> None:
        """The next time."""
        await self._told.wait()

    async def until(self, look: Callable[[], T], enough: Callable[[T], bool], seconds: float) -> T:
        """What `look` finds as soon as it is enough, or after these seconds, or at once with 0."""
        found = look()
        with trio.move_on_after(seconds):
            while not enough(found):
                await self._told.wait()
                found = look()
        return found
