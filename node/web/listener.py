"""The HTTP server of the pages: anycorn, with a bound on all that clients can take.

A node's first duty is consensus. So there are few connections, and each ends after a while whatever its client does;
what is beyond is closed at once, and comes again.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import Final, final

import anycorn
import anyio
import structlog
import trio
from anycorn.tcp_server import TCPServer
from anycorn.utils import wrap_app
from anycorn.worker_context import WorkerContext
from anyio.abc import SocketListener, SocketStream
from starlette.types import ASGIApp

from net.errors import ListenError
from node.web.address import WebAddress

__all__ = ["WebListener"]

CONNECTIONS_MAX: Final = 64
"""A browser opens six; some dozen people of a bank look at their node."""
CONNECTION_SECONDS_MAX: Final = 300.0
"""Then it is closed, also under a client that reads nothing; browsers connect anew, streams of events too."""
IDLE_SECONDS: Final = 10
"""Between two requests, and for one to come in."""
HEADER_BYTES_MAX: Final = 16 * 1024
"""Of a request, beside what is received at once; browsers send about one kilobyte."""
RETRY_SECONDS: Final = 0.5
"""After a connection that could not be accepted."""
STREAMS_MAX: Final = 8
"""Requests at once in one HTTP/2 connection."""
BACKLOG: Final = 64
"""Connections that wait to be accepted, which takes no longer than a step of the core."""


@final
class WebListener:
    """Listens from when it is made, so that what is wrong with the address shows before anything starts."""

    def __init__(self, address: WebAddress, setting: str = "[web] listen") -> None:
        """Raises ListenError PORT_IN_USE or ADDRESS_UNUSABLE, which names the `setting` to change."""
        self.address: Final = address
        self._socket: Final = _listen(address, setting)
        self._open = 0

    @property
    def connections(self) -> int:
        """Open now."""
        return self._open

    def close(self) -> None:
        self._socket.close()

    async def run(self, app: ASGIApp) -> None:
        """Serve until cancelled."""
        wrapped = wrap_app(app, 0, "asgi")  # type: ignore[arg-type]
        server, context = _server(), WorkerContext(None)

        async def connection(stream: SocketStream) -> None:
            if self._open >= CONNECTIONS_MAX:
                await stream.aclose()
                return
            self._open += 1
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_end, stream)
                    await _Connection(wrapped, server, context, {}, stream).run()
                    nursery.cancel_scope.cancel()
            except Exception as error:  # noqa: BLE001 - no client may end the node
                structlog.get_logger("web").error("fault of a connection", exc_info=error)
            finally:
                self._open -= 1

        async with (
            await SocketListener.from_socket(self._socket) as listener,
            trio.open_nursery() as nursery,
        ):
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    # Out of descriptors: the node has other uses for those that come free.
                    structlog.get_logger("web").warning("not accepted", reason=str(error))
                    await trio.sleep(RETRY_SECONDS)
                else:
                    nursery.start_soon(connection, stream)


@final
class _Connection(TCPServer):
    """One that ends when its client is gone, and does not hold its place until it has been idle for long."""

    _gone = False

    async def _read_data(self) -> None:
        await super()._read_data()
        self._gone = True
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        """Begun after each answer, which may have been under way when the client went."""
        if not self._gone:
            await super()._idle_timeout()


async def _end(stream: SocketStream) -> None:
    """Close a connection that is too old, or that ends with the node: the server waits for what it sends to be read,
    and cannot be cancelled meanwhile."""
    try:
        await trio.sleep(CONNECTION_SECONDS_MAX)
    finally:
        raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
        with suppress(OSError):  # closed already
            raw.shutdown(socket.SHUT_RDWR)


def _listen(address: WebAddress, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        taken = error.errno == errno.EADDRINUSE
        raise ListenError(
            "PORT_IN_USE" if taken else "ADDRESS_UNUSABLE",
            f"{address}: {error.strerror}; choose another {setting}",
        ) from None
    listening.setblocking(False)
    return listening


def _server() -> anycorn.Config:
    server = anycorn.Config()
    server.keep_alive_timeout = IDLE_SECONDS
    server.h11_max_incomplete_size = HEADER_BYTES_MAX
    server.h2_max_header_list_size = HEADER_BYTES_MAX
    server.h2_max_concurrent_streams = STREAMS_MAX
    server.include_server_header = False
    server.errorlog = None
    return server
