"""The only holder of a validator's private key, and the last guard against a double vote.

The core decides what to sign and remembers it durably. This guard repeats the check from the signed
bytes alone (INV-1, INV-3): one body per (phase, epoch, view, height), one ViewChange and one NewView per
view, and nothing for a view that was left. A breach is our own bug and halts the node before the
signature exists.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.blocks import Commit, Prepare
from tallynet.codec import decode
from tallynet.errors import invariant
from tallynet.hashing import signed_bytes
from tallynet.messages import DOMAINS, NewView, SignedKind, ViewChange

_REGISTER_MAX: Final = 4_096
"""Votes remembered here. Only heights in the window (<= 16) in the current view can still be signed
again; the rest is kept a while because it costs nothing."""


class Signer:
    """Signs bodies for this validator; see the module for what it refuses."""

    def __init__(self, key: Ed25519PrivateKey, genesis: bytes) -> None:
        self._key: Final = key
        self._genesis: Final = genesis
        self.public_key: Final = key.public_key().public_bytes_raw()
        self._signed: dict[tuple[int, int, int, int], bytes] = {}
        """(kind, epoch, view, height) -> hash of the body; height 0 for a ViewChange or NewView."""
        self._left: tuple[int, int] = (0, 0)
        """(epoch, view) below which nothing is signed."""

    def sign(self, kind: SignedKind, body: bytes) -> bytes:
        """Signature over `body` in the domain of `kind`. Halts the node on a contradiction."""
        place = _place(kind, body)
        if place is not None:
            epoch, view, height = place
            invariant((epoch, view) >= self._left, "INV-3 a signature for a view that was left")
            digest = sha256(body).digest()
            signed = self._signed.setdefault((int(kind), epoch, view, height), digest)
            invariant(signed == digest, "INV-3 two bodies for one place")
            if len(self._signed) > _REGISTER_MAX:
                del self._signed[next(iter(self._signed))]
            if height == 0:
                self._left = (epoch, view)
        return self._key.sign(signed_bytes(DOMAINS[kind], self._genesis, body))


def _place(kind: SignedKind, body: bytes) -> tuple[int, int, int] | None:
    """(epoch, view, height) that is signed for once; None for what may be said again and again."""
    if kind is SignedKind.PREPARE:
        prepare = decode(Prepare, body)
        return prepare.epoch, prepare.view, prepare.height
    if kind is SignedKind.COMMIT:
        commit = decode(Commit, body)
        return commit.epoch, commit.view, commit.height
    if kind is SignedKind.VIEW_CHANGE:
        change = decode(ViewChange, body)
        return change.epoch, change.to_view, 0
    if kind is SignedKind.NEW_VIEW:
        new_view = decode(NewView, body)
        return new_view.epoch, new_view.view, 0
    return None
