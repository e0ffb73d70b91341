"""The first messages of a connection: who speaks, on which network, with which software.

Theory of operation. TLS 1.3 has already shown the server's key to the dialler, who compared it with
the one it wants (tallynet/tls.py). Then, one message each, nobody speaking out of turn:

    server   Challenge   genesis hash, fresh nonce, software fingerprint
    dialler  Hello       signed: role, server key, nonce, own key, software fingerprint
    server   Welcome     the connection is open; or Goodbye with the reason, and the end

The signature binds the dialler's key to this server and this nonce, so that a hello can be neither
replayed nor relayed (E7). Sans-I/O: both sides are objects that turn messages into messages.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from os import urandom
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.blocks import PROTOCOL_VERSION
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import signed_bytes
from tallynet.messages import Challenge, Goodbye, Hello, HelloBody, PeerRole, Welcome
from tallynet.signatures import KIND_HELLO, key_is_sound, verify_kind

__all__ = [
    "Accepted", "DiallerHandshake", "HandshakeRefused", "NODE_PACKAGES", "ServerHandshake",
    "same_software", "software_fingerprint",
]  # fmt: skip

NODE_PACKAGES: Final = ("cbor2", "cryptography", "lmdb", "msgspec", "py-ed25519-zebra-bindings")
"""What two validators must have in the same major.minor version, because execution depends on it."""
_HelloOrGoodbye = Hello | Goodbye
_ChallengeOrGoodbye = Challenge | Goodbye
_WelcomeOrGoodbye = Welcome | Goodbye
CLIENT_PACKAGES: Final = ("cbor2", "cryptography", "msgspec", "py-ed25519-zebra-bindings")


class HandshakeRefused(RemoteProtocolError):
    """The connection ends before it began. Codes: NETWORK_MISMATCH, PROTOCOL_MISMATCH,
    SOFTWARE_MISMATCH, PEER_UNKNOWN, PEER_WRONG_KEY, CLIENT_UNKNOWN, HELLO_INVALID, BUSY, BANNED."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Who is on the other end of a connection that the server accepted."""

    role: PeerRole
    key: bytes
    """Ed25519 public key, proven."""
    index: int | None
    """Validator index; None for clients and observers."""
    software: str


