"""The copy as JSON. Amounts are integers in the currency's smallest unit, ids and hashes hexadecimal, days dates.

Every answer says which block it is of and when f+1 validators last said that there is no later one; it says so also
when the network has been away since.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, final

from node.light.concern import ID_BYTES
from node.light.copy import Copy, Kept
from node.light.database import CopyError
from node.light.following import Follower
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

    def __init__(self, follower: Follower) -> None:
        self._follower: Final = follower
        self._copy: Final[Copy] = follower.copy

    def status(self) -> Plain:
        """How old the copy is and why; answered also before it is filled."""
        proven_at, trouble = self._copy.proven_at, self._follower.trouble
        connected = self._follower.connected()
        return self._head() | {
            "organisation": self._copy.organisation.hex(),
            "state": self._follower.standing.value,
            "age_seconds": None if proven_at is None else max(0, int(time.time()) - proven_at),
            "nodes": [str(address) for address in self._follower.nodes],
            "connected": list(connected),
            "why": None if trouble is None else {"code": trouble.code, "message": trouble.message},
            "lies": self._follower.lies,
            "last_lie": self._follower.last_lie,
            "records": len(self._copy),
        }

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
        return {
            "height": self._copy.height,
            "proven_at": None
            if at is None
            else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

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
