"""Keeping a copy true: filling it, following the log, and saying how old it is.

    fill         lists of f+1 validators united, each entry proven by its record; then the log is read from the
                 lowest head that they showed on
    follow       the log, proven whole; an event of this organisation makes its records be read anew, and the
                 cursor moves in the transaction that puts them in place
    every 10 s   f+1 validators say which block is the newest; when that one is taken in, the copy is proven as of
                 now
    every 30 s   credit lines, which others change unseen; requests for quotes, whose event does not name who is asked
    every hour   the lists again, for what no event showed

What goes wrong is kept as `trouble`, for the status; the copy answers meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final, final

import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.light.concern import ID_BYTES, Want, wanted
from node.light.copy import Copy
from node.light.event_log import Place, SeenEvent
from node.light.news import News
from node.light.reading import Reading
from node.light.standing import Standing
from node.state.view import Index
from tallynet.client import Client, EventEntry, NodeAddress, StaleAnswer, TrustStore
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis
from tallynet.records import Kind, Voucher, VoucherStatus

__all__ = ["Follower"]

BATCH: Final = 256
"""Events, or entries of a list, in one transaction: some hundred kilobytes, and a second at most."""
RETRY_SECONDS: Final = 2.0
"""Before the next attempt after an error."""
CONFIRM_SECONDS: Final = 10.0
LATE_SECONDS: Final = 60
"""After its validity, before f+1 validators are believed that know nothing of a transaction: the time of a block may
lie some seconds before that of the clock here."""
LINES_SECONDS: Final = 30.0
RELIST_SECONDS: Final = 3_600.0
START_BYTES: Final = 8
_BY_ID: Final = (
    (Index.DEBTOR_VOUCHERS, Kind.VOUCHER),
    (Index.PAYEE_VOUCHERS, Kind.VOUCHER),
    (Index.ORGANISATION_LINES, Kind.CREDIT_LINE),
    (Index.BANK_INSTRUCTIONS, Kind.INSTRUCTION),
    (Index.PARTY_FINANCINGS, Kind.FINANCING),
    (Index.PARTY_REQUESTS, Kind.FINANCING_REQUEST),
    (Index.PARTY_DOCUMENTS, Kind.DOCUMENT),
)
"""Lists whose entries end with the id of a record."""
_BY_LOT: Final = (Index.OPEN_LOTS, Index.PARTY_PENDING)
"""Lists whose entries end with a lot."""


@final
class Follower:
    """Keeps one copy; `run` never ends by itself."""

    def __init__(
        self,
        copy: Copy,
        nodes: Sequence[NodeAddress],
        genesis: Genesis,
        key: Ed25519PrivateKey,
        trust: Path,
    ) -> None:
        """`key`: of one of the organisation's people, by which nodes know what to show; `trust`: directory of the
        client's trust store."""
        self.copy: Final = copy
        self.nodes: Final = tuple(nodes)
        self.standing = Standing.CONNECTING
        self.trouble: TallynetError | None = None
        """Why the copy is not newer; None while all is well."""
        self.lies = 0
        """Answers that did not hold, since the start."""
        self.last_lie = ""
        self._lies_before = 0
        """In earlier connections."""
        self._genesis: Final = genesis
        self._key: Final = key
        self._store: Final = TrustStore(trust)
        self._client: Client | None = None
        self._opened = trio.Event()
        """The next connection is there."""
        self.news: Final = News()
        """Of events that were taken in."""
        self._waiting = trio.CancelScope()
        """Around the wait for news."""
        self._writing: Final = trio.Lock()
        """Two rounds of reading side by side could put the older one in place last."""

    @property
    def client(self) -> Client | None:
        """The connection, while there is one."""
        return self._client

    async def connection(self, after: Client | None) -> Client:
        """The connection, as soon as there is another one than `after`."""
        while self._client is None or self._client is after:
            await self._opened.wait()
        return self._client

    async def never_happened(self, client: Client, transaction: bytes, valid_until: int) -> bool:
        """Whether its validity is over, everything up to then was taken in, and f+1 validators know nothing of it.
        Raises StaleAnswer LISTS_UNCONFIRMED."""
        proven_at = self.copy.proven_at
        if proven_at is None or proven_at <= valid_until + LATE_SECONDS:
            return False
        return await client.is_unknown(transaction, self.copy.height)

    def connected(self) -> tuple[str, ...]:
        """Addresses of the nodes with an open connection; `lies` are counted anew with it."""
        if self._client is None:
            return ()
        counted = self._client.statistics()
        self.lies = self._lies_before + counted.lies
        self.last_lie = counted.last_lie or self.last_lie
        return counted.connected

    async def run(self) -> None:
        """Connect, fill, follow, again and again."""
        log = structlog.get_logger("light")
        while True:
            try:
                self._lies_before = self.lies
                connection = Client.connect(self.nodes, self._genesis, self._key, store=self._store)
                async with connection as client:
                    self._client = client
                    self._opened.set()
                    self._opened = trio.Event()
                    await self._follow(client)
            except (TallynetError, ExceptionGroup) as error:
                self.trouble = _only(error)
                log.warning("behind", code=self.trouble.code, message=self.trouble.message)
            finally:
                self.connected()
                self._client, self.standing = None, Standing.CONNECTING
            await trio.sleep(RETRY_SECONDS)

    async def _follow(self, client: Client) -> None:
        if self.copy.place is None:
            self.standing = Standing.FILLING
            await self._fill(client)
        self.standing = Standing.FOLLOWING
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_log, client)
            nursery.start_soon(self._keep_up, client)

    # --- filling ------------------------------------------------------------------------------------------

    async def _fill(self, client: Client) -> None:
        """A correct node lists what its own state holds, so the log is read from the lowest head on: a liar can
        make that more work, and nothing be missed."""
        compared = await client.compare_heads()
        lowest = min(height for _, height in compared.heads)
        if compared.newest:
            await self._list(client)
        self.copy.apply((), place=Place(lowest + 1), height=lowest)
        self.news.tell()

    async def _list(self, client: Client) -> None:
        """Read everything that is listed."""
        own = self.copy.organisation
        for index, kind in _BY_ID:
            entries = await client.united_index(index, own)
            await self._read(client, [Want(kind, entry[ID_BYTES:]) for entry in sorted(entries)])
        for index in _BY_LOT:
            entries = await client.united_index(index, own)
            await self._read(client, [_lot_wanted(entry) for entry in sorted(entries)])
        for kept in self.copy.all(Kind.VOUCHER):
            if _is_being_paid(kept.record):
                entries = await client.united_index(Index.VOUCHER_INSTRUCTIONS, kept.id)
                wants = [Want(Kind.INSTRUCTION, entry[ID_BYTES:]) for entry in sorted(entries)]
                await self._read(client, wants)

    async def _read(self, client: Client, wants: Sequence[Want]) -> None:
        for at in range(0, len(wants), BATCH):
            async with self._writing:
                self.copy.apply(await Reading(client, self.copy).read(wants[at : at + BATCH]))

    # --- the log ------------------------------------------------------------------------------------------

    async def _read_log(self, client: Client) -> None:
        while True:
            await self.catch_up(client)
            place = self._place()
            events = client.events(place.height, place.index)
            with trio.CancelScope() as self._waiting:
                async with aclosing(events):
                    await anext(events)  # there is something new

    async def catch_up(self, client: Client) -> None:
        """Take in all that the log holds now."""
        place = self._place()
        batch: list[EventEntry] = []
        async with aclosing(client.events(place.height, place.index, follow=False)) as entries:
            async for entry in entries:
                batch.append(entry)
                if len(batch) == BATCH:
                    await self._take(client, batch)
                    batch.clear()
            height = client.trust.newest  # the log ended there
        await self._take(client, batch, height)

    async def _take(self, client: Client, batch: Sequence[EventEntry], height: int = 0) -> None:
        seen = list(_seen(batch))
        wants = [
            want for each in seen if self.copy.concerns(each.event) for want in wanted(each.event)
        ]
        place = Place(batch[-1].height, batch[-1].index + 1) if batch else None
        async with self._writing:
            changes = await Reading(client, self.copy).read(wants)
            self.copy.apply(changes, place=place, height=height, seen=seen)
        self.news.tell()

    def _place(self) -> Place:
        return self.copy.place or Place(1)

    # --- how old it is ------------------------------------------------------------------------------------

    async def _keep_up(self, client: Client) -> None:
        lines_at, lists_at, seen = 0.0, trio.current_time() + RELIST_SECONDS, 0
        while True:
            await self._confirm(client)
            now = trio.current_time()
            if now >= lines_at and client.trust.newest > seen:
                seen, lines_at = client.trust.newest, now + LINES_SECONDS
                lines = self.copy.listed(Kind.CREDIT_LINE)
                await self._read(client, [Want(Kind.CREDIT_LINE, kept.id) for kept in lines])
                await self._read(client, await self._new_requests(client))
            if now >= lists_at:
                lists_at = now + RELIST_SECONDS
                await self._list(client)
            await trio.sleep(CONFIRM_SECONDS)

    async def _new_requests(self, client: Client) -> list[Want]:
        """Those that it is asked in: their event names the holder alone."""
        entries = await client.united_index(Index.PARTY_REQUESTS, self.copy.organisation)
        ids = sorted(entry[ID_BYTES:] for entry in entries)
        return [Want(Kind.FINANCING_REQUEST, id) for id in ids if self.copy.kind_of(id) is None]

    async def _confirm(self, client: Client) -> None:
        """Have f+1 validators say which block is the newest; note it when that one is taken in."""
        asked_at = int(time.time())
        try:
            newest = (await client.compare_heads()).newest
        except StaleAnswer as error:
            self.trouble = error
            return
        if self.copy.height < newest:
            if await self._has_events(client):
                self._waiting.cancel()  # the node that is to tell the news withholds them, or is behind
            else:
                self.copy.apply((), height=client.trust.newest)
        if self.copy.height >= newest:
            self.copy.confirm(self.copy.height, asked_at)
            self.trouble = None

    async def _has_events(self, client: Client) -> bool:
        """Whether there are any that are not taken in yet. A block without events wakes nobody who reads them."""
        place = self._place()
        async with aclosing(client.events(place.height, place.index, follow=False)) as entries:
            async for _ in entries:
                return True
        return False


