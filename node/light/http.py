"""Who asks the light node for what, over HTTP: the paths, the token, the errors as JSON."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final, final

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from node.light.answers import PAGE_MAX, Answers, NotHeld
from node.light.concern import ID_BYTES
from node.light.submitting import BODY_BYTES_MAX, CommandError, Submitter
from tallynet.errors import TallynetError

__all__ = ["application"]

CURSOR_BYTES_MAX: Final = 24
"""A lot's id is the longest."""
STATUSES: Final = {
    "TOKEN_WRONG": 401, "RECORD_NOT_FOUND": 404, "QUERY_INVALID": 400, "COPY_EMPTY": 503,
    "COMMAND_INVALID": 400, "COMMAND_ID_USED": 409, "COMMANDS_OFF": 403, "CLIENT_BUSY": 503, "FORK_SEEN": 503,
    "NOT_CONNECTED": 503,
}  # fmt: skip
"""HTTP status of a code; of others 500, and 422 for a command that the network does not take in."""
_BY_STATUS: Final = {404: "NO_SUCH_PATH", 405: "METHOD_NOT_ALLOWED"}

Page = Callable[[bytes, int], dict[str, Any]]


class QueryInvalid(TallynetError):
    """A parameter cannot be read (QUERY_INVALID)."""


def application(answers: Answers, submitter: Submitter, token: str) -> ASGIApp:
    """Everything behind the token."""

    def status(_request: Request) -> Response:
        return _json(answers.status())

    def voucher(request: Request) -> Response:
        id = _hex("the id of a voucher", request.path_params["id"])
        if len(id) != ID_BYTES:
            raise NotHeld("RECORD_NOT_FOUND", f"no voucher has an id of {len(id)} bytes")
        return _json(answers.voucher(id))

    async def command(request: Request) -> Response:
        answer = await submitter.submit(await _body(request))
        return _json(answer, 202 if answer["state"] == "PENDING" else 200)

    def sent(request: Request) -> Response:
        found = submitter.look(request.path_params["id"])
        if found is None:
            raise NotHeld("RECORD_NOT_FOUND", "no command was sent under this id")
        return _json(found)

    pages: dict[str, Page] = {
        "/holdings": answers.holdings,
        "/vouchers": answers.vouchers,
        "/lines": answers.lines,
        "/instructions": answers.instructions,
        "/financings": answers.financings,
        "/requests": answers.requests,
        "/documents": answers.documents,
    }
    routes = [Route("/status", _direct(status)), Route("/vouchers/{id}", _direct(voucher))]
    routes.append(Route("/commands", command, methods=["POST"]))
    routes.append(Route("/commands/{id}", _direct(sent)))
    routes += [Route(path, _direct(_paged(page))) for path, page in pages.items()]
    handlers: dict[Any, Any] = {
        TallynetError: _refused,
        HTTPException: _refused_by_path,
        Exception: _fault,
    }
    return _Guarded(Starlette(routes=routes, exception_handlers=handlers), token)


async def _body(request: Request) -> bytes:
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > BODY_BYTES_MAX:
            raise QueryInvalid("QUERY_INVALID", f"a body of more than {BODY_BYTES_MAX} bytes")
    return bytes(raw)


def _direct(
    answer: Callable[[Request], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """Answered by the event loop itself: the copy belongs to its thread, and answers within milliseconds."""

    async def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def _paged(page: Page) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        after = _hex("after", request.query_params.get("after", ""))
        text = request.query_params.get("limit", str(PAGE_MAX))
        if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= PAGE_MAX):
            raise QueryInvalid("QUERY_INVALID", f"limit: a number from 1 to {PAGE_MAX}")
        return _json(page(after, int(text)))

    return answer


def _hex(name: str, text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if value.hex() != text or len(value) > CURSOR_BYTES_MAX:
        raise QueryInvalid(
            "QUERY_INVALID", f"{name}: up to {2 * CURSOR_BYTES_MAX} hexadecimal digits, lower case"
        )
    return value


def _json(value: dict[str, Any], status: int = 200) -> Response:
    # A program of the browser's must not keep what the token protects.
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _error(code: str, message: str, status: int) -> Response:
    return _json({"code": code, "message": message}, status)


async def _refused(_request: Request, error: TallynetError) -> Response:
    default = 422 if isinstance(error, CommandError) else 500
    return _error(error.code, error.message, STATUSES.get(error.code, default))


async def _refused_by_path(request: Request, error: HTTPException) -> Response:
    code = _BY_STATUS.get(error.status_code, "QUERY_INVALID")
    return _error(code, f"{request.method} {request.url.path}", error.status_code)


async def _fault(request: Request, error: Exception) -> Response:
    structlog.get_logger("light").error("fault", path=request.url.path, exc_info=error)
    return _error("FAULT", f"{type(error).__name__}; the log says more", 500)


@final
class _Guarded:
    """Nobody gets past without the token, not even to learn which paths there are."""

    def __init__(self, inner: ASGIApp, token: str) -> None:
        self._inner: Final = inner
        self._wanted: Final = b"Bearer " + token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._wanted):
                message = (
                    "say Authorization: Bearer, and what the file `token` of the light node holds"
                )
                await _error("TOKEN_WRONG", message, STATUSES["TOKEN_WRONG"])(scope, receive, send)
                return
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._inner(scope, receive, send)
