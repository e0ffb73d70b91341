"""The log as a node pages it, read by a real client: whatever a page may hold, the whole log comes out, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.event_pages import PAGE_BYTES, event_blocks
from tallynet import commands as c
from tallynet.client.events import EventEntry, EventLog
from tallynet.client.trust import Trust
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.messages import EventPage, QueryEvents, RequestRefused
from tallynet.receipts import Event
from tallynet.records import Role
from tests.unit.node.machines import ClientEnd, Net, approved_offer, new_key


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Some blocks of several envelopes, one of them with many events and one with none."""
    made = Net(tmp_path_factory.mktemp("net"))
    world = made.world
    keys = [
        c.KeyAdd(world.label, world.new_key("bank-1", f"person {i}", (Role.MAKER,)))
        for i in range(20)
    ]
    made.nodes[0].submit(new_key(made), world.envelope("bank-1", *keys), approved_offer(made))
    assert made.run(5_000, lambda: made.nodes[0].height >= 1)
    made.nodes[0].submit(approved_offer(made), approved_offer(made))
    assert made.run(5_000, lambda: made.nodes[0].height >= 2)
    made.settle()
    yield made
    made.close()


def stored(net: Net) -> list[tuple[int, int, bytes]]:
    """All events, straight from the store."""
    with net.nodes[0].store.reader() as reader:
        rows = [reader.receipts(height) for height in range(1, net.nodes[0].height + 1)]
    return [
        (height, index, event)
        for height, row in enumerate(rows, 1)
        if row is not None
        for index, event in enumerate(row.events)
    ]


def page(net: Net, log: EventLog, size: int) -> EventPage:
    """As it travels."""
    with net.nodes[0].store.reader() as reader:
        blocks = event_blocks(reader, log.height, log.receipt, log.event, page_bytes=size)
    made = decode(EventPage, encode(EventPage(1, blocks)))
    assert isinstance(made, EventPage)
    return made


@pytest.mark.parametrize("size", [1, 200, 1_000, 3_000, 10_000, PAGE_BYTES])
def test_pages_of_every_size_give_the_whole_log_once(net: Net, size: int) -> None:
    log = EventLog(Trust(net.world.genesis), 0)
    found: list[EventEntry] = []
    pages = 0
    while (shown := page(net, log, size)).blocks:
        found += log.take(shown)
        pages += 1
    whole = stored(net)
    assert len(whole) > 20
    assert [(e.height, e.index, e.event) for e in found] == [
        (height, index, decode(Event, event)) for height, index, event in whole
    ]
    assert pages >= len(whole) if size == 1 else pages <= len(whole)


def test_a_page_begins_anywhere_and_nowhere_else(net: Net) -> None:
    with net.nodes[0].store.reader() as reader:
        (rest,) = event_blocks(reader, net.nodes[0].height, 1, 0)
        assert len(rest.before) == 32
        for receipt, event in ((99, 0), (1, 99)):
            with pytest.raises(RemoteProtocolError) as caught:
                event_blocks(reader, 1, receipt, event)
            assert caught.value.code == "BAD_CURSOR"


def test_the_service_answers_now_or_when_there_is_a_block(net: Net) -> None:
    client, newest = ClientEnd(), net.nodes[0].height
    ask = net.nodes[0].machine.service.handle
    ask(client, (QueryEvents(1, newest, 0, 0, False), QueryEvents(2, newest + 1, 0, 0, False)))
    first, second = client.replies
    assert isinstance(first, EventPage) and len(first.blocks) == 1
    assert second == EventPage(2, ())
    ask(client, (QueryEvents(3, 1, 99, 0, False), QueryEvents(4, newest + 1, 0, 0, True)))
    refused = client.replies.pop()
    assert isinstance(refused, RequestRefused) and refused.code == "BAD_CURSOR"
    net.nodes[0].submit(approved_offer(net))
    assert net.run(5_000, lambda: len(client.replies) == 3)
    late = client.replies[-1]
    assert isinstance(late, EventPage) and late.request == 4
    log = EventLog(Trust(net.world.genesis), newest + 1)
    assert [entry.height for entry in log.take(late)][:1] == [newest + 1]
