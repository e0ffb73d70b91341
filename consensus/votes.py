"""Votes: checking their signatures once, counting them, turning q of them into a certificate.

A vote counts for its whole signed body (A17), once per validator index (A15), verified before it
is stored, and the first valid vote of a signer stays (A16).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from tallynet.blocks import Certificate, Commit, Prepare, verify_commit, verify_prepared
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError, invariant
from tallynet.messages import DOMAINS, Signed, SignedKind

K = TypeVar("K")
V = TypeVar("V")

Verify = Callable[[bytes, bytes, bytes, bytes], bool]
"""(kind, body, public key, signature) -> valid."""
Sign = Callable[[SignedKind, bytes], bytes]
"""(kind, body) -> own signature."""


CommitKeys = Callable[[Commit], tuple[bytes, ...] | None]
"""Public keys of those who vote on the place of a Commit; None: it counts nothing."""


class Recent(Generic[K, V]):
    """A bounded memory in two generations: at most 2 x `size` entries, O(1), never a sweep."""

    __slots__ = ("_new", "_old", "_size")

    def __init__(self, size: int) -> None:
        self._size: Final = size
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        found = self._new.get(key)
        return self._old.get(key) if found is None else found

    def put(self, key: K, value: V) -> None:
        if len(self._new) >= self._size:
            self._old, self._new = self._new, {}
        self._new[key] = value


class Verifier:
    """Checks signatures and certificates; a signature once found good is not checked again."""

    __slots__ = ("_commit_keys", "_decoded", "_genesis", "_good", "_validators", "_verify")

    def __init__(
        self,
        verify: Verify,
        genesis: bytes,
        validators: tuple[bytes, ...],
        remembered_max: int,
        commit_keys: CommitKeys | None = None,
    ) -> None:
        """`commit_keys` says whose certificate a Commit must be under; None: always of `validators`."""
        self._commit_keys: Final = commit_keys
        self._verify: Final = verify
        self._genesis: Final = genesis
        self._validators: Final = validators
        self._good: Final[Recent[bytes, tuple[bytes, bytes, bytes]]] = Recent(remembered_max)
        self._decoded: Final[Recent[tuple[int, bytes], Prepare | Commit]] = Recent(256)

    def signed(self, message: Signed) -> bool:
        """True iff the named validator signed this body as a message of this kind."""
        if message.signer >= len(self._validators):
            return False
        key = self._validators[message.signer]
        return self._good_signature(DOMAINS[message.kind], message.body, key, message.signature)

    def remember(self, message: Signed) -> None:
        """Note an own signature, so that it is not verified when it comes back."""
        key = self._validators[message.signer]
        self._good.put(message.signature, (DOMAINS[message.kind], key, message.body))

    def prepared(self, certificate: Certificate) -> Prepare:
        """The Prepare that q validators signed. Raises RemoteProtocolError BAD_CERTIFICATE."""
        return verify_prepared(certificate, self._genesis, self._validators, self.check)

    def committed(self, certificate: Certificate) -> Commit:
        """The Commit that q validators of its epoch signed. Raises RemoteProtocolError BAD_CERTIFICATE."""
        keys: tuple[bytes, ...] | None = self._validators
        if self._commit_keys is not None:
            keys = self._commit_keys(decode(Commit, certificate.vote))
        if keys is None:
            raise RemoteProtocolError("BAD_CERTIFICATE", "of an epoch before this validator set's")
        return verify_commit(certificate, self._genesis, keys, self.check)

    def vote(self, kind: SignedKind, body: bytes) -> Prepare | Commit:
        """Decode a vote; equal bodies, which is what a quorum consists of, are decoded once."""
        found = self._decoded.get((kind, body))
        if found is None:
            found = decode(Prepare, body) if kind == SignedKind.PREPARE else decode(Commit, body)
            self._decoded.put((kind, body), found)
        return found

    def _good_signature(self, domain: bytes, body: bytes, key: bytes, signature: bytes) -> bool:
        if self._good.get(signature) == (domain, key, body):
            return True
        if not self._verify(domain, body, key, signature):
            return False
        self._good.put(signature, (domain, key, body))
        return True

    def check(
        self, domain: bytes, genesis: bytes, body: bytes, key: bytes, signature: bytes
    ) -> bool:
        """A `SignatureCheck` that remembers what was good."""
        return genesis == self._genesis and self._good_signature(domain, body, key, signature)


class Tally:
    """Verified votes of one phase at one (epoch, view, height)."""

    __slots__ = ("_by_body", "_by_signer")

    def __init__(self) -> None:
        self._by_signer: Final[dict[int, Signed]] = {}
        self._by_body: Final[dict[bytes, dict[int, bytes]]] = {}

    def of(self, signer: int) -> Signed | None:
        """The vote that counts for `signer`."""
        return self._by_signer.get(signer)

    def add(self, vote: Signed) -> Signed | None:
        """Count a verified vote. Returns the signer's earlier vote when that says otherwise: the
        two together are evidence, and the first stays."""
        earlier = self._by_signer.get(vote.signer)
        if earlier is not None:
            return None if earlier.body == vote.body else earlier
        self._by_signer[vote.signer] = vote
        self._by_body.setdefault(vote.body, {})[vote.signer] = vote.signature
        return None

    def count(self, body: bytes) -> int:
        """How many validators signed exactly this body."""
        votes = self._by_body.get(body)
        return 0 if votes is None else len(votes)

    def bodies(self) -> list[bytes]:
        """Every body voted for, first seen first."""
        return list(self._by_body)

    def signed(self, body: bytes) -> list[Signed]:
        """The votes for exactly this body, by signer."""
        return [self._by_signer[signer] for signer in sorted(self._by_body.get(body, ()))]

    def signers(self) -> list[int]:
        """Who has voted, ascending."""
        return sorted(self._by_signer)

    def certificate(self, body: bytes, quorum: int) -> Certificate:
        """All votes for `body` as a certificate: verified, of distinct signers, at least a quorum."""
        votes = sorted(self._by_body.get(body, {}).items())
        invariant(len(votes) >= quorum, "INV-9 certificate without a quorum")
        return Certificate(body, tuple(i for i, _ in votes), tuple(s for _, s in votes))
