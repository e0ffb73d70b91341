"""Events as server-sent events: each with its cursor as `id`, by which a reader that comes again goes on.

Nothing is buffered: what a reader takes slowly stays on disk, and its connection ends after a while whatever it does.
"""

from __future__ import annotations

from typing import Final, final

import msgspec
import structlog
import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from node.light.event_log import Place, read_cursor
from node.light.event_pages import EventPages
from tallynet.errors import TallynetError

__all__ = ["STREAMS_MAX", "EventStream"]

STREAMS_MAX: Final = 16
"""A quarter of the connections; an enterprise has a handful of programs that read events."""
PAGE: Final = 100
"""Events read from disk at once: some 60 kB."""
STREAM_SECONDS: Final = 240.0
"""Then it ends, before its connection is closed for its age; readers come again by themselves."""
HEARTBEAT_SECONDS: Final = 15.0
"""A comment, so that either side notices a connection that is gone; proxies wait for a minute."""
RETRY_MS: Final = 2_000
"""Before a reader comes again."""


@final
class EventStream(Response):
    """Everything from a place on, page by page, until it is time to come again."""

    media_type = "text/event-stream"

    def __init__(self, pages: EventPages, place: Place, streams: trio.CapacityLimiter) -> None:
        self._pages: Final = pages
        self._place = place
        self._streams: Final = streams
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        async with self._streams, trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
            await send(head)
            with trio.move_on_after(STREAM_SECONDS):
                await self._send(send)
            await send({"type": "http.response.body", "body": b""})
            nursery.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        await _say(send, f"retry: {RETRY_MS}\n\n")
        while True:
            try:
                page = await self._pages.page(self._place, PAGE, HEARTBEAT_SECONDS)
            except TallynetError as error:  # the reader learns it when it comes again
                structlog.get_logger("light").warning("stream", code=error.code)
                return
            for event in page.events:
                text = msgspec.json.encode(event).decode()
                await _say(send, f"id: {event.id}\ndata: {text}\n\n")
            if not page.events:
                await _say(send, ": still here\n\n")
            self._place = read_cursor(page.cursor)


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
