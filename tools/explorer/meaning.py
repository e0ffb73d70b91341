"""What a message means: two messages of one meaning move every replica alike.

A certificate means its vote, whichever q validators signed it; a complaint means its view, whatever the reason. This is
what keeps the number of messages, and so of states, small.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from tallynet.blocks import Commit, Prepare
from tallynet.codec import decode
from tallynet.hashing import block_hash
from tallynet.messages import (
    Blocks,
    Complaint,
    NewView,
    PeerMessage,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
    ViewChange,
)  # fmt: skip

Meaning = tuple[object, ...]
"""Nested tuples of numbers, text and bytes."""
Position = tuple[SignedKind, int, int]
"""(phase, view, height): a correct validator signs one body for each."""
REMEMBERED: Final = 1 << 16
"""Decoded messages kept: more than any exploration has at once."""


def meaning(message: PeerMessage) -> Meaning:
    """The meaning of a message that can change a replica's state. Raises TypeError for others."""
    if isinstance(message, Signed):
        return signed_meaning(message)
    if isinstance(message, PrePrepare):
        return ("propose", *raw_meaning(message.prepare))
    if isinstance(message, Proposal):
        return ("content", block_hash(message.header))
    if isinstance(message, Blocks):
        return ("block", block_hash(message.blocks[0].header))
    raise TypeError(f"the explorer knows no {type(message).__name__}")


@lru_cache(maxsize=REMEMBERED)
def raw_meaning(raw: bytes) -> Meaning:
    """The meaning of an encoded `Signed`; nothing for no bytes."""
    return signed_meaning(decode(Signed, raw)) if raw else ()


@lru_cache(maxsize=REMEMBERED)
def signed_meaning(message: Signed) -> Meaning:
    """The meaning of a signed message other than Status."""
    kind = message.kind
    head = (kind.name, message.signer)
    if kind is SignedKind.PREPARE or kind is SignedKind.COMMIT:
        return (*head, message.body)
    if kind is SignedKind.COMPLAINT:
        complaint = decode(Complaint, message.body)
        return (*head, complaint.epoch, complaint.view)
    if kind is SignedKind.VIEW_CHANGE:
        change = decode(ViewChange, message.body)
        votes = tuple(entry.certificate.vote for entry in change.prepared)
        return (*head, change.epoch, change.to_view, change.committed_header, votes)
    opened = decode(NewView, message.body)
    changes = tuple(raw_meaning(raw) for raw in opened.view_changes)
    return (*head, opened.view, changes, opened.proposals, opened.prepares)


def votes_in(message: PeerMessage) -> tuple[tuple[Position, bytes], ...]:
    """The Prepares and Commits that the sender of a message casts with it, with their bodies."""
    if isinstance(message, PrePrepare):
        return _votes(decode(Signed, message.prepare))
    if isinstance(message, Signed):
        return _votes(message)
    return ()


def _votes(signed: Signed) -> tuple[tuple[Position, bytes], ...]:
    kind = signed.kind
    if kind is SignedKind.NEW_VIEW:
        prepares = [decode(Signed, raw) for raw in decode(NewView, signed.body).prepares]
        return tuple(vote for prepare in prepares for vote in _votes(prepare))
    if kind is not SignedKind.PREPARE and kind is not SignedKind.COMMIT:
        return ()
    vote = (
        decode(Prepare, signed.body) if kind is SignedKind.PREPARE else decode(Commit, signed.body)
    )
    return (((kind, vote.view, vote.height), signed.body),)


@lru_cache(maxsize=REMEMBERED)
def opening(raw: bytes) -> Meaning:
    """What an accepted NewView leaves behind: its view and blocks, whichever ViewChanges selected them."""
    if not raw:
        return ()
    opened = decode(NewView, decode(Signed, raw).body)
    return opened.view, opened.proposals, opened.prepares
