"""What a page follows: something said anew whenever it is something else (server-sent events)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from node.web.book import PageError
from node.web.language import language_of
from node.web.render import fragment
from node.web.site import Site

__all__ = ["Streams", "banner_route"]

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether there is something new."""
TURNS_MAX: Final = 240
"""Then the stream ends, before its connection is closed for its age; browsers ask again."""
SILENT_TURNS_MAX: Final = 15
"""Then a comment is sent, so that a connection that is gone is noticed."""
BANNERS_MAX: Final = 32
"""Half of the connections: the other half is for pages."""


def banner_route(site: Site) -> Route:
    streams = Streams(BANNERS_MAX)

    async def endpoint(request: Request) -> Response:
        language = language_of(request)
        return streams.follow("banner", lambda: fragment(site.standing(), language))

    return Route("/network/stream", endpoint)


@final
class Streams:
    """Of one sort; at most `most` of them at once."""

    def __init__(self, most: int) -> None:
        self._open: Final = trio.CapacityLimiter(most)

    def follow(self, event: str, look: Callable[[], str], said: str = "") -> Response:
        """Sends `event` with what `look` finds, a line, at first if it is not what was `said` already, and whenever
        it changes. Raises PageError BUSY."""
        if not self._open.available_tokens:
            raise PageError("BUSY")
        return _Followed(self._open, event, look, said)


@final
class _Followed(Response):
    media_type = "text/event-stream"

    def __init__(
        self, streams: trio.CapacityLimiter, event: str, look: Callable[[], str], said: str
    ) -> None:
        self._streams: Final = streams
        self._event: Final = event
        self._look: Final = look
        self._said = said
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store"})

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        async with self._streams, trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
            await send(head)
            await self._send(send)
            await send({"type": "http.response.body", "body": b""})
            nursery.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        silent = 0
        for _ in range(TURNS_MAX):
            found = self._look()
            silent += 1
            if found != self._said or silent >= SILENT_TURNS_MAX:
                new = found != self._said
                text = f"event: {self._event}\ndata: {found}" if new else ": still here"
                self._said, silent = found, 0
                body = f"{text}\n\n".encode()
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await trio.sleep(LOOK_SECONDS)


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
