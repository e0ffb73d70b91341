"""Proofs of misbehaviour: what no correct validator ever signs, checkable by anybody (reliability §12).

A proof holds the signed bytes themselves, and `culprit` needs only the proof and the validators of its
epoch: the genesis file and the hand-overs since. A correct validator signs only what follows from its
durable register, and the register is written before anything leaves; so whatever crashes and restarts it
lives through, none of these can be shown of it (INV-26). It can be shown of a validator whose disk was
rolled back: that one is faulty (B3, B12).

    rule          why a correct validator cannot have signed it
    ------------  --------------------------------------------------------------------------------------
    VOTES         One block is accepted per (epoch, view, height), and written down with its Prepare
                  before that leaves (INV-2, INV-3). The Commit is for the accepted block, with the roots
                  of the one execution, and is written down as well. So two Prepares or two Commits
                  of one place are equal, and a Prepare and a Commit name one block.
    VIEW_CHANGES  A ViewChange is signed when the voted view rises to its view, and written down with it
                  before it leaves; the voted view never falls within an epoch (INV-1).
    NEW_VIEWS     A NewView is signed by its leader on entering that view, and written down with it; a
                  view is entered once (INV-1).
    HIDDEN        Commit(v, h) leaves only when every height up to h is committed, or prepared in v
                  with a certificate that is on disk (INV-4, INV-6). A certificate goes only when its height
                  commits or one of a higher view replaces it, and a ViewChange carries every one that is
                  held, above the newest committed block (INV-4b). After a ViewChange to a view above v
                  nothing is signed in v. So each height up to h stands in the ViewChange: under its
                  committed block, or with a certificate of view v or higher.
    HEADER        A block is Prepared only after its header was checked, also when it is proposed again
                  (`open_view_change`). Its first proposer led a view of this epoch not above the vote's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final, Protocol

from msgspec import Meta

from tallynet.blocks import (
    PROTOCOL_VERSION,
    VALIDATORS_MAX,
    Certificate,
    Commit,
    Header,
    Prepare,
    SignatureCheck,
)  # fmt: skip
from tallynet.codec import Wire, decode
from tallynet.errors import RemoteProtocolError
from tallynet.fields import Epoch, Hash, Height
from tallynet.hashing import block_hash
from tallynet.messages import DOMAINS, NewView, Signed, SignedKind, ViewChange
from tallynet.signatures import verify_kind
from tallynet.validators import ValidatorSet


class Rule(IntEnum):
    """What was broken; see the table above."""

    VOTES = 1
    VIEW_CHANGES = 2
    NEW_VIEWS = 3
    HIDDEN = 4
    HEADER = 5

    @property
    def sentence(self) -> str:
        """For people: validator so and so ..."""
        return _SENTENCES[self]


_SENTENCES: Final = {
    Rule.VOTES: "voted for two things at one place",
    Rule.VIEW_CHANGES: "sent two different ViewChanges for one view",
    Rule.NEW_VIEWS: "opened one view in two different ways",
    Rule.HIDDEN: "hid in a ViewChange what it had committed to",
    Rule.HEADER: "voted for a block that no validator may propose",
}


class VotesEvidence(Wire, tag="votes"):
    """Two votes of one signer for one (epoch, view, height) that contradict each other."""

    first: bytes
    """Encoded `Signed` Prepare or Commit, like all byte strings of proofs."""
    second: bytes


class ViewChangesEvidence(Wire, tag="view-changes"):
    """Two ViewChanges of one signer for one (epoch, view) with different bodies."""

    first: bytes
    second: bytes


class NewViewsEvidence(Wire, tag="new-views"):
    """Two NewViews of one signer for one (epoch, view) with different bodies."""

    first: bytes
    second: bytes


class HiddenEvidence(Wire, tag="hidden"):
    """A Commit, and a ViewChange of the same signer and epoch to a higher view that hides what the
    Commit stands on."""

    commit: bytes
    view_change: bytes


class HeaderEvidence(Wire, tag="header"):
    """A Prepare for a block whose header breaks a rule that the header alone shows."""

    prepare: bytes
    header: bytes


Evidence = VotesEvidence | ViewChangesEvidence | NewViewsEvidence | HiddenEvidence | HeaderEvidence


NO_ROOT: Final = bytes(32)


class Divergence(Wire):
    """A validator's own results differ from others' (protocol §5.4.5), or a quorum's certificate
    contradicts its chain: what it keeps, to find out who is wrong. It names nobody: a wrong result is a
    fault of a machine or a program, not a lie, and who forked is for `tally forensics` to say."""

    epoch: Epoch
    height: Height
    """Of the others' votes or certificate."""
    block: Hash
    """The block here that they contradict: at this height, or the one below that theirs does not
    follow."""
    state_root: Hash
    """What executing it gave here; `NO_ROOT` when the chains differ, not the results."""
    receipts_root: Hash
    others: Annotated[tuple[bytes, ...], Meta(max_length=VALIDATORS_MAX)]
    """Encoded `Signed` Commits with other roots: of f+1 validators, or our own of before a restart.
    Empty with a certificate."""
    certificate: Certificate | None
    """Commit certificate on other roots, or of another chain."""

    @property
    def is_fork(self) -> bool:
        """The chains differ."""
        return self.state_root == NO_ROOT


