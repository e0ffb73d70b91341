"""The validator sets of a network, from the genesis on: who votes in which epoch, and how one knows.

Theory of operation. The last header of an epoch names the set of the next one by its hash, and its commit
certificate is by the set of its own epoch. So a change of the set proves itself to whoever knows the set
before it: header, certificate and the new set in full are a `Handover`. The genesis file names the
first set; `Succession` follows the hand-overs from there, one after the other, and skips none, because each
is signed by the set that the one before it made.

Epochs without a change need no hand-over. Whoever could forge a block under a set that was replaced, with
keys stolen later, could forge the ends of all the epochs since as well: walking those would prove nothing
more. What helps is to know the hand-over, after which the old set's word counts for nothing (C10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from tallynet.blocks import (
    VALIDATORS_MAX,
    Certificate,
    Commit,
    Header,
    SignatureCheck,
    verify_commit,
)  # fmt: skip
from tallynet.codec import Wire, decode
from tallynet.errors import RemoteProtocolError
from tallynet.fields import Hash
from tallynet.genesis import Genesis, genesis_hash, validators_hash
from tallynet.hashing import block_hash
from tallynet.records import Validator
from tallynet.signatures import key_is_sound, verify_kind

__all__ = ["HANDOVERS_MAX", "Handover", "Succession", "ValidatorSet", "set_fault"]

HANDOVERS_MAX: Final = 16
"""Of one message: 320 KB with a hundred validators, a part as large as one of the state."""


class Handover(Wire):
    """One change of the validator set."""

    header: bytes
    """Encoded header of the last block of an epoch; it names the hash of the new set."""
    certificate: Certificate
    """Its commit certificate, by the set before."""
    validators: Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]
    """The new set, sorted by public key."""


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Who votes, from one epoch on."""

    since: int
    """First epoch."""
    keys: tuple[bytes, ...]
    """Public keys by validator index."""
    hash: Hash
    """What the headers of its epochs hold: `tallynet.genesis.validators_hash`."""


def set_fault(validators: tuple[Validator, ...]) -> str | None:
    """Why this cannot be a validator set; None when it can (C1, INV-16)."""
    keys = [validator.public_key for validator in validators]
    if keys != sorted(set(keys)):
        return "the keys are not distinct and sorted"
    if len(keys) != 1 and len(keys) < 4:
        return f"{len(keys)} validators tolerate no fault"
    if not all(map(key_is_sound, keys)):
        return "a weak key"
    return None


class Succession:
    """Every validator set known of one network. Satisfies `tallynet.evidence.Electorate`."""

    def __init__(
        self,
        genesis: bytes,
        epoch_length: int,
        validators: tuple[Validator, ...],
        check: SignatureCheck = verify_kind,
    ) -> None:
        """The genesis hash and the first set. `check` verifies the validators' signatures (another one only
        on a simulated network)."""
        self.genesis: Final = genesis
        self.epoch_length: Final = epoch_length
        self._check: Final = check
        self._sets: Final[list[ValidatorSet]] = []
        self._validators: Final[list[tuple[Validator, ...]]] = []
        self._append(0, validators)

    @classmethod
    def of(cls, genesis: Genesis, check: SignatureCheck = verify_kind) -> Succession:
        """What the genesis file says."""
        return cls(genesis_hash(genesis), genesis.epoch_length, genesis.validators, check)

    def _append(self, since: int, validators: tuple[Validator, ...]) -> None:
        keys = tuple(validator.public_key for validator in validators)
        self._sets.append(ValidatorSet(since, keys, validators_hash(validators)))
        self._validators.append(validators)

    @property
    def keys(self) -> frozenset[bytes]:
        """Everybody who ever validated, as far as is known."""
        return frozenset(key for known in self._sets for key in known.keys)

    @property
    def count(self) -> int:
        """How many sets are known."""
        return len(self._sets)

    @property
    def newest(self) -> ValidatorSet:
        """The set that follows all others known."""
        return self._sets[-1]

    def set_of(self, epoch: int) -> ValidatorSet:
        """The set of an epoch, as far as is known."""
        return self._sets[self._number(epoch)]

    def before(self, known: ValidatorSet) -> ValidatorSet | None:
        """The set before this one; None before the first."""
        number = self._number(known.since)
        return self._sets[number - 1] if number else None

    def validators(self, epoch: int) -> tuple[Validator, ...]:
        """The same set with organisations and names."""
        return self._validators[self._number(epoch)]

    def name_of(self, key: bytes) -> str:
        """Of whoever validates or validated with this key, as far as is known; empty for others."""
        known = (v for validators in reversed(self._validators) for v in validators)
        return next((v.name for v in known if v.public_key == key), "")

    def _number(self, epoch: int) -> int:
        number = len(self._sets) - 1
        while number and self._sets[number].since > epoch:
            number -= 1
        return number

    def committed(self, certificate: Certificate) -> Commit:
        """The Commit that q validators of its epoch signed. Raises RemoteProtocolError BAD_CERTIFICATE."""
        commit = decode(Commit, certificate.vote)
        if commit.height < 1 or commit.epoch != (commit.height - 1) // self.epoch_length:
            # Or a set that was replaced could go on for ever by naming an epoch of its own.
            raise RemoteProtocolError("BAD_CERTIFICATE", "the height does not lie in the epoch")
        keys = self.set_of(commit.epoch).keys
        return verify_commit(certificate, self.genesis, keys, self._check)

    def add(self, handover: Handover) -> bool:
        """Follow one more hand-over; False when it is known already.

        Raises:
            RemoteProtocolError: BAD_HANDOVER or BAD_CERTIFICATE: it is not by the set before, is not the
                next one, or does not name this set. Nothing has changed then.
        """
        header = decode(Header, handover.header)
        since = header.epoch + 1
        newest = self.newest
        if since <= newest.since:
            if self.set_of(since) != ValidatorSet(since, *_named(handover.validators)):
                raise _bad("another set than the one known for this epoch")
            return False
        if header.genesis != self.genesis:
            raise _bad("of another network")
        if header.height != since * self.epoch_length:
            raise _bad(f"height {header.height} does not end epoch {header.epoch}")
        commit = self.committed(handover.certificate)
        if commit.block != block_hash(handover.header):
            raise _bad("the certificate is for another block")
        if (commit.height, commit.epoch) != (header.height, header.epoch):
            raise _bad("height or epoch differ from the header")
        if header.next_validators != validators_hash(handover.validators):
            raise _bad("not the set that the header names")
        if header.next_validators == newest.hash:
            raise _bad("nothing changes")
        fault = set_fault(handover.validators)
        if fault is not None:
            raise _bad(fault)
        self._append(since, handover.validators)
        return True


def _named(validators: tuple[Validator, ...]) -> tuple[tuple[bytes, ...], bytes]:
    return tuple(validator.public_key for validator in validators), validators_hash(validators)


def _bad(why: str) -> RemoteProtocolError:
    return RemoteProtocolError("BAD_HANDOVER", why)
