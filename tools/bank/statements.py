"""A day's statement against the ledger: what either has and the other has not.

The ledger is asked with proof for the receipt of each booking. The other way round, what was confirmed from files is
in the record beside the wallet; the ledger has no list of a bank's receipts, so what was confirmed by hand is found
from the statement's side alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tools.bank.receipts import used_receipt
from tools.bank.record import Line, PaymentRecord
from tools.bank.references import instruction_of
from tools.bank.reports import Report, Row, Said
from tools.participant import Participant


class Difference(StrEnum):
    NOT_CONFIRMED = "booked, not confirmed on the ledger"
    NOT_BOOKED = "confirmed on the ledger, not booked"
    AMOUNT = "amount differs"
    DAY = "confirmed for another day"
    OTHER = "the receipt confirmed another instruction"
    RETURNED = "booked as returned"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference, with what each side says."""

    difference: Difference
    reference: str
    """End-to-end id."""
    entry: str
    """The bank's reference."""
    booked: int | None
    """Minor units of the statement."""
    confirmed: int | None
    """Minor units of the ledger; None: it does not say, or there is none."""
    currency: str
    booked_on: int | None
    confirmed_on: int | None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    matched: int
    foreign: int
    """Bookings that are not of this ledger."""
    findings: tuple[Finding, ...]


async def reconcile(
    participant: Participant, record: PaymentRecord, report: Report
) -> Reconciliation:
    """Both directions, for the days and currencies of the statement."""
    confirmed = {(line.reference, line.source): line for line in record.confirmed()}
    findings: list[Finding] = []
    matched = foreign = 0
    for row in report.rows:
        line = confirmed.get((row.reference.lower(), row.entry))
        found, known = await _booked(participant, row, line)
        findings += found
        foreign += not known
        matched += known and not found
    booked = {(row.reference.lower(), row.entry) for row in report.rows}
    for key, line in confirmed.items():
        if key not in booked:
            findings += await _missing(participant, line, report)
    return Reconciliation(matched, foreign, tuple(findings))


async def _booked(
    participant: Participant, row: Row, line: Line | None
) -> tuple[list[Finding], bool]:
    """The differences of a booking, and whether it is this ledger's at all. Money that came in for a voucher
    as a whole (`settlement.funds_received`) has no instruction; its receipt makes it the ledger's."""
    if row.said is Said.ACCEPTED:
        return [], False
    used = await used_receipt(participant, row.entry) if row.entry else None
    id = instruction_of(row.reference)
    if id is None and used is None:
        return [], False
    amount = line.amount if line is not None else None
    day = used.day if used is not None else None
    if row.said is Said.RETURNED:
        difference = Difference.RETURNED
    elif used is None:
        difference = Difference.NOT_CONFIRMED
    elif id is not None and used.used_by != id:
        difference = Difference.OTHER
    elif amount is not None and row.amount is not None and amount != row.amount:
        difference = Difference.AMOUNT
    elif row.day is not None and row.day != day:
        difference = Difference.DAY
    else:
        return [], True
    finding = Finding(
        difference, row.reference, row.entry, row.amount, amount, row.currency, row.day, day
    )
    return [finding], True


async def _missing(participant: Participant, line: Line, report: Report) -> list[Finding]:
    """A confirmation of one of the statement's days whose booking it has not."""
    used = await used_receipt(participant, line.source)
    if used is None or used.used_by.hex() != line.instruction:
        return []
    if (used.day, line.currency) not in report.closed:
        return []
    finding = Finding(
        Difference.NOT_BOOKED, line.reference, line.source, None, line.amount, line.currency, None,
        used.day,
    )  # fmt: skip
    return [finding]
