"""A liar that wants others to believe that somebody correct has lied (INV-26)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from tallynet.blocks import Certificate, Commit, Header, Prepare
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import block_hash
from tallynet.messages import (
    Blocks,
    NewView,
    PeerMessage,
    PrePrepare,
    Signed,
    SignedKind,
    ViewChange,
)
from tools.simulator.byzantine.base import Behaviour, opened

FRAMES_PER_BEAT = 6


class Framer(Behaviour):
    """Splices votes of correct validators: their signatures under other bodies, kinds and names, their
    old votes again, votes cut out of certificates, its own votes under their names."""

    def beat(self) -> None:
        archive = self.ring.archive
        kinds = [k for k in archive.kinds() if k in _SOURCES]
        for _ in range(FRAMES_PER_BEAT if kinds else 0):
            _, _, message = self.random.choice(archive.all(self.random.choice(kinds)))
            votes = [v for v in _votes_in(message) if v.signer not in self.allies]
            if votes:
                forged = self._spliced(self.random.choice(votes))
                self.lie(self.random.choice(self.victims), forged)

    def _spliced(self, vote: Signed) -> Signed | PrePrepare:
        random = self.random
        way = random.randrange(8)
        if way == 0:  # as it is: perhaps it was said in another life, or to somebody else only
            return vote
        if way == 1:
            return replace(vote, body=self._other_body(vote))
        if way == 2:
            return replace(vote, signer=random.choice(self.victims))
        if way == 3:
            kinds = [kind for kind in SignedKind if kind is not vote.kind]
            return replace(vote, kind=random.choice(kinds))
        if way == 4:  # its own signature under another's name
            body = self._other_body(vote)
            return replace(self.sign(vote.kind, body), signer=vote.signer)
        if way == 5:
            return replace(vote, body=self._other_body(vote), signature=random.randbytes(64))
        proposals = [
            message
            for _, _, message in self.ring.archive.all("PrePrepare")
            if isinstance(message, PrePrepare)
        ]
        if not proposals:
            return vote
        if way == 6:  # a vote under other content
            return replace(random.choice(proposals), prepare=encode(vote))
        return self._second_proposal(proposals[-1]) or vote

    def _second_proposal(self, proposal: PrePrepare) -> PrePrepare | None:
        """Another block in the place of the newest proposal, under the name of its leader. None if that one was
        spoiled on the way."""
        signed = opened(Signed, proposal.prepare)
        vote = opened(Prepare, signed.body) if signed is not None else None
        header = opened(Header, proposal.header)
        if signed is None or vote is None or header is None:
            return None
        forged = encode(replace(header, time_ms=header.time_ms + 1))
        body = encode(replace(vote, block=block_hash(forged)))
        prepare = replace(self.sign(SignedKind.PREPARE, body), signer=signed.signer)
        return replace(proposal, header=forged, prepare=encode(prepare))

    def _other_body(self, vote: Signed) -> bytes:
        """A body that would contradict it."""
        block = self.random.randbytes(32)
        prepare = opened(Prepare, vote.body)
        if vote.kind is SignedKind.PREPARE and prepare is not None:
            return encode(replace(prepare, block=block))
        commit = opened(Commit, vote.body)
        if vote.kind is SignedKind.COMMIT and commit is not None:
            if self.random.random() < 0.5:
                return encode(replace(commit, state_root=block))
            return encode(replace(commit, block=block))
        return vote.body


_SOURCES = frozenset(("PREPARE", "COMMIT", "PrePrepare", "VIEW_CHANGE", "NEW_VIEW", "Blocks"))


def _votes_in(message: PeerMessage) -> list[Signed]:
    try:
        return list(_votes(message))
    except RemoteProtocolError:
        return []  # spoiled on the way


def _votes(message: PeerMessage) -> Iterator[Signed]:
    """Every signed vote in a message, also those inside certificates."""
    if isinstance(message, PrePrepare):
        yield decode(Signed, message.prepare)
    elif isinstance(message, Blocks):
        for block in message.blocks:
            yield from _members(block.certificate, SignedKind.COMMIT)
    elif isinstance(message, Signed):
        yield message
        if message.kind is SignedKind.VIEW_CHANGE:
            change = decode(ViewChange, message.body)
            if change.committed is not None:
                yield from _members(change.committed, SignedKind.COMMIT)
            for entry in change.prepared:
                yield from _members(entry.certificate, SignedKind.PREPARE)
        elif message.kind is SignedKind.NEW_VIEW:
            for raw in decode(NewView, message.body).prepares:
                yield decode(Signed, raw)


def _members(certificate: Certificate, kind: SignedKind) -> Iterator[Signed]:
    for signer, signature in zip(certificate.signers, certificate.signatures, strict=False):
        yield Signed(kind, certificate.vote, signer, signature)
