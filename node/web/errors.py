"""What cannot be shown is a page too, and says what was looked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from node.web.book import PageError
from node.web.pages import frame_of, html
from node.web.plain import encode
from node.web.render import render
from node.web.site import Site

__all__ = ["handlers"]

STATUSES: Final = {
    "NO_SUCH_PAGE": 404, "RECORD_NOT_FOUND": 404, "NO_SUCH_BLOCK": 404, "ID_UNREADABLE": 400, "QUERY_INVALID": 400,
    "NOT_AUTHORISED": 403, "HISTORY_GONE": 410, "BUSY": 503, "COPY_EMPTY": 503, "FAULT": 500,
    "SIGN_IN_NEEDED": 403, "NOT_ALLOWED": 403, "FORM_FOREIGN": 403, "UPLOAD_TOO_LARGE": 413,
}  # fmt: skip


def handlers(site: Site) -> Mapping[Any, Any]:
    """Starlette's exception handlers for the pages of a site."""

    async def page_error(request: Request, error: PageError) -> Response:
        return _shown(site, request, error)

    async def http_error(request: Request, error: HTTPException) -> Response:
        code = "NO_SUCH_PAGE" if error.status_code == 404 else "QUERY_INVALID"
        shown = PageError(code, f"{request.method} {request.url.path}"[:200])
        return _shown(site, request, shown, error.status_code)

    async def fault(request: Request, error: Exception) -> Response:
        structlog.get_logger("web").error("fault", path=request.url.path, exc_info=error)
        return _shown(site, request, PageError("FAULT", type(error).__name__))

    return {PageError: page_error, HTTPException: http_error, Exception: fault}


def _shown(site: Site, request: Request, error: PageError, status: int = 0) -> Response:
    status = status or STATUSES[error.code]
    if request.url.path.endswith(".json"):
        body = encode({"code": error.code, "what": error.what, "height": error.height})
        return Response(body, status, media_type="application/json")
    return html(render("error.html", {"error": error}, frame_of(site, request)), request, status)