def _seen(batch: Iterable[EventEntry]) -> Iterator[SeenEvent]:
    """What of them is shown to this organisation."""
    for entry in batch:
        if entry.event is not None:
            yield SeenEvent(Place(entry.height, entry.index), entry.event, entry.block.time_ms)


def _lot_wanted(entry: bytes) -> Want:
    voucher = entry[-ID_BYTES - START_BYTES : -START_BYTES]
    start = int.from_bytes(entry[-START_BYTES:], "big")
    return Want(Kind.VOUCHER, voucher, frozenset(((start, start + 1),)))


def _is_being_paid(record: object) -> bool:
    return (
        isinstance(record, Voucher)
        and record.instructions_opened > 0
        and record.status is not VoucherStatus.SETTLED
    )


def _only(error: BaseException) -> TallynetError:
    """The error inside (groups of) errors that says what happened; anything else than ours goes on."""
    leaves = [error]
    while any(isinstance(leaf, BaseExceptionGroup) for leaf in leaves):
        leaves = [
            inner
            for leaf in leaves
            for inner in (leaf.exceptions if isinstance(leaf, BaseExceptionGroup) else (leaf,))
        ]
    for leaf in leaves:
        if not isinstance(leaf, TallynetError):
            raise error
    first = leaves[0]
    if not isinstance(first, TallynetError):
        raise error
    return first
