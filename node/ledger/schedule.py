"""The agenda of the block prologue: what falls due on a day or at a second (voucher law §5).

Families put entries when they create something that ends, and take them out when it ends otherwise.
`node.ledger.prologue` works through them in order of (day or second, act, id), at most
`system_work_per_block` a block. The agenda is a derived index: what is on it follows from the records
alone (`node.ledger.derived`, I14), so an act that ends something takes its entry off as well, whoever
carried the act out.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from node.ledger.context import Context
from node.state.view import Index


class Act(IntEnum):
    """Prologue acts; on one day they run in this order."""

    REQUEST_LAPSE = 0
    """First, so that a range which a request had locked is free for what comes next."""
    VOUCHER_EXPIRE = 1
    """Claim deadline passed."""
    TRANSFER_LAPSE = 2
    """Pending transfer: EXPLICIT returns, DEEMED is accepted."""
    PAYOUT_EXPIRE = 3
    """By seconds."""
    CONSENT_LAPSE = 4
    OFFER_EXPIRE = 5
    LOAN_OVERDUE = 6
    VOUCHER_MATURE = 7
    VOUCHER_OVERDUE = 8
    VOUCHER_DEFAULT = 9
    SETTLEMENT_OPEN = 10
    """One batch of instructions; puts itself again until all are open."""
    FREEZE_EXPIRE = 20
    RECOVERY_COMPLETE = 31
    """The time lock of new keys has passed."""
    FLOW_CHECK = 41
    """The collapse alarm of a stream, every day while there can be one."""
    REDISCOUNT_LAPSE = 51
    PREPAYMENT_LAPSE = 52
    MARGIN_DUE = 53
    """Goods that are short: the call, and after its deadline the buy-back."""
    RECONCILE = 61
    """Anchors what a debtor owed at the end of the day before."""


HANDLERS: Final[dict[Act, Callable[[Context, bytes], None]]] = {}
"""Filled by the families: HANDLERS[Act.X] = function(context, id)."""


def day_key(day: int, act: Act, id: bytes) -> bytes:
    """Entry of SCHEDULE_DAYS."""
    return day.to_bytes(4, "big") + bytes((act,)) + id


def second_key(seconds: int, act: Act, id: bytes) -> bytes:
    """Entry of SCHEDULE_SECONDS."""
    return seconds.to_bytes(8, "big") + bytes((act,)) + id


def put_day(context: Context, day: int, act: Act, id: bytes) -> None:
    """Do `act` on `id` once the business date is >= `day`."""
    context.state.index_add(Index.SCHEDULE_DAYS, day_key(day, act, id))


def drop_day(context: Context, day: int, act: Act, id: bytes) -> None:
    """Take an entry out that is there."""
    context.state.index_remove(Index.SCHEDULE_DAYS, day_key(day, act, id))


def take_off_day(context: Context, day: int, act: Act, id: bytes) -> None:
    """Take an entry out if it is there: the prologue has done so before it calls, a touching command
    finds it still there."""
    if context.state.index_has(Index.SCHEDULE_DAYS, day_key(day, act, id)):
        drop_day(context, day, act, id)


def put_second(context: Context, seconds: int, act: Act, id: bytes) -> None:
    """Do `act` on `id` once header.time >= `seconds`."""
    context.state.index_add(Index.SCHEDULE_SECONDS, second_key(seconds, act, id))


def drop_second(context: Context, seconds: int, act: Act, id: bytes) -> None:
    """Take an entry out that is there."""
    context.state.index_remove(Index.SCHEDULE_SECONDS, second_key(seconds, act, id))


def take_off_second(context: Context, seconds: int, act: Act, id: bytes) -> None:
    """Take an entry out if it is there."""
    if context.state.index_has(Index.SCHEDULE_SECONDS, second_key(seconds, act, id)):
        drop_second(context, seconds, act, id)
