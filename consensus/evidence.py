"""Proof that a validator signed two things of which a correct one signs at most one.

Sound by INV-26: the vote register makes a correct replica sign one body per (epoch, view, height,
phase), across restarts, so no such pair exists for it.
"""

from __future__ import annotations

from collections.abc import Callable

from tallynet.blocks import Commit, Prepare
from tallynet.codec import Wire, decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.messages import Signed, SignedKind


class Equivocation(Wire):
    """Two votes of one signer for one (epoch, view, height, phase) with different bodies."""

    first: bytes
    """Encoded `Signed`, the one that counted."""
    second: bytes
    """Encoded `Signed`."""


def equivocation(first: Signed, second: Signed) -> bytes:
    """Encode the proof."""
    return encode(Equivocation(encode(first), encode(second)))


def culprit(evidence: bytes, is_signed: Callable[[Signed], bool]) -> int:
    """Validator index that `evidence` convicts. `is_signed` checks one signature.

    Raises:
        RemoteProtocolError: BAD_EVIDENCE, or it does not decode.
    """
    pair = decode(Equivocation, evidence)
    first, second = decode(Signed, pair.first), decode(Signed, pair.second)
    if first.signer != second.signer or first.kind != second.kind or first.body == second.body:
        raise RemoteProtocolError("BAD_EVIDENCE", "not two votes of one signer and phase")
    if _position(first) != _position(second):
        raise RemoteProtocolError("BAD_EVIDENCE", "votes for different positions")
    if not (is_signed(first) and is_signed(second)):
        raise RemoteProtocolError("BAD_EVIDENCE", "a signature is bad")
    return first.signer


def _position(signed: Signed) -> tuple[int, int, int]:
    if signed.kind == SignedKind.PREPARE:
        prepare = decode(Prepare, signed.body)
        return prepare.epoch, prepare.view, prepare.height
    if signed.kind == SignedKind.COMMIT:
        commit = decode(Commit, signed.body)
        return commit.epoch, commit.view, commit.height
    raise RemoteProtocolError("BAD_EVIDENCE", "only Prepare and Commit votes can conflict")
