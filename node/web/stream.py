"""The banner, sent anew whenever it says something else (server-sent events)."""

from __future__ import annotations

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
from node.web.texts import Language

__all__ = ["route"]

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether there is something new."""
TURNS_MAX: Final = 240
"""Then the stream ends, before its connection is closed for its age; browsers ask again."""
SILENT_TURNS_MAX: Final = 15
"""Then a comment is sent, so that a connection that is gone is noticed."""
STREAMS_MAX: Final = 32
"""Half of the connections: the other half is for pages."""


def route(site: Site) -> Route:
    streams = trio.CapacityLimiter(STREAMS_MAX)

    async def endpoint(request: Request) -> Response:
        if not streams.available_tokens:
            raise PageError("BUSY")
        return _Banners(site, language_of(request), streams)

    return Route("/network/stream", endpoint)


@final
class _Banners(Response):
    media_type = "text/event-stream"

    def __init__(self, site: Site, language: Language, streams: trio.CapacityLimiter) -> None:
        self._site: Final = site
        self._language: Final = language
        self._streams: Final = streams
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
        said, silent = "", 0
        for _ in range(TURNS_MAX):
            banner = fragment(self._site.standing(), self._language)
            silent += 1
            if banner != said or silent >= SILENT_TURNS_MAX:
                text = ": still here" if banner == said else f"event: banner\ndata: {banner}"
                said, silent = banner, 0
                body = f"{text}\n\n".encode()
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await trio.sleep(LOOK_SECONDS)


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
