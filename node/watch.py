"""What a machine tells of its work while it works: for numbers and for logs.

Whoever listens changes nothing and decides nothing. A machine in a simulation tells nobody (`Watch`
itself); a process listens with `node.recorder`, which has a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from consensus.events import Transaction
from node.executor import ExecutedBlock

__all__ = ["Watch"]


class Watch:
    """Listens to nothing. Called on the thread of the machine, on its hot path."""

    def received(self, transactions: Sequence[Transaction], origin: str) -> None:
        """Envelopes were taken into the pool; `origin`: "client", "observer" or "validator"."""

    def ordered(self, height: int, block: bytes, transactions: Callable[[], list[bytes]]) -> None:
        """A proposal was accepted here, perhaps not for the first time; its transactions by id."""

    def executing(self) -> None:
        """The execution of a block begins."""

    def executed(self, block: ExecutedBlock) -> None:
        """It has ended."""

    def committed(self, block: ExecutedBlock) -> None:
        """A final block is durable here, and its clients are answered."""

    def answered(self, height: int, transactions: Sequence[bytes]) -> None:
        """Clients that waited here were sent the receipts of these."""

    def let_go(self, transactions: Iterable[bytes], code: str) -> None:
        """These left the pool unexecuted."""

    def refused(self, transaction: bytes, code: str) -> None:
        """A client's envelope was not taken in."""

    def served(self, request: type, outcome: str) -> None:
        """A client's request was dealt with; `outcome`: OK, or the code of the refusal."""
