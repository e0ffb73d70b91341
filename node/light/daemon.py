"""The light node as one process: the follower, and the HTTP server in front of its copy."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Final

import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.types import ASGIApp

from node.desk import pages as desk_pages
from node.desk.accounts import Accounts
from node.desk.chain import Chain
from node.desk.desk import Desk
from node.desk.office import Office
from node.desk.proposals import Proposals
from node.desk.sessions import Sessions
from node.desk.sign_in import SignIn
from node.desk.tries import Tries
from node.light.answers import Answers
from node.light.api import Api
from node.light.config import COPY_FILE, SENT_FILE, TRUST_DIRECTORY, LightConfig, read_token
from node.light.copy import Copy
from node.light.database import open_for
from node.light.event_pages import EventPages
from node.light.following import Follower
from node.light.http import application
from node.light.messages import Explain
from node.light.sent import SentCommands
from node.light.site import LightSite
from node.light.submitting import ByWords, Sign, Submitter
from node.light.uploads import Uploads
from node.light.webhooks import Webhooks
from node.web import errors, pages
from node.web.address import WebAddress, parse_address
from node.web.guard import Guard
from node.web.listener import WebListener
from node.web.names import Names
from tallynet.genesis import Genesis, genesis_hash

__all__ = ["run"]

KEPT_VERSION: Final = b"2"
"""Of the file of what must not be forgotten."""


async def run(
    directory: Path,
    config: LightConfig,
    genesis: Genesis,
    key: Ed25519PrivateKey,
    sign: Sign | None,
    by_words: ByWords,
    explain: Explain,
    office: Office,
) -> None:
    """Follow and answer until SIGTERM or SIGINT; `sign` None: take no commands of programs.

    Raises:
        TokenError, CopyError, AccountError, ListenError: the token or a secret, the copy, the accounts or the address
            cannot be used.
    """
    token = read_token(directory)
    listener = WebListener(WebAddress(config.http_host, config.http_port), "http_port")
    web = None if config.web is None else WebListener(parse_address(config.web.listen))
    network, organisation = genesis_hash(genesis), bytes.fromhex(config.organisation)
    copy = Copy(directory / COPY_FILE, network, organisation)
    base = open_for(directory / SENT_FILE, network, organisation, KEPT_VERSION)
    proposals = Proposals(directory, network, organisation)
    follower = Follower(copy, config.addresses, genesis, key, directory / TRUST_DIRECTORY)
    try:
        submitter = Submitter(SentCommands(base), follower, sign, by_words)
        uploads = Uploads(base, submitter, follower)
        events = EventPages(follower, submitter.kept, explain)
        webhooks = Webhooks(base, events, config.webhooks, directory)
        answers = Answers(follower, submitter.kept, webhooks, explain)
        api = Api(answers, submitter, uploads, events, explain)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run, application(api, token, explain))
            for part in (follower, submitter, uploads, webhooks):
                nursery.start_soon(part.run)
            if web is not None and config.web is not None:
                names = Names(directory / config.web.names)
                site = LightSite(config.name, follower, answers, names)
                chain, accounts = Chain(follower, network), Accounts(directory)
                desk = Desk(chain, accounts, proposals, office)
                nursery.start_soon(desk.run)
                nursery.start_soon(web.run, _pages(site, desk, copy, token, web.address, explain))
            structlog.get_logger("light").info(
                "answering", host=config.http_host, port=config.http_port
            )
            await _stop_signal()
            nursery.cancel_scope.cancel()
    finally:
        copy.close()
        base.close()
        proposals.close()
        listener.close()
        if web is not None:
            web.close()


def _pages(
    site: LightSite, desk: Desk, copy: Copy, token: str, address: WebAddress, explain: Explain
) -> ASGIApp:
    sessions = Sessions(desk.accounts, time.monotonic)
    routes = [*pages.routes(site), *desk_pages.routes(site, desk, sessions, copy, explain)]
    inner = Starlette(routes=routes, exception_handlers=errors.handlers(site))
    tries = Tries(time.monotonic)
    signed_in = SignIn(
        inner, site, token, address.port, accounts=desk.accounts, sessions=sessions, tries=tries
    )
    return Guard(signed_in, address.names)


async def _stop_signal() -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            structlog.get_logger("light").info("stopping", signal=signal.Signals(number).name)
            return
