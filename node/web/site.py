"""What the pages stand on: a node, or a light node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from node.web.book import Book
from node.web.names import Names
from node.web.standing import Standing

__all__ = ["Site"]

T = TypeVar("T")


class Site(Protocol):
    """One per process."""

    @property
    def names(self) -> Names: ...

    @property
    def home(self) -> bytes | None:
        """The organisation whose node it is; None: nobody's."""

    @property
    def is_light(self) -> bool: ...

    async def read(self, view: Callable[[Book], T]) -> T:
        """What `view` makes of the newest state. Raises PageError BUSY, and what `view` raises."""

    def standing(self) -> Standing: ...

    def facts(self) -> dict[str, Any]:
        """What else the network page says of the process itself."""
