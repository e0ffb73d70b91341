"""What the replica asks its ledger: three questions, answered from memory and without effect."""

from __future__ import annotations

from typing import Protocol

from consensus.events import Transaction


class LedgerView(Protocol):
    """Answers reflect every `Deliver` up to the last `Persisted`; later ones the replica adds."""

    def is_remembered(self, transaction_id: bytes) -> bool:
        """True iff a committed block holds the id and it has not expired in header time (INV-14)."""
        ...

    def held(self, transaction_id: bytes) -> Transaction | None:
        """The transaction, when its body is verified and held but the pool does not know it: after
        a restart, when the pool was full, or when it came inside a `Blocks` message."""
        ...

    def wants_block(self, time_ms: int) -> bool:
        """True iff a block of this header time is wanted even without transactions: a day roll is
        due or a prologue has work left. Decided by committed state and `time_ms` alone."""
        ...
