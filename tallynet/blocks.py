"""Headers, votes and certificates: what proves a block final and a state root true.

A Commit vote signs block hash, state root and receipts root. One certificate of q equal Commits is
therefore commit proof, checkpoint, finality proof and proof of the state at once (design §5).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta

from tallynet.codec import Wire, decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.fields import Epoch, Hash, Height, Milliseconds, PublicKey, Signature, Small, View
from tallynet.hashing import block_hash
from tallynet.signatures import KIND_COMMIT, KIND_PREPARE, verify_kind

PROTOCOL_VERSION: Final = 1
VALIDATORS_MAX: Final = 100


def faulty_max(n: int) -> int:
    """f: how many of n validators may be faulty."""
    return (n - 1) // 3


def quorum(n: int) -> int:
    """q = ceil((n + f + 1) / 2): two quorums share a correct validator (A14)."""
    return (n + faulty_max(n) + 2) // 2


class Header(Wire):
    """Block header. It carries no view: a block proposed again keeps its hash (protocol §5.3)."""

    genesis: Hash
    version: Small
    epoch: Epoch
    height: Height
    parent: Hash
    """Hash of the header before; the genesis hash at height 1."""
    envelopes_root: Hash
    """List root over the envelope hashes."""
    time_ms: Milliseconds
    """Proposer's unix time, at least parent + 1."""
    proposer: Small
    """Validator index of the first proposer."""
    next_validators: Hash
    """Hash of the next epoch's validator set in an epoch's last block, else of the current."""


class Prepare(Wire):
    """Vote that this block was accepted at (epoch, view, height)."""

    epoch: Epoch
    view: View
    height: Height
    block: Hash


class Commit(Wire):
    """Vote that the block is prepared and that executing it gives these roots."""

    epoch: Epoch
    view: View
    height: Height
    block: Hash
    state_root: Hash
    receipts_root: Hash


class Certificate(Wire):
    """q signatures of distinct validators over one identical vote body (INV-9)."""

    vote: bytes
    """The encoded `Prepare` or `Commit`."""
    signers: tuple[Small, ...]
    """Validator indices, strictly ascending."""
    signatures: Annotated[tuple[Signature, ...], Meta(max_length=VALIDATORS_MAX)]


SignatureCheck = Callable[[bytes, bytes, bytes, bytes, bytes], bool]
"""(kind, genesis, body, public key, signature) -> valid; `verify_kind`, or one that remembers."""


def verify_prepared(
    certificate: Certificate,
    genesis: bytes,
    validators: tuple[PublicKey, ...],
    check: SignatureCheck = verify_kind,
) -> Prepare:
    """The vote that a prepared certificate proves. Raises RemoteProtocolError BAD_CERTIFICATE."""
    _check_quorum(certificate, KIND_PREPARE, genesis, validators, check)
    return decode(Prepare, certificate.vote)


def verify_commit(
    certificate: Certificate,
    genesis: bytes,
    validators: tuple[PublicKey, ...],
    check: SignatureCheck = verify_kind,
) -> Commit:
    """The vote that a commit certificate proves: live path, catch-up, recovery and clients alike.

    Raises:
        RemoteProtocolError: BAD_CERTIFICATE, the text says why.
    """
    _check_quorum(certificate, KIND_COMMIT, genesis, validators, check)
    return decode(Commit, certificate.vote)


def _check_quorum(
    certificate: Certificate,
    kind: bytes,
    genesis: bytes,
    validators: tuple[PublicKey, ...],
    check: SignatureCheck,
) -> None:
    signers, n = certificate.signers, len(validators)
    if len(signers) != len(certificate.signatures):
        raise RemoteProtocolError("BAD_CERTIFICATE", "signers and signatures differ in number")
    if any(a >= b for a, b in pairwise(signers)) or (signers and signers[-1] >= n):
        raise RemoteProtocolError("BAD_CERTIFICATE", "signers are not distinct validators in order")
    if len(signers) < quorum(n):
        raise RemoteProtocolError("BAD_CERTIFICATE", f"{len(signers)} signers, need {quorum(n)}")
    for signer, signature in zip(signers, certificate.signatures, strict=True):
        if not check(kind, genesis, certificate.vote, validators[signer], signature):
            raise RemoteProtocolError("BAD_CERTIFICATE", f"signature of validator {signer} is bad")


def header_hash(header: Header) -> bytes:
    """Block hash of a header value (encodes it; prefer hashing the bytes at hand)."""
    return block_hash(encode(header))
