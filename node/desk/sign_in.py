"""Pages behind a sign-in: people have accounts, programs show the token with each request and only look.

What the browser keeps is a session, which ends with the process: cookies of this machine's address go to whatever
else serves pages at it.
"""

from __future__ import annotations

import hmac
from typing import Final, final
from urllib.parse import parse_qs

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from node.desk.accounts import Account, AccountError, Accounts
from node.desk.passwords import PasswordError, Passwords
from node.desk.sessions import Session, Sessions
from node.desk.tries import Browsers, Tries
from node.web.pages import frame_of, html
from node.web.render import render
from node.web.site import Site

__all__ = ["SignIn"]

FORM_BYTES_MAX: Final = 4 * 1024
BROWSER_SECONDS: Final = 90 * 86_400
"""Longer than a holiday."""
_SIGN_IN, _SIGN_OUT = "/sign-in", "/sign-out"
_BY_ITSELF: Final = "/stream"
"""End of the addresses that a page asks for with nobody before it."""


@final
class SignIn:
    """An ASGI application around the pages of a site."""

    def __init__(
        self,
        inner: ASGIApp,
        site: Site,
        token: str,
        port: int,
        *,
        accounts: Accounts,
        sessions: Sessions,
        tries: Tries,
    ) -> None:
        """`port` makes the cookie's name its own: cookies know no ports."""
        self._inner: Final = inner
        self._site: Final = site
        self._bearer: Final = b"Bearer " + token.encode("ascii")
        self._cookie: Final = f"session-{port}"
        self._accounts: Final = accounts
        self._sessions: Final = sessions
        self._tries: Final = tries
        self._passwords: Final = Passwords()
        self._browsers: Final = Browsers()
        self._browser_cookie: Final = f"browser-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except AccountError as error:
            structlog.get_logger("desk").error("nobody gets in", code=error.code, why=error.message)
            answer = PlainTextResponse(f"{error.code}: nobody gets in; the log says why\n", 503)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> ASGIApp:
        path = request.url.path
        if path.startswith("/static/"):
            return self._inner
        said = request.headers.get("authorization", "").encode("utf-8", "replace")
        if hmac.compare_digest(said, self._bearer):
            return self._inner
        secret = request.cookies.get(self._cookie, "")
        session = self._sessions.get(secret, uses=not path.endswith(_BY_ITSELF))
        if path == _SIGN_IN and request.method == "POST":
            return await self._try(request)
        if session is None:
            return self._form(request, 401)
        if path == _SIGN_IN:
            return RedirectResponse("/", 303)
        if path == _SIGN_OUT and request.method == "POST":
            return await self._leave(request, secret, session)
        request.scope["account"], request.scope["who"] = session.account, session.who
        return self._inner

    async def _try(self, request: Request) -> Response:
        fields = await _fields(request)
        if fields is None:
            return self._form(request, 413, wrong="sign_in_wrong")
        name, password = fields.get("name", "").strip()[:64], fields.get("password", "")
        log = structlog.get_logger("desk")
        shown = request.cookies.get(self._browser_cookie, "")
        browser = shown if self._browsers.knows(shown, name) else ""
        if not self._tries.allowed(name, browser):
            log.warning("sign-in refused", reason="too many tries")
            return self._form(request, 429, name, wrong="sign_in_later")
        self._tries.begin(name, browser)
        account = self._accounts.get(name)
        try:
            fits = await self._passwords.fits(password, account.password if account else None)
        except PasswordError:
            return self._form(request, 503, name, wrong="error_BUSY")
        if account is None or not fits:
            log.warning("sign-in refused", reason="wrong name or password")
            return self._form(request, 401, name, wrong="sign_in_wrong")
        self._tries.succeeded(name, browser)
        log.info("signed in", account=name)
        self._sessions.end(request.cookies.get(self._cookie, ""))
        return self._signed_in(account, shown, _inside(fields.get("next", "")))

    def _signed_in(self, account: Account, browser: str, onward: str) -> Response:
        response = RedirectResponse(onward, 303)
        secret, browser = (
            self._sessions.begin(account),
            self._browsers.remember(browser, account.name),
        )
        response.set_cookie(self._cookie, secret, httponly=True, samesite="strict")
        response.set_cookie(
            self._browser_cookie, browser, max_age=BROWSER_SECONDS, httponly=True, samesite="strict"
        )
        return response

    async def _leave(self, request: Request, secret: str, session: Session) -> Response:
        fields = await _fields(request)
        if fields is None or not session.who.brings(fields.get("csrf", "")):
            return RedirectResponse("/", 303)
        self._sessions.end(secret)
        response = RedirectResponse("/", 303)
        response.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return response

    def _form(self, request: Request, status: int, name: str = "", wrong: str = "") -> Response:
        onward = request.url.path if request.method == "GET" else "/"
        data = {
            "wrong": wrong,
            "name": name,
            "next": onward + (f"?{request.url.query}" if request.url.query else ""),
            "nobody": not self._accounts.all(),
        }
        return html(render("sign_in.html", data, frame_of(self._site, request)), request, status)


async def _fields(request: Request) -> dict[str, str] | None:
    """Of a small form; None: it is larger."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > FORM_BYTES_MAX:
            return None
    said = parse_qs(raw.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in said.items()}


def _inside(path: str) -> str:
    """A page of ours to go on to, and nothing else."""
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if ours and not path.startswith(_SIGN_IN) else "/"
