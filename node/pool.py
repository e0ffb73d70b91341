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
        self._bytes_of: Final[Counter[bytes]] = Counter()
        """The same in bytes."""
        self._own: Final[dict[bytes, None]] = {}
        """Envelope hashes of those that this node's clients brought."""
        self._own_bytes = 0
        self._bytes = 0
        self._refused = 0
        self._total_max = total_max
        self._per_organisation_max = per_organisation_max

    def set_bounds(self, *, total_max: int, per_organisation_max: int) -> None:
        """Other bounds from now on; what is held already stays."""
        self._total_max = total_max
        self._per_organisation_max = per_organisation_max

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

    def own(self) -> Iterable[Envelope]:
        """Those that own clients brought, the oldest first."""
        return (self._held[hash] for hash in self._own)

    def require_room(self, organisation: bytes, size: int) -> None:
        """Raise PoolRefused unless one more envelope from a client fits. What others passed on takes no
        room from this node's clients."""
        if len(self._own) >= self._total_max or self._own_bytes + size > POOL_BYTES_MAX:
            self._refused += 1
            raise PoolRefused("POOL_FULL", "this node's pool is full; send again in a second")
        if self._per_organisation[organisation] >= self._per_organisation_max:
            self._refused += 1
            raise PoolRefused(
                "CLIENT_PENDING_LIMIT",
                f"{self._per_organisation_max} envelopes of this organisation are waiting already;"
                " send the next one when a receipt has arrived",
            )

    def has_room(self, organisation: bytes, size: int) -> bool:
        """Whether one more envelope that another validator passed on fits. Twice what this node's own clients
        may have, because all other nodes' clients fill it; and no organisation may hold more than is left
        for all others, because the validator that passes on may lie with it (decision 0018)."""
        free = 2 * self._total_max - (len(self._held) - len(self._own))
        free_bytes = 2 * POOL_BYTES_MAX - (self._bytes - self._own_bytes)
        return (
            self._per_organisation[organisation] < free
            and self._bytes_of[organisation] + size <= free_bytes
        )

    def add(self, envelope: Envelope, *, own: bool = False) -> Transaction:
        """Hold an admitted envelope, of an `own` client or not; one that is held already stays as it is."""
        if envelope.hash not in self._held:
            size = len(envelope.raw)
            self._held[envelope.hash] = envelope
            self._copies.setdefault(envelope.transaction, {})[envelope.hash] = None
            self._per_organisation[envelope.body.organisation] += 1
            self._bytes_of[envelope.body.organisation] += size
            self._bytes += size
            if own:
                self._own[envelope.hash] = None
                self._own_bytes += size
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
            organisation, size = envelope.body.organisation, len(envelope.raw)
            self._bytes -= size
            if hash in self._own:
                del self._own[hash]
                self._own_bytes -= size
            if self._per_organisation[organisation] == 1:
                del self._per_organisation[organisation], self._bytes_of[organisation]
            else:
                self._per_organisation[organisation] -= 1
                self._bytes_of[organisation] -= size

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
