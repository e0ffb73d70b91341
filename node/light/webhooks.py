"""Events pushed to programs: each hook gets every event once at least, in order, signed.

A message is a page of events as GET /events answers it, POSTed with the three headers of Standard Webhooks:

    webhook-id          cursor of its last event, with a hyphen: what is sent again has it again
    webhook-timestamp   Unix seconds when it was sent
    webhook-signature   v1,BASE64(HMAC-SHA256(secret, ID + "." + TIMESTAMP + "." + BODY))

Any status 2xx takes it in; the place of the hook moves on, durable, and the next message follows. Everything else is
tried again, with growing pauses, for ever: nothing is left out, and nothing overtakes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import ssl
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, final

import httpx
import msgspec
import structlog
import trio

from node.light.config import TokenError, Webhook
from node.light.database import CopyError, Database
from node.light.event_log import CursorError, Place, read_cursor
from node.light.event_pages import EventPages
from node.light.messages import EventPage, Gap, HookStatus, moment

__all__ = ["Webhooks", "headers_of", "read_secret"]

EVENTS_MAX: Final = 100
"""In one message: some 60 kB."""
ANSWER_SECONDS: Final = 20.0
"""For a message to be taken in, connection and all."""
RETRY_SECONDS: Final = 1.0
RETRY_SECONDS_MAX: Final = 300.0
"""Pauses double up to here: who comes back waits five minutes at most."""
ERROR_CHARACTERS_MAX: Final = 200
SECRET_PREFIX: Final = "whsec_"
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
_EXPOSED: Final = stat.S_IRWXG | stat.S_IRWXO
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS hooks (url TEXT PRIMARY KEY, place BLOB NOT NULL) WITHOUT ROWID;
"""


def read_secret(path: Path) -> bytes:
    """The secret of a hook: `whsec_` and BASE64 of 24 to 64 random bytes. Raises TokenError SECRET_UNUSABLE."""
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4 * SECRET_BYTES_MAX).strip()
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (OSError, UnicodeDecodeError, binascii.Error) as error:
        raise TokenError("SECRET_UNUSABLE", f"{path}: {error}") from None
    if mode & _EXPOSED:
        raise TokenError("SECRET_UNUSABLE", f"{path}: others may read it; chmod 600 {path}")
    if not (text.startswith(SECRET_PREFIX) and SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX):
        why = f"{SECRET_PREFIX} and BASE64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes"
        raise TokenError("SECRET_UNUSABLE", f"{path}: {why} are needed")
    return secret


def headers_of(secret: bytes, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """By which a receiver knows who sent a message and when."""
    signed = f"{id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, sha256)).decode()
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


@dataclass(slots=True)
class _Hook:
    """One receiver, and how it goes."""

    config: Webhook
    secret: bytes
    place: Place
    delivered_at: str | None = None
    failures: int = 0
    """In a row."""
    error: str = ""


@final
class Webhooks:
    """All hooks of a light node."""

    def __init__(
        self, base: Database, pages: EventPages, configured: Sequence[Webhook], directory: Path
    ) -> None:
        """`base`: what is not removed with the copy; `directory`: of light.toml.

        Raises:
            TokenError: a secret cannot be used.
        """
        self._base: Final = base
        base.make(_SCHEMA)
        self._pages: Final = pages
        kept: Mapping[str, bytes] = dict(base.rows("SELECT url, place FROM hooks"))
        self._hooks: Final = [
            _Hook(
                each,
                read_secret(directory / each.secret_file),
                Place.from_bytes(kept[each.url]) if each.url in kept else Place(0),
            )
            for each in configured
        ]

    def status(self) -> list[HookStatus]:
        return [
            HookStatus(
                hook.config.url, hook.place.cursor, self._pages.log.count_from(hook.place), hook.delivered_at,
                hook.failures, hook.error,
            )
            for hook in self._hooks
        ]  # fmt: skip

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for hook in self._hooks:
                nursery.start_soon(self._serve, hook)

    async def _serve(self, hook: _Hook) -> None:
        # The system's certificates; no proxy and no password of the environment; redirects are refusals.
        client = httpx.AsyncClient(
            verify=ssl.create_default_context(), trust_env=False, follow_redirects=False, timeout=ANSWER_SECONDS
        )  # fmt: skip
        async with client:
            while True:
                try:
                    await self._next(hook, client)
                except (httpx.HTTPError, httpx.InvalidURL, trio.TooSlowError, OSError) as error:
                    await self._pause(hook, _why(error))
                except _NotTaken as error:
                    await self._pause(hook, str(error))
                except CopyError as error:
                    await self._pause(hook, f"{error.code}: {error.message}")

    async def _pause(self, hook: _Hook, why: str) -> None:
        hook.failures += 1
        hook.error = why[:ERROR_CHARACTERS_MAX]
        structlog.get_logger("light").warning(
            "webhook", host=httpx.URL(hook.config.url).host, failures=hook.failures, why=hook.error
        )
        await trio.sleep(min(RETRY_SECONDS * 2 ** min(hook.failures - 1, 16), RETRY_SECONDS_MAX))

    async def _next(self, hook: _Hook, client: httpx.AsyncClient) -> None:
        """Bring the next message, as soon as there is one."""
        log = self._pages.log
        if hook.place == Place(0):  # a new one begins with what there is
            first = await self._pages.news.until(lambda: log.first, bool, float("inf"))
            self._move(hook, first or hook.place)
        try:
            page = await self._pages.page(hook.place, EVENTS_MAX, float("inf"))
        except CursorError as error:
            first = log.first
            if first is None:  # the copy is being filled
                await self._pages.news.until(lambda: log.first, bool, float("inf"))
            else:
                gap = Gap(error.code, error.message, self._pages.explain(error.code))
                await self._deliver(hook, client, EventPage([], first.cursor, more=False, gap=gap))
            return
        wanted = hook.config.events
        chosen = [each for each in page.events if not wanted or each.type in wanted]
        if chosen:
            await self._deliver(hook, client, msgspec.structs.replace(page, events=chosen))
        else:
            self._move(hook, read_cursor(page.cursor))

    async def _deliver(self, hook: _Hook, client: httpx.AsyncClient, page: EventPage) -> None:
        """Send one message until it is taken in once, then move on."""
        body, now = msgspec.json.encode(page), int(time.time())
        # A dot would end the id in what is signed.
        headers = headers_of(hook.secret, page.cursor.replace(".", "-"), now, body)
        with trio.fail_after(ANSWER_SECONDS):
            # What it answers is not read: the status says all, and a body could be endless.
            async with client.stream(
                "POST", hook.config.url, content=body, headers=headers
            ) as answer:
                status = answer.status_code
        if not 200 <= status < 300:
            raise _NotTaken(f"HTTP {status}")
        hook.delivered_at, hook.failures, hook.error = moment(now), 0, ""
        self._move(hook, read_cursor(page.cursor))

    def _move(self, hook: _Hook, place: Place) -> None:
        values: tuple[Any, ...] = (hook.config.url, place.to_bytes())
        with self._base.transaction():
            self._base.execute("INSERT OR REPLACE INTO hooks VALUES (?, ?)", values)
        hook.place = place


def _why(error: BaseException) -> str:
    """The first reason behind an error that has words."""
    found: BaseException | None = error
    while found is not None and not str(found):
        found = found.__cause__ or found.__context__
    return type(error).__name__ if found is None else f"{type(found).__name__}: {found}"


class _NotTaken(Exception):
    """The receiver answered, and did not take the message in."""
