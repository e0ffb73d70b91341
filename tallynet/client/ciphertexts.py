"""Bringing ciphertexts to nodes and getting them, piece by piece, across lost connections.

Each piece goes to whichever node answers. Where it stops is said by the node when bringing, and known here
when getting, so that nothing is sent twice but the piece that was lost. What comes is believed for its hash.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import anyio

from tallynet.ciphertexts import (
    PIECE_BYTES_MAX,
    CiphertextPart,
    CiphertextState,
    PutCiphertext,
    QueryCiphertext,
)
from tallynet.client.errors import RequestFailed
from tallynet.client.nodes import Nodes
from tallynet.errors import RemoteProtocolError
from tallynet.records import Kind

__all__ = ["Progress", "get_ciphertext", "put_ciphertext"]

Progress = Callable[[int, int, bytes], None]
"""Bytes there, bytes in all, and the piece that came last; empty when bringing."""

PAUSE_SECONDS: Final = 0.1
"""Between two questions for what is on its way, or when a node is busy."""
PATIENCE_SECONDS: Final = 30.0
"""Without a new piece."""
_LATER: Final = frozenset({"CIPHERTEXT_ON_ITS_WAY", "CIPHERTEXT_BUSY", "CIPHERTEXT_MISSING"})
"""Another node may have what this one could not get."""


async def put_ciphertext(
    nodes: Nodes, kind: Kind, record: bytes, ciphertext: bytes, progress: Progress | None
) -> None:
    """Returns when one node keeps it durably.

    Raises:
        RequestFailed: NOT_AUTHORISED, CIPHERTEXT_QUOTA, CIPHERTEXT_BUSY and others, by the node's word.
        NotConnected: nobody to bring it to.
    """
    size, hash = len(ciphertext), sha256(ciphertext).digest()
    held, patience = 0, _Patience()
    first = True
    while held < size:
        data = b"" if first else ciphertext[held : held + PIECE_BYTES_MAX]
        first = False

        def ask(number: int, held: int = held, data: bytes = data) -> PutCiphertext:
            return PutCiphertext(number, kind, record, hash, size, held, data)

        def check(state: CiphertextState) -> int:
            if state.held > size:
                raise RemoteProtocolError("BAD_ANSWER", f"{state.held} of {size} bytes held")
            return state.held

        try:
            now_held = await nodes.ask(ask, CiphertextState, check)
        except RequestFailed as error:
            if error.code != "CIPHERTEXT_BUSY":
                raise
            await patience.wait(error)
            continue
        if data and now_held <= held:
            # Another node, or one that lost its part: it said where to go on.
            await patience.wait(RequestFailed("CIPHERTEXT_STUCK", "no node takes more of it"))
        elif data:
            patience.renew()
        held = now_held
        if progress is not None:
            progress(held, size, b"")


async def get_ciphertext(
    nodes: Nodes,
    kind: Kind,
    record: bytes,
    hash: bytes,
    secret: bytes,
    have: bytes,
    progress: Progress | None,
) -> bytes:
    """The bytes with this hash; `have` are those that an earlier attempt got.

    Raises:
        RequestFailed: NOT_AUTHORISED; CIPHERTEXT_MISSING and others when no node gives it for half a minute;
            CIPHERTEXT_HASH when nodes gave something else.
        NotConnected: nobody to ask.
    """
    patience = _Patience()
    got = bytearray(have)
    for _ in range(len(nodes) + 1):
        await _get_all(nodes, (kind, record, hash, secret), got, patience, progress)
        if sha256(got).digest() == hash:
            return bytes(got)
        got.clear()  # a node lied, or what was kept here was wrong
        nodes.go_on()
    raise RequestFailed("CIPHERTEXT_HASH", "no node gives the bytes that the chain names")


async def _get_all(
    nodes: Nodes,
    what: tuple[Kind, bytes, bytes, bytes],
    got: bytearray,
    patience: _Patience,
    progress: Progress | None,
) -> None:
    while True:
        offset = len(got)

        def ask(number: int, offset: int = offset) -> QueryCiphertext:
            return QueryCiphertext(number, *what, offset)

        def check(part: CiphertextPart, offset: int = offset) -> CiphertextPart:
            end = offset + len(part.data)
            if end > part.size or not (part.data or offset == part.size):
                raise RemoteProtocolError("BAD_ANSWER", f"{end} of {part.size} bytes")
            return part

        try:
            part = await nodes.ask(ask, CiphertextPart, check)
        except RequestFailed as error:
            if error.code not in _LATER:
                raise
            if error.code == "CIPHERTEXT_MISSING":
                nodes.go_on()
            await patience.wait(error)
            continue
        got += part.data
        patience.renew()
        if progress is not None:
            progress(len(got), part.size, part.data)
        if len(got) >= part.size:
            return


class _Patience:
    """How long to go on without progress."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._until = anyio.current_time() + PATIENCE_SECONDS

    async def wait(self, error: RequestFailed) -> None:
        """Pause; raises `error` when it has lasted too long."""
        if anyio.current_time() >= self._until:
            raise error
        await anyio.sleep(PAUSE_SECONDS)
