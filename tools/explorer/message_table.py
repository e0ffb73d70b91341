"""Every message that can be on its way: a number, and the few things that a network has to know of it.

A set of messages is an int with the bits of their numbers. The network forgets nothing and delivers anything at any
time, again too; what a replica can still do something with is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from consensus.events import Received
from tallynet.blocks import Certificate, Commit, Header, Prepare, quorum
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import block_hash
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    Complaint,
    NewView,
    PeerMessage,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
    ViewChange,
)  # fmt: skip
from tools.explorer.meaning import Meaning, Position, meaning, votes_in
from tools.explorer.network import VALIDATORS, sign_as

QUORUM: Final = quorum(VALIDATORS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the table."""

    message: PeerMessage | None
    """None for a certificate of Prepares, which is known, not sent."""
    kind: str
    """The name of its `SignedKind`, or `propose`, `content`, `block`, `certificate`."""
    source: int
    """Its signer; for what has none, the first who had it."""
    view: int
    """The view it is about; 0 for contents and blocks."""
    height: int
    """Its height, where it is about one."""
    votes: tuple[tuple[Position, bytes], ...]
    """The Prepares and Commits of its signer in it, with their bodies."""
    text: str
    """For people."""


class MessageTable:
    """Numbers messages by what they mean."""

    def __init__(self, byzantine: int | None) -> None:
        """`byzantine`: whose votes may be added to any certificate at any time."""
        self.entries: Final[list[Entry]] = []
        self.votes = 0
        """Set of all messages with a Prepare or Commit in them."""
        self._byzantine: Final = byzantine
        self._numbers: Final[dict[Meaning, int]] = {}
        self._sent: Final[dict[bytes, int]] = {}
        self._contents: Final[dict[bytes, Proposal]] = {}
        self._voters: Final[dict[bytes, dict[int, int]]] = {}
        """Body of a vote -> signer -> set of the messages that hold this vote."""
        self._bodies: Final[dict[int, bytes]] = {}
        """Number of a Prepare certificate -> the vote."""
        self._kinds: Final[dict[str, int]] = {}
        self._certified: Final[dict[int, int]] = {}

    # --- numbers ----------------------------------------------------------------------------------

    def sent(self, raw: bytes) -> int:
        """Set of the messages that these bytes put on their way: none for requests and Status, whose answers are on
        offer anyway; a proposal, and its content for those who would ask for it."""
        known = self._sent.get(raw)
        if known is None:
            known = self._sent[raw] = self._open(decode(PeerMessage, raw))
        return known

    def _open(self, message: PeerMessage) -> int:
        if isinstance(message, PrePrepare):
            signed = decode(Signed, message.prepare)
            content = Proposal(message.header, message.envelopes)
            return self.add(message, signed.signer) | self.add(content, signed.signer)
        if isinstance(message, Signed) and message.kind is not SignedKind.STATUS:
            return self.add(message, message.signer)
        return 0

    def add(self, message: PeerMessage, source: int) -> int:
        """The set of this one message."""
        key = meaning(message)
        number = self._numbers.get(key)
        if number is None:
            number = self._new(key, _entry(message, source))
            if isinstance(message, Proposal):
                self._contents[block_hash(message.header)] = message
        return 1 << number

    def _new(self, key: Meaning, entry: Entry) -> int:
        number = self._numbers[key] = len(self.entries)
        self.entries.append(entry)
        for _, body in entry.votes:
            self.votes |= 1 << number
            holders = self._voters.setdefault(body, {})
            holders[entry.source] = holders.get(entry.source, 0) | 1 << number
        self._kinds[entry.kind] = self.of(entry.kind) | 1 << number
        return number

    def of(self, kind: str) -> int:
        """Set of all messages of this kind."""
        return self._kinds.get(kind, 0)

    def numbers(self, messages: int) -> list[int]:
        """The members of a set, ascending."""
        found = []
        while messages:
            lowest = messages & -messages
            found.append(lowest.bit_length() - 1)
            messages ^= lowest
        return found

    def content(self, block: bytes) -> Proposal:
        """The content of a block that somebody proposed."""
        return self._contents[block]

    def body(self, certificate: int) -> bytes:
        """The vote that a Prepare certificate is for."""
        return self._bodies[certificate]

    # --- what follows from what was said --------------------------------------------------------------

    def certified(self, said: int) -> int:
        """Set of the blocks with a commit certificate that somebody could put together from what was said; and, when
        somebody is Byzantine, of the Prepare certificates that it could."""
        votes = said & self.votes
        found = self._certified.get(votes)
        if found is None:
            found = 0
            for body, holders in list(self._voters.items()):
                signers = [i for i, messages in holders.items() if votes & messages]
                helped = self._byzantine is not None and self._byzantine not in signers
                if len(signers) + helped >= QUORUM:
                    found |= self._certificate(body)
            self._certified[votes] = found
        return found

    def _certificate(self, body: bytes) -> int:
        vote = _vote(body)
        if isinstance(vote, Prepare):
            if self._byzantine is None:
                return 0
            key = "certificate", body
            if key not in self._numbers:
                text = f"Prepare certificate: {_where(vote)}"
                entry = Entry(None, "certificate", 0, vote.view, vote.height, (), text)
                self._bodies[self._new(key, entry)] = body
            return 1 << self._numbers[key]
        content = self._contents[vote.block]
        certificate = Certificate(body, (), ())  # signed for each receiver
        block = CertifiedBlock(content.header, content.envelopes, certificate, ())
        return self.add(Blocks((block,)), 0)

    # --- events -----------------------------------------------------------------------------------

    def event(self, number: int, receiver: int) -> Received:
        """The arrival of a message. A certified block comes under the signatures of all others: one certificate stands
        for every certificate of its vote."""
        entry = self.entries[number]
        message = entry.message
        if message is None:
            raise TypeError("a certificate is not a message")
        if isinstance(message, Blocks):
            message = Blocks((_signed_by_others(message.blocks[0], receiver),))
        source = entry.source
        if source == receiver:  # somebody hands back what this replica said itself
            source = (receiver + 1) % VALIDATORS
        return Received(source, message)


