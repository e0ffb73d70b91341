"""The store: one LMDB environment per node, one writer thread, one transaction per turn.

scan_in_child(directory)                       # boot: damage kills a child, not the node
store = open_store(directory, genesis=..., node_key=..., key_mark=...)
store.vote_bar                                 # "" or why this key must not vote
committed = CommittedState(store.live_reader())

batch = store.batch()
batch.journal(key, value)                      # votes; durable before they leave
batch.hold(height, block, envelopes)           # bodies of a candidate block
batch.genesis(genesis, root, overlay.changes())    # once
batch.deliver(height=..., changes=overlay.changes(), ...)
store.commit(batch)                            # on the writer thread; StoreFatal ends the process
overlay.commit()                               # back on the event loop

with store.reader() as snapshot:               # queries: one consistent commit
    tip, block = snapshot.tip(), snapshot.block(7)
    proof = prove(CommittedState.snapshot(snapshot), kind, id)
"""

from __future__ import annotations

from node.store.batch import WriteBatch
from node.store.check import ScanReport, scan_in_child
from node.store.errors import StoreError, StoreFatal
from node.store.snapshot import HeldBlock, LiveReader, Snapshot
from node.store.store import CRASH_POINTS, Store, StoreStatistics, open_store
from node.store.tables import BlockRow, ReceiptsRow, Staging, Tip

__all__ = [
    "CRASH_POINTS",
    "BlockRow",
    "HeldBlock",
    "LiveReader",
    "ReceiptsRow",
    "ScanReport",
    "Snapshot",
    "Staging",
    "Store",
    "StoreError",
    "StoreFatal",
    "StoreStatistics",
    "Tip",
    "WriteBatch",
    "open_store",
    "scan_in_child",
]
