"""Fetching a ciphertext that a client asks for from whichever other node has it.

A node cannot see for whom a key was wrapped, so nothing tells it in advance what its clients will read: it
fetches when one of them, who has shown that it may, asks. One piece is under way at a time, from one peer
after the other, so that ciphertexts never queue up before votes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Final

import trio

from node.ciphertexts.store import Address, CiphertextRefused
from tallynet.ciphertexts import (
    PIECE_BYTES_MAX,
    CiphertextPiece,
    FetchCiphertext,
    NoCiphertext,
)

__all__ = ["PULLS_MAX", "Pulls"]

PULLS_MAX: Final = 16
"""At a time; more wait for their clients to ask again."""
ANSWER_SECONDS: Final = 5.0
"""For one piece. A peer answers at a bounded rate (`node.questions`), and 128 KiB take a second at 1 Mbit/s."""

Append = Callable[[Address, int, int, bytes], Awaitable[int]]
"""`CiphertextStore.append` without blocking: address, size, offset, data."""
Ask = Callable[[int, FetchCiphertext], None]


class _End(Enum):
    """What became of asking one peer."""

    WHOLE = 1
    NOTHING = 2
    """It has it not, or does not answer."""
    WRONG = 3
    """What came together has another hash."""


class Pulls:
    def __init__(self, append: Append, here: Callable[[Address], int], ask: Ask) -> None:
        """`here`: bytes held of it."""
        self._append: Final = append
        self._here: Final = here
        self._ask: Final = ask
        self._running: Final[set[Address]] = set()
        self._asked: Final[dict[tuple[int, bytes], _Slot]] = {}

    def is_running(self, address: Address) -> bool:
        return address in self._running

    @property
    def has_room(self) -> bool:
        return len(self._running) < PULLS_MAX

    def answered(self, source: int, message: CiphertextPiece | NoCiphertext) -> None:
        """What a peer says; late and unasked answers count for nothing."""
        slot = self._asked.get((source, message.hash))
        if slot is not None and slot.answer is None:
            slot.answer = message
            slot.arrived.set()

    async def pull(self, address: Address, peers: Sequence[int]) -> bool:
        """Ask `peers` in order until it is whole here; whether it is.

        Raises:
            CiphertextRefused: CIPHERTEXT_QUOTA; other peers would change nothing.
        """
        self._running.add(address)
        try:
            for peer in peers:
                mixed = self._here(address) > 0
                end = await self._pull_from(peer, address)
                if end is _End.WRONG and mixed:
                    # Others' bytes were under its own; now they are gone.
                    end = await self._pull_from(peer, address)
                if end is _End.WHOLE:
                    return True
            return False
        finally:
            self._running.discard(address)

    async def _pull_from(self, peer: int, address: Address) -> _End:
        while True:
            offset = self._here(address)
            piece = await self._piece(peer, address, offset)
            if piece is None or not _is_in_order(piece, offset):
                return _End.NOTHING
            try:
                here = await self._append(address, piece.size, offset, piece.data)
            except CiphertextRefused as refusal:
                if refusal.code == "CIPHERTEXT_QUOTA":
                    raise
                return _End.WRONG
            if here >= piece.size:
                return _End.WHOLE
            if here <= offset:
                return _End.NOTHING

    async def _piece(self, peer: int, address: Address, offset: int) -> CiphertextPiece | None:
        slot = _Slot()
        name = (peer, address.hash)
        self._asked[name] = slot
        try:
            self._ask(peer, FetchCiphertext(address.kind, address.record, address.hash, offset))
            with trio.move_on_after(ANSWER_SECONDS):
                await slot.arrived.wait()
        finally:
            self._asked.pop(name, None)
        return slot.answer if isinstance(slot.answer, CiphertextPiece) else None


class _Slot:
    """One question to one peer."""

    def __init__(self) -> None:
        self.arrived: Final = trio.Event()
        self.answer: CiphertextPiece | NoCiphertext | None = None


def _is_in_order(piece: CiphertextPiece, offset: int) -> bool:
    """The piece asked for, and as much as a piece holds: else a peer could make many of one."""
    end = offset + len(piece.data)
    return piece.offset == offset and (len(piece.data) == PIECE_BYTES_MAX or end == piece.size)
