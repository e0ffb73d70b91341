"""A leader whose proposals break the rules of a block, one rule at a time (reliability A19, A20)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tallynet.blocks import Header, Prepare
from tallynet.codec import decode, encode
from tallynet.envelope import SignedEnvelope
from tallynet.hashing import block_hash, envelope_hash
from tallynet.merkle import list_root
from tallynet.messages import (
    BLOCK_TRANSACTIONS_MAX,
    Bodies,
    FetchBodies,
    PeerMessage,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
)
from tools.simulator.byzantine.base import Behaviour, mutilated
from tools.simulator.byzantine.leaders import PLACES_MAX, own_proposal

if TYPE_CHECKING:
    from tools.simulator.run import Run

OLD_IDS_MAX: Final = 50
Parts = tuple[Header, tuple[bytes, ...]]
Fault = Callable[["InvalidLeader", Header, tuple[bytes, ...]], Parts]


class InvalidLeader(Behaviour):
    """Proposes a block with one fault to everybody, or to some while others get the good one."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._share: Final = self.random.choice((0.1, 0.5, 1.0))
        """Of its proposals that it spoils."""
        self._to: Final = self.random.choice((0.5, 1.0))
        """Share of the others that get the spoiled one."""
        self._spoiled: Final[OrderedDict[bytes, PrePrepare | None]] = OrderedDict()
        self._old: Final[deque[bytes]] = deque(maxlen=OLD_IDS_MAX)
        """Envelopes that stand in blocks already, probably."""
        self._copies: Final[OrderedDict[bytes, bytes]] = OrderedDict()
        """By hash: copies that it made and proposed."""

    def send(self, to: int, message: bytes) -> None:
        found = own_proposal(self.index, self.run.decoded(message))
        if found is None:
            self.emit(to, message)
            return
        proposal, _, vote = found
        if message not in self._spoiled:
            spoil = self._spoils(vote.height)
            self._spoiled[message] = self._spoil(proposal, vote) if spoil else None
            self._old.extend(proposal.envelopes)
            if len(self._spoiled) > PLACES_MAX:
                self._spoiled.popitem(last=False)
        spoiled = self._spoiled[message]
        if spoiled is None or self.random.random() >= self._to or not self.lie(to, spoiled):
            self.emit(to, message)

    def _spoils(self, height: int) -> bool:
        del height
        return self.random.random() < self._share

    def _fault(self, height: int) -> Fault:
        del height
        return self.random.choice(FAULTS)

    def heard(self, source: int, raw: bytes, message: PeerMessage) -> PeerMessage | None:
        del raw
        if isinstance(message, PrePrepare | Proposal):
            self._old.extend(message.envelopes)
        elif isinstance(message, FetchBodies):
            made = [self._copies[hash] for hash in message.envelopes if hash in self._copies]
            if made:
                self.lie(source, Bodies(tuple(made)))
        return message

    def _spoil(self, proposal: PrePrepare, vote: Prepare) -> PrePrepare:
        fault = self._fault(vote.height)
        header, ids = fault(self, decode(Header, proposal.header), proposal.envelopes)
        if fault not in (_other_content, _root_only):
            header = replace(header, envelopes_root=list_root(ids))
        raw = encode(header)
        signed = self.sign(SignedKind.PREPARE, replace(vote, block=block_hash(raw)))
        return PrePrepare(raw, ids, encode(_misplaced(self, signed, vote)))

    def copy(self, hash: bytes) -> bytes:
        """The hash of a mutilated copy of this envelope, which others can ask for."""
        envelope = self.machine.executor.envelope(hash)
        return hash if envelope is None else self.keep(mutilated(envelope.raw, self.random))

    def expired(self, hash: bytes, seconds: int) -> bytes:
        """The same, of one that was valid until then."""
        envelope = self.machine.executor.envelope(hash)
        if envelope is None:
            return hash
        body = encode(replace(envelope.body, valid_until=seconds))
        return self.keep(encode(SignedEnvelope(body, envelope.signatures)))

    def keep(self, raw: bytes) -> bytes:
        """The hash of an envelope that others may ask for."""
        made = envelope_hash(raw)
        self._copies[made] = raw
        if len(self._copies) > OLD_IDS_MAX:
            self._copies.popitem(last=False)
        return made

    @property
    def newest(self) -> bytes:
        """The last envelope that was proposed."""
        return self._old[-1] if self._old else self.random.randbytes(32)

    @property
    def old(self) -> bytes:
        return self.random.choice(self._old) if self._old else self.random.randbytes(32)


