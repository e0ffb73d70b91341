"""The view change as pure functions: what a ViewChange proves, what a NewView must propose again.

`select_new_view` is run by the new leader and again by everybody else; a NewView is valid only if
its list equals the recomputation (A1, INV-13). Why this is safe: a committed block was prepared,
with everything below it down to the committed base, by q replicas; any q ViewChanges contain one of
the correct ones among them; certificates are sticky and the highest view wins (protocol §5.6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.config import ReplicaConfig
from consensus.journal import open_signed
from consensus.votes import Verifier
from tallynet.blocks import Certificate, Header, Prepare, quorum
from tallynet.codec import decode
from tallynet.errors import RemoteProtocolError
from tallynet.evidence import header_fault, vote_fault
from tallynet.hashing import block_hash
from tallynet.messages import NewView, PreparedEntry, Signed, SignedKind, ViewChange


@dataclass(frozen=True, slots=True)
class Entry:
    """A block with a verified prepared certificate."""

    height: int
    view: int
    """View of the certificate."""
    block: bytes
    parent: bytes
    header_bytes: bytes


@dataclass(frozen=True, slots=True)
class Base:
    """A committed block with a verified commit certificate, or genesis."""

    height: int
    block: bytes
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class OpenViewChange:
    """A ViewChange whose signature and certificates have all been verified."""

    signed: Signed
    to_view: int
    base: Base
    prepared: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What the new view starts from: the highest committed block and the chain to propose again."""

    base: Base
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class OpenNewView:
    """A NewView that passed every check of INV-13."""

    signed: Signed
    view: int
    selection: Selection
    prepares: tuple[Signed, ...]
    """The new leader's Prepare for each entry."""
    view_changes: tuple[OpenViewChange, ...]


def select_new_view(view_changes: Sequence[OpenViewChange], window: int) -> Selection:
    """The chain a new view must propose again, from q ViewChanges for it.

    From the highest committed block upwards, at each height the certificate of the highest view;
    stop at the first gap or parent mismatch (A3, A5).
    """
    base = max((change.base for change in view_changes), key=lambda b: b.height)
    best: dict[int, Entry] = {}
    for change in view_changes:
        for entry in change.prepared:
            known = best.get(entry.height)
            if known is None or entry.view > known.view:
                best[entry.height] = entry
    chain: list[Entry] = []
    parent = base.block
    for height in range(base.height + 1, base.height + window + 1):
        chosen = best.get(height)
        if chosen is None or chosen.parent != parent:
            break
        chain.append(chosen)
        parent = chosen.block
    return Selection(base, tuple(chain))


def open_view_change(
    signed: Signed, *, config: ReplicaConfig, verifier: Verifier, epoch: int
) -> OpenViewChange:
    """Verify a ViewChange of `epoch` completely.

    Raises:
        RemoteProtocolError: BAD_VIEW_CHANGE, BAD_CERTIFICATE, BAD_SIGNATURE, or it does not decode.
    """
    if signed.kind != SignedKind.VIEW_CHANGE:
        raise _bad("not a ViewChange")
    body = decode(ViewChange, signed.body)
    if body.epoch != epoch or body.to_view < 1:
        raise _bad(f"epoch {body.epoch}, view {body.to_view}")
    if not verifier.signed(signed):
        raise RemoteProtocolError("BAD_SIGNATURE", "ViewChange")
    base = _open_base(body, config, verifier)
    if base.height // config.epoch_length != epoch:
        raise _bad(f"the committed height {base.height} is not of epoch {epoch}")
    limit = min(base.height + config.window, (epoch + 1) * config.epoch_length)
    entries: list[Entry] = []
    lowest = base.height + 1
    for item in body.prepared:
        entry = _open_entry(item, config, verifier, epoch)
        if not lowest <= entry.height <= limit or entry.view >= body.to_view:
            raise _bad(f"a certificate of height {entry.height} and view {entry.view}")
        entries.append(entry)
        lowest = entry.height + 1
    return OpenViewChange(signed, body.to_view, base, tuple(entries))


