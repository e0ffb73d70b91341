"""A page of a proposal follows it: whoever looks at one sees what others decide without asking again."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from starlette.types import Message

from node.web.book import PageError
from node.web.stream import SILENT_TURNS_MAX, TURNS_MAX, Streams


class Reader:
    """At the other end of a stream."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.gone = trio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message.get("body"):
            self.heard.append(message["body"].decode())


async def test_it_is_said_once_and_anew_when_it_changes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reader, word = Reader(), "OPEN"
    response = Streams(1).follow("proposal", lambda: word)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(response, {"type": "http"}, reader.receive, reader.send)
        await trio.sleep(3.5)
        assert reader.heard == ["event: proposal\ndata: OPEN\n\n"]
        word = "DONE"
        await trio.sleep(1)
        assert reader.heard[1:] == ["event: proposal\ndata: DONE\n\n"]
        reader.gone.set()


async def test_what_the_page_has_seen_is_not_said_to_it_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reader = Reader()
    response = Streams(1).follow("proposal", lambda: "OPEN", said="OPEN")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(response, {"type": "http"}, reader.receive, reader.send)
        await trio.sleep(SILENT_TURNS_MAX + 0.5)
        assert reader.heard == [": still here\n\n"], "a reader that is gone is noticed"
        reader.gone.set()


async def test_a_stream_ends_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    reader = Reader()
    response = Streams(1).follow("proposal", lambda: "OPEN")
    began = trio.current_time()
    await response({"type": "http"}, reader.receive, reader.send)
    assert trio.current_time() - began == TURNS_MAX


async def test_no_more_are_followed_than_there_is_room_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reader, streams = Reader(), Streams(1)
    response = streams.follow("proposal", lambda: "OPEN")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(response, {"type": "http"}, reader.receive, reader.send)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(PageError) as busy:
            streams.follow("proposal", lambda: "OPEN")
        assert busy.value.code == "BUSY"
        reader.gone.set()
    streams.follow("proposal", lambda: "OPEN")
