"""Liars among whom others ask for blocks, contents and bodies (reliability B6, B7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tallynet.blocks import Commit, Header
from tallynet.codec import decode, encode
from tallynet.hashing import block_hash
from tallynet.merkle import list_root
from tallynet.messages import (
    Blocks,
    Bodies,
    CertifiedBlock,
    FetchBlocks,
    Proposal,
    Signed,
    SignedKind,
    StateHead,
    Status,
)
from tallynet.validators import HANDOVERS_MAX
from tools.simulator.byzantine.base import Behaviour, mutilated, opened
from tools.simulator.byzantine.false_handovers import false_handovers
from tools.simulator.byzantine.forgery import certificate_over

if TYPE_CHECKING:
    from tools.simulator.run import Run

CLAIMS: Final = (1, 2, 5, 100, 2**62)
"""How far above its own height a liar claims to be."""
DRIBBLE_US: Final = 600_000
"""Well under the time after which another peer is asked."""
FLOOD_BLOCKS_MAX: Final = 8
"""Blocks in a message that nobody asked for."""


class SyncLiar(Behaviour):
    """Claims heights that do not exist, and answers questions with blocks, contents and bodies that are
    wrong, old, forged, cut short, somebody else's, or with nothing; also without being asked."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._claims: Final = self.random.random() < 0.7
        self._mute: Final = self.random.random() < 0.2
        """Never answers."""
        self._dribbles: Final = self.random.random() < 0.2
        """Answers truly, one block at a time, just before the other would ask somebody else."""
        self._floods: Final = self.random.random() < 0.5

    def send(self, to: int, message: bytes) -> None:
        value = self.run.decoded(message)
        if isinstance(value, Signed) and value.kind is SignedKind.STATUS and self._claims:
            self._claim(to, message, value)
        elif isinstance(value, Blocks | Proposal | Bodies):
            self._answer(to, message, value)
        elif isinstance(value, StateHead) and self.random.random() < 0.5:
            told = false_handovers(self, value.handovers)[:HANDOVERS_MAX]
            if not self.lie(to, replace(value, handovers=told)):
                self.emit(to, message)
        else:
            self.emit(to, message)

    def _claim(self, to: int, message: bytes, value: Signed) -> None:
        status = decode(Status, value.body)
        height = min(2**63 - 1, status.committed + self.random.choice(CLAIMS))
        epoch = status.epoch + self.random.choice((0, 0, 1))
        claim = replace(status, committed=height, epoch=epoch)
        if not self.lie(to, self.sign(SignedKind.STATUS, claim)):
            self.emit(to, message)

    def _answer(self, to: int, message: bytes, value: Blocks | Proposal | Bodies) -> None:
        if self._dribbles and isinstance(value, Blocks):
            self.lie(to, Blocks(value.blocks[:1]), DRIBBLE_US)
        elif self._mute or self.random.random() < 0.2:
            self.withhold()
        elif self.random.random() < 0.2 or not self.lie(to, self._wrong(value)):
            self.emit(to, message)

    def _wrong(self, value: Blocks | Proposal | Bodies) -> Blocks | Proposal | Bodies:
        random = self.random
        if isinstance(value, Blocks):
            return Blocks(random.choice(BLOCK_LIES)(self, value.blocks))
        if isinstance(value, Bodies):
            bodies = list(value.bodies)
            random.shuffle(bodies)
            if random.random() < 0.5:
                return Bodies(tuple(mutilated(body, random) for body in bodies))
            return Bodies(tuple(bodies[: random.randint(0, len(bodies))]))
        header = decode(Header, value.header)
        return random.choice(
            (
                Proposal(value.header, value.envelopes[::-1]),
                Proposal(value.header, value.envelopes[:-1]),
                Proposal(encode(replace(header, time_ms=header.time_ms + 1)), value.envelopes),
                Proposal(value.header[:-1], value.envelopes),
            )
        )

    def beat(self) -> None:
        if not self._floods:
            return
        height = self.random.randint(1, max(1, self.core.committed))
        raw = self.machine._sync.blocks(FetchBlocks(height)).message
        found = None if raw is None else opened(Blocks, raw)
        if found is None:
            return  # it has none so old: it fetched a state itself
        blocks = found.blocks[:FLOOD_BLOCKS_MAX]
        to = self.random.choice(self.victims)
        self.lie(to, Blocks(self.random.choice(BLOCK_LIES)(self, blocks)))


