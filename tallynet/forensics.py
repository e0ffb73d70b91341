"""Who made a fork possible: everything that validators signed, compared with itself (reliability §12).

Two conflicting commit certificates, with the NewViews that nodes keep, name at least f+1 culprits:

    both of one view       2 q - n >= f+1 validators signed both certificates: two Commits at one place.
    of views v1 < v2       Take the first NewView above v1 that does not keep the block of v1. f+1 of the q
                           signers of its ViewChanges had committed to that block. Each of them hid it; or
                           it shows certificates that keep it, and a rival certificate of the same or a
                           higher view overrules them: of the same view, its signers voted for two things
                           at one place; of a higher one, they followed another NewView of that view,
                           which is then the first that does not keep the block.

Instead of following this argument step by step, all statements found are compared pair by pair under the
rules of `tallynet.evidence`. That names everybody whom the argument names, as far as the NewViews are at
hand, and nobody whom no rule convicts: each proof is checked by `culprit` before it counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Final

from tallynet.blocks import Certificate, Commit, Prepare, SignatureCheck
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.evidence import (
    Conviction,
    Electorate,
    Evidence,
    HeaderEvidence,
    HiddenEvidence,
    NewViewsEvidence,
    ViewChangesEvidence,
    VotesEvidence,
    culprit,
    hides,
)  # fmt: skip
from tallynet.messages import DOMAINS, NewView, Signed, SignedKind, ViewChange
from tallynet.signatures import verify_kind

STATEMENTS_PER_PLACE_MAX: Final = 3
"""Different ones by one signer: among three there are always two that contradict each other."""
Proven = tuple[Conviction, bytes]
"""What a proof shows, and the encoded proof."""


class Statements:
    """Collects what validators signed, each body at its place; then says who contradicted himself.

    Messages that do not decode, or are not signed by whom they name, are counted in `refused` and have no
    other effect, so a liar's archive cannot hide anything of others'.
    """

    def __init__(self, electorate: Electorate, check: SignatureCheck = verify_kind) -> None:
        self._electorate: Final = electorate
        self._check: Final = check
        self._votes: Final[dict[tuple[int, int, int, int], list[Signed]]] = {}
        """(signer, epoch, view, height) -> different Prepares and Commits there."""
        self._views: Final[dict[tuple[int, SignedKind, int, int], list[Signed]]] = {}
        """(signer, kind, epoch, view) -> different ViewChanges or NewViews for it."""
        self._seen: Final[dict[tuple[int, SignedKind, bytes], None]] = {}
        self._direct: Final[list[Proven]] = []
        self.refused = 0

    # --- collecting -------------------------------------------------------------------------------

    def add(self, signed: Signed) -> None:
        """A message, and everything signed inside it."""
        try:
            self._add(signed)
        except RemoteProtocolError:
            self.refused += 1

    def add_raw(self, message: bytes) -> None:
        """The same for an encoded `Signed`."""
        try:
            self._add(decode(Signed, message))
        except RemoteProtocolError:
            self.refused += 1

    def add_certificate(self, kind: SignedKind, certificate: Certificate) -> None:
        """Every vote of a certificate, `kind` PREPARE or COMMIT; it need not be complete."""
        for signer, signature in zip(certificate.signers, certificate.signatures, strict=False):
            self.add(Signed(kind, certificate.vote, signer, signature))

    def add_proof(self, proof: bytes) -> None:
        """An encoded proof of misbehaviour: it stands for itself, and its parts may show more."""
        try:
            self._direct.append((culprit(proof, self._electorate, self._check), proof))
            for signed in _parts(decode(Evidence, proof)):
                self._add(signed)
        except RemoteProtocolError:
            self.refused += 1

    def _add(self, signed: Signed) -> None:
        key = (signed.signer, signed.kind, signed.body)
        if key in self._seen or signed.kind in (SignedKind.COMPLAINT, SignedKind.STATUS):
            return
        place = _place(signed)
        voters = self._electorate.set_of(place[0])
        if voters is None or signed.signer >= len(voters.keys):
            raise RemoteProtocolError("NOT_A_VALIDATOR", f"signer {signed.signer}")
        domain, public_key = DOMAINS[signed.kind], voters.keys[signed.signer]
        genesis = self._electorate.genesis
        if not self._check(domain, genesis, signed.body, public_key, signed.signature):
            raise RemoteProtocolError("BAD_SIGNATURE", signed.kind.name)
        self._seen[key] = None
        if signed.kind in (SignedKind.PREPARE, SignedKind.COMMIT):
            _keep(self._votes.setdefault((signed.signer, *place), []), signed)
            return
        epoch, view, _ = place
        _keep(self._views.setdefault((signed.signer, signed.kind, epoch, view), []), signed)
        self._add_inner(signed)

    def _add_inner(self, signed: Signed) -> None:
        if signed.kind is SignedKind.VIEW_CHANGE:
            change = decode(ViewChange, signed.body)
            if change.committed is not None:
                self.add_certificate(SignedKind.COMMIT, change.committed)
            for entry in change.prepared:
                self.add_certificate(SignedKind.PREPARE, entry.certificate)
        else:
            view = decode(NewView, signed.body)
            for raw in (*view.view_changes, *view.prepares):
                self.add(decode(Signed, raw))

    # --- comparing --------------------------------------------------------------------------------

    def convictions(self) -> list[Proven]:
        """Everything that can be proven, one proof per validator, rule and place, in that order."""
        found: dict[bytes, Proven] = {}
        for proof in self._proofs():
            raw = encode(proof)
            try:
                conviction = culprit(raw, self._electorate, self._check)
            except RemoteProtocolError:
                continue  # these two do not contradict each other
            found.setdefault(conviction.key, (conviction, raw))
        for conviction, raw in self._direct:
            found.setdefault(conviction.key, (conviction, raw))
        return sorted(found.values(), key=lambda item: (item[0].signer, item[0].key))

    def _proofs(self) -> Iterator[Evidence]:
        for votes in self._votes.values():
            for first, second in combinations(votes, 2):
                yield VotesEvidence(encode(first), encode(second))
        for (_, kind, _, _), messages in self._views.items():
            both = ViewChangesEvidence if kind is SignedKind.VIEW_CHANGE else NewViewsEvidence
            for first, second in combinations(messages, 2):
                yield both(encode(first), encode(second))
        yield from self._hidings()

    def _hidings(self) -> Iterator[Evidence]:
        """Per ViewChange the first Commit that it hides: one is enough."""
        commits: dict[tuple[int, int], list[tuple[Commit, Signed]]] = {}
        for (signer, epoch, _, _), votes in sorted(self._votes.items()):
            for signed in votes:
                if signed.kind is SignedKind.COMMIT:
                    known = commits.setdefault((signer, epoch), [])
                    known.append((decode(Commit, signed.body), signed))
        for (signer, kind, epoch, _), messages in self._views.items():
            for message in messages if kind is SignedKind.VIEW_CHANGE else ():
                change = decode(ViewChange, message.body)
                for commit, signed in commits.get((signer, epoch), ()):
                    if hides(commit, change):
                        yield HiddenEvidence(encode(signed), encode(message))
                        break


def _keep(there: list[Signed], signed: Signed) -> None:
    if len(there) < STATEMENTS_PER_PLACE_MAX:
        there.append(signed)


def _place(signed: Signed) -> tuple[int, int, int]:
    """(epoch, view, height) of a statement; height 0 for ViewChanges and NewViews."""
    if signed.kind is SignedKind.PREPARE:
        prepare = decode(Prepare, signed.body)
        return prepare.epoch, prepare.view, prepare.height
    if signed.kind is SignedKind.COMMIT:
        commit = decode(Commit, signed.body)
        return commit.epoch, commit.view, commit.height
    if signed.kind is SignedKind.VIEW_CHANGE:
        change = decode(ViewChange, signed.body)
        return change.epoch, change.to_view, 0
    view = decode(NewView, signed.body)
    return view.epoch, view.view, 0


def _parts(proof: Evidence) -> Iterable[Signed]:
    """The signed messages in a proof."""
    if isinstance(proof, HiddenEvidence):
        return decode(Signed, proof.commit), decode(Signed, proof.view_change)
    if isinstance(proof, HeaderEvidence):
        return (decode(Signed, proof.prepare),)
    return decode(Signed, proof.first), decode(Signed, proof.second)
