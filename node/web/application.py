"""Routes put together: pages, their JSON, files, and what else a node answers over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from node.web.address import WebAddress
from node.web.guard import Guard

__all__ = ["application"]


def application(
    address: WebAddress, routes: Sequence[BaseRoute], handlers: Mapping[Any, Any]
) -> ASGIApp:
    """What listens at `address`. Each part of the web brings routes of its own; `handlers` make answers of
    exceptions."""
    return Guard(Starlette(routes=routes, exception_handlers=handlers), address.names)
