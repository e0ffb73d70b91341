"""Who asks the light node for what, over HTTP: the token, the paths, the errors as JSON."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from node.light.api import Api, answer_json
from node.light.endpoints import ENDPOINTS, STATUSES
from node.light.messages import Explain, Failure
from tallynet.errors import TallynetError

__all__ = ["application"]

RETRY_AFTER_SECONDS: Final = "5"
_BY_STATUS: Final = {404: "NO_SUCH_PATH", 405: "METHOD_NOT_ALLOWED"}
Answer = Callable[[Request], Awaitable[Response]]


def application(api: Api, token: str, explain: Explain) -> ASGIApp:
    """Everything behind the token."""

    def error(code: str, message: str, **headers: str) -> Response:
        status = STATUSES.get(code, 500)
        if status == 503:
            headers["Retry-After"] = RETRY_AFTER_SECONDS
        return answer_json(Failure(code, message, explain(code)), status, **headers)

    async def refused(_request: Request, fault: TallynetError) -> Response:
        return error(fault.code, fault.message)

    async def refused_by_path(request: Request, fault: HTTPException) -> Response:
        code = _BY_STATUS.get(fault.status_code, "QUERY_INVALID")
        return error(code, f"{request.method} {request.url.path}", **dict(fault.headers or {}))

    async def faulty(request: Request, fault: Exception) -> Response:
        structlog.get_logger("light").error("fault", path=request.url.path, exc_info=fault)
        return error("FAULT", f"{type(fault).__name__}; the log says more")

    handlers: dict[Any, Any] = {
        TallynetError: refused,
        HTTPException: refused_by_path,
        Exception: faulty,
    }
    paths: dict[str, dict[str, Answer]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method] = api.answering(endpoint)
    routes = [Route(path, _by_method(by), methods=list(by)) for path, by in paths.items()]
    inner = Starlette(routes=routes, exception_handlers=handlers)
    inner.router.redirect_slashes = False
    why = "say Authorization: Bearer, and what the file `token` of the light node holds"
    challenge = {"WWW-Authenticate": "Bearer"}
    return _Guarded(inner, token, error("TOKEN_WRONG", why, **challenge))


def _by_method(answers: Mapping[str, Answer]) -> Answer:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await answers[method](request)

    return endpoint


@final
class _Guarded:
    """Nobody gets past without the token, not even to learn which paths there are."""

    def __init__(self, inner: ASGIApp, token: str, refusal: Response) -> None:
        self._inner: Final = inner
        self._wanted: Final = b"Bearer " + token.encode("ascii")
        self._refusal: Final = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._wanted):
                await self._refusal(scope, receive, send)
                return
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._inner(scope, receive, send)
