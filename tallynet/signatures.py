"""Ed25519 for the whole network: the one function that verifies, the check of public keys, domains.

Verification is ZIP-215 through ed25519_zebra: validity is specified, which consensus needs. Every
verifier accepts small-order keys, under which constant signatures match any message, so keys are
checked when they enter a validator set or the state (reliability C1).
"""

from __future__ import annotations

from typing import Final

from ed25519_zebra import ed_verify

from tallynet.errors import invariant
from tallynet.hashing import signed_bytes

__all__ = [
    "KIND_COMMIT", "KIND_COMPLAINT", "KIND_ENVELOPE", "KIND_HELLO",
    "KIND_NEW_VIEW", "KIND_PREPARE", "KIND_READY", "KIND_REGISTER", "KIND_STATUS", "KIND_VIEW_CHANGE",
    "key_is_sound", "self_test", "verify", "verify_kind",
]  # fmt: skip

# All eight bytes long, so that `prefix ‖ kind ‖ genesis ‖ body` splits in one way only (C3).
KIND_ENVELOPE: Final = b"envelope"
KIND_REGISTER: Final = b"register"
KIND_READY: Final = b"ready---"
KIND_HELLO: Final = b"hello---"
KIND_PREPARE: Final = b"prepare-"
KIND_COMMIT: Final = b"commit--"
KIND_COMPLAINT: Final = b"complain"
KIND_VIEW_CHANGE: Final = b"viewchng"
KIND_NEW_VIEW: Final = b"new-view"
KIND_STATUS: Final = b"status--"

_FIELD_PRIME: Final = 2**255 - 19
_ORDER_EIGHT_Y: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_ORDER_Y: Final = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        _ORDER_EIGHT_Y,
        _FIELD_PRIME - _ORDER_EIGHT_Y,
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


_RFC8032_KEY: Final = bytes.fromhex(
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
)
_RFC8032_SIGNATURE: Final = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)
"""RFC 8032 section 7.1, test 1: the empty message."""
_TORSION_KEY: Final = b"\x01" + bytes(31)
_TORSION_SIGNATURE: Final = b"\x01" + bytes(63)
"""Valid for every message under ZIP-215: what `key_is_sound` is there to keep out."""
_ORDER_EIGHT_KEY: Final = bytes.fromhex(
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"
)


def self_test() -> None:
    """Halt unless this installation's verifier follows the rules that the network agreed on."""
    invariant(verify(_RFC8032_KEY, b"", _RFC8032_SIGNATURE), "SIGNATURES_SELF_TEST valid")
    invariant(not verify(_RFC8032_KEY, b"x", _RFC8032_SIGNATURE), "SIGNATURES_SELF_TEST invalid")
    invariant(verify(_TORSION_KEY, b"x", _TORSION_SIGNATURE), "SIGNATURES_SELF_TEST zip-215")
    for key in (_TORSION_KEY, _ORDER_EIGHT_KEY, bytes(31) + b"\x80"):
        invariant(not key_is_sound(key), "SIGNATURES_SELF_TEST small order")
    invariant(key_is_sound(_RFC8032_KEY), "SIGNATURES_SELF_TEST sound key")
