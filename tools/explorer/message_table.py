"""Every message that can be on its way: a number, and the few things that the network has to know of it.

A set of messages is an int with the bits of their numbers. The network forgets nothing and delivers anything at any
time, again too; what a replica can still do something with is what counts (`horizon`).
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
    certificate: Certificate | None = None
    """The certificate of Prepares."""


class MessageTable:
    """Numbers messages by their bytes, and their meanings."""

    def __init__(self, byzantine: int | None) -> None:
        """`byzantine`: whose votes may be added to any certificate at any time."""
        self.entries: Final[list[Entry]] = []
        self.votes = 0
        """Set of all messages with a Prepare or Commit in them."""
        self._byzantine: Final = byzantine
        self._numbers: Final[dict[object, int]] = {}
        self._meanings: Final[dict[Meaning, int]] = {}
        self._meant: Final[list[int]] = []
        """Message -> number of its meaning."""
        self._sets: Final[dict[int, int]] = {}
        self._sent: Final[dict[bytes, int]] = {}
        self._contents: Final[dict[bytes, Proposal]] = {}
        self._voters: Final[dict[bytes, dict[int, int]]] = {}
        """Body of a vote -> signer -> set of the messages that hold this vote."""
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
        key = _identity(message)
        number = self._numbers.get(key)
        if number is None:
            number = self._new(key, meaning(message), _entry(message, source))
            if isinstance(message, Proposal):
                self._contents[block_hash(message.header)] = message
        return 1 << number

    def _new(self, key: object, what: Meaning, entry: Entry) -> int:
        number = self._numbers[key] = len(self.entries)
        self.entries.append(entry)
        self._meant.append(self._meanings.setdefault(what, len(self._meanings)))
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

    def meaning(self, number: int) -> int:
        """The number of what a message means."""
        return self._meant[number]

    def meant(self, messages: int) -> int:
        """Set of the meanings of these messages."""
        found = self._sets.get(messages)
        if found is None:
            found = 0
            for number in self.numbers(messages):
                found |= 1 << self._meant[number]
            self._sets[messages] = found
        return found

    def content(self, block: bytes) -> Proposal:
        """The content of a block that somebody proposed."""
        return self._contents[block]

    # --- what follows from what was said --------------------------------------------------------------

    def certified(self, said: int) -> int:
        """Set of the blocks with a commit certificate that somebody could put together from what was said; and, when
        somebody is Byzantine, of the Prepare certificates that it could. One of each is enough."""
        relevant = said & (self.votes | self.of("block") | self.of("certificate"))
        found = self._certified.get(relevant)
        if found is None:
            found = 0
            known = self.meant(relevant)
            for body, holders in list(self._voters.items()):
                signers = sorted(i for i, messages in holders.items() if relevant & messages)
                if self._byzantine is not None and self._byzantine not in signers:
                    signers = [self._byzantine, *signers]
                if len(signers) >= QUORUM:
                    new = self._certificate(body, tuple(sorted(signers[:QUORUM])), known)
                    found |= new
                    known |= self.meant(new)
            self._certified[relevant] = found
        return found

    def _certificate(self, body: bytes, signers: tuple[int, ...], known: int) -> int:
        """The set of this certificate, unless one of the same meaning is among those known."""
        vote = _vote(body)
        if isinstance(vote, Commit):
            what: Meaning = ("block", vote.block)
        elif self._byzantine is not None:
            what = ("certificate", body)
        else:
            return 0
        if what in self._meanings and known >> self._meanings[what] & 1:
            return 0
        if isinstance(vote, Commit):
            certificate = certificate_by(SignedKind.COMMIT, body, signers)
            content = self._contents[vote.block]
            block = CertifiedBlock(content.header, content.envelopes, certificate, ())
            return self.add(Blocks((block,)), 0)
        certificate = certificate_by(SignedKind.PREPARE, body, signers)
        number = self._numbers.get((body, signers))
        if number is None:
            text = f"certificate of Prepares: {_where(vote)}"
            entry = Entry(
                None, "certificate", 0, vote.view, vote.height, (), text, certificate
            )  # fmt: skip
            number = self._new((body, signers), what, entry)
        return 1 << number

    # --- events -----------------------------------------------------------------------------------

    def event(self, number: int, receiver: int) -> Received:
        """The arrival of a message."""
        entry = self.entries[number]
        if entry.message is None:
            raise TypeError("a certificate is not a message")
        source = entry.source
        if source == receiver:  # somebody hands back what this replica said itself
            source = (receiver + 1) % VALIDATORS
        return Received(source, entry.message)


def certificate_by(kind: SignedKind, body: bytes, signers: tuple[int, ...]) -> Certificate:
    """The certificate of these votes."""
    return Certificate(body, signers, tuple(sign_as(i, kind, body) for i in signers))


def _identity(message: PeerMessage) -> object:
    """Equal for messages that every replica takes in the same way, to the last byte of what it says then."""
    if isinstance(message, Signed) and message.kind is not SignedKind.COMPLAINT:
        return message.kind, message.signer, message.body
    if isinstance(message, Blocks):
        certificate = message.blocks[0].certificate
        return certificate.vote, certificate.signers, "block"
    return meaning(message)


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
