"""Keeping a copy true, against real listeners that serve proven lines and instructions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from node.light import copy as copy_module
from node.light import following as following_module
from node.light.copy import Copy
from node.light.following import Follower
from node.light.standing import Standing
from node.state.view import Index
from tallynet.client import Client
from tallynet.codec import Wire, encode
from tallynet.messages import RecordProof
from tallynet.receipts import Event
from tallynet.records import (
    CreditLine,
    Instruction,
    InstructionPurpose,
    InstructionState,
    Kind,
    LineKind,
    LineStatus,
)
from tests.unit.client.serving import (
    GENESIS,
    GENESIS_HASH,
    ORGANISATION,
    Server,
    envelope,
    replace,
    serving,
)
from tests.unit.net.samples import STRANGER

BANK, LINE, PAYMENT, LATER = b"b" * 16, b"l" * 16, b"p" * 16, b"q" * 16
SECONDS_MAX = 20


def line(granted: int) -> CreditLine:
    return CreditLine(
        LineKind.ISSUE,
        BANK,
        ORGANISATION,
        "CNY",
        granted,
        0,
        0,
        1,
        9,
        LineStatus.ACTIVE,
        (),
        None,
    )


def payment(paid: int) -> Instruction:
    return Instruction(
        ORGANISATION, BANK, None, 100, paid, "CNY", 20_000, InstructionPurpose.SETTLEMENT, b"v" * 16,
        0, BANK, InstructionState.SENT, None,
    )  # fmt: skip


def put(servers: list[Server], kind: Kind, id: bytes, record: Wire | None) -> None:
    """In the state of the blocks to come."""
    chain = servers[0].chain
    if record is None:
        chain.records.pop((int(kind), id), None)
    else:
        chain.records[int(kind), id] = encode(record)


def tell(servers: list[Server], kind: Kind, id: bytes, reference: bytes = b"") -> None:
    """What events to come are about."""

    def event(transaction: bytes, what: str) -> Event:
        return Event(what, int(kind), id, 0, 0, 0, BANK, ORGANISATION, 0, reference, transaction)

    servers[0].chain.happening = event


async def order(servers: list[Server], label: int) -> None:
    """One block."""
    async with Client.connect([servers[3].address], GENESIS, STRANGER) as client:
        await client.submit(envelope(label))


@asynccontextmanager
async def following(servers: list[Server], directory: Path) -> AsyncIterator[Follower]:
    copy = Copy(directory / "copy.sqlite", GENESIS_HASH, ORGANISATION)
    addresses = [server.address for server in servers]
    follower = Follower(copy, addresses, GENESIS, STRANGER, directory / "trust")
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run)
            yield follower
            nursery.cancel_scope.cancel()
    finally:
        copy.close()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of these tests tell the news to those who wait at the node that made the block: whoever waits at
    another one finds out by comparing heads."""
    monkeypatch.setattr(following_module, "CONFIRM_SECONDS", 0.1)


async def until(reached: Callable[[], bool]) -> None:
    with trio.fail_after(SECONDS_MAX):
        while not reached():  # noqa: ASYNC110 - what is waited for lies on disk
            await trio.sleep(0.01)


def granted(copy: Copy) -> int:
    kept = copy.get(Kind.CREDIT_LINE, LINE)
    return kept.record.granted if kept and isinstance(kept.record, CreditLine) else 0


def prepare(servers: list[Server]) -> None:
    """One line; the first node leaves it out of its list, the others do not."""
    put(servers, Kind.CREDIT_LINE, LINE, line(100))
    for server in servers:
        server.indexes = {Index.ORGANISATION_LINES: [ORGANISATION + LINE]}
    servers[0].indexes = {}


async def test_it_fills_from_several_lists_and_follows_the_log(tmp_path: Path) -> None:
    with serving() as servers:
        prepare(servers)
        await order(servers, 1)
        async with following(servers, tmp_path) as follower:
            copy = follower.copy
            await until(lambda: copy.proven_at is not None)
            assert granted(copy) == 100, "the first node alone left it out"
            assert (copy.height, follower.standing) == (1, Standing.FOLLOWING)
            put(servers, Kind.CREDIT_LINE, LINE, line(250))
            put(servers, Kind.INSTRUCTION, PAYMENT, payment(0))
            tell(servers, Kind.CREDIT_LINE, LINE, PAYMENT)
            await order(servers, 2)
            await until(lambda: copy.height == 2)
            assert granted(copy) == 250
            kept = copy.get(Kind.INSTRUCTION, PAYMENT)
            assert kept is not None and kept.record == payment(0), "found by the event's reference"