Chain = tuple[CertifiedBlock, ...]


def _as_it_is(liar: SyncLiar, blocks: Chain) -> Chain:
    """True, but perhaps nobody asked."""
    del liar
    return blocks


def _cut(liar: SyncLiar, blocks: Chain) -> Chain:
    return blocks[: liar.random.randint(0, len(blocks))]


def _later(liar: SyncLiar, blocks: Chain) -> Chain:
    return blocks[liar.random.randint(0, len(blocks)) :]


def _backwards(liar: SyncLiar, blocks: Chain) -> Chain:
    del liar
    return blocks[::-1]


def _twice(liar: SyncLiar, blocks: Chain) -> Chain:
    del liar
    return (blocks * 2)[:FLOOD_BLOCKS_MAX]


def _spoil(change: Callable[[SyncLiar, CertifiedBlock], CertifiedBlock]) -> Callable[..., Chain]:
    """One block of the chain is changed."""

    def spoil(liar: SyncLiar, blocks: Chain) -> Chain:
        at = liar.random.randrange(len(blocks)) if blocks else 0
        return tuple(change(liar, b) if i == at else b for i, b in enumerate(blocks))

    return spoil


def _other_certificate(liar: SyncLiar, block: CertifiedBlock) -> CertifiedBlock:
    """A certificate of another block, or of a vote that never was."""
    tip = liar.core.tip_certificate
    if tip is not None and liar.random.random() < 0.5:
        return replace(block, certificate=tip)
    vote = decode(Commit, block.certificate.vote)
    changed = liar.random.choice(
        (
            replace(vote, height=vote.height + 1),
            replace(vote, view=vote.view + 1),
            replace(vote, epoch=vote.epoch + 1),
            replace(vote, state_root=liar.random.randbytes(32)),
            replace(vote, receipts_root=liar.random.randbytes(32)),
            replace(vote, block=liar.random.randbytes(32)),
        )
    )
    return replace(block, certificate=replace(block.certificate, vote=encode(changed)))


def _one_signer_short(liar: SyncLiar, block: CertifiedBlock) -> CertifiedBlock:
    """A true block that one validator too few has signed (INV-9)."""
    most, true = liar.core.q - 1, block.certificate
    few = replace(true, signers=true.signers[:most], signatures=true.signatures[:most])
    return replace(block, certificate=few)


def _forged(liar: SyncLiar, block: CertifiedBlock) -> CertifiedBlock:
    """A block of another chain, certified by the liars and by signatures that are none."""
    random = liar.random
    header = decode(Header, block.header)
    other = random.choice(
        (
            replace(header, parent=random.randbytes(32)),
            replace(header, time_ms=header.time_ms + 1),
            replace(header, genesis=random.randbytes(32)),
            replace(header, height=header.height + 1),
        )
    )
    raw = encode(other)
    vote = replace(
        decode(Commit, block.certificate.vote), block=block_hash(raw), height=other.height
    )
    return replace(block, header=raw, certificate=certificate_over(liar, SignedKind.COMMIT, vote))


def _other_envelopes(liar: SyncLiar, block: CertifiedBlock) -> CertifiedBlock:
    """Other hashes, with or without a header that names them."""
    ids = liar.random.choice(
        (block.envelopes[::-1], block.envelopes[:-1], (*block.envelopes, bytes(32)))
    )
    if liar.random.random() < 0.5:
        return replace(block, envelopes=ids)
    header = replace(decode(Header, block.header), envelopes_root=list_root(ids))
    return replace(block, envelopes=ids, header=encode(header))


def _other_bodies(liar: SyncLiar, block: CertifiedBlock) -> CertifiedBlock:
    bodies = liar.random.choice(
        (
            block.bodies[::-1],
            block.bodies[:-1],
            (),
            (*block.bodies, liar.random.randbytes(300)),
            tuple(mutilated(body, liar.random) for body in block.bodies),
            tuple(body[:-1] for body in block.bodies),
        )
    )
    return replace(block, bodies=bodies)


BLOCK_LIES: Final[tuple[Callable[[SyncLiar, Chain], Chain], ...]] = (
    _as_it_is, _cut, _later, _backwards, _twice, _spoil(_other_certificate),
    _spoil(_one_signer_short), _spoil(_forged), _spoil(_other_envelopes), _spoil(_other_bodies),
)  # fmt: skip
