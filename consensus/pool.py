"""The pool: ids of held transactions, and which the leader proposes next.

Fair by construction: one queue per organisation, drained round-robin, oldest first (protocol §5.9).
Each organisation's oldest pending transaction has a fairness clock that starts when it becomes the
oldest, and again under each new leader; a leader that skips it for T_TRANSACTION_COMPLAIN is
complained about. Bodies live with the driver; here are ids and what the rules need to know of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from consensus.events import Transaction


class Pool:
    """Pending transactions in queues, and those in flight: in an accepted block, not final yet."""

    __slots__ = (
        "_entries", "_flying", "_heads", "_limit", "_queues", "_size_max", "_soonest_expiry_s",
        "batch_since_ms", "pending", "pending_bytes", "refused",
    )  # fmt: skip

    def __init__(self, limit: int, size_max: int) -> None:
        """At most `limit` pending, none larger than `size_max` bytes, which is a whole batch."""
        self._limit: Final = limit
        self._size_max: Final = size_max
        self._entries: Final[dict[bytes, Transaction]] = {}
        """All known, pending and in flight, in order of arrival."""
        self._flying: Final[dict[bytes, None]] = {}
        self._queues: Final[OrderedDict[bytes, OrderedDict[bytes, int]]] = OrderedDict()
        """Pending ids with their sizes per organisation; the first organisation is served next."""
        self._heads: Final[OrderedDict[bytes, tuple[int, bytes]]] = OrderedDict()
        """(since when in ms, id) of each organisation's oldest one; ascending."""
        self._soonest_expiry_s = 0
        """No pending transaction expires before this second."""
        self.pending = 0
        self.pending_bytes = 0
        self.batch_since_ms = 0
        """Since when something has been pending that was not proposed with the last batch."""
        self.refused = 0
        """Arrivals dropped because the pool was full; their bodies stay with the driver."""

    @property
    def full(self) -> bool:
        return self.pending >= self._limit

    def get(self, transaction: bytes) -> Transaction | None:
        return self._entries.get(transaction)

    def add(
        self, transactions: Iterable[Transaction], now_ms: int, is_known: Callable[[bytes], bool]
    ) -> None:
        """Queue held transactions, except those here already, those `is_known` to be committed, and
        those there is no room for."""
        entries = self._entries
        for transaction in transactions:
            identity = transaction.id
            if identity in entries or is_known(identity):
                continue
            if self.pending >= self._limit or transaction.size > self._size_max:
                self.refused += 1
                continue
            entries[identity] = transaction
            self._enqueue(transaction, now_ms)

    def _enqueue(self, transaction: Transaction, now_ms: int) -> None:
        if not self.pending:
            self.batch_since_ms = now_ms
            self._soonest_expiry_s = transaction.valid_until
        elif transaction.valid_until < self._soonest_expiry_s:
            self._soonest_expiry_s = transaction.valid_until
        self.pending += 1
        size = transaction.size
        self.pending_bytes += size
        organisation = transaction.organisation
        queue = self._queues.get(organisation)
        if queue is None:
            queue = self._queues[organisation] = OrderedDict()
            self._heads[organisation] = (now_ms, transaction.id)
        queue[transaction.id] = size

    def take(
        self, count_max: int, bytes_max: int, now_ms: int, usable: Callable[[Transaction], bool]
    ) -> tuple[bytes, ...]:
        """The next batch, round-robin over organisations; those in it are in flight from now on.

        What is not `usable` (expired, remembered) is dropped for good.
        """
        batch: list[bytes] = []
        room = bytes_max
        queues, entries, flying = self._queues, self._entries, self._flying
        touched: dict[bytes, None] = {}
        while queues and len(batch) < count_max:
            organisation, queue = queues.popitem(last=False)
            identity, size = queue.popitem(last=False)
            if size > room:
                queue[identity] = size
                queue.move_to_end(identity, last=False)
                queues[organisation] = queue
                queues.move_to_end(organisation, last=False)
                break
            touched[organisation] = None
            self.pending -= 1
            self.pending_bytes -= size
            if usable(entries[identity]):
                batch.append(identity)
                room -= size
                flying[identity] = None
            else:
                del entries[identity]
            if queue:
                queues[organisation] = queue
        self._restart_clocks(touched, now_ms)
        self.batch_since_ms = now_ms
        return tuple(batch)

    def _restart_clocks(self, touched: Iterable[bytes], now_ms: int) -> None:
        """Where another transaction has become an organisation's oldest, its clock starts now."""
        for organisation in touched:
            queue = self._queues.get(organisation)
            if not queue:
                self._queues.pop(organisation, None)
                del self._heads[organisation]
                continue
            oldest = next(iter(queue))
            if self._heads[organisation][1] != oldest:
                self._heads[organisation] = (now_ms, oldest)
                self._heads.move_to_end(organisation)

    def fly(self, transactions: Iterable[Transaction], now_ms: int) -> None:
        """An accepted block holds these: they are in flight, whether or not the pool knew them."""
        entries, flying, queues = self._entries, self._flying, self._queues
        touched: dict[bytes, None] = {}
        for transaction in transactions:
            identity = transaction.id
            if identity in flying:
                continue
            flying[identity] = None
            if identity in entries:
                organisation = transaction.organisation
                self.pending -= 1
                self.pending_bytes -= queues[organisation].pop(identity)
                touched[organisation] = None
            else:
                entries[identity] = transaction
        self._restart_clocks(touched, now_ms)

    def remove(self, transactions: Iterable[bytes], now_ms: int) -> None:
        """These are committed: forget them."""
        touched: dict[bytes, None] = {}
        for identity in transactions:
            transaction = self._entries.pop(identity, None)
            if transaction is None:
                continue
            if identity in self._flying:
                del self._flying[identity]
            else:
                organisation = transaction.organisation
                self.pending -= 1
                self.pending_bytes -= self._queues[organisation].pop(identity)
                touched[organisation] = None
        self._restart_clocks(touched, now_ms)

    def land(self, now_ms: int) -> None:
        """A new view: nothing is in flight any more, every clock starts again (protocol §5.9)."""
        self._flying.clear()
        self._queues.clear()
        self._heads.clear()
        self.pending = self.pending_bytes = 0
        for transaction in self._entries.values():
            self._enqueue(transaction, now_ms)

    def expire(self, wall_s: int) -> int:
        """Drop pending transactions whose time has passed; returns how many."""
        if not self.pending or wall_s < self._soonest_expiry_s:
            return 0
        flying = self._flying
        old = [t.id for t in self._entries.values() if t.valid_until <= wall_s]
        old = [identity for identity in old if identity not in flying]
        self.remove(old, self.batch_since_ms)
        left = (t.valid_until for t in self._entries.values() if t.id not in flying)
        self._soonest_expiry_s = min(left, default=0)
        return len(old)

    def oldest_since_ms(self) -> int | None:
        """Since when the longest waiting organisation has waited for its oldest transaction."""
        oldest = next(iter(self._heads.values()), None)
        return None if oldest is None else oldest[0]
