"""Pages behind a token: a browser shows it once in a form, a program with each request.

What the browser keeps is not the token but a session, which ends with the process: cookies of this machine's address
go to whatever else serves pages at it.
"""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Final, final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from node.web.pages import frame_of, html
from node.web.render import render
from node.web.site import Site

__all__ = ["SignIn"]

SESSION_SECONDS: Final = 12 * 3_600
"""A working day."""
SESSIONS_MAX: Final = 64
"""The oldest is closed when there are more."""
FORM_BYTES_MAX: Final = 4 * 1024
_PATH: Final = "/sign-in"


@final
class SignIn:
    """An ASGI application around the pages of a site."""

    def __init__(self, inner: ASGIApp, site: Site, token: str, port: int) -> None:
        """`port` makes the cookie's name its own: cookies know no ports."""
        self._inner: Final = inner
        self._site: Final = site
        self._token: Final = token.encode("ascii")
        self._cookie: Final = f"session-{port}"
        self._sessions: Final[dict[str, float]] = {}
        """Session -> when it ends, oldest first."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path: str = scope["path"]
        if path.startswith("/static/") or self._is_known(request):
            await self._inner(scope, receive, send)
        elif path == _PATH and request.method == "POST":
            await (await self._try(request))(scope, receive, send)
        else:
            await self._form(request, 401, wrong=False)(scope, receive, send)

    def _is_known(self, request: Request) -> bool:
        said = request.headers.get("authorization", "").encode()
        if hmac.compare_digest(said, b"Bearer " + self._token):
            return True
        return self._sessions.get(request.cookies.get(self._cookie, ""), 0.0) > time.monotonic()

    async def _try(self, request: Request) -> Response:
        raw = bytearray()
        async for piece in request.stream():
            raw += piece
            if len(raw) > FORM_BYTES_MAX:
                return self._form(request, 413, wrong=True)
        said = parse_qs(raw.decode("ascii", "replace")).get("token", [""])[0].strip()
        if not hmac.compare_digest(said.encode(), self._token):
            return self._form(request, 401, wrong=True)
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie, self._open(), httponly=True, samesite="strict")
        return response

    def _open(self) -> str:
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        session = secrets.token_hex(32)
        self._sessions[session] = time.monotonic() + SESSION_SECONDS
        return session

    def _form(self, request: Request, status: int, *, wrong: bool) -> Response:
        return html(
            render("sign_in.html", {"wrong": wrong}, frame_of(self._site, request)), request, status
        )
