"""Which block is the newest: no proof says so, but f+1 validators of different organisations do, one of whom is
correct. Asking them finds out whoever withholds blocks, and whoever shows another chain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from tallynet.client.errors import ConnectionLost, ForkSeen, RequestFailed, StaleAnswer
from tallynet.client.link import Link, NodeAddress
from tallynet.client.nodes import Nodes
from tallynet.client.trust import Block, Trust
from tallynet.errors import RemoteProtocolError
from tallynet.messages import BlockPage, QueryBlock

__all__ = ["HeadComparison", "Heads"]

_NOTHING_YET: Final = ("NO_SUCH_BLOCK", "NO_BLOCK")
"""What a node says that has no block: its head is at 0."""


@dataclass(frozen=True, slots=True)
class HeadComparison:
    """What nodes said about their newest block, each certified and none contradicting another."""

    heads: tuple[tuple[NodeAddress, int], ...]
    """Who answered, and the height of its newest block."""
    operators: int
    """Different organisations whose validators answered."""
    needed: int
    """f+1."""
    newest: int
    """Highest certified height known now."""

    @property
    def enough(self) -> bool:
        """One correct validator at least is among those that answered."""
        return self.operators >= self.needed

    def require(self, code: str, what: str) -> None:
        """Raises StaleAnswer unless there are enough."""
        if not self.enough:
            raise StaleAnswer(
                code,
                f"{what}, and validators of {self.operators} of the {self.needed} different organisations"
                " needed say which block is the newest; name more nodes",
            )


class Heads:
    """Asks, and remembers when enough have answered. Time by the clock that nobody sets."""

    def __init__(self, nodes: Nodes, trust: Trust) -> None:
        self._nodes: Final = nodes
        self._trust: Final = trust
        self._confirmed: tuple[int, float] | None = None

    def confirmed(self, height: int, max_age: float) -> bool:
        """Whether f+1 were asked no longer than `max_age` seconds ago, and `height` is what they knew or
        later. A local clock that is wrong, or set back by somebody, says nothing here."""
        if self._confirmed is None:
            return False
        known, at = self._confirmed
        return height >= known and anyio.current_time() - at <= max_age

    async def compare(self, *, everybody: bool = False, named: bool = False) -> HeadComparison:
        """Ask one node after the other until enough have answered, or all of them with `everybody`; with
        `named` those only whose key the caller knew beforehand.

        Raises:
            ForkSeen: two of them show certified blocks that contradict each other.
        """
        began = anyio.current_time()
        found: list[tuple[Link, int]] = []
        for node in range(len(self._nodes)):
            if named and self._nodes.address(node).public_key is None:
                continue
            try:
                link = await self._nodes.open(node)
                found.append((link, await self._height(link)))
            except (ConnectionLost, RequestFailed):
                continue
            if self._result(found).enough and not everybody:
                break
        await self._meet(found)
        result = self._result([(link, height) for link, height in found if link.open])
        if result.enough:
            self._confirmed = (result.newest, began)
        return result

    async def trace(self) -> None:
        """Look for the certificate that completes the evidence of a fork (`Trust.trace`), at nodes that are
        connected or can be."""
        for node in range(len(self._nodes)):
            fork = self._trust.fork
            if fork is None:
                return
            try:
                link = await self._nodes.open(node)
                page = await link.ask(partial(_at, fork.height), BlockPage)
                if page.certificate is not None and self._trust.trace(
                    page.header, page.certificate
                ):
                    return
            except (ConnectionLost, RequestFailed, ForkSeen, RemoteProtocolError):
                continue

    async def _height(self, link: Link) -> int:
        try:
            return (await self._block(link, 0)).block.height
        except RequestFailed as error:
            if error.code not in _NOTHING_YET:
                raise
            return 0

    async def _meet(self, found: list[tuple[Link, int]]) -> None:
        """Have all show their block at the height that all have: chains that parted differ there, or
        below; then one of them has no such block, or shows one that does not follow."""
        heights = [height for _, height in found if height]
        for link, height in found:
            if height > min(heights, default=height):
                try:
                    await self._block(link, min(heights))
                except (ConnectionLost, RequestFailed):
                    continue

    async def _block(self, link: Link, height: int) -> Block:
        def check(page: BlockPage) -> Block:
            block = self._trust.block(page)
            if height and block.block.height != height:
                raise RemoteProtocolError("BAD_PROOF", f"block {block.block.height}, not {height}")
            return block

        return await self._nodes.ask_link(link, partial(_at, height), BlockPage, check)

    def _result(self, found: list[tuple[Link, int]]) -> HeadComparison:
        operators = {self._trust.operator(link.server_key) for link, _ in found} - {None}
        return HeadComparison(
            tuple((link.address, height) for link, height in found),
            len(operators),
            self._trust.confirmations_needed,
            self._trust.newest,
        )


def _at(height: int, request: int) -> QueryBlock:
    return QueryBlock(request, height)
