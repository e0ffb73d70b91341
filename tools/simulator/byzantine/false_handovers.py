"""Changes of the validator set that nobody decided on, as a liar shows them to whoever asks how the set has
changed: clients, and nodes that are offered a state (reliability §11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from tallynet.blocks import Certificate, Commit, Header
from tallynet.codec import encode
from tallynet.genesis import validators_hash
from tallynet.hashing import block_hash
from tallynet.merkle import list_root
from tallynet.messages import SignedKind
from tallynet.records import Validator
from tallynet.validators import Handover
from tools.simulator.byzantine.base import Behaviour
from tools.simulator.byzantine.forgery import certificate_over

Chain = tuple[Handover, ...]


def false_handovers(liar: Behaviour, true: Chain) -> Chain:
    """Hand-overs in the place of the true ones, one of the ways at random."""
    return liar.random.choice(WAYS)(liar, true)


def _pretenders(liar: Behaviour) -> tuple[Validator, ...]:
    """Another set than the one in force."""
    succession = liar.run.succession
    newest = succession.validators(succession.newest.since)
    return tuple(replace(validator, name=f"{validator.name} too") for validator in newest)


def _usurpation(liar: Behaviour, true: Chain) -> Chain:
    """The end of an epoch that the liars alone have signed."""
    length, epoch = liar.core.config.epoch_length, liar.run.succession.newest.since
    members, height = _pretenders(liar), (epoch + 1) * length
    header = encode(
        Header(
            liar.core.config.genesis, 1, epoch, height, liar.random.randbytes(32), list_root(()),
            liar.run.town.genesis.time_ms + height, liar.index, validators_hash(members),
        )
    )  # fmt: skip
    vote = Commit(epoch, 0, height, block_hash(header), bytes(32), bytes(32))
    return (*true, Handover(header, certificate_over(liar, SignedKind.COMMIT, vote), members))


def _other_heirs(liar: Behaviour, true: Chain) -> Chain:
    """True ends of epochs, of which one is to name another set."""
    at = liar.random.randrange(len(true) or 1)
    members = _pretenders(liar)
    return tuple(replace(h, validators=members) if i == at else h for i, h in enumerate(true))


def _true_end(liar: Behaviour, true: Chain) -> Chain:
    """A true block that ended an epoch, or did not, shown as if it handed over."""
    height = liar.random.randint(1, max(1, liar.core.committed))
    if liar.random.random() < 0.5:
        height = max(1, height // liar.core.config.epoch_length) * liar.core.config.epoch_length
    row = liar.stored_block(height)
    if row is None:
        return true
    return (*true, Handover(row.header, row.certificate, _pretenders(liar)))


def _few_signers(liar: Behaviour, true: Chain) -> Chain:
    """True ones, the last with one signer too few (INV-9)."""
    if not true:
        return true
    found = true[-1].certificate
    few = Certificate(found.vote, found.signers[:-1], found.signatures[:-1])
    return (*true[:-1], replace(true[-1], certificate=few))


def _skipped(liar: Behaviour, true: Chain) -> Chain:
    """Without the first: none may be left out."""
    del liar
    return true[1:]


def _backwards(liar: Behaviour, true: Chain) -> Chain:
    del liar
    return true[::-1]


WAYS: Final[tuple[Callable[[Behaviour, Chain], Chain], ...]] = (
    _usurpation, _usurpation, _other_heirs, _true_end, _true_end, _few_signers, _skipped, _backwards,
)  # fmt: skip
