"""Limits that only a grantor and an obligor know: what the grantor commits to, keeps and opens (voucher law §16.7).

    commitment = SHA-256("tallynet/line" ‖ salt ‖ state)

A state is the canonical encoding of `LineState`. It holds the commitment before it, so that its grantor finds all
of them again. That they are those which the chain was told is said by the chain's own hash over all commitments since
the grant, each with the use that it counts in: an auditor who is given all states checks each use (I4), which
the chain cannot. The salt is 32 random bytes, new with each state: who is shown one can test no guess about
the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Final

from tallynet.codec import Wire, decode, encode
from tallynet.documents import DocumentError
from tallynet.errors import LedgerError, RemoteProtocolError
from tallynet.fields import Hash, Id, Uint, Units
from tallynet.hashing import line_root
from tallynet.records import SealedLine

__all__ = [
    "FIRST", "LineState", "OpenedState", "commitment", "counted_in", "decode_state", "exceeding",
    "granted", "is_whole", "require_committed", "restated",
]  # fmt: skip

_LINE: Final = b"tallynet/line"
FIRST: Final = bytes(32)
"""`previous` of the state at the grant."""


class LineState(Wire):
    """A sealed line at one time."""

    line: Id
    sequence: Uint
    previous: Hash
    """Commitment to the state before it."""
    granted: Units
    used: Units
    """Quoted, awaiting pay-out and outstanding: face bought and loan principal."""
    use: Id | None
    """Request, rediscount or prepayment that this state counts in."""


class OpenedState(Wire):
    """What opens a commitment: kept by the grantor, shown to obligor and auditor."""

    salt: Hash
    state: LineState


def commitment(opened: OpenedState) -> bytes:
    """What the grantor signs for."""
    return sha256(_LINE + opened.salt + encode(opened.state)).digest()


# --- by the grantor -------------------------------------------------------------------------------


def granted(line: bytes, limit: int, used: int, salt: bytes) -> OpenedState:
    """The state at the grant; `used` is what was outstanding before. Fen. Raises LedgerError LINE_EXCEEDED."""
    if used > limit:
        raise LedgerError("LINE_EXCEEDED", f"{used} in use exceeds the limit of {limit}")
    return OpenedState(salt, LineState(line, 1, FIRST, limit, used, None))


def counted_in(opened: OpenedState, amount: int, use: bytes, salt: bytes) -> OpenedState:
    """The state that counts in a use of `amount` fen (I4). Raises LedgerError LINE_EXCEEDED."""
    state = opened.state
    if state.used + amount > state.granted:
        room = max(0, state.granted - state.used)
        raise LedgerError(
            "LINE_EXCEEDED", f"{amount} exceeds the sealed line's free room of {room}"
        )
    return _follow(opened, state.granted, state.used + amount, use, salt)


def restated(opened: OpenedState, limit: int, used: int, salt: bytes) -> OpenedState:
    """The state with another limit, also below its use (C12), or with use that has ended, in fen. Raises
    LedgerError LINE_EXCEEDED for more use than before beyond the limit."""
    if used > opened.state.used and used > limit:
        raise LedgerError("LINE_EXCEEDED", f"{used} in use exceeds the limit of {limit}")
    return _follow(opened, limit, used, None, salt)


def _follow(
    opened: OpenedState, limit: int, used: int, use: bytes | None, salt: bytes
) -> OpenedState:
    before = opened.state
    state = LineState(before.line, before.sequence + 1, commitment(opened), limit, used, use)
    return OpenedState(salt, state)


# --- by obligor and auditor -----------------------------------------------------------------------


def decode_state(data: bytes) -> OpenedState:
    """A state as the grantor keeps it or hands it on. Raises DocumentError LINE_STATE_MALFORMED."""
    try:
        return decode(OpenedState, data)
    except RemoteProtocolError as error:
        raise DocumentError("LINE_STATE_MALFORMED", error.message) from None


def is_whole(history: Sequence[OpenedState]) -> bool:
    """Whether the states begin with the grant."""
    return bool(history) and history[0].state.sequence == 1


def require_committed(history: Sequence[OpenedState], line: bytes, sealed: SealedLine) -> None:
    """The last state is the one that the chain commits to now, and each follows the one before (I15). All since the
    grant are those that the chain was told, one by one; of fewer only the grantor says what came before the last.

    Raises:
        DocumentError: LINE_STATE_MALFORMED.
    """
    if not history or any(opened.state.line != line for opened in history):
        raise DocumentError("LINE_STATE_MALFORMED", "the states are not of this line")
    last = history[-1]
    if (last.state.sequence, commitment(last)) != (sealed.sequence, sealed.commitment):
        raise DocumentError(
            "LINE_STATE_MALFORMED",
            f"state {last.state.sequence} is not what the chain commits to, number {sealed.sequence}",
        )
    for before, after in pairwise(history):
        follows = (before.state.sequence + 1, commitment(before))
        if (after.state.sequence, after.state.previous) != follows:
            raise DocumentError(
                "LINE_STATE_MALFORMED",
                f"state {after.state.sequence} does not follow {before.state.sequence}",
            )
    if is_whole(history) and _told(history) != sealed.history:
        raise DocumentError(
            "LINE_STATE_MALFORMED", "the states before the newest are not what the chain was told"
        )


def _told(history: Sequence[OpenedState]) -> bytes:
    told = FIRST
    for opened in history:
        told = line_root(told, commitment(opened), opened.state.use)
    return told


def exceeding(history: Sequence[OpenedState]) -> list[LineState]:
    """States that raised the use beyond the limit, which none may (I4); a cut below the use is none. The limit is
    that of the newest state that counts no use in: beside a use, which needs less authority, it cannot be raised."""
    found: list[LineState] = []
    limit = used = 0
    for number, opened in enumerate(history):
        state = opened.state
        begins = number == 0 and state.sequence > 1
        if begins or state.use is None:
            limit = state.granted
        if not begins and state.used > used and state.used > limit:
            found.append(state)
        used = state.used
    return found
