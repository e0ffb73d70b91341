"""What the replica asks its ledger: five questions, answered from memory and without effect."""

from __future__ import annotations

from typing import Protocol

from consensus.events import Transaction


class LedgerView(Protocol):
    """Answers reflect every `Deliver` up to the last `Persisted`; later ones the replica adds."""

    def is_remembered(self, transaction: Transaction) -> bool:
        """True iff a committed block executed this transaction, by whichever copy, and it has not
        expired in header time (INV-14)."""
        ...

    def held(self, envelope: bytes) -> Transaction | None:
        """The transaction, when the body under this envelope hash is held but the core's pool does
        not know it: after a restart, when the pool was full, when a copy waits in its place, when
        nobody could check it, or when it came inside a `Blocks` message."""
        ...

    def admits(self, transaction: Transaction, time_s: int) -> bool:
        """True iff the body is held and a block of this header time, or of the newest block's if that is
        later, would admit it. It was admissible when it came; a key may have been revoked since."""
        ...

    def wants_block(self, time_ms: int) -> bool:
        """True iff a block of this header time is wanted even without transactions: a day roll is
        due or a prologue has work left. Decided by committed state and `time_ms` alone."""
        ...

    def next_validators(self, epoch: int) -> bytes:
        """Hash of the set that validates the epoch after the current one, by what has been decided."""
        ...