async def test_a_restart_misses_nothing_and_a_wiped_copy_is_filled_again(tmp_path: Path) -> None:
    with serving() as servers:
        prepare(servers)
        await order(servers, 1)
        async with following(servers, tmp_path) as follower:
            await until(lambda: follower.copy.proven_at is not None)
        put(servers, Kind.CREDIT_LINE, LINE, line(300))
        tell(servers, Kind.CREDIT_LINE, LINE)
        await order(servers, 2)
        tell(servers, Kind.PARAMETER, b"counter")
        await order(servers, 3)
        async with following(servers, tmp_path) as follower:
            assert granted(follower.copy) == 100, "as it was left"
            await until(lambda: follower.copy.height == 3)
            assert granted(follower.copy) == 300
        (tmp_path / "copy.sqlite").unlink()
        async with following(servers, tmp_path) as follower:
            await until(lambda: follower.copy.proven_at is not None)
            assert (granted(follower.copy), follower.copy.height) == (300, 3)


async def test_a_node_that_lies_is_passed_by_and_named(tmp_path: Path) -> None:
    def lie(answer: Wire) -> Wire:
        if isinstance(answer, RecordProof):
            return replace(answer, proof=answer.proof[:-1] + b"\xff")
        return answer

    with serving() as servers:
        prepare(servers)
        await order(servers, 1)
        servers[0].lie = lie
        async with following(servers, tmp_path) as follower:
            await until(lambda: follower.copy.proven_at is not None)
            follower.connected()
            assert granted(follower.copy) == 100
            assert follower.lies >= 1 and str(servers[0].address) in follower.last_lie


async def test_one_node_alone_takes_nothing_out_of_the_copy(tmp_path: Path) -> None:
    with serving() as servers:
        prepare(servers)
        await order(servers, 1)
        async with following(servers, tmp_path) as follower:
            copy = follower.copy
            await until(lambda: copy.proven_at is not None)
            servers[0].hides.add(LINE)
            put(servers, Kind.CREDIT_LINE, LINE, line(7))
            tell(servers, Kind.CREDIT_LINE, LINE)
            await order(servers, 2)
            await until(lambda: copy.height == 2)
            assert granted(copy) == 7
            for server in servers:
                server.hides.add(LINE)
            await order(servers, 3)
            await until(lambda: copy.height == 3)
            assert copy.get(Kind.CREDIT_LINE, LINE) is None, "not its affair any more, f+1 say"


async def test_without_a_network_it_keeps_what_it_has_and_says_why(tmp_path: Path) -> None:
    with serving() as servers:
        prepare(servers)
        await order(servers, 1)
        async with following(servers, tmp_path) as follower:
            await until(lambda: follower.copy.proven_at is not None)
            at = follower.copy.proven_at
    async with following(servers, tmp_path) as follower:
        await until(lambda: follower.trouble is not None)
        assert follower.trouble is not None and follower.trouble.code == "NOT_CONNECTED"
        assert (granted(follower.copy), follower.copy.proven_at) == (100, at)
        assert follower.connected() == ()


async def test_fewer_than_f_plus_1_organisations_fill_nothing(tmp_path: Path) -> None:
    with serving() as servers:
        prepare(servers)
        await order(servers, 1)
        async with following(servers[1:2], tmp_path) as follower:
            await until(lambda: follower.trouble is not None)
            assert follower.trouble is not None and follower.trouble.code == "HEADS_UNCONFIRMED"
            assert follower.copy.place is None and len(follower.copy) == 0


async def test_a_copy_that_is_full_says_so_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as servers:
        prepare(servers)
        await order(servers, 1)
        async with following(servers, tmp_path) as follower:
            copy = follower.copy
            await until(lambda: copy.proven_at is not None)
            monkeypatch.setattr(copy_module, "RECORDS_MAX", 1)
            put(servers, Kind.CREDIT_LINE, LINE, line(250))
            put(servers, Kind.INSTRUCTION, PAYMENT, payment(0))
            tell(servers, Kind.CREDIT_LINE, LINE, PAYMENT)
            await order(servers, 2)
            await until(lambda: follower.trouble is not None)
            assert follower.trouble is not None and follower.trouble.code == "COPY_FULL"
            assert (granted(copy), len(copy), copy.height) == (100, 1, 1)
            monkeypatch.setattr(copy_module, "RECORDS_MAX", 2)
            await until(lambda: copy.height == 2)
            assert (granted(copy), len(copy)) == (250, 2), "nothing was missed"
            await until(lambda: follower.trouble is None)


async def test_two_certified_chains_end_belief_for_this_run_and_the_next(tmp_path: Path) -> None:
    with serving() as servers:
        prepare(servers)
        await order(servers, 1)
        await order(servers, 2)
        async with following(servers, tmp_path) as follower:
            copy = follower.copy
            await until(lambda: copy.height == 2 and copy.proven_at is not None)
            other = servers[0].chain.parted(2)
            other.records = {(int(Kind.CREDIT_LINE), LINE): encode(line(9_999))}
            other.extend([envelope(77)])
            other.extend([envelope(78)])
            for server in servers[2:]:
                server.chain = other
            await until(lambda: follower.trouble is not None)
            assert follower.trouble is not None and follower.trouble.code == "FORK_SEEN"
            assert (granted(copy), copy.height) == (100, 2)
        async with following(servers[:2], tmp_path) as follower:
            await until(lambda: follower.trouble is not None)
            assert follower.trouble is not None and follower.trouble.code == "FORK_SEEN"
            assert (granted(follower.copy), follower.client) == (100, None)
