"""The part of the audit that adds up credit lines: each counts what vouchers, lots and financings say (voucher law §6).

An ALLOCATION line is left out: what it has paid out stays used, and no record says how much that was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from node.ledger.drawing import exposure_lines
from node.ledger.lines import line_id
from tallynet.records import (
    FLAG_COUNTED,
    CreditLine,
    Financing,
    FinancingState,
    LineKind,
    Lot,
    LotState,
    Voucher,
    VoucherStatus,
)

Differ = Callable[[str], None]
_ENDED: Final = (LotState.REDEEMED, LotState.CANCELLED)
_NOT_PAID_OUT: Final = (FinancingState.AWAIT_PAYOUT, FinancingState.PAYOUT_HELD)
Numbers = dict[bytes, int]


def _numbers() -> Numbers:
    return defaultdict(int)


@dataclass(slots=True)
class LineSums:
    """Fen by line, gathered in one pass over the records in any order. Some hundred thousand lines at most fit
    into memory; lots and vouchers need not."""

    lines: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    used: Numbers = field(default_factory=_numbers)
    reserved: Numbers = field(default_factory=_numbers)

    def line(self, id: bytes, line: CreditLine) -> None:
        """What a line says of itself."""
        if line.kind is not LineKind.ALLOCATION:
            self.lines[id] = line.used, line.reserved

    def voucher(self, voucher: Voucher, lots: Sequence[Lot]) -> None:
        """A voucher's open face counts under its ISSUE line, what was bought of it under the holder's line."""
        counts = self.reserved if voucher.status is VoucherStatus.PENDING_CLAIM else self.used
        if voucher.status is not VoucherStatus.CANCELLED:
            counts[voucher.issue_line] += voucher.face - voucher.redeemed - voucher.cancelled
        for lot in lots:
            if lot.flags & FLAG_COUNTED and lot.state not in _ENDED:
                kind = LineKind.DEBTOR_EXPOSURE
                id = line_id(kind, lot.holder, voucher.debtor, voucher.currency)
                self.used[id] += lot.end - lot.start

    def financing(self, deal: Financing) -> None:
        """Principal counts under the lines that the deal names; a rediscount once it is accepted."""
        if deal.state is FinancingState.REQUESTED:
            return
        counts = self.reserved if deal.state in _NOT_PAID_OUT else self.used
        for id in exposure_lines(deal):
            counts[id] += deal.principal - deal.repaid

    def check(self, differ: Differ) -> None:
        """Tell `differ` of every line that says something else, in order of id."""
        for id in sorted(self.lines | self.used | self.reserved):
            counts = self.used.get(id, 0), self.reserved.get(id, 0)
            if self.lines.get(id, (0, 0)) != counts:
                says = "is not there" if id not in self.lines else f"says {self.lines[id]}"
                differ(f"line {id.hex()}: used and reserved are {counts}, the line {says}")
