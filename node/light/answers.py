"""The copy as JSON. Amounts are integers in the currency's smallest unit, ids and hashes hexadecimal, days dates.

Every answer says which block it is of and when f+1 validators last said that there is no later one; it says so also
when the network has been away since.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final, final

from node.light.concern import ID_BYTES
from node.light.copy import Copy, Kept
from node.light.database import CopyError
from node.light.following import Follower
from node.light.messages import EventsKept, Explain, Status, Trouble, moment
from node.light.sent import SentCommands
from node.light.webhooks import Webhooks
from tallynet.errors import TallynetError
from tallynet.plain import to_plain
from tallynet.records import Kind, Lot, Voucher

__all__ = ["PAGE_MAX", "Answers", "NotHeld"]

PAGE_MAX: Final = 500
"""Entries of one answer: some 300 kB, and ten milliseconds."""
_EPOCH: Final = date(1970, 1, 1)

Plain = dict[str, Any]


class NotHeld(TallynetError):
    """The copy has no such record (RECORD_NOT_FOUND)."""


@final
class Answers:
    """What a program may ask; nothing here waits for the network."""

    def __init__(
        self, follower: Follower, sent: SentCommands, webhooks: Webhooks, explain: Explain
    ) -> None:
        self._follower: Final = follower
        self._copy: Final[Copy] = follower.copy
        self._sent: Final = sent
        self._webhooks: Final = webhooks
        self._explain: Final = explain

    def status(self) -> Status:
        """How old the copy is and why; answered also before it is filled."""
        copy, follower = self._copy, self._follower
        proven_at, trouble, place, first = (
            copy.proven_at,
            follower.trouble,
            copy.place,
            copy.events.first,
        )
        connected = follower.connected()
        return Status(
            height=copy.height,
            proven_at=None if proven_at is None else moment(proven_at),
            organisation=copy.organisation.hex(),
            state=follower.standing,
            age_seconds=None if proven_at is None else max(0, int(time.time()) - proven_at),
            nodes=[str(address) for address in follower.nodes],
            connected=list(connected),
            why=None
            if trouble is None
            else Trouble(trouble.code, trouble.message, self._explain(trouble.code)),
            lies=follower.lies,
            last_lie=follower.last_lie,
            records=len(copy),
            pending=self._sent.pending(),
            events=EventsKept(
                None if first is None else first.cursor, None if place is None else place.cursor
            ),
            webhooks=self._webhooks.status(),
        )

    def holdings(self, after: bytes, limit: int) -> Plain:
        """Lots that it holds or is offered and that somebody is still to be paid for."""
        return self._page("holdings", Kind.LOT, after, limit, self._holding)

    def vouchers(self, after: bytes, limit: int) -> Plain:
        """Those that it owes, was the first payee of, or holds part of."""
        return self._page("vouchers", Kind.VOUCHER, after, limit, self._plain, listed=False)

    def voucher(self, id: bytes) -> Plain:
        """One, with the lots of it that this organisation is shown.

        Raises:
            NotHeld, CopyError: COPY_EMPTY.
        """
        self._require_filled()
        kept = self._copy.get(Kind.VOUCHER, id)
        if kept is None:
            raise NotHeld("RECORD_NOT_FOUND", f"the copy has no voucher {id.hex()}")
        lots = [to_plain(each.record) for each in self._copy.about(id) if each.kind is Kind.LOT]
        return self._head() | {"voucher": self._plain(kept) | {"lots": lots}}

    def lines(self, after: bytes, limit: int) -> Plain:
        """Credit lines that it granted or was granted."""
        return self._page("lines", Kind.CREDIT_LINE, after, limit, self._plain)

    def instructions(self, after: bytes, limit: int) -> Plain:
        """Payments that it is to make, to get or to execute."""
        return self._page("instructions", Kind.INSTRUCTION, after, limit, self._plain)

    def financings(self, after: bytes, limit: int) -> Plain:
        """Sales and loans of which it is a side."""
        return self._page("financings", Kind.FINANCING, after, limit, self._plain)

    def requests(self, after: bytes, limit: int) -> Plain:
        """Requests for quotes that it made or is asked in."""
        return self._page("requests", Kind.FINANCING_REQUEST, after, limit, self._plain)

    def documents(self, after: bytes, limit: int) -> Plain:
        """Documents of which it is a party; what they say stays sealed."""
        return self._page("documents", Kind.DOCUMENT, after, limit, self._plain)

    def _page(
        self,
        name: str,
        kind: Kind,
        after: bytes,
        limit: int,
        shown: Callable[[Kept], Plain],
        *,
        listed: bool = True,
    ) -> Plain:
        """`after` in the answer is what to ask with for the next page; null: that was all."""
        self._require_filled()
        select = self._copy.listed if listed else self._copy.all
        found = select(kind, after=after, limit=limit + 1)
        more, found = len(found) > limit, found[:limit]
        entries = [shown(kept) for kept in found]
        return self._head() | {name: entries, "after": found[-1].id.hex() if more else None}

    def _head(self) -> Plain:
        at = self._copy.proven_at
        return {"height": self._copy.height, "proven_at": None if at is None else moment(at)}

    def _require_filled(self) -> None:
        if self._copy.place is None:
            raise CopyError("COPY_EMPTY", "the copy is not filled yet; /status says why")

    def _plain(self, kept: Kept) -> Plain:
        head: Plain = {"id": kept.id.hex(), "read_at_height": kept.height}
        return head | dict(to_plain(kept.record))

    def _holding(self, kept: Kept) -> Plain:
        head = self._plain(kept) | {"voucher": kept.id[:ID_BYTES].hex()}
        behind = self._copy.get(Kind.VOUCHER, kept.id[:ID_BYTES])
        if behind is None or not isinstance(behind.record, Voucher):
            return head
        voucher, lot = behind.record, kept.record
        return head | {
            "amount": lot.end - lot.start if isinstance(lot, Lot) else 0,
            "currency": voucher.currency,
            "debtor": voucher.debtor.hex(),
            "maturity": (_EPOCH + timedelta(days=voucher.maturity)).isoformat(),
            "voucher_status": voucher.status.name,
        }