def _open_base(body: ViewChange, config: ReplicaConfig, verifier: Verifier) -> Base:
    if body.committed is None:  # present exactly when claimed (A4)
        if body.committed_header:
            raise _bad("a committed header without a certificate")
        return Base(0, config.genesis, None)
    commit = verifier.committed(body.committed)
    if block_hash(body.committed_header) != commit.block:
        raise _bad("the committed header is not the certified one")
    header = decode(Header, body.committed_header)
    fault = header_fault(config, header, commit.height)
    if fault is not None or commit.epoch != header.epoch:
        raise _bad(f"the committed header: {fault}")
    if header.next_validators != config.validators_hash:
        raise _bad("the committed header hands over to another set")
    return Base(header.height, commit.block, body.committed)


def _open_entry(
    item: PreparedEntry, config: ReplicaConfig, verifier: Verifier, epoch: int
) -> Entry:
    prepare = verifier.prepared(item.certificate)
    if block_hash(item.header) != prepare.block:
        raise _bad("a prepared header is not the certified one")
    header = decode(Header, item.header)
    fault = vote_fault(config, header, prepare)
    if fault is not None or prepare.epoch != epoch:
        raise _bad(f"a prepared header: {fault or 'another epoch'}")
    return Entry(header.height, prepare.view, prepare.block, header.parent, item.header)


def open_new_view(
    signed: Signed, *, config: ReplicaConfig, verifier: Verifier, epoch: int
) -> OpenNewView:
    """Verify a NewView of `epoch` completely, recomputing its list (INV-13).

    Raises:
        RemoteProtocolError: BAD_NEW_VIEW and whatever its parts raise.
    """
    n = len(config.validators)
    if signed.kind != SignedKind.NEW_VIEW:
        raise _bad_new_view("not a NewView")
    body = decode(NewView, signed.body)
    if body.epoch != epoch or body.view < 1:
        raise _bad_new_view(f"epoch {body.epoch}, view {body.view}")
    if signed.signer != body.view % n:
        raise _bad_new_view(f"validator {signed.signer} does not lead view {body.view}")
    if not verifier.signed(signed):
        raise RemoteProtocolError("BAD_SIGNATURE", "NewView")
    changes = tuple(
        open_view_change(open_signed(raw), config=config, verifier=verifier, epoch=epoch)
        for raw in body.view_changes
    )
    signers = [change.signed.signer for change in changes]
    if len(signers) != quorum(n) or signers != sorted(set(signers)):
        raise _bad_new_view("not q ViewChanges of distinct validators in order")
    if any(change.to_view != body.view for change in changes):
        raise _bad_new_view("a ViewChange for another view")
    selection = select_new_view(changes, config.window)
    if body.proposals != tuple(entry.header_bytes for entry in selection.entries):
        raise _bad_new_view("the proposals are not those that the ViewChanges select")
    if len(body.prepares) != len(selection.entries):
        raise _bad_new_view("not one Prepare per proposal")
    prepares = tuple(open_signed(raw) for raw in body.prepares)
    for entry, prepare in zip(selection.entries, prepares, strict=True):
        expected = Prepare(epoch, body.view, entry.height, entry.block)
        if (
            prepare.kind != SignedKind.PREPARE
            or prepare.signer != signed.signer
            or decode(Prepare, prepare.body) != expected
            or not verifier.signed(prepare)
        ):
            raise _bad_new_view(f"the Prepare for height {entry.height}")
    return OpenNewView(signed, body.view, selection, prepares, changes)


def _bad(why: str) -> RemoteProtocolError:
    return RemoteProtocolError("BAD_VIEW_CHANGE", why)


def _bad_new_view(why: str) -> RemoteProtocolError:
    return RemoteProtocolError("BAD_NEW_VIEW", why)
