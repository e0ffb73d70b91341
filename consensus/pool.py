"""The pool: which held envelopes wait for a block, and which the leader proposes next.

Fair by construction: one queue per organisation, drained round-robin, oldest first (protocol §5.9).
Nor does anybody find no place: an organisation may hold no more of them than are left for all others.
Blocks of other leaders are watched for the same: the organisation that has waited longest for its
oldest transaction is *passed over* by a block that had room for it, that served somebody twice, or
that served somebody who began to wait later. A leader that passes one over for
T_TRANSACTION_COMPLAIN is complained about. Bodies live with the driver; here are envelope hashes and what the rules need to
know of them.

Whatever is here was announced by the driver, which had checked it, so of two copies of one
transaction one waits and either will do. A block may hold copies that were never here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from consensus.events import Transaction

Rule = Callable[[Transaction], bool]


class Pool:
    """Pending transactions in queues, and those in flight: in an accepted block, not final yet."""

    __slots__ = (
        "_copies", "_entries", "_flying", "_heads", "_limit", "_passed", "_queues", "_relayed",
        "_size_max", "_soonest_expiry_s", "pending", "pending_bytes", "refused",
    )  # fmt: skip

    def __init__(self, limit: int, size_max: int) -> None:
        """At most `limit` pending, none larger than `size_max` bytes, which is a whole batch."""
        self._limit: Final = limit
        self._size_max: Final = size_max
        self._entries: Final[dict[bytes, Transaction]] = {}
        """All known by envelope hash, pending and in flight, in order of arrival."""
        self._copies: Final[dict[bytes, bytes]] = {}
        """Transaction id -> envelope hash of the copy that is pending."""
        self._flying: Final[dict[bytes, None]] = {}
        """Envelope hashes in accepted blocks, known here or not."""
        self._queues: Final[OrderedDict[bytes, OrderedDict[bytes, int]]] = OrderedDict()
        """Pending envelope hashes with their sizes per organisation; the first organisation is served
        next."""
        self._heads: Final[OrderedDict[bytes, tuple[int, bytes]]] = OrderedDict()
        """(since when in ms, envelope hash) of each organisation's oldest one; ascending."""
        self._passed: tuple[bytes, int] | None = None
        """Envelope hash of the oldest one of all when it was first passed over, and when that was."""
        self._relayed: Final[dict[bytes, None]] = {}
        """Pending ones that the leader of this view was given."""
        self._soonest_expiry_s = 0
        """No pending transaction expires before this second."""
        self.pending = 0
        self.pending_bytes = 0
        self.refused = 0
        """Arrivals dropped because there was no room for them; their bodies stay with the driver."""

    @property
    def full(self) -> bool:
        return self.pending >= self._limit

    def holds_batch(self, count: int) -> bool:
        """A whole batch is pending: `count` transactions, or as many bytes as fit one."""
        return self.pending >= count or self.pending_bytes >= self._size_max

    def get(self, envelope: bytes) -> Transaction | None:
        return self._entries.get(envelope)

    def add(self, transactions: Iterable[Transaction], now_ms: int, is_known: Rule) -> None:
        """Queue held and checked transactions, except those here already, those of which a copy
        waits, those `is_known` to be executed, and those there is no room for."""
        entries = self._entries
        for transaction in transactions:
            envelope = transaction.envelope
            if envelope in entries or transaction.id in self._copies or is_known(transaction):
                continue
            if envelope in self._flying:
                entries[envelope] = transaction
                continue
            if not self._has_room(transaction.organisation) or transaction.size > self._size_max:
                self.refused += 1
                continue
            entries[envelope] = transaction
            self._enqueue(transaction, now_ms)

    def _has_room(self, organisation: bytes) -> bool:
        """One may take a half, two a third each, and so on (dynamic thresholds, Choudhury & Hahne 1998,
        alpha = 1): whoever comes finds a place, however greedy the others are (decision 0018)."""
        queue = self._queues.get(organisation)
        return (0 if queue is None else len(queue)) < self._limit - self.pending

    def _enqueue(self, transaction: Transaction, now_ms: int) -> None:
        if not self.pending or transaction.valid_until < self._soonest_expiry_s:
            self._soonest_expiry_s = transaction.valid_until
        self.pending += 1
        size = transaction.size
        self.pending_bytes += size
        self._copies[transaction.id] = transaction.envelope
        organisation = transaction.organisation
        queue = self._queues.get(organisation)
        if queue is None:
            queue = self._queues[organisation] = OrderedDict()
            self._heads[organisation] = (now_ms, transaction.envelope)
        queue[transaction.envelope] = size

    def take(
        self, count_max: int, bytes_max: int, now_ms: int, usable: Rule, waits: Rule
    ) -> tuple[bytes, ...]:
        """The next batch, round-robin over organisations; those in it are in flight from now on.

        What is not `usable` (expired, remembered) is dropped for good. What `waits` (a copy of it is
        in flight and may take effect) keeps its place and its clock.
        """
        batch: list[bytes] = []
        waiting: list[tuple[bytes, bytes, int]] = []
        room = bytes_max
        queues, entries, flying = self._queues, self._entries, self._flying
        touched: dict[bytes, None] = {}
        while queues and len(batch) < count_max:
            organisation, queue = queues.popitem(last=False)
            envelope, size = queue.popitem(last=False)
            if size > room:
                queue[envelope] = size
                queue.move_to_end(envelope, last=False)
                queues[organisation] = queue
                queues.move_to_end(organisation, last=False)
                break
            if queue:
                queues[organisation] = queue
            transaction = entries[envelope]
            is_usable = usable(transaction)
            if is_usable and waits(transaction):
                waiting.append((organisation, envelope, size))
                continue
            touched[organisation] = None
            self.pending -= 1
            self.pending_bytes -= size
            del self._copies[transaction.id]
            if is_usable:
                batch.append(envelope)
                room -= size
                flying[envelope] = None
            else:
                del entries[envelope]
        for organisation, envelope, size in reversed(waiting):
            queue = queues.setdefault(organisation, OrderedDict())
            queue[envelope] = size
            queue.move_to_end(envelope, last=False)
        self._restart_clocks(touched, now_ms)
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

    def _unqueue(self, transaction: Transaction) -> None:
        self.pending -= 1
        self.pending_bytes -= self._queues[transaction.organisation].pop(transaction.envelope)
        del self._copies[transaction.id]

    def fly(self, transactions: Iterable[Transaction], now_ms: int) -> None:
        """An accepted block holds these: they are in flight, whether or not the pool knows them."""
        touched: dict[bytes, None] = {}
        for transaction in transactions:
            envelope = transaction.envelope
            if envelope in self._flying:
                continue
            self._flying[envelope] = None
            if envelope in self._entries:
                self._relayed.pop(envelope, None)
                self._unqueue(transaction)
                touched[transaction.organisation] = None
        self._restart_clocks(touched, now_ms)

    def remove(self, envelopes: Iterable[bytes], now_ms: int) -> None:
        """Forget these: a final block holds them, or their time has passed."""
        touched: dict[bytes, None] = {}
        for envelope in envelopes:
            flew = envelope in self._flying
            self._flying.pop(envelope, None)
            self._relayed.pop(envelope, None)
            transaction = self._entries.pop(envelope, None)
            if transaction is not None and not flew:
                self._unqueue(transaction)
                touched[transaction.organisation] = None
        self._restart_clocks(touched, now_ms)

    def drop_copies(self, transactions: Iterable[bytes], now_ms: int, is_known: Rule) -> None:
        """A block with these transaction ids is durable: copies that still wait have had their effect
        when the ledger knows them, and nobody may be blamed for not proposing them. When it does not,
        the block's copy was one that the law does not admit, and the one here goes on waiting."""
        pending = [e for e in map(self._copies.get, transactions) if e is not None]
        self.remove([e for e in pending if is_known(self._entries[e])], now_ms)

    def land(self, now_ms: int, is_known: Rule) -> None:
        """A new view: nothing is in flight any more, every clock starts again (protocol §5.9).

        What was in flight is pending again, unless a copy of it took effect in its place."""
        landed = dict(self._entries)
        flying = dict(self._flying)
        for kept in (
            self._entries, self._copies, self._flying, self._queues, self._heads, self._relayed,
        ):  # fmt: skip
            kept.clear()
        self._passed = None
        self.pending = self.pending_bytes = 0
        for envelope, transaction in landed.items():
            if transaction.id in self._copies or (envelope in flying and is_known(transaction)):
                continue
            if self.pending >= self._limit:
                self.refused += 1
                continue
            self._entries[envelope] = transaction
            self._enqueue(transaction, now_ms)

    def expire(self, wall_s: int, now_ms: int) -> int:
        """Drop pending transactions whose time has passed; returns how many."""
        if not self.pending or wall_s < self._soonest_expiry_s:
            return 0
        flying = self._flying
        old = [e for e, t in self._entries.items() if t.valid_until <= wall_s and e not in flying]
        self.remove(old, now_ms)
        left = (t.valid_until for e, t in self._entries.items() if e not in flying)
        self._soonest_expiry_s = min(left, default=0)
        return len(old)

    def watch(
        self, transactions: Iterable[Transaction], now_ms: int, *, has_room: bool, grace_ms: int
    ) -> None:
        """Another leader's block of these is about to be accepted: does it pass somebody over?

        Not who began to wait less than `grace_ms` ago: the leader may not have known. Of two that
        began within that time either may come first, because replicas hear of them in any order."""
        since_ms, envelope = self.oldest_since_ms(), self._oldest()
        if since_ms is None:
            return
        served: dict[bytes, None] = {}
        for transaction in transactions:
            if transaction.envelope == envelope:
                return
            organisation = transaction.organisation
            head = self._heads.get(organisation)
            later = head is not None and head[0] > since_ms + grace_ms
            has_room = has_room or later or organisation in served
            served[organisation] = None
        known = self._passed is not None and self._passed[0] == envelope
        if has_room and since_ms + grace_ms <= now_ms and not known and envelope is not None:
            self._passed = (envelope, now_ms)

    def drop_oldest_unless(self, usable: Rule, count_max: int, now_ms: int) -> int:
        """Drop those of the oldest pending ones, and of the one passed over, that are not `usable` any more;
        returns how many."""
        passed = self.passed_over
        looked_at: dict[bytes, None] = {} if passed is None else {passed: None}
        for envelope in self._entries:
            if len(looked_at) >= count_max:
                break
            if envelope not in self._flying:
                looked_at[envelope] = None
        lost = [e for e in looked_at if not usable(self._entries[e])]
        self.remove(lost, now_ms)
        return len(lost)

    @property
    def relayed(self) -> int:
        """How many are pending that the leader of this view was given: it knows them."""
        return len(self._relayed)

    def relay(self, count_max: int, bytes_max: int) -> tuple[bytes, ...]:
        """Envelope hashes of the oldest pending ones that the leader of this view was not given yet; from
        now on it was."""
        found: list[bytes] = []
        room = bytes_max
        for envelope, transaction in self._entries.items():
            if envelope in self._flying or envelope in self._relayed:
                continue
            room -= transaction.size
            if room < 0 or len(found) >= count_max:
                break
            found.append(envelope)
        self._relayed.update(dict.fromkeys(found))
        return tuple(found)

    def relay_passed_over(self) -> tuple[bytes, ...]:
        """The same for the one that was passed over, if there is one."""
        envelope = self.passed_over
        if envelope is None or envelope in self._relayed:
            return ()
        self._relayed[envelope] = None
        return (envelope,)

    @property
    def passed_over(self) -> bytes | None:
        """Envelope hash of the oldest one of all, when it has been passed over."""
        if self._passed is None or self._passed[0] != self._oldest():
            return None
        return self._passed[0]

    def passed_since_ms(self) -> int | None:
        """Since when the oldest transaction of all has been passed over; None when it has not."""
        return None if self._passed is None or self.passed_over is None else self._passed[1]

    def oldest_since_ms(self) -> int | None:
        """Since when the longest waiting organisation has waited for its oldest transaction."""
        oldest = next(iter(self._heads.values()), None)
        return None if oldest is None else oldest[0]

    def _oldest(self) -> bytes | None:
        """Envelope hash of that transaction."""
        oldest = next(iter(self._heads.values()), None)
        return None if oldest is None else oldest[1]
