"""A new leader that alone holds a committed block, and proposes another one in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallynet.blocks import Header
from tallynet.codec import decode
from tallynet.messages import Blocks, NewView, PrePrepare, Signed, SignedKind, ViewChange
from tools.simulator.byzantine.leaders import Echo, rival_of

if TYPE_CHECKING:
    from tools.simulator.run import Run


class Usurper(Echo):
    """Its ViewChange shows the certificate that others lack, and its NewView begins above that block; it hands
    the block to nobody. Those who lack it must not vote at its height in the new view (INV-13): the block is
    final already."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._rivals: Final[dict[int, PrePrepare]] = {}
        """View that it opened -> the other block."""

    def send(self, to: int, message: bytes) -> None:
        value = self.run.decoded(message)
        if isinstance(value, Blocks):
            self.withhold()
            return
        if (
            isinstance(value, Signed)
            and value.kind is SignedKind.COMMIT
            and value.signer != self.index
        ):
            self.withhold()
            return
        self.emit(to, message)
        if (
            isinstance(value, Signed)
            and value.kind is SignedKind.NEW_VIEW
            and value.signer == self.index
        ):
            self._usurp(to, decode(NewView, value.body))

    def _usurp(self, to: int, opened: NewView) -> None:
        rival = self._rivals.get(opened.view) or self._rival(opened)
        if rival is None:
            return
        self._rivals[opened.view] = rival
        if self.lie(to, rival):
            vote = decode(Signed, rival.prepare)
            self.vote(to, vote.kind, vote.body)

    def _rival(self, opened: NewView) -> PrePrepare | None:
        """What was in the newest committed block that anybody showed, in another block."""
        changes = [decode(ViewChange, decode(Signed, raw).body) for raw in opened.view_changes]
        bases = [change.committed_header for change in changes if change.committed_header]
        newest = max(bases, key=lambda raw: decode(Header, raw).height, default=None)
        return rival_of(self, newest, opened.view)
