"""Envelopes that are held: admitted at the door or on gossip, waiting for their block.

The consensus core orders envelope hashes; the bodies behind them live here until their block is
durable. There may be several copies of one transaction: its signers can sign it as often as they like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from consensus.events import Transaction
from tallynet.codec import encode
from tallynet.envelope import Envelope
from tallynet.errors import TallynetError
from tallynet.messages import Bodies

POOL_BYTES_MAX: Final = 64 * 1024 * 1024
"""Together with the count limit this bounds the pool's memory (reliability §10)."""
GOSSIP_BYTES_MAX: Final = 1024 * 1024
"""One Bodies message (protocol table: bodies 1 MiB)."""


class PoolRefused(TallynetError):
    """The pool has no room: POOL_FULL or CLIENT_PENDING_LIMIT. Send again later, or elsewhere."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    envelopes: int
    bytes: int
    organisations: int
    refused: int
    """Since start."""


def transaction_of(envelope: Envelope) -> Transaction:
    """What the consensus core needs to know of an envelope."""
    body = envelope.body
    return Transaction(
        envelope.hash,
        envelope.transaction,
        body.organisation,
        body.valid_until,
        len(envelope.raw),
    )


def in_messages(envelopes: Iterable[bytes]) -> Iterable[bytes]:
    """Encoded `Bodies` messages of bounded size."""
    part: list[bytes] = []
    size = 0
    for raw in envelopes:
        if part and size + len(raw) > GOSSIP_BYTES_MAX:
            yield encode(Bodies(tuple(part)))
            part, size = [], 0
        part.append(raw)
        size += len(raw)
    if part:
        yield encode(Bodies(tuple(part)))


class Pool:
    """Admitted envelopes by envelope hash. Nothing is in here that the law did not admit when it
    came, so nobody can put a mutilated copy in a genuine one's place, or fill it without keys."""

    def __init__(self, *, total_max: int, per_organisation_max: int) -> None:
        self._held: Final[dict[bytes, Envelope]] = {}
        self._copies: Final[dict[bytes, dict[bytes, None]]] = {}
        """Transaction id -> envelope hashes of its copies, in order of arrival."""
        self._per_organisation: Final[Counter[bytes]] = Counter()
        self._bytes = 0
        self._refused = 0
        self._total_max: Final = total_max
        self._per_organisation_max: Final = per_organisation_max

    def __contains__(self, envelope: bytes) -> bool:
        return envelope in self._held

    def __len__(self) -> int:
        return len(self._held)

    def get(self, envelope: bytes) -> Envelope | None:
        return self._held.get(envelope)

    def copy_of(self, transaction: bytes) -> Envelope | None:
        """The copy of this transaction that came first, if one is held."""
        copies = self._copies.get(transaction)
        return None if copies is None else self._held[next(iter(copies))]

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
        """Hold an admitted envelope; one that is held already stays as it is."""
        if envelope.hash not in self._held:
            self._held[envelope.hash] = envelope
            self._copies.setdefault(envelope.transaction, {})[envelope.hash] = None
            self._per_organisation[envelope.body.organisation] += 1
            self._bytes += len(envelope.raw)
        return transaction_of(envelope)

    def remove(self, envelopes: Iterable[bytes]) -> None:
        """Let go of those held under these envelope hashes; other copies stay."""
        for hash in envelopes:
            envelope = self._held.pop(hash, None)
            if envelope is None:
                continue
            copies = self._copies[envelope.transaction]
            del copies[hash]
            if not copies:
                del self._copies[envelope.transaction]
            organisation = envelope.body.organisation
            self._bytes -= len(envelope.raw)
            if self._per_organisation[organisation] == 1:
                del self._per_organisation[organisation]
            else:
                self._per_organisation[organisation] -= 1

    def remove_executed(self, transactions: Iterable[bytes]) -> None:
        """These transactions have taken effect: let go of all their copies."""
        for transaction in transactions:
            self.remove(list(self._copies.get(transaction, ())))

    def remove_expired(self, time: int) -> list[bytes]:
        """Let go of everything whose `valid_until` has passed at header time `time`. Returns the
        transaction ids. No block above the one with that time can execute them."""
        old = [e for e in self._held.values() if e.body.valid_until <= time]
        self.remove(envelope.hash for envelope in old)
        return list(dict.fromkeys(envelope.transaction for envelope in old))

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(
            len(self._held), self._bytes, len(self._per_organisation), self._refused
        )
