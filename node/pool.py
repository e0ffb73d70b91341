"""Envelopes that are held: verified at the door or on gossip, waiting for their block.

The consensus core orders transaction ids; the bodies behind the ids live here until their block is
durable. A body named by a proposal stays until that block is delivered or dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from consensus.events import Transaction
from tallynet.envelope import Envelope
from tallynet.errors import TallynetError

POOL_BYTES_MAX: Final = 64 * 1024 * 1024
"""Together with the count limit this bounds the pool's memory (reliability §10)."""


class PoolRefused(TallynetError):
    """The pool has no room: POOL_FULL or CLIENT_PENDING_LIMIT. Send again later, or elsewhere."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    envelopes: int
    bytes: int
    organisations: int
    refused: int
    """Since start."""


class Pool:
    def __init__(self, *, total_max: int, per_organisation_max: int) -> None:
        self._held: Final[dict[bytes, Envelope]] = {}
        self._per_organisation: Final[Counter[bytes]] = Counter()
        self._bytes = 0
        self._refused = 0
        self._total_max: Final = total_max
        self._per_organisation_max: Final = per_organisation_max

    def __contains__(self, transaction: bytes) -> bool:
        return transaction in self._held

    def __len__(self) -> int:
        return len(self._held)

    def get(self, transaction: bytes) -> Envelope | None:
        return self._held.get(transaction)

    def require_room(self, organisation: bytes, size: int) -> None:
        """Raise PoolRefused unless one more envelope from a client fits."""
        if len(self._held) >= self._total_max or self._bytes + size > POOL_BYTES_MAX:
            self._refused += 1
            raise PoolRefused("POOL_FULL", "this node's pool is full; send again in a second")
        if self._per_organisation[organisation] >= self._per_organisation_max:
            self._refused += 1
            raise PoolRefused(
                "CLIENT_PENDING_LIMIT",
                f"{self._per_organisation_max} envelopes of this organisation are waiting already;"
                " send the next one when a receipt has arrived",
            )

    def has_room(self, size: int) -> bool:
        """Gossip obeys the total limits only; the gossiping node has checked its clients. Twice the
        count, because other nodes' clients fill it too."""
        return len(self._held) < 2 * self._total_max and self._bytes + size <= 2 * POOL_BYTES_MAX

    def add(self, envelope: Envelope) -> Transaction:
        """Hold an envelope; one that is held already stays as it is."""
        if envelope.transaction not in self._held:
            self._held[envelope.transaction] = envelope
            self._per_organisation[envelope.body.organisation] += 1
            self._bytes += len(envelope.raw)
        return Transaction(
            envelope.transaction,
            envelope.body.organisation,
            envelope.body.valid_until,
            len(envelope.raw),
        )

    def remove(self, transactions: Iterable[bytes]) -> None:
        """Let go of those held among `transactions`."""
        for transaction in transactions:
            envelope = self._held.pop(transaction, None)
            if envelope is None:
                continue
            organisation = envelope.body.organisation
            self._bytes -= len(envelope.raw)
            if self._per_organisation[organisation] == 1:
                del self._per_organisation[organisation]
            else:
                self._per_organisation[organisation] -= 1

    def expired(self, time: int, keep: Callable[[bytes], bool]) -> list[bytes]:
        """Ids whose `valid_until` has passed at header time `time` and that `keep` does not want."""
        return [
            transaction
            for transaction, envelope in self._held.items()
            if envelope.body.valid_until <= time and not keep(transaction)
        ]

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(
            len(self._held), self._bytes, len(self._per_organisation), self._refused
        )
