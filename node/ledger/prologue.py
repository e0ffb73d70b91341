"""What a block does before its transactions (voucher law §5, Block prologue).

Day roll (at most one day), then what falls due, in order of (day, act, id), at most
`system_work_per_block` acts; the rest waits for the next block. Handlers come from the families.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from node.ledger import remembered
from node.ledger.context import Context
from node.ledger.parameters import value
from node.ledger.schedule import HANDLERS, Act
from node.state.view import Index, StateView, TransactionalView
from tallynet.blocks import Header
from tallynet.records import NETWORK_ID, Kind, Network

SYSTEM = bytes(16)
"""Acting organisation of the prologue."""


def run(state: TransactionalView, genesis: bytes, header: Header) -> tuple[Context, int, bool]:
    """Carry out the prologue; returns its context with events, the acts done, and the backlog."""
    time = header.time_ms // 1000
    context = Context(state, genesis=genesis, time=time, transaction=None, acting=SYSTEM)
    remembered.forget(state, time)
    _roll(context, header)
    room = value(context, "system_work_per_block")
    done = 0
    # A handler may add entries that are due at once; they come in the next pass, until none is left.
    while due := list(_due_now(context, room - done + 1)):
        for index, key, act, id in due:
            if not state.index_has(index, key):
                continue  # an act before it in this pass took it off the agenda (touch rule)
            if done == room:
                return context, done, True
            state.index_remove(index, key)
            HANDLERS[act](context, id)
            done += 1
    return context, done, False


def _roll(context: Context, header: Header) -> None:
    """One calendar day at most, so that a backlog never skips a day (voucher law §14)."""
    network = context.network
    changed = msgspec.structs.replace(network, epoch=header.epoch, height=header.height)
    if network.next is not None and header.epoch >= network.next.epoch:
        changed = msgspec.structs.replace(changed, validators=network.next.validators, next=None)
        context.emit("system.validators.change", Kind.NETWORK, NETWORK_ID, amount=header.epoch)
    if context.time >= network.next_roll:
        changed = msgspec.structs.replace(
            changed,
            business_date=network.business_date + 1,
            next_roll=network.next_roll + network.day_seconds,
        )
        context.emit("system.day.roll", Kind.NETWORK, NETWORK_ID, amount=changed.business_date)
    context.put(NETWORK_ID, changed)


def _due_now(context: Context, limit: int) -> Iterator[tuple[Index, bytes, Act, bytes]]:
    """The first `limit` entries of the agenda that are due: those by the second, then those by day."""
    seconds = _due_keys(context.state, Index.SCHEDULE_SECONDS, 8, context.time, limit)
    for key in seconds:
        yield Index.SCHEDULE_SECONDS, key, Act(key[8]), key[9:]
    limit -= len(seconds)
    if limit > 0:
        for key in _due_keys(context.state, Index.SCHEDULE_DAYS, 4, context.today, limit):
            yield Index.SCHEDULE_DAYS, key, Act(key[4]), key[5:]


def _due_keys(state: StateView, index: Index, width: int, now: int, limit: int) -> list[bytes]:
    """Keys of an agenda whose first `width` bytes are no later than `now`. Nearly always there are
    none, which the first key tells: reading `limit` of them in every block would cost more than the
    block."""
    first = state.index_scan(index, b"", limit=1)
    if not first or int.from_bytes(first[0][:width], "big") > now:
        return []
    keys = state.index_scan(index, b"", limit=limit)
    return [key for key in keys if int.from_bytes(key[:width], "big") <= now]


def wants_block(state: TransactionalView, time: int) -> bool:
    """True iff a block at this header time has work in its prologue: a day roll is due, or something
    on the agenda. A decided change of validators wants blocks until its epoch has begun, or it would
    wait for traffic."""
    network = state.get(Kind.NETWORK, NETWORK_ID)
    if not isinstance(network, Network):
        return False
    if time >= network.next_roll or network.next is not None:
        return True
    days = state.index_scan(Index.SCHEDULE_DAYS, b"", limit=1)
    if days and int.from_bytes(days[0][:4], "big") <= network.business_date:
        return True
    seconds = state.index_scan(Index.SCHEDULE_SECONDS, b"", limit=1)
    return bool(seconds) and int.from_bytes(seconds[0][:8], "big") <= time
