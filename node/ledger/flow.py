"""Anchored business flow and its collapse alarm (voucher law §8.4).

    W = sum of the last `flow_window_days`, B = sum of the `flow_baseline_days` before them
    W x baseline days x 10000 <  B x window days x flow_collapse_bps            raises the alarm, freezes B
    W x baseline days x 10000 >= frozen B x window days x flow_recover_bps      clears it

A day without anchor counts zero. Checked at the day roll, for the days before the business date, and after
each anchor that completes a day.
"""

from __future__ import annotations

from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.parameters import value_on
from node.ledger.rulebook import Signers, rule
from node.ledger.schedule import HANDLERS, Act, put_day, take_off_day
from node.state.view import Index, StateView
from tallynet.commands import FlowAnchorPublish
from tallynet.fields import AMOUNT_MAX, from_wide, to_wide
from tallynet.hashing import record_id
from tallynet.records import CommandClass, FlowAlarm, FlowAnchor, Kind

DAY_SECONDS: Final = 86_400
STREAMS_MAX: Final = 16
"""Of one publisher: a draw looks at all streams of its debtor."""
_BPS: Final = 10_000


def flow_id(publisher: bytes, stream: str) -> bytes:
    """Id of a publisher's stream."""
    return record_id(Kind.FLOW_ANCHOR, publisher, stream.encode())


@rule(
    FlowAnchorPublish,
    CommandClass.DOCUMENT,
    Signers.M,
    api=True,
    sentence="Anchors the totals of the business records of a period.",
    errors=("FLOW_OVERLAP",),
)
def publish(context: Context, command: FlowAnchorPublish) -> None:
    """flow.anchor.publish (voucher law §8.4). Days are business dates, never later than today's."""
    id = flow_id(context.acting, command.stream)
    anchor = context.find(FlowAnchor, id)
    if not command.from_second < command.to_second <= DAY_SECONDS or command.day > context.today:
        raise refuse("DATE_RANGE", "a period lies within one day, which has begun")
    if command.sum > AMOUNT_MAX:
        raise refuse("AMOUNT_RANGE", f"a sum is at most {AMOUNT_MAX}")
    if anchor is None:
        anchor = _new(context, id, command)
    else:
        anchor = touch(context, id, anchor)
        if (command.day, command.from_second) < (anchor.last_day, anchor.last_second):
            raise refuse("FLOW_OVERLAP", "the period begins before the end of the last one")
    take_off_day(context, anchor.next_check, Act.FLOW_CHECK, id)
    anchor = msgspec.structs.replace(
        anchor,
        last_day=command.day,
        last_second=command.to_second,
        count=command.count,
        sum=command.sum,
        records_root=command.records_root,
        daily=_with(context, anchor, command.day, command.sum),
        next_check=context.today + 1,
    )
    put_day(context, anchor.next_check, Act.FLOW_CHECK, id)
    if command.to_second == DAY_SECONDS:
        last = max(command.day, context.today - 1)
        anchor = _check(context, id, anchor, last, context.today)
    context.put(id, anchor)
    context.emit(
        "flow.anchor.publish", Kind.FLOW_ANCHOR, id, source=context.acting, amount=command.sum
    )


def _new(context: Context, id: bytes, command: FlowAnchorPublish) -> FlowAnchor:
    streams = context.state.index_scan(Index.PUBLISHER_FLOWS, context.acting, limit=STREAMS_MAX)
    if len(streams) >= STREAMS_MAX:
        raise refuse("BATCH_LIMIT", f"a publisher has at most {STREAMS_MAX} streams")
    anchor = FlowAnchor(
        context.acting, command.stream, command.day, 0, 0, 0, command.records_root, (0,), FlowAlarm.NONE,
        None, 0,
    )  # fmt: skip
    context.create(id, anchor)
    context.state.index_add(Index.PUBLISHER_FLOWS, context.acting + id)
    return anchor


