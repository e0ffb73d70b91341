"""From the journal back to a replica that says exactly what it said before (protocol §5.5, B5)."""

from __future__ import annotations

from collections.abc import Mapping

from consensus.events import Transaction
from consensus.journal import (
    MUTE,
    VIEW,
    Journal,
    ViewRecord,
    commit_key,
    encode,
    open_signed,
    prepared_key,
    read_journal,
    slot_key,
    split_hashes,
)  # fmt: skip
from consensus.pace import fill_of
from consensus.proposals import open_content
from consensus.slots import Candidate, Content, Prepared, Slot, ids_of
from consensus.state import State
from consensus.view_change import open_new_view
from consensus.views import Views
from tallynet.errors import RemoteProtocolError, invariant


def restore(state: State, views: Views, journal: Journal) -> str | None:
    """Put the journal's content into a new state; the tip is loaded already.

    An observer takes over the numbers alone: with no vote of its own it needs no slots, and what silences its
    key stays.

    Returns why this replica must never vote with its key again, or None (B12). Entries of committed
    heights and left views are marked for deletion by a negative height in `state.journaled`.

    Raises:
        InvariantViolated: INV-12, a record contradicts itself or the chain.
    """
    state.mute = state.mute or journal.mute
    state.divergence = journal.divergence
    _mark(state, journal)
    record = journal.view
    if record is None:
        empty = not (journal.slots or journal.commits or journal.prepared)
        if state.committed or not empty:
            return "the vote register is missing"
        return None
    if record.epoch != state.epoch:
        return "the vote register is not as old as the chain"
    state.view, state.voted_view = record.view, record.voted_view
    state.view_change, state.new_view = record.view_change, record.new_view
    invariant(state.view <= state.voted_view, "INV-12 view record")
    if state.observes:
        return None
    try:
        _restore_prepared(state, journal)
        _restore_view(state, views)
        _restore_slots(state, journal)
    except RemoteProtocolError:
        invariant(False, "INV-12 a journal record does not verify")
    views.restore()
    return None


def rebase(
    entries: Mapping[bytes, bytes], *, height: int, epoch_length: int, signed: bool = False
) -> dict[bytes, bytes | None]:
    """Changes of the journal when this replica continues above the certified `height` although it never
    saw the blocks up to there (decision 0040); None deletes an entry. `signed`: the commit certificate of `height`
    carries a signature of this replica's key.

    Why it may go on voting. The register is complete: it holds every vote of the epoch in which it
    stands. Votes, certificates and own Commits up to `height` go, because nothing is voted on at a
    committed height any more, and a later ViewChange shows the commit certificate of `height` in their
    place. There are none above: the height lies more than a window above the own committed one, and
    nothing is accepted, prepared or committed further up than that (INV-7). In the same epoch the view
    numbers stay, so no vote can follow in a view that was left. In a later epoch this key has not voted:
    nobody votes there before its last block below is committed, and this replica had not committed it.
    Views start at 0 in every epoch and votes never cross one. What silences the replica stays. Who signed a
    Commit for `height` that the register does not hold has one that is older than its votes, and is silent from now
    on (B12).

    Raises:
        InvariantViolated: INV-7, there is a vote above `height`; INV-12, an unreadable entry.
    """
    journal = read_journal(entries)
    changes: dict[bytes, bytes | None] = {}
    for held, key_of in (
        (journal.slots, slot_key),
        (journal.commits, commit_key),
        (journal.prepared, prepared_key),
    ):
        for voted in sorted(held):
            invariant(voted <= height, "INV-7 a vote above the height of a fetched state")
            changes[key_of(voted)] = None
    epoch = height // epoch_length
    if journal.view is not None and journal.view.epoch != epoch:
        invariant(journal.view.epoch < epoch, "INV-1 an epoch above the height of a fetched state")
        changes[VIEW] = encode(ViewRecord(epoch, 0, 0, b"", b""))
    if signed and height not in journal.commits:
        changes[MUTE] = b"\x01"
    return changes


def _mark(state: State, journal: Journal) -> None:
    for height in sorted(journal.slots):
        state.journaled[slot_key(height)] = height if height > state.committed else -1
    for height in sorted(journal.commits):
        state.journaled[commit_key(height)] = height if height > state.committed else -1
    for height in sorted(journal.prepared):
        state.journaled[prepared_key(height)] = height if height > state.committed else -1


def _restore_prepared(state: State, journal: Journal) -> None:
    for height, record in sorted(journal.prepared.items()):
        if height <= state.committed:
            continue
        content = open_content(record.header, split_hashes(record.envelopes))
        vote = state.verifier.prepared(record.certificate)
        invariant(
            (vote.epoch, vote.view, vote.height, vote.block)
            == (state.epoch, record.view, height, content.block),
            "INV-12 sticky certificate",
        )
        state.prepared[height] = Prepared(record.view, content, record.certificate)
        state.keep(content)


def _restore_view(state: State, views: Views) -> None:
    if state.view == 0:
        return
    opened = open_new_view(
        open_signed(state.new_view),
        config=state.config,
        verifier=state.verifier,
        epoch=state.epoch,
    )
    invariant(opened.view == state.view, "INV-12 NewView of another view")
    views.place_candidates(opened)


def _restore_slots(state: State, journal: Journal) -> None:
    for height, record in sorted(journal.slots.items()):
        if height <= state.committed:
            continue
        if (record.epoch, record.view) != (state.epoch, state.view):
            state.journaled[slot_key(height)] = -1
            continue
        content = open_content(record.header, split_hashes(record.envelopes))
        slot = state.slots.get(height)
        if slot is None:
            slot = state.slots[height] = Slot(height, state.now_ms)
        leader_prepare = open_signed(record.leader_prepare)
        slot.candidate = Candidate(content.block, leader_prepare, record.again)
        slot.own_prepare = open_signed(record.own_prepare)
        slot.accepted = content
        slot.prepares.add(leader_prepare)
        slot.prepares.add(slot.own_prepare)
        state.keep(content)
        slot.fill = fill_of(state.config, _restore_flight(state, slot, content))
        prepared = state.prepared.get(height)
        if prepared is not None and prepared.view == state.view:
            slot.certificate = prepared.certificate
    for height, commit in sorted(journal.commits.items()):
        slot = state.slots.get(height)
        if (commit.epoch, commit.view) != (state.epoch, state.view) or slot is None:
            state.journaled[commit_key(height)] = -1
            continue
        slot.own_commit = open_signed(commit.own_commit)
        slot.commits.add(slot.own_commit)


def _restore_flight(state: State, slot: Slot, content: Content) -> list[Transaction]:
    held = [state.ledger.held(envelope) for envelope in content.envelopes]
    found = [transaction for transaction in held if transaction is not None]
    invariant(len(found) == len(held), "INV-4 an accepted block lost its bodies")
    slot.transactions = ids_of(found)
    state.pool.fly(found, state.now_ms)
    return found
