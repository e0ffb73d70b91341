"""The banner, sent anew whenever it says something else (server-sent events)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from node.web.book import PageError
from node.web.language import language_of
from node.web.render import fragment
from node.web.site import Site
from node.web.texts import Language

__all__ = ["route"]

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether there is something new."""
SILENT_TURNS_MAX: Final = 15
"""Then a comment is sent, so that a connection that is gone is noticed."""
STREAMS_MAX: Final = 32
"""Half of the connections: the other half is for pages."""


def route(site: Site) -> Route:
    open_now: set[object] = set()

    async def endpoint(request: Request) -> Response:
        if len(open_now) >= STREAMS_MAX:
            raise PageError("BUSY")
        return StreamingResponse(
            _banners(site, language_of(request), open_now), media_type="text/event-stream"
        )

    return Route("/network/stream", endpoint)


async def _banners(site: Site, language: Language, open_now: set[object]) -> AsyncIterator[str]:
    token = object()
    open_now.add(token)
    try:
        said, silent = "", 0
        while True:
            banner = fragment(site.standing(), language)
            silent += 1
            if banner != said:
                said, silent = banner, 0
                yield f"event: banner\ndata: {banner}\n\n"
            elif silent >= SILENT_TURNS_MAX:
                silent = 0
                yield ": still here\n\n"
            await trio.sleep(LOOK_SECONDS)
    finally:
        open_now.discard(token)