def _days(state: StateView, day: int) -> tuple[int, int]:
    """Window and baseline by the parameters of `day`."""
    return value_on(state, "flow_window_days", day), value_on(state, "flow_baseline_days", day)


def _with(context: Context, anchor: FlowAnchor, day: int, amount: int) -> tuple[int, ...]:
    """The daily sums with `amount` more on `day`; days between count zero."""
    kept = sum(_days(context.state, context.today)) + 1
    daily = list(anchor.daily) + [0] * min(day - anchor.last_day, kept)
    daily[-1] += amount
    if daily[-1] > AMOUNT_MAX:
        raise refuse("AMOUNT_RANGE", f"the sum of a day is at most {AMOUNT_MAX}")
    return tuple(daily[-kept:])


# --- the alarm --------------------------------------------------------------------------------------


def touch(context: Context, id: bytes, anchor: FlowAnchor) -> FlowAnchor:
    """The stream with all checks that the business date implies (touch rule, §5); writes it. A month
    after its last anchor nothing is left to check, so the loop ends however late it comes."""
    due = anchor.next_check
    if not due or due > context.today:
        return anchor
    take_off_day(context, due, Act.FLOW_CHECK, id)
    while 0 < anchor.next_check <= context.today:
        today = anchor.next_check
        anchor = _check(context, id, anchor, today - 1, today)
        seen = today - 1 - anchor.last_day
        follows = today + 1 if seen < sum(_days(context.state, today)) else 0
        anchor = msgspec.structs.replace(anchor, next_check=follows)
    if anchor.next_check:
        put_day(context, anchor.next_check, Act.FLOW_CHECK, id)
    context.put(id, anchor)
    return anchor


def _check(context: Context, id: bytes, anchor: FlowAnchor, last: int, today: int) -> FlowAnchor:
    """Compare the days up to `last` by the parameters of `today`. Silent until all are history."""
    window, baseline = _days(context.state, today)
    first = anchor.last_day - len(anchor.daily) + 1
    if last - first + 1 < window + baseline:
        return anchor
    newest = _sum(anchor, last - window + 1, last) * baseline * _BPS
    if anchor.frozen_baseline is None:
        before = _sum(anchor, last - window - baseline + 1, last - window)
        if newest < before * window * value_on(context.state, "flow_collapse_bps", today):
            context.emit("system.flow.collapse", Kind.FLOW_ANCHOR, id, source=anchor.publisher)
            return msgspec.structs.replace(
                anchor, alarm=FlowAlarm.COLLAPSED, frozen_baseline=to_wide(before)
            )
    else:
        before = from_wide(anchor.frozen_baseline)
        if newest >= before * window * value_on(context.state, "flow_recover_bps", today):
            context.emit("system.flow.recover", Kind.FLOW_ANCHOR, id, source=anchor.publisher)
            return msgspec.structs.replace(anchor, alarm=FlowAlarm.NONE, frozen_baseline=None)
    return anchor


def _sum(anchor: FlowAnchor, begin: int, end: int) -> int:
    """Sum of the days `begin` to `end`; those after the last anchor count zero."""
    first = anchor.last_day - len(anchor.daily) + 1
    return sum(anchor.daily[max(0, begin - first) : max(0, end - first + 1)])


def _roll(context: Context, id: bytes) -> None:
    """The prologue's handler: the touch rule does it."""
    touch(context, id, context.require(FlowAnchor, id))


HANDLERS[Act.FLOW_CHECK] = _roll


def require_none_collapsed(context: Context, debtor: bytes) -> None:
    """For draws under an offer with `stop_on_flow_collapse`: any stream of the debtor stops them.

    Raises LedgerError FLOW_COLLAPSED.
    """
    for key in context.state.index_scan(Index.PUBLISHER_FLOWS, debtor, limit=STREAMS_MAX):
        anchor = touch(context, key[16:], context.require(FlowAnchor, key[16:]))
        if anchor.alarm is FlowAlarm.COLLAPSED:
            raise refuse("FLOW_COLLAPSED", "the business flow of the debtor has collapsed")
