"""Who this node is on the network, and what it opens connections with."""

from __future__ import annotations

import ssl
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.handshake import DiallerHandshake, ServerHandshake, software_fingerprint
from tallynet.messages import PeerRole
from tallynet.signatures import key_is_sound
from tallynet.tls import dialler_context, server_context

__all__ = ["NodeIdentity"]


class NodeIdentity:
    """Key, network and validator set of a node; shared by its listener and its mesh."""

    __slots__ = (
        "_key", "client_context", "genesis", "index", "public_key", "role", "server_context", "software",
        "validators",
    )  # fmt: skip

    def __init__(
        self,
        *,
        genesis: bytes,
        key: Ed25519PrivateKey,
        validators: tuple[bytes, ...],
        software: str | None = None,
        role: PeerRole = PeerRole.VALIDATOR,
    ) -> None:
        """`genesis` is the genesis hash, `validators` the public keys in order of index. An observer has two
        of these: one without validators for its listener, and one with its `role` and the keys of the nodes
        that it follows, by number, for its mesh.

        Raises:
            ValueError: a weak or repeated key in the set (C1).
        """
        if len(set(validators)) != len(validators) or not all(map(key_is_sound, validators)):
            raise ValueError("the validator set holds a weak or repeated key")
        self._key: Final = key
        self.role: Final = role
        self.genesis: Final = genesis
        self.public_key: Final = key.public_key().public_bytes_raw()
        self.validators: Final = validators
        self.index: Final = (
            validators.index(self.public_key) if self.public_key in validators else None
        )
        """Own validator index; None: this node does not validate and dials nobody as one."""
        self.software: Final = software_fingerprint() if software is None else software
        self.server_context: Final[ssl.SSLContext] = server_context(key)
        self.client_context: Final[ssl.SSLContext] = dialler_context()

    def as_server(self) -> ServerHandshake:
        """For one accepted connection."""
        return ServerHandshake(
            genesis=self.genesis,
            own_key=self.public_key,
            validators=self.validators,
            software=self.software,
        )

    def as_dialler(self, index: int) -> DiallerHandshake:
        """For one connection to the validator `index`, or the node of this number."""
        return DiallerHandshake(
            genesis=self.genesis,
            role=self.role,
            key=self._key,
            server_key=self.validators[index],
            software=self.software,
        )
