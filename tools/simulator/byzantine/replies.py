"""A validator that lies to clients (reliability §5, light client)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from tallynet.blocks import Commit, Header
from tallynet.codec import Wire, decode, encode
from tallynet.hashing import block_hash
from tallynet.messages import ClientReply, Receipts, Refused, SignedKind
from tools.simulator.byzantine.base import Behaviour
from tools.simulator.byzantine.mutation import Mutator, RandomChooser, Seen

if TYPE_CHECKING:
    from tools.simulator.run import Run

KEPT_MAX: Final = 20
CODES: Final = ("EXPIRED", "SIGNATURE_INVALID", "POOL_FULL", "KEY_UNKNOWN", "NO_SUCH_CODE")


class ReplyLiar(Behaviour):
    """Forged receipts, receipts of others, and refusals of what was never refused."""

    def __init__(self, run: Run, index: int) -> None:
        super().__init__(run, index)
        self._kept: Final[deque[Receipts]] = deque(maxlen=KEPT_MAX)
        self._seen: Final = Seen()
        self._mutator: Final = Mutator(RandomChooser(self.random), self._seen, lambda *_: None)

    def reply(self, message: bytes) -> bytes | None:
        value = decode(ClientReply, message)
        if not isinstance(value, Receipts | Refused) or self.random.random() < 0.1:
            return message
        self.run.lies += 1
        if isinstance(value, Receipts):
            self._kept.append(value)
            self._seen.learn(value)
        way = self.random.randrange(4)
        if way == 0:
            return None
        if isinstance(value, Refused) or way == 1:
            return encode(self._refused(value))
        return encode(self._forged(value))

    def _refused(self, value: Receipts | Refused) -> Wire:
        """Refused, for whatever transaction; or, refused in truth, receipts of something else."""
        if isinstance(value, Refused) and self._kept and self.random.random() < 0.5:
            return self.random.choice(self._kept)
        transaction = value.transaction if isinstance(value, Refused) else self._waiting()
        return Refused(transaction, self.random.choice(CODES), "so it is")

    def _waiting(self) -> bytes:
        """A transaction that a client waits for."""
        waiting = [t for client in self.run.clients for t in client.pending]
        return self.random.choice(waiting) if waiting else self.random.randbytes(32)

    def _forged(self, value: Receipts) -> Receipts:
        random = self.random
        other = random.choice(self._kept)
        way = random.randrange(7)
        if way == 0:  # another certificate
            return replace(value, certificate=other.certificate)
        if way == 1:  # receipts of other transactions under this header
            return replace(value, receipts=other.receipts)
        if way == 2:  # true ones, as if they stood elsewhere
            return replace(value, header=other.header)
        if way == 3:
            return self._own_block(value)
        if way == 4:
            return self._backdated(value)
        changed = self._mutator.mutate(value)
        self.run.mutations[changed.name] += 1
        return changed.value if isinstance(changed.value, Receipts) else value

    def _backdated(self, value: Receipts) -> Receipts:
        """The true certificate and true receipts, under a header that lies about the block's time."""
        header = decode(Header, value.header)
        earlier = header.time_ms - self.random.randrange(1, 86_400_000)
        return replace(value, header=encode(replace(header, time_ms=max(0, earlier))))

    def _own_block(self, value: Receipts) -> Receipts:
        """A header and roots of its own, certified by as many liars as there are."""
        header = replace(decode(Header, value.header), height=1 + self.random.randrange(1000))
        raw = encode(header)
        vote = replace(
            decode(Commit, value.certificate.vote), block=block_hash(raw), height=header.height
        )
        signers = self.ring.members
        return Receipts(
            raw,
            replace(
                value.certificate,
                vote=encode(vote),
                signers=signers,
                signatures=tuple(
                    self.ring.sign_as(i, SignedKind.COMMIT, vote).signature for i in signers
                ),
            ),
            value.receipts,
        )
