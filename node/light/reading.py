"""Reading records for a copy: each proven, and together with those that change with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, final

import trio

from node.light.concern import FOLLOWED, REFERENCES, Want, hangs_on
from node.light.copy import Change, Copy
from tallynet.client import Client, ProvenRecord, RequestFailed
from tallynet.records import Kind, Lot, Record, Voucher, lot_id

__all__ = ["Reading"]

IN_FLIGHT: Final = 16
"""Questions at a time: a node answers one in a millisecond or less, so this fills a distance of 16 ms."""
NOT_SHOWN: Final = "NOT_AUTHORISED"


@final
class Reading:
    """One round of reading; made anew for each, since it remembers what it has read."""

    def __init__(self, client: Client, copy: Copy) -> None:
        self._client: Final = client
        self._copy: Final = copy
        self._limit: Final = trio.CapacityLimiter(IN_FLIGHT)
        self._asked: Final[set[tuple[Kind | None, bytes]]] = set()
        self._spans: Final[dict[bytes, set[tuple[int, int]]]] = {}
        self._changes: Final[list[Change]] = []

    async def read(self, wants: Iterable[Want]) -> list[Change]:
        """What the wanted records are now, and those that hang together with them.

        Raises:
            TallynetError: what `Client.read_proven` and `Client.is_refused` raise; nothing is known then.
        """
        ahead = list(wants)
        while ahead:
            for want in ahead:
                self._spans.setdefault(want.id, set()).update(want.spans)
            new = {(want.kind, want.id) for want in ahead} - self._asked
            self._asked.update(new)
            found: list[Change] = []
            async with trio.open_nursery() as nursery:
                for kind, id in new:
                    nursery.start_soon(self._one, kind, id, found)
            self._changes.extend(found)
            ahead = [more for change in found for more in self._more(change)]
        return self._changes

    def _more(self, change: Change) -> Iterator[Want]:
        """What may have changed with it."""
        if change.kind in (Kind.VOUCHER, Kind.FINANCING):
            for kept in self._copy.about(change.id):
                if kept.kind is not Kind.LOT:
                    yield Want(kept.kind, kept.id)
        if change.record is not None:
            yield from hangs_on(change.record)

    async def _one(self, kind: Kind | None, id: bytes, found: list[Change]) -> None:
        async with self._limit:
            if kind is None:
                await self._reference(id, found)
            elif kind is Kind.VOUCHER:
                await self._voucher(id, found)
            elif kind in FOLLOWED:
                found.append(await self._record(kind, id))

    async def _reference(self, id: bytes, found: list[Change]) -> None:
        """An id of which the event does not say what it names."""
        known = self._copy.kind_of(id)
        for kind in REFERENCES if known is None else (known,):
            if kind is Kind.VOUCHER:
                await self._voucher(id, found)
                return
            change = await self._record(kind, id)
            if change.record is not None or kind is known:
                self._asked.add((kind, id))
                found.append(change)
                return

    async def _voucher(self, id: bytes, found: list[Change]) -> None:
        proven = await self._proven(Kind.VOUCHER, id)
        if proven is None or not isinstance(proven.record, Voucher):
            found.append(self._change(Kind.VOUCHER, id, None, proven))
            return
        found.append(self._change(Kind.VOUCHER, id, proven.record, proven, proven.lots))
        if proven.lots is None:
            await self._lots(id, proven.record, found)

    async def _lots(self, id: bytes, voucher: Voucher, found: list[Change]) -> None:
        """Of a voucher of which not all lots are shown, or that has too many: those that lie where the copy has
        some, and where events say that something moved. Lots tile the face, so each names the next one."""
        spans = set(self._spans.get(id, ()))
        for kept in self._copy.about(id):
            if isinstance(kept.record, Lot):
                spans.add((kept.record.start, kept.record.end))
        read: dict[int, int | None] = {}
        for start, end in sorted(spans):
            at: int | None = start
            while at is not None and at < min(end, voucher.face):
                if at not in read:
                    change = await self._record(Kind.LOT, lot_id(id, at))
                    found.append(change)
                    read[at] = change.record.end if isinstance(change.record, Lot) else None
                at = read[at]

    async def _record(self, kind: Kind, id: bytes) -> Change:
        proven = await self._proven(kind, id)
        return self._change(kind, id, None if proven is None else proven.record, proven)

    async def _proven(self, kind: Kind, id: bytes) -> ProvenRecord | None:
        """None: f+1 do not show it to this organisation. One node's word would take a voucher out of the copy."""
        while True:
            try:
                return await self._client.read_proven(kind, id)
            except RequestFailed as error:
                if error.code != NOT_SHOWN:
                    raise
            if await self._client.is_refused(kind, id):
                return None

    def _change(
        self,
        kind: Kind,
        id: bytes,
        record: Record | None,
        proven: ProvenRecord | None,
        lots: tuple[Lot, ...] | None = None,
    ) -> Change:
        if proven is None:
            head = self._client.trust.head
            return Change(kind, id, None, self._client.trust.newest, head.time_ms if head else 0)
        return Change(kind, id, record, proven.block.height, proven.block.time_ms, lots)