def software_fingerprint(packages: Sequence[str] = NODE_PACKAGES) -> str:
    """Versions that results may depend on, e.g. `python=3.11.7 cbor2=6.3.0 ...` (D2)."""
    return " ".join(
        (
            f"python={platform.python_version()}",
            *(f"{name}={_version(name)}" for name in packages),
        )
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def same_software(a: str, b: str) -> bool:
    """True iff both fingerprints name the same packages in the same major.minor versions."""
    return _major_minor(a) == _major_minor(b)


def _major_minor(fingerprint: str) -> list[tuple[str, ...]]:
    pairs = (part.partition("=") for part in fingerprint.split(" "))
    return [(name, *version.split(".")[:2]) for name, _, version in pairs]


class ServerHandshake:
    """The accepting side. Send `challenge`, then give `receive` the first message."""

    __slots__ = ("_challenge", "_own_key", "_validators", "challenge")

    def __init__(
        self, *, genesis: bytes, own_key: bytes, validators: tuple[bytes, ...], software: str
    ) -> None:
        """`validators` are the public keys in order of index; `own_key` is the server's."""
        self._challenge: Final = Challenge(PROTOCOL_VERSION, genesis, urandom(32), software)
        self._own_key: Final = own_key
        self._validators: Final = validators
        self.challenge: Final = encode(self._challenge)

    def receive(self, message: bytes) -> Accepted:
        """Who the dialler is.

        Raises:
            RemoteProtocolError: HandshakeRefused, or what the decoder says; say `Goodbye` with it.
        """
        hello: Hello | Goodbye = decode(_HelloOrGoodbye, message)
        if isinstance(hello, Goodbye):
            raise HandshakeRefused(hello.code, hello.reason)
        body = decode(HelloBody, hello.body)
        challenge = self._challenge
        if body.server_key != self._own_key or body.server_nonce != challenge.nonce:
            raise HandshakeRefused("HELLO_INVALID", "the hello is for another server or connection")
        if not key_is_sound(body.key):
            raise HandshakeRefused("HELLO_INVALID", "the key is weak")
        if not verify_kind(KIND_HELLO, challenge.genesis, hello.body, body.key, hello.signature):
            raise HandshakeRefused(
                "HELLO_INVALID", "the signature does not fit the key, or is for another network"
            )
        if body.role is PeerRole.CLIENT:
            return Accepted(body.role, body.key, None, body.software)
        votes = body.role is PeerRole.VALIDATOR
        if votes and body.key not in self._validators:
            raise HandshakeRefused("PEER_UNKNOWN", "this key is not in the validator set")
        if body.key == self._own_key:
            raise HandshakeRefused(
                "PEER_WRONG_KEY", "this is the server's own key; two nodes use it"
            )
        if not same_software(body.software, challenge.software):
            raise _software(body.software, challenge.software)
        index = self._validators.index(body.key) if votes else None
        return Accepted(body.role, body.key, index, body.software)


class DiallerHandshake:
    """The dialling side. Give `receive` each message until it returns None: the door is open."""

    __slots__ = ("_answered", "_genesis", "_key", "_role", "_server_key", "_software", "height")

    def __init__(
        self,
        *,
        genesis: bytes,
        role: PeerRole,
        key: Ed25519PrivateKey,
        server_key: bytes,
        software: str,
    ) -> None:
        """`server_key` is the key that TLS proved and `check_pin` compared."""
        self._genesis: Final = genesis
        self._role: Final = role
        self._key: Final = key
        self._server_key: Final = server_key
        self._software: Final = software
        self._answered = False
        self.height = 0
        """Committed height the server claims in its Welcome."""

    def receive(self, message: bytes) -> bytes | None:
        """The message to send next, or None once the server said Welcome.

        Raises:
            RemoteProtocolError: HandshakeRefused with the server's code and reason or our own, or
                what the decoder says.
        """
        if not self._answered:
            challenge: Challenge | Goodbye = decode(_ChallengeOrGoodbye, message)
            if isinstance(challenge, Goodbye):
                raise HandshakeRefused(challenge.code, challenge.reason)
            self._answered = True
            return self._hello(challenge)
        answer: Welcome | Goodbye = decode(_WelcomeOrGoodbye, message)
        if isinstance(answer, Goodbye):
            raise HandshakeRefused(answer.code, answer.reason)
        self.height = answer.height
        return None

    def _hello(self, challenge: Challenge) -> bytes:
        if challenge.version != PROTOCOL_VERSION:
            raise HandshakeRefused(
                "PROTOCOL_MISMATCH",
                f"the server speaks version {challenge.version}, we speak {PROTOCOL_VERSION}",
            )
        if challenge.genesis != self._genesis:
            raise HandshakeRefused(
                "NETWORK_MISMATCH",
                f"the server belongs to the network {challenge.genesis.hex()[:16]},"
                f" we to {self._genesis.hex()[:16]}; compare the genesis files",
            )
        if self._role is not PeerRole.CLIENT and not same_software(
            challenge.software, self._software
        ):
            raise _software(challenge.software, self._software)
        public = self._key.public_key().public_bytes_raw()
        body = encode(
            HelloBody(self._role, self._server_key, challenge.nonce, public, self._software)
        )
        return encode(Hello(body, self._key.sign(signed_bytes(KIND_HELLO, self._genesis, body))))


def _software(theirs: str, ours: str) -> HandshakeRefused:
    return HandshakeRefused(
        "SOFTWARE_MISMATCH",
        f"nodes must run the same major.minor versions (D2); theirs: {theirs}; ours: {ours}",
    )