def _signed_by_others(block: CertifiedBlock, receiver: int) -> CertifiedBlock:
    signers = tuple(i for i in range(VALIDATORS) if i != receiver)
    certificate = certificate_by(SignedKind.COMMIT, block.certificate.vote, signers)
    return CertifiedBlock(block.header, block.envelopes, certificate, ())


def certificate_by(kind: SignedKind, body: bytes, signers: tuple[int, ...]) -> Certificate:
    """A certificate of this vote."""
    return Certificate(body, signers, tuple(sign_as(i, kind, body) for i in signers))


def _vote(body: bytes) -> Prepare | Commit:
    try:
        return decode(Prepare, body)
    except RemoteProtocolError:
        return decode(Commit, body)


def _entry(message: PeerMessage, source: int) -> Entry:
    if isinstance(message, Signed):
        return _signed(message)
    if isinstance(message, PrePrepare):
        signed = decode(Signed, message.prepare)
        vote = decode(Prepare, signed.body)
        text = f"proposal of {signed.signer}: {_where(vote)}"
        return Entry(message, "propose", source, vote.view, vote.height, votes_in(message), text)
    if isinstance(message, Proposal):
        height = decode(Header, message.header).height
        text = f"content of block {block_hash(message.header).hex()[:6]}"
        return Entry(message, "content", source, 0, height, (), text)
    if not isinstance(message, Blocks):
        raise TypeError(f"the explorer knows no {type(message).__name__}")
    header = message.blocks[0].header
    height = decode(Header, header).height
    text = f"block {block_hash(header).hex()[:6]} of height {height} with its commit certificate"
    return Entry(message, "block", source, 0, height, (), text)


def _signed(message: Signed) -> Entry:
    kind, signer = message.kind, message.signer
    if kind is SignedKind.COMPLAINT:
        view = decode(Complaint, message.body).view
        text = f"complaint of {signer} about view {view}"
        return Entry(message, kind.name, signer, view, 0, (), text)
    if kind is SignedKind.VIEW_CHANGE:
        change = decode(ViewChange, message.body)
        text = f"ViewChange of {signer} to view {change.to_view} ({_holdings(change)})"
        return Entry(message, kind.name, signer, change.to_view, 0, (), text)
    if kind is SignedKind.NEW_VIEW:
        opened = decode(NewView, message.body)
        prepares = [decode(Signed, raw) for raw in opened.prepares]
        signers = [decode(Signed, raw).signer for raw in opened.view_changes]
        again = "; ".join(_where(decode(Prepare, prepare.body)) for prepare in prepares)
        text = f"NewView {opened.view} of {signer} from ViewChanges of {signers}, again: {again or 'nothing'}"
        return Entry(message, kind.name, signer, opened.view, 0, votes_in(message), text)
    voted = _vote(message.body)
    text = f"{kind.name.capitalize()} of {signer}: {_where(voted)}"
    return Entry(message, kind.name, signer, voted.view, voted.height, votes_in(message), text)


def _where(vote: Prepare | Commit) -> str:
    return f"view {vote.view}, height {vote.height}, block {vote.block.hex()[:6]}"


def _holdings(change: ViewChange) -> str:
    base = 0
    if change.committed is not None:
        base = decode(Commit, change.committed.vote).height
    held = [decode(Prepare, entry.certificate.vote) for entry in change.prepared]
    certificates = "; ".join(f"certificate {_where(vote)}" for vote in held)
    return f"committed {base}" + (f"; {certificates}" if certificates else "")
