"""Routes put together: pages, their JSON, files, and what else a node answers over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from node.web.address import WebAddress
from node.web.guard import Guard

__all__ = ["application"]


def application(address: WebAddress, routes: Sequence[BaseRoute]) -> ASGIApp:
    """What listens at `address`. Each part of the web brings routes of its own."""
    handlers: dict[Any, Any] = {HTTPException: _refused, Exception: _fault}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), address.names)


async def _refused(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse(f"{error.detail}: {request.url.path}\n", error.status_code)


async def _fault(request: Request, error: Exception) -> Response:
    structlog.get_logger("web").error("fault", path=request.url.path, exc_info=error)
    return PlainTextResponse(f"FAULT: {type(error).__name__}; the log says more\n", 500)
