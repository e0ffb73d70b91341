"""Strikes, allowances and outboxes by themselves; time is a number."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from net.limits import BAN_SECONDS, STRIKES_KEYS_MAX, STRIKES_MAX
from net.outbox import Outbox
from net.rate import Allowance
from net.strikes import Strikes
from tallynet.limits import WRITE_BYTES_MAX

KEY = b"k" * 32


def test_the_twentieth_strike_within_a_minute_bans_for_a_minute() -> None:
    strikes = Strikes()
    assert not any(strikes.strike(KEY, 1.0) for _ in range(STRIKES_MAX - 1))
    assert strikes.banned_for(KEY, 1.0) == 0
    assert strikes.strike(KEY, 2.0)
    assert strikes.banned_for(KEY, 2.0) == BAN_SECONDS
    assert strikes.banned_for(KEY, 1.9 + BAN_SECONDS) == pytest.approx(0.1)
    assert strikes.banned_for(KEY, 2.0 + BAN_SECONDS) == 0
    assert strikes.banned == 0
    assert not strikes.strike(KEY, 3.0 + BAN_SECONDS), "counted anew"


def test_strikes_are_forgotten_after_a_minute_and_kept_by_key() -> None:
    strikes = Strikes()
    for round_start in (0.0, BAN_SECONDS, 2 * BAN_SECONDS):
        assert not any(strikes.strike(KEY, round_start) for _ in range(STRIKES_MAX - 1))
    for i in range(STRIKES_MAX * 2):
        assert not strikes.strike(i.to_bytes(32, "big"), 0.0)
    assert strikes.total == 3 * (STRIKES_MAX - 1) + 2 * STRIKES_MAX


def test_made_up_keys_fill_no_memory() -> None:
    strikes = Strikes()
    for i in range(STRIKES_KEYS_MAX + 100):
        strikes.strike(i.to_bytes(32, "big"), 0.0)
        for _ in range(STRIKES_MAX):
            strikes.strike((1 << 200 | i).to_bytes(32, "big"), 0.0)
    assert len(strikes._counts) <= STRIKES_KEYS_MAX
    assert strikes.banned <= STRIKES_KEYS_MAX


def test_an_allowance_lets_a_burst_through_and_then_the_rate() -> None:
    allowance = Allowance(1_000, 5_000, now=0.0)
    assert allowance.spend(5_000, 0.0) == 0
    assert allowance.spend(500, 0.0) == 0.5
    assert allowance.spend(0, 0.5) == 0
    assert allowance.spend(1_000, 1.5) == 0
    assert allowance.spend(5_001, 100.0) == pytest.approx(0.001)


async def test_an_outbox_joins_what_waits_up_to_one_write() -> None:
    outbox = Outbox(100, 10 * WRITE_BYTES_MAX)
    for part in (b"a", b"b", b"c"):
        outbox.put(part)
    assert (len(outbox), outbox.size) == (3, 3)
    assert await outbox.take() == b"abc"
    assert (len(outbox), outbox.size) == (0, 0)
    outbox.put(b"x" * (WRITE_BYTES_MAX - 1))
    outbox.put(b"y")
    outbox.put(b"z")
    assert len(await outbox.take()) == WRITE_BYTES_MAX
    assert await outbox.take() == b"z"
    outbox.put(b"w" * (2 * WRITE_BYTES_MAX))
    outbox.put(b"v")
    assert len(await outbox.take()) == 2 * WRITE_BYTES_MAX, "one message is never cut"


async def test_taking_waits_for_a_message() -> None:
    outbox = Outbox(2, 100)
    taken: list[bytes] = []

    async def take() -> None:
        taken.append(await outbox.take())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        assert taken == []
        outbox.put(b"m")
    assert taken == [b"m"]


@pytest.mark.parametrize("size", [1, 40])
def test_the_oldest_messages_fall_out_by_number_or_by_size(size: int) -> None:
    outbox = Outbox(3, 100)
    for i in range(5):
        outbox.put(bytes((i,)) * size)
        if outbox.over:
            outbox.drop_oldest()
    kept = 3 if size == 1 else 2
    assert (len(outbox), outbox.dropped) == (kept, 5 - kept)
    outbox.resize(1, 100)
    assert (len(outbox), outbox.size) == (1, size)
