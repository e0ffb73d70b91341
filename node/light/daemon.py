"""The light node as one process: the follower, and the HTTP server in front of its copy."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import anycorn
import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.light.answers import Answers
from node.light.config import COPY_FILE, TRUST_DIRECTORY, LightConfig, read_token
from node.light.copy import Copy
from node.light.following import Follower
from node.light.http import application
from tallynet.genesis import Genesis, genesis_hash

__all__ = ["run"]

SECONDS_TO_FINISH: Final = 1.0
"""For requests under way when it is to stop; they take milliseconds."""
REQUEST_SECONDS: Final = 10
"""For a request to come in: a program of this machine needs none of them."""


async def run(
    directory: Path, config: LightConfig, genesis: Genesis, key: Ed25519PrivateKey
) -> None:
    """Follow and answer until SIGTERM or SIGINT.

    Raises:
        TokenError, CopyError, OSError: the token, the copy or the address cannot be used.
    """
    token = read_token(directory)
    copy = Copy(directory / COPY_FILE, genesis_hash(genesis), bytes.fromhex(config.organisation))
    follower = Follower(copy, config.addresses, genesis, key, directory / TRUST_DIRECTORY)
    try:
        async with trio.open_nursery() as nursery:
            server = _server(config)
            app = application(Answers(follower), token)
            await nursery.start(_serve, app, server)
            nursery.start_soon(follower.run)
            structlog.get_logger("light").info(
                "answering", host=config.http_host, port=config.http_port
            )
            await _stop_signal()
            nursery.cancel_scope.cancel()
    finally:
        copy.close()


async def _serve(
    app: object, server: anycorn.Config, *, task_status: trio.TaskStatus[list[str]]
) -> None:
    await anycorn.serve(app, server, task_status=task_status, mode="asgi")  # type: ignore[arg-type]


def _server(config: LightConfig) -> anycorn.Config:
    host = f"[{config.http_host}]" if ":" in config.http_host else config.http_host
    server = anycorn.Config()
    server.bind = f"{host}:{config.http_port}"
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
