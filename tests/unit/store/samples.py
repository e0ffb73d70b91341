"""Batches like those of a running node."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from node.state import CommittedState, MemoryReader, Overlay
from node.state.view import Index
from node.store import Staging, Store, WriteBatch, open_store
from tallynet.blocks import Certificate, Commit, Header
from tallynet.codec import encode
from tallynet.hashing import block_hash
from tallynet.records import Kind, lot_id
from tests.unit.state.samples import lot, record_id, remainder, voucher

GENESIS = sha256(b"genesis").digest()
NODE_KEY = sha256(b"node key").digest()
ENVELOPES = [b"envelope %d " % i * 20 for i in range(5)]


def open_at(path: Path, **options: object) -> Store:
    """The store in `path` / data with its key mark in `path` / node.key.used."""
    settings: dict[str, object] = {
        "genesis": GENESIS,
        "node_key": NODE_KEY,
        "key_mark": path / "node.key.used",
        "map_bytes": 64 << 20,
    }
    return open_store(path / "data", **(settings | options))  # type: ignore[arg-type]


def transactions(height: int) -> list[bytes]:
    return [sha256(b"%d/%d" % (height, i)).digest() for i in range(len(ENVELOPES))]


def hashes(height: int) -> list[bytes]:
    return [sha256(b"envelope %d/%d" % (height, i)).digest() for i in range(len(ENVELOPES))]


def header(height: int) -> bytes:
    root = bytes(32)
    return encode(Header(GENESIS, 1, 0, height, root, root, height, 0, root))


def certificate_of(height: int, root: bytes) -> Certificate:
    vote = Commit(0, 0, height, block_hash(header(height)), root, bytes(32))
    return Certificate(encode(vote), (0,), (bytes(64),))


def fill(overlay: Overlay, height: int, records: int = 20) -> None:
    """Write something of everything."""
    for i in range(records):
        overlay.put(Kind.REMAINDER, record_id((height, i)), remainder(height))
        overlay.index_add(Index.DEBTOR_VOUCHERS, record_id((height, i)))
    overlay.put(Kind.VOUCHER, record_id(height), voucher(height))
    for start in range(10):
        overlay.put(Kind.LOT, lot_id(record_id(height), start), lot(start, start + 1))


def block_batch(
    store: Store, state: CommittedState, height: int, records: int = 20
) -> tuple[WriteBatch, Overlay]:
    """One block as the driver writes it: votes, bodies of it and of a rival, delivery."""
    overlay = Overlay(state)
    fill(overlay, height, records)
    root = overlay.seal()
    head = header(height)
    block = block_hash(head)
    batch = store.batch()
    batch.journal(b"commit %d" % height, b"vote" * 50)
    batch.hold(height, block, ENVELOPES)
    batch.hold(height, sha256(b"rival").digest(), ENVELOPES[:2])
    batch.deliver(
        height=height,
        block=block,
        header=head,
        envelopes=hashes(height),
        executed={id: i for i, id in enumerate(transactions(height))},
        certificate=certificate_of(height, root),
        state_root=root,
        receipts=[b"prologue", *(b"receipt %d" % i for i in range(len(ENVELOPES)))],
        events=[b"event"] * 7,
        changes=overlay.changes(),
    )
    return batch, overlay


def commit_blocks(store: Store, first: int, last: int, records: int = 20) -> None:
    """Blocks `first` to `last`, one transaction each."""
    state = CommittedState(store.live_reader())
    for height in range(first, last + 1):
        batch, overlay = block_batch(store, state, height, records)
        store.commit(batch)
        overlay.commit()


def stage(store: Store, height: int, records: int = 20) -> tuple[Staging, Certificate, bytes]:
    """Write another state into the other set of tables, as of a block that is not held here; what
    `WriteBatch.adopt` needs of it, and its root."""
    overlay = Overlay(CommittedState(MemoryReader()))
    fill(overlay, height, records)
    root = overlay.seal()
    head = header(height)
    certificate = certificate_of(height, root)
    batch = store.batch()
    for table, rows in overlay.changes().by_table():
        batch.staged(table, dict(rows))
    row = Staging(head, tuple(hashes(height)), certificate, b"")
    batch.staging(row)
    store.commit(batch)
    return row, certificate, root


def adoption(store: Store, height: int, staged: tuple[Staging, Certificate, bytes]) -> WriteBatch:
    """The one transaction that makes a staged state the current one."""
    row, certificate, root = staged
    batch = store.batch()
    with store.reader() as reader:
        generation = reader.generation() + 1
    batch.adopt(
        generation=generation,
        height=height,
        block=block_hash(row.header),
        row=row,
        certificate=certificate,
        state_root=root,
        journal={b"commit 1": None, b"view": b"view"},
        candidates=(),
    )
    return batch