@dataclass(frozen=True, slots=True)
class Conviction:
    """What a proof shows."""

    signer: int
    """Validator index."""
    rule: Rule
    epoch: int
    view: int
    height: int
    """0 where the rule is about views."""

    @property
    def key(self) -> bytes:
        """One proof per signer, rule and place is worth keeping."""
        return (
            bytes((self.rule,))
            + self.signer.to_bytes(2, "big")
            + b"".join(n.to_bytes(8, "big") for n in (self.epoch, self.view, self.height))
        )


def epoch_of_key(key: bytes) -> int:
    """Epoch in a `Conviction.key`."""
    return int.from_bytes(key[3:11], "big")


class Electorate(Protocol):
    """Who votes in which epoch, and what their headers must say: a `Succession` of what is known from
    the genesis on, or what a validator knows of its own life."""

    @property
    def genesis(self) -> bytes: ...

    @property
    def epoch_length(self) -> int: ...

    def set_of(self, epoch: int) -> ValidatorSet | None:
        """The set of an epoch; None when it is not known."""


def culprit(
    evidence: bytes, electorate: Electorate, check: SignatureCheck = verify_kind
) -> Conviction:
    """Whom an encoded proof convicts, and of what.

    Raises:
        RemoteProtocolError: BAD_EVIDENCE, or it does not decode; it then says nothing about anybody.
    """
    proof = decode(Evidence, evidence)
    if isinstance(proof, VotesEvidence):
        signed, found = _votes(decode(Signed, proof.first), decode(Signed, proof.second))
    elif isinstance(proof, ViewChangesEvidence | NewViewsEvidence):
        signed, found = _views(proof)
    elif isinstance(proof, HiddenEvidence):
        signed, found = _hidden(decode(Signed, proof.commit), decode(Signed, proof.view_change))
    else:
        signed, found = _header(decode(Signed, proof.prepare), proof.header, electorate)
    voters = electorate.set_of(found.epoch)
    for message in signed:
        if voters is None or message.signer != found.signer or message.signer >= len(voters.keys):
            raise _bad("not all is by one validator")
        key = voters.keys[message.signer]
        kind = DOMAINS[message.kind]
        if not check(kind, electorate.genesis, message.body, key, message.signature):
            raise _bad("a signature is bad")
    return found


Found = tuple[tuple[Signed, ...], Conviction]


def _votes(first: Signed, second: Signed) -> Found:
    one, other = _vote(first), _vote(second)
    if (one.epoch, one.view, one.height) != (other.epoch, other.view, other.height):
        raise _bad("votes at different places")
    agree = one == other if type(one) is type(other) else one.block == other.block
    if agree:
        raise _bad("the votes do not contradict each other")
    found = Conviction(first.signer, Rule.VOTES, one.epoch, one.view, one.height)
    return (first, second), found


def _vote(signed: Signed) -> Prepare | Commit:
    if signed.kind is SignedKind.PREPARE:
        return decode(Prepare, signed.body)
    if signed.kind is SignedKind.COMMIT:
        return decode(Commit, signed.body)
    raise _bad("not a vote")


def _views(proof: ViewChangesEvidence | NewViewsEvidence) -> Found:
    first, second = decode(Signed, proof.first), decode(Signed, proof.second)
    changes = isinstance(proof, ViewChangesEvidence)
    kind = SignedKind.VIEW_CHANGE if changes else SignedKind.NEW_VIEW
    if first.kind is not kind or second.kind is not kind or first.body == second.body:
        raise _bad("not two different messages of this kind")
    place = _view(first)
    if place != _view(second):
        raise _bad("messages about different views")
    rule = Rule.VIEW_CHANGES if changes else Rule.NEW_VIEWS
    return (first, second), Conviction(first.signer, rule, *place, 0)


