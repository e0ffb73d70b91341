"""Around every answer: whose requests are answered, how long one may take, and what a browser may do with it."""

from __future__ import annotations

from collections.abc import Collection, MutableMapping
from typing import Any, Final, final

import trio
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Guard"]

ANSWER_SECONDS_MAX: Final = 10.0
"""For an answer to begin; pages take some 20 ms, and wait for one another."""
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing that is not served from here, and nothing that stands in a page itself, is run or shown."""
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # so that forms say their origin
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")
"""What a page shows is nobody else's affair, also in the browser's cache."""


@final
class Guard:
    """An ASGI application around another one."""

    def __init__(self, inner: ASGIApp, hosts: Collection[str]) -> None:
        """`hosts`: values of the Host header that are meant for this server."""
        self._inner: Final = inner
        self._hosts: Final = frozenset(host.encode("ascii") for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) != 1 or named[0].lower() not in self._hosts:
            await PlainTextResponse("HOST_FOREIGN: this server has another name\n", 421)(
                scope, receive, _with_headers(send)
            )
            return
        if _is_of_foreign_page(scope) or self._is_foreign_form(scope):
            await PlainTextResponse("PAGE_FOREIGN: a page from elsewhere asks\n", 403)(
                scope, receive, _with_headers(send)
            )
            return
        await self._answer(scope, receive, _with_headers(send))

    def _is_foreign_form(self, scope: Scope) -> bool:
        """Whether what is to change something comes from another page than ours. Programs say no origin."""
        if scope["method"] in ("GET", "HEAD"):
            return False
        said = [value for name, value in scope["headers"] if name == b"origin"]
        return any(origin.removeprefix(b"http://") not in self._hosts for origin in said)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        with trio.move_on_after(ANSWER_SECONDS_MAX) as limit:

            async def begun(message: MutableMapping[str, Any]) -> None:
                # What a thread has made comes late all the same; half of it and a 503 would be no answer.
                await trio.lowlevel.checkpoint_if_cancelled()
                # A stream of events goes on for as long as its connection.
                limit.deadline = float("inf")
                await send(message)

            await self._inner(scope, receive, begun)
            return
        text = f"ANSWER_LATE: no answer within {ANSWER_SECONDS_MAX:.0f} s; try again\n"
        await PlainTextResponse(text, 503, {"Retry-After": "5"})(scope, receive, send)


def _is_of_foreign_page(scope: Scope) -> bool:
    """Whether a page that is not ours has a browser ask, also one at another port of this machine. It could not read
    the answer, but ask without end, and measure how long each takes. Its links may lead here."""
    said = {name: value for name, value in scope["headers"] if name.startswith(b"sec-fetch-")}
    if said.get(b"sec-fetch-site") not in (b"cross-site", b"same-site"):
        return False
    follows = (said.get(b"sec-fetch-mode"), said.get(b"sec-fetch-dest")) == (
        b"navigate",
        b"document",
    )
    return not (follows and scope["method"] == "GET")


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            cached = any(name == b"cache-control" for name, _ in headers)
            message = {
                **message,
                "headers": [*headers, *HEADERS, *(() if cached else (_NO_STORE,))],
            }
        await send(message)

    return sending
