"""Working days: Monday to Friday unless the banks decided otherwise (voucher law §14)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from node.ledger.context import Context
from tallynet.errors import invariant
from tallynet.records import Calendar

CALENDAR_ID: Final = bytes(16)
_THURSDAY_OFFSET: Final = 3
"""1970-01-01, day 0, was a Thursday; Monday is 0."""
_ROLL_DAYS_MAX: Final = 400
"""More consecutive holidays than the calendar can hold entries for in a year."""


def is_working(context: Context, day: int) -> bool:
    """Whether banks work on this day."""
    calendar = context.find(Calendar, CALENDAR_ID)
    if calendar is not None:
        at = bisect_left(calendar.entries, day, key=lambda entry: entry.day)
        if at < len(calendar.entries) and calendar.entries[at].day == day:
            return calendar.entries[at].working
    return (day + _THURSDAY_OFFSET) % 7 < 5


def roll(context: Context, day: int) -> int:
    """The day itself if working, else the next working day (FOLLOWING, voucher law §11)."""
    for candidate in range(day, day + _ROLL_DAYS_MAX):
        if is_working(context, candidate):
            return candidate
    invariant(False, "LEDGER_CALENDAR no working day within a year")
    return day