def _view(signed: Signed) -> tuple[int, int]:
    if signed.kind is SignedKind.VIEW_CHANGE:
        change = decode(ViewChange, signed.body)
        return change.epoch, change.to_view
    view = decode(NewView, signed.body)
    return view.epoch, view.view


def _hidden(commit: Signed, change: Signed) -> Found:
    vote = _vote(commit)
    if not isinstance(vote, Commit) or change.kind is not SignedKind.VIEW_CHANGE:
        raise _bad("not a Commit and a ViewChange")
    if not hides(vote, decode(ViewChange, change.body)):
        raise _bad("the ViewChange hides nothing of the Commit")
    found = Conviction(commit.signer, Rule.HIDDEN, vote.epoch, vote.view, vote.height)
    return (commit, change), found


def hides(commit: Commit, change: ViewChange) -> bool:
    """True iff who signed the Commit must not sign this ViewChange: a height up to the Commit's is
    neither committed by it nor under a certificate of the Commit's view or a higher one. Numbers from
    the wire are only compared and subtracted."""
    if change.epoch != commit.epoch or change.to_view <= commit.view:
        return False
    base = 0 if change.committed is None else decode(Commit, change.committed.vote).height
    shown: dict[int, None] = {}
    for entry in change.prepared:
        prepare = decode(Prepare, entry.certificate.vote)
        if prepare.view >= commit.view and base < prepare.height <= commit.height:
            shown[prepare.height] = None
    return len(shown) < commit.height - base


def _header(prepare: Signed, header_bytes: bytes, electorate: Electorate) -> Found:
    vote = _vote(prepare)
    if not isinstance(vote, Prepare) or block_hash(header_bytes) != vote.block:
        raise _bad("not a Prepare for this header")
    if _plain_vote_fault(electorate, decode(Header, header_bytes), vote) is None:
        raise _bad("the header is possible")
    found = Conviction(prepare.signer, Rule.HEADER, vote.epoch, vote.view, vote.height)
    return (prepare,), found


def vote_fault(electorate: Electorate, header: Header, vote: Prepare | Commit) -> str | None:
    """Why no correct validator casts this vote for a block with this header; None when one may."""
    return _plain_vote_fault(electorate, header, vote) or _set_fault(electorate, header)


def _plain_vote_fault(electorate: Electorate, header: Header, vote: Prepare | Commit) -> str | None:
    """Faults that whoever knows the genesis file is sure of."""
    fault = _plain_fault(electorate, header, vote.height)
    if fault is not None:
        return fault
    if vote.epoch != header.epoch:
        return f"a vote of epoch {vote.epoch} for a block of epoch {header.epoch}"
    if header.proposer > vote.view:
        return f"validator {header.proposer} leads no view up to {vote.view}"
    return None


def header_fault(electorate: Electorate, header: Header, height: int) -> str | None:
    """Why no block of this network can have this header at `height`; None when it can."""
    return _plain_fault(electorate, header, height) or _set_fault(electorate, header)


def _plain_fault(electorate: Electorate, header: Header, height: int) -> str | None:
    if header.genesis != electorate.genesis:
        return "another network"
    if header.version != PROTOCOL_VERSION:
        return f"protocol version {header.version}"
    if header.height != height:
        return f"height {header.height} where {height} was voted on"
    if header.height < 1 or header.epoch != (header.height - 1) // electorate.epoch_length:
        return f"height {header.height} is not in epoch {header.epoch}"
    return None


def _set_fault(electorate: Electorate, header: Header) -> str | None:
    """Faults for who knows the set of the header's epoch. They convict nobody: who has missed a hand-over
    would find them in an honest header. Which set the last header of an epoch has to name is for the
    state to say."""
    voters = electorate.set_of(header.epoch)
    if voters is None:
        return f"the validators of epoch {header.epoch} are not known"
    if header.proposer >= len(voters.keys):
        return f"proposer {header.proposer} is no validator"
    ends = header.height % electorate.epoch_length == 0
    if header.next_validators != voters.hash and not ends:
        return "another validator set"
    return None


def _bad(why: str) -> RemoteProtocolError:
    return RemoteProtocolError("BAD_EVIDENCE", why)
