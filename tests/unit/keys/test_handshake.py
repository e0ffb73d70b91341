"""Hello: bound to this server and this connection, and every refusal has its code (E7, D2)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.handshake import (
    NODE_PACKAGES,
    DiallerHandshake,
    HandshakeRefused,
    ServerHandshake,
    same_software,
    software_fingerprint,
)
from tallynet.hashing import signed_bytes
from tallynet.limits import HANDSHAKE_FRAME_BYTES_MAX
from tallynet.messages import Challenge, Goodbye, Hello, HelloBody, PeerRole, Welcome
from tallynet.signatures import KIND_ENVELOPE, KIND_HELLO

GENESIS = b"g" * 32
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes((i,)) * 32) for i in range(5)]
PUBLIC = tuple(key.public_key().public_bytes_raw() for key in KEYS[:4])
SOFTWARE = "python=3.11.7 cbor2=6.3.0"


def server(software: str = SOFTWARE) -> ServerHandshake:
    return ServerHandshake(genesis=GENESIS, own_key=PUBLIC[0], validators=PUBLIC, software=software)


def dialler(
    key: int = 1,
    role: PeerRole = PeerRole.VALIDATOR,
    *,
    genesis: bytes = GENESIS,
    software: str = SOFTWARE,
) -> DiallerHandshake:
    return DiallerHandshake(
        genesis=genesis, role=role, key=KEYS[key], server_key=PUBLIC[0], software=software
    )


def hello(
    body: HelloBody, key: int = 1, *, kind: bytes = KIND_HELLO, genesis: bytes = GENESIS
) -> bytes:
    encoded = encode(body)
    return encode(Hello(encoded, KEYS[key].sign(signed_bytes(kind, genesis, encoded))))


def body(side: ServerHandshake, **changes: object) -> HelloBody:
    nonce = decode(Challenge, side.challenge).nonce
    fields = {
        "role": PeerRole.VALIDATOR, "server_key": PUBLIC[0], "server_nonce": nonce,
        "key": PUBLIC[1], "software": SOFTWARE,
    }  # fmt: skip
    return HelloBody(**fields | changes)  # type: ignore[arg-type]


def refusal(side: ServerHandshake, message: bytes) -> str:
    with pytest.raises(HandshakeRefused) as caught:
        side.receive(message)
    return caught.value.code


def test_a_validator_is_recognised_by_its_key() -> None:
    for key in (1, 2, 3):
        side, other = server(), dialler(key)
        answer = other.receive(side.challenge)
        assert answer is not None
        accepted = side.receive(answer)
        assert (accepted.role, accepted.key, accepted.index) == (
            PeerRole.VALIDATOR, PUBLIC[key], key,
        )  # fmt: skip
        assert other.receive(encode(Welcome(42))) is None
        assert other.height == 42


def test_a_client_is_whoever_it_proves_to_be() -> None:
    side = server()
    answer = dialler(4, PeerRole.CLIENT, software="another=1").receive(side.challenge)
    assert answer is not None
    accepted = side.receive(answer)
    assert (accepted.role, accepted.index) == (PeerRole.CLIENT, None)
    assert accepted.key == KEYS[4].public_key().public_bytes_raw()


def test_our_own_hello_passes_which_makes_the_refusals_below_mean_something() -> None:
    side = server()
    assert side.receive(hello(body(side))).index == 1


def test_every_field_of_the_hello_is_bound() -> None:
    side = server()
    assert refusal(side, hello(body(side, server_key=PUBLIC[2]))) == "HELLO_INVALID"
    assert refusal(side, hello(body(side, server_nonce=bytes(32)))) == "HELLO_INVALID"
    assert refusal(side, hello(body(side, key=PUBLIC[2]))) == "HELLO_INVALID"
    assert refusal(side, hello(body(side), key=2)) == "HELLO_INVALID"
    assert refusal(side, hello(body(side), kind=KIND_ENVELOPE)) == "HELLO_INVALID"
    assert refusal(side, hello(body(side), genesis=b"h" * 32)) == "HELLO_INVALID"
    assert refusal(side, hello(body(side, key=b"\1" + bytes(31)))) == "HELLO_INVALID"


def test_a_hello_for_an_earlier_connection_is_refused() -> None:
    earlier = server()
    answer = dialler().receive(earlier.challenge)
    assert answer is not None
    assert refusal(server(), answer) == "HELLO_INVALID"


def test_a_stranger_cannot_be_a_validator_nor_can_we_dial_ourselves() -> None:
    side = server()
    stranger = KEYS[4].public_key().public_bytes_raw()
    assert refusal(side, hello(body(side, key=stranger), key=4)) == "PEER_UNKNOWN"
    assert refusal(side, hello(body(side, key=PUBLIC[0]), key=0)) == "PEER_WRONG_KEY"


def test_another_network_is_noticed_by_the_dialler() -> None:
    with pytest.raises(HandshakeRefused, match="compare the genesis") as caught:
        dialler(genesis=b"h" * 32).receive(server().challenge)
    assert caught.value.code == "NETWORK_MISMATCH"


def test_another_protocol_version_is_noticed_by_the_dialler() -> None:
    challenge = Challenge(2, GENESIS, bytes(32), SOFTWARE)
    with pytest.raises(HandshakeRefused) as caught:
        dialler().receive(encode(challenge))
    assert caught.value.code == "PROTOCOL_MISMATCH"


@pytest.mark.parametrize(
    ("theirs", "same"),
    [
        ("python=3.11.7 cbor2=6.3.0", True),
        ("python=3.11.99 cbor2=6.3.1", True),
        ("python=3.12.7 cbor2=6.3.0", False),
        ("python=3.11.7 cbor2=6.4.0", False),
        ("python=3.11.7 cbor2=7.3.0", False),
        ("python=3.11.7", False),
        ("python=3.11.7 cbor2=6.3.0 lmdb=1.0", False),
        ("", False),
        ("= = =", False),
    ],
)
def test_validators_run_the_same_major_and_minor_versions(theirs: str, same: bool) -> None:
    assert same_software(theirs, SOFTWARE) == same
    side = server()
    message = hello(body(side, software=theirs))
    if same:
        assert side.receive(message).software == theirs
    else:
        assert refusal(side, message) == "SOFTWARE_MISMATCH"
        with pytest.raises(HandshakeRefused) as caught:
            dialler().receive(server(theirs).challenge)
        assert caught.value.code == "SOFTWARE_MISMATCH"


def test_the_fingerprint_names_what_execution_depends_on_and_fits_its_field() -> None:
    fingerprint = software_fingerprint()
    assert len(fingerprint) <= 200
    for name in ("python", *NODE_PACKAGES):
        assert f"{name}=" in fingerprint
    assert same_software(fingerprint, fingerprint)
    assert "none" not in fingerprint
    assert software_fingerprint(("no-such-package",)).endswith("no-such-package=none")


@pytest.mark.parametrize("stage", ["challenge", "welcome"])
def test_a_goodbye_carries_the_reason_to_the_other_side(stage: str) -> None:
    other = dialler()
    if stage == "welcome":
        other.receive(server().challenge)
    with pytest.raises(HandshakeRefused, match="no place") as caught:
        other.receive(encode(Goodbye("BUSY", "no place")))
    assert caught.value.code == "BUSY"
    assert refusal(server(), encode(Goodbye("BUSY", "leaving"))) == "BUSY"


@given(st.binary(max_size=300))
def test_any_bytes_in_place_of_a_message_are_refused(data: bytes) -> None:
    for receive in (server().receive, dialler().receive, _greeted().receive):
        with pytest.raises(RemoteProtocolError):
            receive(data)


def _greeted() -> DiallerHandshake:
    other = dialler()
    other.receive(server().challenge)
    return other


def test_messages_of_another_stage_are_refused() -> None:
    for message in (encode(Welcome(1)), server().challenge):
        with pytest.raises(RemoteProtocolError):
            server().receive(message)
    with pytest.raises(RemoteProtocolError):
        dialler().receive(encode(Welcome(1)))
    with pytest.raises(RemoteProtocolError):
        _greeted().receive(server().challenge)


def test_every_handshake_message_fits_the_frame_for_strangers() -> None:
    long = "x" * 200
    side = server(long)
    answer = dialler(role=PeerRole.CLIENT, software=long).receive(side.challenge)
    farewell = encode(Goodbye("C" * 32, "界" * 400))
    for message in (side.challenge, answer, farewell, encode(Welcome(2**63 - 1))):
        assert message is not None
        assert len(message) <= HANDSHAKE_FRAME_BYTES_MAX
