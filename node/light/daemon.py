"""The light node as one process: the follower, and the HTTP server in front of its copy."""

from __future__ import annotations

import errno
import signal
import socket
from pathlib import Path
from typing import Final

import anycorn
import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.types import ASGIApp

from net.errors import ListenError
from node.light.answers import Answers
from node.light.config import COPY_FILE, SENT_FILE, TRUST_DIRECTORY, LightConfig, read_token
from node.light.copy import Copy
from node.light.following import Follower
from node.light.http import application
from node.light.sent import SentCommands
from node.light.site import LightSite
from node.light.submitting import Sign, Submitter
from node.web import errors, pages
from node.web.address import WebAddress, parse_address
from node.web.guard import Guard
from node.web.listener import WebListener
from node.web.names import Names
from node.web.sign_in import SignIn
from tallynet.genesis import Genesis, genesis_hash

__all__ = ["run"]

CONNECTIONS_WAITING: Final = 64
"""Of this machine's programs, to be accepted: a few dozen at most have to do with an enterprise's vouchers."""
SECONDS_TO_FINISH: Final = 1.0
"""For requests under way when it is to stop; they take milliseconds."""
REQUEST_SECONDS: Final = 10
"""For a request to come in: a program of this machine needs none of them."""


async def run(
    directory: Path,
    config: LightConfig,
    genesis: Genesis,
    key: Ed25519PrivateKey,
    sign: Sign | None,
) -> None:
    """Follow and answer until SIGTERM or SIGINT; `sign` None: take no commands.

    Raises:
        TokenError, CopyError, ListenError: the token, the copy or the address cannot be used.
    """
    token = read_token(directory)
    listening = _listen(config.http_host, config.http_port)
    web = None if config.web is None else WebListener(parse_address(config.web.listen))
    network, organisation = genesis_hash(genesis), bytes.fromhex(config.organisation)
    copy = Copy(directory / COPY_FILE, network, organisation)
    sent = SentCommands(directory / SENT_FILE, network, organisation)
    follower = Follower(copy, config.addresses, genesis, key, directory / TRUST_DIRECTORY)
    try:
        async with trio.open_nursery() as nursery:
            server = _server(listening)
            app = application(Answers(follower), Submitter(sent, follower, sign), token)
            await nursery.start(_serve, app, server)
            nursery.start_soon(follower.run)
            if web is not None and config.web is not None:
                names = Names(directory / config.web.names)
                site = LightSite(config.name, follower, names)
                nursery.start_soon(web.run, _pages(site, token, web.address))
            structlog.get_logger("light").info(
                "answering", host=config.http_host, port=config.http_port
            )
            await _stop_signal()
            nursery.cancel_scope.cancel()
    finally:
        copy.close()
        sent.close()
        if web is not None:
            web.close()


def _pages(site: LightSite, token: str, address: WebAddress) -> ASGIApp:
    inner = Starlette(routes=pages.routes(site), exception_handlers=errors.handlers(site))
    return Guard(SignIn(inner, site, token, address.port), address.names)


async def _serve(
    app: object, server: anycorn.Config, *, task_status: trio.TaskStatus[list[str]]
) -> None:
    await anycorn.serve(app, server, task_status=task_status, mode="asgi")  # type: ignore[arg-type]


def _listen(host: str, port: int) -> socket.socket:
    """Bound here and not by the server, for an error that says what to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        taken = error.errno == errno.EADDRINUSE
        raise ListenError(
            "PORT_IN_USE" if taken else "ADDRESS_UNUSABLE",
            f"{host}:{port}: {error.strerror}; choose another http_port",
        ) from None
    return listening


def _server(listening: socket.socket) -> anycorn.Config:
    server = anycorn.Config()
    server.bind = f"fd://{listening.detach()}"
    server.backlog = CONNECTIONS_WAITING
    server.graceful_timeout = server.shutdown_timeout = SECONDS_TO_FINISH
    server.read_timeout = REQUEST_SECONDS
    server.include_server_header = False
    server.errorlog = None
    return server


async def _stop_signal() -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            structlog.get_logger("light").info("stopping", signal=signal.Signals(number).name)
            return