def _misplaced(liar: InvalidLeader, signed: Signed, vote: Prepare) -> Signed:
    """Now and then the vote names another place than the header."""
    if liar.random.random() < 0.9:
        return signed
    header_block = decode(Prepare, signed.body).block
    place = liar.random.choice(
        (
            replace(vote, block=header_block, height=vote.height + 1),
            replace(vote, block=header_block, height=max(0, vote.height - 1)),
            replace(vote, block=header_block, view=vote.view + liar.core.n),
            replace(vote, block=header_block, epoch=vote.epoch + 1),
        )
    )
    return liar.sign(SignedKind.PREPARE, place)


def _parent(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    core = liar.core
    parents = (core.config.genesis, core.tip_block, liar.random.randbytes(32))
    return replace(header, parent=liar.random.choice(parents)), ids


def _time(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    times = (
        0,
        liar.core.tip_time_ms,
        liar.core.config.genesis_time_ms,
        header.time_ms + 60_000,
        header.time_ms + 86_400_000,
        header.time_ms - 60_000,
        header.time_ms + 1_999,
        2**62,
    )
    return replace(header, time_ms=liar.random.choice(times)), ids


def _before(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    """A time that agrees with everybody's clock, but not with the block below."""
    return replace(header, time_ms=header.time_ms - liar.random.randint(1, 1_999)), ids


def _number(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    changed = (
        replace(header, epoch=header.epoch + 1),
        replace(header, epoch=2**62),
        replace(header, height=header.height + 1),
        replace(header, height=max(0, header.height - 1)),
        replace(header, height=2**62),
        replace(header, version=header.version + 1),
        replace(header, genesis=liar.random.randbytes(32)),
        replace(header, next_validators=liar.random.randbytes(32)),
        replace(header, proposer=(header.proposer + 1) % liar.core.n),
        replace(header, proposer=60_000),
    )
    return liar.random.choice(changed), ids


def _heirs(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    """The epoch's last block hands over to a set that nobody decided on."""
    return replace(header, next_validators=liar.random.randbytes(32)), ids


def _twice(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    del liar
    return header, (*ids, *ids[:1])


def _executed(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    return header, (*ids, liar.old)


def _only_executed(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    del ids
    return header, (liar.old,)


def _undecided(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    """The newest envelope of the block below, which is not final yet (INV-14)."""
    return header, (*ids, liar.newest)


def _unknown(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    return header, (*ids, liar.random.randbytes(32))


def _copies(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    """Mutilated copies in the place of envelopes: no fault of the block, a wasted place in it."""
    return header, tuple(liar.copy(hash) if liar.random.random() < 0.7 else hash for hash in ids)


def _both(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    """A copy beside the genuine one, in one order or the other."""
    copies = tuple(liar.copy(hash) for hash in ids[:1])
    return header, (*ids, *copies) if liar.random.random() < 0.5 else (*copies, *ids)


def _expired(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    seconds = header.time_ms // 1000 - liar.random.randint(0, 5)
    return header, tuple(liar.expired(hash, seconds) for hash in ids)


def _empty(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    del liar, ids
    return header, ()


def _too_many(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    many = BLOCK_TRANSACTIONS_MAX + liar.random.randint(0, 1) - len(ids)
    return header, (*ids, *(liar.random.randbytes(32) for _ in range(many)))


def _other_content(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    """Not what the root says: less, more, or mutilated copies."""
    others = ids[:-1], (*ids, liar.random.randbytes(32)), tuple(liar.copy(hash) for hash in ids)
    return header, liar.random.choice(others)


def _root_only(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    return replace(header, envelopes_root=liar.random.randbytes(32)), ids


def _future(liar: InvalidLeader, header: Header, ids: tuple[bytes, ...]) -> Parts:
    """A time at which everything that waits has expired."""
    del liar
    return replace(header, time_ms=header.time_ms + 700_000), ids


FAULTS: Final[tuple[Fault, ...]] = (
    _parent, _time, _before, _number, _twice, _copies, _both, _copies, _both, _executed, _only_executed, _undecided, _expired, _unknown,
    _empty, _too_many, _other_content, _root_only, _future,
)  # fmt: skip


class FalseHeir(InvalidLeader):
    """Waits until it leads at the end of an epoch, and hands over to a set that nobody decided on."""

    def _spoils(self, height: int) -> bool:
        return height % self.core.config.epoch_length == 0

    def _fault(self, height: int) -> Fault:
        del height
        return _heirs
