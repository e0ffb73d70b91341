"""Where what others signed is compared, so that a contradiction becomes a proof (reliability §12).

Each function looks at one new verified message and at what is at hand in memory: the votes of the
open slots, the certificates of the newest committed and of certified blocks, the newest ViewChange of
each validator. What is proven by `tallynet.evidence.culprit` is kept; everything else is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.slots import Slot
from consensus.state import State
from consensus.view_change import OpenViewChange
from tallynet.blocks import Certificate, Commit
from tallynet.codec import decode, encode
from tallynet.evidence import HiddenEvidence, ViewChangesEvidence, VotesEvidence, hides
from tallynet.messages import Signed, SignedKind, ViewChange


def by_vote(state: State, slot: Slot, signed: Signed) -> None:
    """A Prepare or Commit was counted at this slot, or refused for another one that stays."""
    is_commit = signed.kind is SignedKind.COMMIT
    same, cross = slot.prepares, slot.commits
    if is_commit:
        same, cross = cross, same
    other = same.of(signed.signer)
    if other is not None and other.body != signed.body:
        state.accuse(VotesEvidence(encode(other), encode(signed)))
    other = cross.of(signed.signer)
    if other is not None and _block(state, other) != _block(state, signed):
        state.accuse(VotesEvidence(encode(other), encode(signed)))
    if is_commit:
        change = state.changes.get(signed.signer)
        if change is not None:
            _by_hiding(state, signed, change)


def _block(state: State, vote: Signed) -> bytes:
    return state.verifier.vote(vote.kind, vote.body).block


def by_certificate(state: State, certificate: Certificate, commit: Commit) -> None:
    """A verified commit certificate came in: all its signers said this, and what else did they say?"""
    slot = state.slots.get(commit.height)
    rival = state.tip_certificate if commit.height == state.committed else None
    if slot is None and rival is None:
        return
    for signed in commits_of(certificate):
        if slot is not None:
            by_vote(state, slot, signed)
        if rival is not None and rival.vote != certificate.vote:
            for other in commits_of(rival):
                if other.signer == signed.signer:
                    state.accuse(VotesEvidence(encode(other), encode(signed)))


def by_change(state: State, change: OpenViewChange) -> None:
    """A verified ViewChange came in, by itself or inside a NewView."""
    signer = change.signed.signer
    other = state.changes.get(signer)
    if other is not None and other.signed.body != change.signed.body:
        state.accuse(ViewChangesEvidence(encode(other.signed), encode(change.signed)))
    for signed in _known_commits(state, signer):
        _by_hiding(state, signed, change)


def _by_hiding(state: State, signed: Signed, change: OpenViewChange) -> None:
    if hides(decode(Commit, signed.body), decode(ViewChange, change.signed.body)):
        state.accuse(HiddenEvidence(encode(signed), encode(change.signed)))


def _known_commits(state: State, signer: int) -> Iterator[Signed]:
    """Commits of this validator that are at hand: at most 2 W + 1 and the certified ones."""
    for slot in state.slots.values():
        vote = slot.commits.of(signer)
        if vote is not None:
            yield vote
    certificates = [certified.certificate for certified in state.certified.values()]
    if state.tip_certificate is not None:
        certificates.append(state.tip_certificate)
    for certificate in certificates:
        for signed in commits_of(certificate):
            if signed.signer == signer:
                yield signed


def commits_of(certificate: Certificate) -> list[Signed]:
    """The signed Commits that a commit certificate holds."""
    pairs = zip(certificate.signers, certificate.signatures, strict=True)
    return [Signed(SignedKind.COMMIT, certificate.vote, i, signature) for i, signature in pairs]
