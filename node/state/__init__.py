"""The validated state: records, lots by voucher, derived indexes, and the tree that commits to them.

    committed = CommittedState(store.live_reader())     # cache over what is durable
    overlay = Overlay(committed)                         # block 1: rules read and write here
    overlay.begin(); ...; overlay.accept()               # or rollback(): scratch layers nest
    root = overlay.seal()                                # state root; the overlay is read-only now
    following = Overlay(overlay)                         # block 2 may execute before 1 is durable
    batch.state(overlay.changes())                       # part of block 1's one transaction
    ...                                                  # store.commit(batch) has returned:
    overlay.commit()                                     # folds into `committed`; drop() instead
                                                         # when the block is given up
    proof = prove(CommittedState.snapshot(reader), kind, id)    # for a client

Tests and tools: `memory_state()` is an overlay over nothing; `MemoryReader` keeps committed tables in
memory (`reader.apply(overlay.changes())` before `overlay.commit()`).
"""

from __future__ import annotations

from node.state.committed import CommittedState
from node.state.overlay import Overlay
from node.state.prove import prove
from node.state.tables import Changes, MemoryReader, Reader, Row
from node.state.tree import root_of, update_tree

__all__ = [
    "Changes",
    "CommittedState",
    "MemoryReader",
    "Overlay",
    "Reader",
    "Row",
    "memory_state",
    "prove",
    "root_of",
    "update_tree",
]


def memory_state() -> Overlay:
    """An empty state in memory: a `TransactionalView` to run rules on. Stack `Overlay(it)` on it for
    further blocks."""
    return Overlay(CommittedState(MemoryReader()))
