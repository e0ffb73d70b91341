"""A validator that lies to clients (reliability §5 and §11, light client)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tallynet.blocks import Commit, Header
from tallynet.codec import Wire, decode, encode
from tallynet.hashing import block_hash
from tallynet.messages import (
    ClientReply,
    EvidenceEntry,
    EvidencePage,
    ProvenReceipt,
    Receipts,
    Refused,
    SignedKind,
)
from tallynet.receipts import EnvelopeReceipt
from tallynet.validators import Handover
from tools.simulator.byzantine.base import Behaviour
from tools.simulator.byzantine.false_handovers import false_handovers
from tools.simulator.byzantine.forgery import certificate_over
from tools.simulator.byzantine.mutation import Mutator, RandomChooser, Seen

if TYPE_CHECKING:
    from tools.simulator.run import Run

KEPT_MAX: Final = 20
CODES: Final = ("EXPIRED", "SIGNATURE_INVALID", "POOL_FULL", "KEY_UNKNOWN", "NO_SUCH_CODE")
HANG_UP_SHARE: Final = 0.02
"""Of its beats: every five seconds or so."""


class ReplyLiar(Behaviour):
    """Forged receipts, receipts of others, refusals of what was never refused, and validator sets that are
    none. Now and then it hangs up, so that its clients ask again who validates."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self.kept: Final[deque[Receipts]] = deque(maxlen=KEPT_MAX)
        """True ones of late."""
        self._seen: Final = Seen()
        self._mutator: Final = Mutator(RandomChooser(self.random), self._seen, lambda *_: None)

    def beat(self) -> None:
        if self.random.random() < HANG_UP_SHARE:
            self.run.lies += 1
            for client in self.run.clients:
                client.hung_up(self.node)

    def reply(self, message: bytes) -> bytes | None:
        value = decode(ClientReply, message)
        if not isinstance(value, Receipts | Refused | EvidencePage) or self.random.random() < 0.1:
            return message
        self.run.lies += 1
        if isinstance(value, EvidencePage):
            return encode(self._page(value)) if self.random.random() < 0.5 else message
        if isinstance(value, Receipts):
            self.kept.append(value)
            self._seen.learn(value)
        way = self.random.randrange(5)
        if way == 0:
            return None
        if isinstance(value, Refused) or way == 1:
            return encode(self._refused(value))
        return encode(self.random.choice(FORGERIES)(self, value))

    def _page(self, value: EvidencePage) -> EvidencePage:
        """What it answers to the question how the validator set has changed."""
        true = tuple(decode(Handover, entry.data) for entry in value.entries)
        told = false_handovers(self, true)
        epochs = (decode(Header, handover.header).epoch + 1 for handover in told)
        keys = [epoch.to_bytes(8, "big") for epoch in epochs]
        entries = [EvidenceEntry(k, encode(h)) for k, h in zip(keys, told, strict=True)]
        return replace(value, entries=tuple(entries))

    def _refused(self, value: Receipts | Refused) -> Wire:
        """Refused, for whatever transaction; or, refused in truth, receipts of something else, or of that."""
        if isinstance(value, Refused) and self.kept and self.random.random() < 0.7:
            other = self.random.choice(self.kept)
            return other if self.random.random() < 0.3 else invented(other, value.transaction)
        transaction = value.transaction if isinstance(value, Refused) else self.waiting()
        return Refused(transaction, self.random.choice(CODES), "so it is")

    def waiting(self) -> bytes:
        """A transaction that a client waits for."""
        waiting = [t for client in self.run.clients for t in client.pending]
        return self.random.choice(waiting) if waiting else self.random.randbytes(32)

    def mutated(self, value: Receipts) -> Receipts:
        """One field of it changed, anywhere."""
        changed = self._mutator.mutate(value)
        self.run.mutations[changed.name] += 1
        return changed.value if isinstance(changed.value, Receipts) else value


def invented(value: Receipts, transaction: bytes) -> Receipts:
    """A true certificate and a true proof, beside a receipt that is not in the block."""
    first = value.receipts[0]
    receipt = replace(decode(EnvelopeReceipt, first.receipt), transaction=transaction)
    return replace(value, receipts=(ProvenReceipt(encode(receipt), first.proof),))


def _invented(liar: ReplyLiar, value: Receipts) -> Receipts:
    return invented(value, liar.waiting())


def _other_outcome(liar: ReplyLiar, value: Receipts) -> Receipts:
    """The client's own transactions, in their block, but with effects that they did not have."""
    told = []
    for proven in value.receipts:
        receipt = decode(EnvelopeReceipt, proven.receipt)
        other = replace(receipt, events_digest=liar.random.randbytes(32))
        told.append(replace(proven, receipt=encode(other)))
    return replace(value, receipts=tuple(told))


def _other_certificate(liar: ReplyLiar, value: Receipts) -> Receipts:
    return replace(value, certificate=liar.random.choice(liar.kept).certificate)


def _other_receipts(liar: ReplyLiar, value: Receipts) -> Receipts:
    """Receipts of other transactions under this header."""
    return replace(value, receipts=liar.random.choice(liar.kept).receipts)


def _other_header(liar: ReplyLiar, value: Receipts) -> Receipts:
    """True receipts, as if they stood elsewhere."""
    return replace(value, header=liar.random.choice(liar.kept).header)


def _backdated(liar: ReplyLiar, value: Receipts) -> Receipts:
    """The true certificate and true receipts, under a header that lies about the block's time."""
    header = decode(Header, value.header)
    earlier = header.time_ms - liar.random.randrange(1, 86_400_000)
    return replace(value, header=encode(replace(header, time_ms=max(0, earlier))))


def _own_block(liar: ReplyLiar, value: Receipts) -> Receipts:
    """A block of its own, at a height or time of its choice, without a quorum's word."""
    header, random = decode(Header, value.header), liar.random
    if random.random() < 0.5:
        header = replace(header, height=1 + random.randrange(1000))
    header = replace(header, time_ms=header.time_ms + random.randrange(1000))
    raw = encode(header)
    vote = decode(Commit, value.certificate.vote)
    vote = replace(vote, block=block_hash(raw), height=header.height)
    return replace(value, header=raw, certificate=certificate_over(liar, SignedKind.COMMIT, vote))


def _few_signers(liar: ReplyLiar, value: Receipts) -> Receipts:
    """The true block, with one signature too few (INV-9)."""
    del liar
    true = value.certificate
    few = replace(true, signers=true.signers[:-1], signatures=true.signatures[:-1])
    return replace(value, certificate=few)


def _prepared(liar: ReplyLiar, value: Receipts) -> Receipts:
    """Prepares where Commits should be: a block that may still lose."""
    prepared = liar.core.prepared
    if not prepared:
        return value
    newest = prepared[max(prepared)]
    return replace(value, header=newest.content.header_bytes, certificate=newest.certificate)


FORGERIES: Final[tuple[Callable[[ReplyLiar, Receipts], Receipts], ...]] = (
    _invented, _other_outcome, _other_certificate, _other_receipts, _other_header, _backdated,
    _own_block, _own_block, _few_signers, _prepared, ReplyLiar.mutated,
)  # fmt: skip
