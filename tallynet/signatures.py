"""Ed25519 for the whole network: the one function that verifies, the check of public keys, domains.

Verification is ZIP-215 through ed25519_zebra: validity is specified, which consensus needs. Every
verifier accepts small-order keys, under which constant signatures match any message, so keys are
checked when they enter a validator set or the state (reliability C1).
"""

from __future__ import annotations

from typing import Final

from ed25519_zebra import ed_verify

from tallynet.hashing import signed_bytes

__all__ = [
    "KIND_BLOCK_FETCH", "KIND_COMMIT", "KIND_COMPLAINT", "KIND_ENVELOPE", "KIND_HELLO",
    "KIND_NEW_VIEW", "KIND_PREPARE", "KIND_REGISTER", "KIND_STATUS", "KIND_VIEW_CHANGE",
    "key_is_sound", "verify", "verify_kind",
]  # fmt: skip

# All eight bytes long, so that `prefix ‖ kind ‖ genesis ‖ body` splits in one way only (C3).
KIND_ENVELOPE: Final = b"envelope"
KIND_REGISTER: Final = b"register"
KIND_HELLO: Final = b"hello---"
KIND_PREPARE: Final = b"prepare-"
KIND_COMMIT: Final = b"commit--"
KIND_COMPLAINT: Final = b"complain"
KIND_VIEW_CHANGE: Final = b"viewchng"
KIND_NEW_VIEW: Final = b"new-view"
KIND_STATUS: Final = b"status--"
KIND_BLOCK_FETCH: Final = b"blkfetch"

_FIELD_PRIME: Final = 2**255 - 19
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303021540,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)
"""The y coordinates of the eight points of small order. With either sign bit, and with the
non-canonical forms that the range check refuses, they are the fourteen encodings to reject."""


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """True iff `signature` by `public_key` over `message` is valid under ZIP-215. Total."""
    return bool(ed_verify(signature, message, public_key))


def verify_kind(
    kind: bytes, genesis: bytes, body: bytes, public_key: bytes, signature: bytes
) -> bool:
    """True iff `signature` covers `body` as a message of `kind` on the network `genesis`."""
    return verify(public_key, signed_bytes(kind, genesis, body), signature)


def key_is_sound(public_key: bytes) -> bool:
    """True iff 32 bytes, canonical (y < 2^255 - 19) and not of small order (KEY_WEAK otherwise)."""
    if len(public_key) != 32:
        return False
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    return y < _FIELD_PRIME and y not in _SMALL_ORDER_Y
