"""The only holder of a validator's private key, and the last guard against a double vote.

The core decides what to sign and remembers it durably. This guard repeats the check from the signed
bytes alone (INV-3): one body per (phase, epoch, view, height), and no vote below the view that was
left. A breach is our own bug and halts the node before the signature exists.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.blocks import Commit, Prepare
from tallynet.codec import decode
from tallynet.errors import invariant
from tallynet.hashing import signed_bytes
from tallynet.messages import NewView, SignedKind, ViewChange
from tallynet.signatures import (
    KIND_COMMIT,
    KIND_COMPLAINT,
    KIND_NEW_VIEW,
    KIND_PREPARE,
    KIND_STATUS,
    KIND_VIEW_CHANGE,
)  # fmt: skip

DOMAINS: Final[dict[SignedKind, bytes]] = {
    SignedKind.PREPARE: KIND_PREPARE,
    SignedKind.COMMIT: KIND_COMMIT,
    SignedKind.COMPLAINT: KIND_COMPLAINT,
    SignedKind.VIEW_CHANGE: KIND_VIEW_CHANGE,
    SignedKind.NEW_VIEW: KIND_NEW_VIEW,
    SignedKind.STATUS: KIND_STATUS,
}

_REGISTER_MAX: Final = 4_096
"""Votes remembered here. Only heights in the window (<= 16) in the current view can still be signed
again; the rest is kept a while because it costs nothing."""


class Signer:
    """Signs bodies for this validator; see the module for what it refuses."""

    def __init__(self, key: Ed25519PrivateKey, genesis: bytes) -> None:
        self._key: Final = key
        self._genesis: Final = genesis
        self.public_key: Final = key.public_key().public_bytes_raw()
        self._votes: dict[tuple[int, int, int, int], bytes] = {}
        self._left: tuple[int, int] = (0, 0)
        """(epoch, view) below which no vote is signed."""

    def sign(self, kind: SignedKind, body: bytes) -> bytes:
        """Signature over `body` in the domain of `kind`. Halts the node on a contradiction."""
        if kind in (SignedKind.PREPARE, SignedKind.COMMIT):
            self._check_vote(kind, body)
        elif kind is SignedKind.VIEW_CHANGE:
            change = decode(ViewChange, body)
            self._leave(change.epoch, change.to_view)
        elif kind is SignedKind.NEW_VIEW:
            view = decode(NewView, body)
            self._leave(view.epoch, view.view)
        return self._key.sign(signed_bytes(DOMAINS[kind], self._genesis, body))

    def _leave(self, epoch: int, view: int) -> None:
        self._left = max(self._left, (epoch, view))

    def _check_vote(self, kind: SignedKind, body: bytes) -> None:
        vote = decode(Prepare, body) if kind is SignedKind.PREPARE else decode(Commit, body)
        invariant((vote.epoch, vote.view) >= self._left, "INV-3 vote in a view that was left")
        slot = (int(kind), vote.epoch, vote.view, vote.height)
        signed = self._votes.setdefault(slot, body)
        invariant(signed == body, "INV-3 two votes for one slot")
        if len(self._votes) > _REGISTER_MAX:
            del self._votes[next(iter(self._votes))]
