"""One verifier with specified behaviour, and the key check beside it (C1, C2, C3)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tallynet import signatures
from tallynet.errors import InvariantViolated
from tallynet.hashing import signed_bytes
from tallynet.signatures import key_is_sound, self_test, verify, verify_kind

FIELD_PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
KINDS = tuple(getattr(signatures, name) for name in signatures.__all__ if name.startswith("KIND_"))

SPECCHECK = """
8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a
0000000000000000000000000000000000000000000000000000000000000000

9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa
f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43
a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04

aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab
f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43
c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa
8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e

9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79
cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d
9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f
87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009

e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c
cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d
160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512
5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09

e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c
cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d
21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7
e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405

85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40
442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623
e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e
547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514

85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40
442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623
8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942
7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22

9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41
f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f

9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41
f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908

e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc
a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04

39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f
ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc
a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04
""".split()  # noqa: SIM905 - one value a line reads better than 48 quoted ones
"""Per case message, public key and both halves of the signature, in hex: the published edge cases of
"Taming the many EdDSAs" (2020), github.com/novifinancial/ed25519-speccheck, cases.json."""
ACCEPTED = {2, 3, 4, 5, 9}
"""The rule (reliability C1): key check and ZIP-215 together accept these and refuse the rest."""


def _small_order_encodings() -> list[bytes]:
    """All encodings of points of order 1, 2, 4 and 8, computed from the curve equation."""
    d = -121665 * pow(121666, -1, FIELD_PRIME) % FIELD_PRIME
    # y of order 8 solves d·y^4 + 2·y^2 - 1 = 0, from 2·x·y = ... of doubling onto (±i, 0).
    ys = {0, 1, FIELD_PRIME - 1}
    root = _square_root((1 + d) % FIELD_PRIME)
    for sign in (root, -root):
        square = (sign - 1) * pow(d, -1, FIELD_PRIME) % FIELD_PRIME
        y = _square_root(square)
        if y is not None:
            ys |= {y, FIELD_PRIME - y}
    encodings = []
    for y in sorted(ys):
        for value in (y, y + FIELD_PRIME):
            if value < 2**255:
                encodings += [
                    value.to_bytes(32, "little"),
                    (value | 1 << 255).to_bytes(32, "little"),
                ]
    return encodings


def _square_root(a: int | None) -> int | None:
    if a is None:
        return None
    root = pow(a, (FIELD_PRIME + 3) // 8, FIELD_PRIME)
    if root * root % FIELD_PRIME != a % FIELD_PRIME:
        root = root * pow(2, (FIELD_PRIME - 1) // 4, FIELD_PRIME) % FIELD_PRIME
    return root if root * root % FIELD_PRIME == a % FIELD_PRIME else None


SMALL_ORDER = _small_order_encodings()


@pytest.mark.parametrize("case", range(12))
def test_the_twelve_published_edge_cases(case: int) -> None:
    message, key, r, s = (bytes.fromhex(text) for text in SPECCHECK[4 * case : 4 * case + 4])
    accepted = key_is_sound(key) and verify(key, message, r + s)
    assert accepted == (case in ACCEPTED)


def test_there_are_fourteen_small_order_encodings() -> None:
    assert len(SMALL_ORDER) == 14


@pytest.mark.parametrize("key", SMALL_ORDER, ids=lambda key: key.hex()[:8] + key.hex()[-2:])
def test_a_small_order_key_signs_everything_and_is_therefore_refused_as_a_key(key: bytes) -> None:
    universal = b"\x01" + bytes(63)
    forged = any(
        verify(key, message, signature)
        for message in (bytes([i]) for i in range(64))
        for signature in (universal, key + bytes(32))
    )
    assert forged, "the verifier accepts it, which is why the key check exists"
    assert not key_is_sound(key)


def test_non_canonical_keys_are_refused() -> None:
    for y in range(FIELD_PRIME, 2**255):
        assert not key_is_sound(y.to_bytes(32, "little"))
        assert not key_is_sound((y | 1 << 255).to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_keys_have_32_bytes(size: int) -> None:
    assert not key_is_sound(b"\x02" * size)


@given(st.binary(min_size=32, max_size=32))
def test_keys_that_people_make_are_sound(seed: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert key_is_sound(key)


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_verifying_is_total(key: bytes, message: bytes, signature: bytes) -> None:
    assert verify(key, message, signature) in (True, False)


@given(st.binary(max_size=60), st.integers(0, 511))
def test_a_flipped_bit_in_the_signature_is_noticed(message: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert verify(public, message, signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not verify(public, message, bytes(flipped))


def test_a_scalar_that_is_not_reduced_is_refused() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"m")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify(public, b"m", signature[:32] + scalar.to_bytes(32, "little"))


def test_no_signature_fits_another_kind_network_or_body() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    public = key.public_key().public_bytes_raw()
    networks, bodies = (b"a" * 32, b"b" * 32), (b"", b"body")
    places = [(k, n, b) for k in KINDS for n in networks for b in bodies]
    for kind, network, body in places:
        signature = key.sign(signed_bytes(kind, network, body))
        fits = [p for p in places if verify_kind(*p, public, signature)]
        assert fits == [(kind, network, body)]


def test_signed_bytes_split_in_one_way_only() -> None:
    assert len(KINDS) == len(set(KINDS)) == 10
    assert {len(kind) for kind in KINDS} == {8}


def test_the_self_test_passes_here_and_halts_a_verifier_that_follows_other_rules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    self_test()
    for other in (lambda *_: True, lambda *_: False):
        monkeypatch.setattr(signatures, "verify", other)
        with pytest.raises(InvariantViolated, match="SELF_TEST"):
            self_test()
    monkeypatch.undo()
    monkeypatch.setattr(signatures, "key_is_sound", lambda _key: True)
    with pytest.raises(InvariantViolated, match="SELF_TEST"):
        self_test()
