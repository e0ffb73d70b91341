"""The store: what was committed is read back, unfit directories are refused, damage is noticed."""

from __future__ import annotations

import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from node.state import CommittedState, Overlay, prove
from node.store import Store, StoreError, StoreFatal, scan_in_child
from node.store.tables import (
    BODIES,
    CHUNK_BYTES,
    META,
    SCHEMA,
    SCHEMA_KEY,
    SEEDS,
    TABLES,
    chunks,
    intact,
    open_environment,
    sealed,
)  # fmt: skip
from tallynet.blocks import Certificate
from tallynet.hashing import block_hash
from tallynet.records import Kind
from tallynet.state_proof import verify_state_proof
from tests.unit.state.samples import record_id, remainder, voucher
from tests.unit.store.samples import (
    ENVELOPES,
    GENESIS,
    commit_blocks,
    hashes,
    header,
    open_at,
    transactions,
)  # fmt: skip


def test_committed_blocks_are_read_back_after_reopening(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    with store.reader() as snapshot:
        assert snapshot.tip() is None
    commit_blocks(store, 1, 3)
    store.close()
    store = open_at(tmp_path)
    with store.reader() as snapshot:
        tip, block, given = snapshot.tip(), snapshot.block(2), snapshot.receipts(2)
        assert tip is not None
        assert tip.height == 3
        assert tip.block == block_hash(header(3))
        assert CommittedState.snapshot(snapshot).root == tip.state_root
        assert block is not None
        assert block.header == header(2)
        assert block.envelopes == tuple(hashes(2))
        assert given is not None
        assert given.receipts[0] == b"prologue"
        assert len(given.receipts) == 1 + len(ENVELOPES)
        assert given.events == (b"event",) * 7
        assert snapshot.envelopes(2, block.block) == tuple(ENVELOPES)
        assert snapshot.transaction(transactions(2)[3]) == (2, 3)
        assert snapshot.transaction(bytes(32)) is None
        assert snapshot.block(4) is None
        assert snapshot.receipts(4) is None
        assert [key for key, _ in snapshot.journal()] == [b"commit 1", b"commit 2", b"commit 3"]
    store.close()


def test_delivery_drops_the_bodies_of_rivals_and_nothing_else(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    early = store.batch()
    early.hold(1, b"\x00" * 32, ENVELOPES)
    early.hold(1, b"\xff" * 32, [b"x" * 3 * CHUNK_BYTES])
    early.hold(2, b"\x07" * 32, ENVELOPES)
    store.commit(early)
    commit_blocks(store, 1, 1)
    with store.reader() as snapshot:
        assert snapshot.candidates(1) == [block_hash(header(1))]
        assert snapshot.candidates(2) == [b"\x07" * 32]
        held = snapshot.held_above(1)
        assert [(h.height, h.block, h.envelopes) for h in held] == [
            (2, b"\x07" * 32, tuple(ENVELOPES))
        ]
        assert snapshot.held_above(2) == []
    store.close()


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 9, CHUNK_BYTES, 5 * CHUNK_BYTES + 1])
def test_large_values_are_cut_and_joined(tmp_path: Path, size: int) -> None:
    store = open_at(tmp_path)
    batch = store.batch()
    batch.hold(5, bytes(32), [bytes(size), b"last"])
    store.commit(batch)
    with store.reader() as snapshot:
        assert snapshot.envelopes(5, bytes(32)) == (bytes(size), b"last")
    store.close()


def test_block_without_transactions_has_empty_bodies(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    batch = store.batch()
    batch.hold(5, bytes(32), [])
    store.commit(batch)
    with store.reader() as snapshot:
        assert snapshot.envelopes(5, bytes(32)) == ()
        assert snapshot.envelopes(6, bytes(32)) is None
    store.close()


def test_lost_piece_of_a_large_value_is_damage(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    batch = store.batch()
    batch.hold(5, bytes(32), [bytes(3 * CHUNK_BYTES)])
    last = max(batch.rows[BODIES])
    batch.rows[BODIES][last] = None
    store.commit(batch)
    with store.reader() as snapshot, pytest.raises(StoreFatal, match="STORE_CORRUPT"):
        snapshot.envelopes(5, bytes(32))
    store.close()


def test_only_admitted_envelopes_are_found_by_id(tmp_path: Path) -> None:
    """A mutilated copy in a later block must not hide the receipt of the genuine envelope."""
    store = open_at(tmp_path)
    commit_blocks(store, 1, 1)
    batch, unchanged = store.batch(), Overlay(CommittedState(store.live_reader()))
    unchanged.seal()
    genuine = transactions(1)[0]
    batch.deliver(
        height=2,
        block=bytes(32),
        header=header(2),
        envelopes=hashes(2),
        executed={transactions(2)[1]: 1},
        certificate=Certificate(b"", (), ()),
        state_root=bytes(32),
        receipts=[b"prologue", *(b"receipt" for _ in ENVELOPES)],
        events=[],
        changes=unchanged.changes(),
    )
    store.commit(batch)
    with store.reader() as snapshot:
        assert snapshot.transaction(genuine) == (1, 0)
        assert snapshot.transaction(transactions(2)[0]) is None
        assert snapshot.transaction(transactions(2)[1]) == (2, 1)
    store.close()


def test_two_blocks_in_one_transaction(tmp_path: Path) -> None:
    """Group commit: the second block's changes stand on the first one's."""
    store = open_at(tmp_path)
    committed = CommittedState(store.live_reader())
    batch = store.batch()
    first = Overlay(committed)
    first.put(Kind.REMAINDER, record_id(1), remainder(1))
    first.put(Kind.REMAINDER, record_id(2), remainder(1))
    first.seal()
    second = Overlay(first)
    second.put(Kind.REMAINDER, record_id(1), remainder(2))
    second.delete(Kind.REMAINDER, record_id(2))
    root = second.seal()
    batch.state(first.changes())
    batch.state(second.changes())
    store.commit(batch)
    first.commit()
    second.commit()
    fresh = CommittedState(store.live_reader())
    assert fresh.root == root == committed.root
    assert Overlay(fresh).get(Kind.REMAINDER, record_id(1)) == remainder(2)
    assert Overlay(fresh).get(Kind.REMAINDER, record_id(2)) is None
    store.close()


def test_genesis_state_is_the_tip_before_the_first_block(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    overlay = Overlay(CommittedState(store.live_reader()))
    overlay.put(Kind.REMAINDER, record_id(1), remainder(1))
    root = overlay.seal()
    batch = store.batch()
    batch.genesis(GENESIS, root, overlay.changes())
    store.commit(batch)
    with store.reader() as snapshot:
        tip = snapshot.tip()
        assert tip is not None
        assert (tip.height, tip.block, tip.state_root) == (0, GENESIS, root)
    store.close()


def test_proof_from_a_snapshot_matches_its_tip_while_blocks_go_on(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 2)
    with store.reader() as snapshot:
        writer_error: list[BaseException] = []
        tip = snapshot.tip()
        assert tip is not None
        commit_blocks(store, 3, 4)
        proof = prove(CommittedState.snapshot(snapshot), Kind.VOUCHER, record_id(3))
        assert verify_state_proof(tip.state_root, Kind.VOUCHER, record_id(3), proof) is None
        assert not writer_error
    with store.reader() as snapshot:
        tip = snapshot.tip()
        assert tip is not None
        proof = prove(CommittedState.snapshot(snapshot), Kind.VOUCHER, record_id(3))
        assert verify_state_proof(tip.state_root, Kind.VOUCHER, record_id(3), proof) is not None
    assert Overlay(CommittedState(store.live_reader())).get(Kind.VOUCHER, record_id(4)) == voucher(
        4
    )
    store.close()


def test_scan_of_a_table_starts_after_and_stops_at_prefix_and_limit(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    batch = store.batch()
    for key in (b"a", b"ab", b"ac", b"ad", b"b"):
        batch.journal(key, key)
    store.commit(batch)
    with store.reader() as snapshot:
        assert [k for k, _ in snapshot.scan("journal", b"a", b"", 9)] == [b"a", b"ab", b"ac", b"ad"]
        assert [k for k, _ in snapshot.scan("journal", b"a", b"ab", 1)] == [b"ac"]
        assert snapshot.scan("journal", b"a", b"b", 9) == []
        assert snapshot.scan("journal", b"c", b"", 9) == []
        assert dict(snapshot.dump("journal"))[b"b"] == b"b"
    store.close()


def refusal(tmp_path: Path, **options: object) -> str:
    with pytest.raises(StoreError) as caught:
        open_at(tmp_path, **options)
    return caught.value.code


def test_directory_of_another_network_or_key_is_refused_and_unchanged(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 1)
    store.close()
    before = (tmp_path / "data" / "data.mdb").read_bytes()
    assert refusal(tmp_path, genesis=bytes(32)) == "STORE_OTHER_NETWORK"
    assert refusal(tmp_path, node_key=bytes(32)) == "STORE_OTHER_KEY"
    assert (tmp_path / "data" / "data.mdb").read_bytes() == before
    open_at(tmp_path).close()


@pytest.mark.parametrize(
    ("schema", "code"), [(SCHEMA + 1, "STORE_NEWER"), (SCHEMA - 1, "STORE_OLDER")]
)
def test_directory_of_another_version_is_refused(tmp_path: Path, schema: int, code: str) -> None:
    store = open_at(tmp_path)
    batch = store.batch()
    batch.meta(SCHEMA_KEY, schema.to_bytes(8, "big"))
    store.commit(batch)
    store.close()
    assert scan_in_child(tmp_path / "data").values == 0, "its tables are not ours to judge"
    assert refusal(tmp_path) == code


def test_directory_in_use_is_refused(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    assert refusal(tmp_path) == "STORE_IN_USE"
    store.close()
    open_at(tmp_path).close()


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000, bytes(8192)])
def test_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.mdb").write_bytes(content)
    if content:
        assert refusal(tmp_path) == "STORE_CORRUPT"
        assert (tmp_path / "data" / "data.mdb").read_bytes() == content
    else:
        open_at(tmp_path).close()


def test_foreign_lmdb_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    environment = open_environment(tmp_path / "data", map_bytes=1 << 20, readonly=False)
    with environment.begin(write=True) as transaction:
        transaction.put(b"somebody", b"else")
    environment.close()
    assert refusal(tmp_path) == "STORE_UNREADABLE"


_READER = """
import sys
from pathlib import Path
from node.store.tables import open_environment
environment = open_environment(Path(sys.argv[1]), map_bytes=1, readonly=True, beside=True)
transaction = environment.begin()
print("reading", flush=True)
sys.stdin.read()
"""


def test_a_reader_that_was_killed_beside_the_node_holds_no_pages(tmp_path: Path) -> None:
    """`node.store.inspection` is killed where the disk is too slow for it."""
    store = open_at(tmp_path)
    command = [sys.executable, "-c", _READER, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"reading\n"
        reader.kill()
    used = []
    for _ in range(2):
        for number in range(50):
            batch = store.batch()
            batch.meta(b"large", bytes([number]) * 20_000)
            store.commit(batch)
        used.append(store.statistics().used_bytes)
    assert used[1] == used[0]
    store.close()


def test_second_writing_thread_is_our_own_bug(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    store.commit(store.batch())
    caught: list[BaseException] = []

    def other() -> None:
        try:
            store.commit(store.batch())
        except StoreFatal as error:
            caught.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert "second thread" in str(caught[0])
    store.close()


def test_full_map_ends_the_store_and_loses_nothing_committed(tmp_path: Path) -> None:
    store = open_at(tmp_path, map_bytes=1 << 20)
    committed = 0
    with pytest.raises(StoreFatal) as caught:
        for height in range(1, 500):
            commit_blocks(store, height, height, 100)
            committed = height
    assert caught.value.code == "STORE_FULL"
    assert "map_gib" in caught.value.message
    with pytest.raises(StoreFatal, match="STORE_WRITE"):
        store.commit(store.batch())
    assert store.statistics().alarm
    store.close()
    store = open_at(tmp_path)
    with store.reader() as snapshot:
        tip = snapshot.tip()
        assert tip is not None
        assert tip.height == committed > 0
        assert CommittedState.snapshot(snapshot).root == tip.state_root
    assert not store.statistics().alarm
    store.close()


def test_checksum_covers_table_key_and_value() -> None:
    """B10: also a value that was written in another place."""
    stored = sealed(SEEDS[META], b"key", b"value")
    assert intact(SEEDS[META], b"key", stored)
    assert not intact(SEEDS[META], b"kez", stored)
    assert not intact(SEEDS[BODIES], b"key", stored)
    for bit in range(8 * len(stored)):
        flipped = bytearray(stored)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not intact(SEEDS[META], b"key", bytes(flipped))
    assert not intact(SEEDS[META], b"key", b"")
    assert len({SEEDS[table] for table in TABLES}) == len(TABLES)


def test_changed_value_is_never_served(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 1)
    store.close()
    file = tmp_path / "data" / "data.mdb"
    data = file.read_bytes()
    file.write_bytes(data.replace(b"envelope 3 ", b"envelope 4 "))
    store = open_at(tmp_path)
    with store.reader() as snapshot, pytest.raises(StoreFatal, match="STORE_CORRUPT"):
        snapshot.envelopes(1, block_hash(header(1)))
    store.close()


def test_chunks_carry_the_length() -> None:
    rows = dict(chunks(b"k", bytes(2 * CHUNK_BYTES)))
    assert sum(len(row) for row in rows.values()) == 2 * CHUNK_BYTES + 8
    assert sorted(rows) == [b"k\x00\x00", b"k\x00\x01", b"k\x00\x02"]


# --- B12: the key mark ---------------------------------------------------------------------------


def copy_data(tmp_path: Path) -> bytes:
    return (tmp_path / "data" / "data.mdb").read_bytes()


def vote_bar(tmp_path: Path, **options: object) -> str:
    store: Store = open_at(tmp_path, **options)
    store.close()
    return store.vote_bar


def vote(tmp_path: Path, height: int) -> None:
    store = open_at(tmp_path)
    assert store.vote_bar == ""
    commit_blocks(store, height, height)
    store.close()


def test_key_that_always_used_this_store_may_vote(tmp_path: Path) -> None:
    for height in (1, 2, 3):
        vote(tmp_path, height)
    assert vote_bar(tmp_path) == ""


def test_store_without_votes_leaves_no_mark(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    batch = store.batch()
    batch.meta(b"name", b"value")
    store.commit(batch)
    store.close()
    assert not (tmp_path / "node.key.used").exists()


def test_lost_store_bars_the_key_for_good(tmp_path: Path) -> None:
    vote(tmp_path, 1)
    (tmp_path / "data" / "data.mdb").unlink()
    assert "another data directory" in vote_bar(tmp_path)
    (tmp_path / "node.key.used").unlink()
    assert "another data directory" in vote_bar(tmp_path)


def test_older_copy_put_back_bars_the_key(tmp_path: Path) -> None:
    vote(tmp_path, 1)
    backup = copy_data(tmp_path)
    vote(tmp_path, 2)
    (tmp_path / "data" / "data.mdb").write_bytes(backup)
    assert "older copy" in vote_bar(tmp_path)


def run_barred(tmp_path: Path, height: int) -> None:
    """A store that must not vote goes on following, which writes its journal too."""
    store = open_at(tmp_path)
    assert store.vote_bar
    commit_blocks(store, height, height)
    store.close()


def test_barred_store_leaves_the_mark_alone(tmp_path: Path) -> None:
    """Lowering it to its own count would let the next copy that is put back vote."""
    copies = []
    for height in (1, 2, 3):
        vote(tmp_path, height)
        copies.append(copy_data(tmp_path))
    (tmp_path / "data" / "data.mdb").write_bytes(copies[0])
    run_barred(tmp_path, 2)
    (tmp_path / "data" / "data.mdb").write_bytes(copies[1])
    assert "older copy" in vote_bar(tmp_path)
    (tmp_path / "data" / "data.mdb").unlink()
    run_barred(tmp_path, 1)
    (tmp_path / "data" / "data.mdb").write_bytes(copies[2])
    assert vote_bar(tmp_path) == "", "the true register, found again, knows every vote"


def test_copy_from_a_history_that_ended_bars_the_key(tmp_path: Path) -> None:
    """A copy put back without the mark votes on, as often as the history that it replaced: the newest copy
    of that history does not know these votes."""
    copies = []
    for height in (1, 2):
        vote(tmp_path, height)
        copies.append(copy_data(tmp_path))
    (tmp_path / "node.key.used").unlink()
    (tmp_path / "data" / "data.mdb").write_bytes(copies[0])
    vote(tmp_path, 2)
    (tmp_path / "data" / "data.mdb").write_bytes(copies[1])
    assert "older copy" in vote_bar(tmp_path)


def test_process_that_dies_before_it_raises_the_mark_may_vote_again(tmp_path: Path) -> None:
    """However often in a row: no vote left before the mark was raised."""

    class PowerLost(Exception):
        pass

    def crash(point: str) -> None:
        if point == "after-commit":
            raise PowerLost

    vote(tmp_path, 1)
    for height in (2, 3):
        store = open_at(tmp_path, crash_point=crash)
        with pytest.raises(PowerLost):
            commit_blocks(store, height, height)
        store.close()
    vote(tmp_path, 4)
    assert vote_bar(tmp_path) == ""


def test_lost_mark_beside_an_intact_register_is_no_harm(tmp_path: Path) -> None:
    vote(tmp_path, 1)
    (tmp_path / "node.key.used").unlink()
    vote(tmp_path, 2)
    assert (tmp_path / "node.key.used").exists()


def test_damaged_mark_bars_until_it_is_repaired(tmp_path: Path) -> None:
    vote(tmp_path, 1)
    mark = tmp_path / "node.key.used"
    good = mark.read_text()
    for bad in ("", "something", good.replace(" ", "-"), good[:-3] + "x\n"):
        mark.write_text(bad)
        assert "damaged" in vote_bar(tmp_path), bad
    run_barred(tmp_path, 2)
    assert mark.read_text() == bad
    mark.write_text(good)
    assert vote_bar(tmp_path) == ""


def test_same_key_in_another_network_starts_afresh(tmp_path: Path) -> None:
    vote(tmp_path, 1)
    (tmp_path / "data" / "data.mdb").unlink()
    other = sha256(b"another genesis").digest()
    assert vote_bar(tmp_path, genesis=other) == ""


# --- evidence and views -----------------------------------------------------------------------------


def test_proofs_of_misbehaviour_are_read_back_in_order_of_key(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    batch = store.batch()
    proofs = {bytes([i]) * 27: bytes([i]) * (i * 20_000 + 1) for i in (3, 1, 2)}
    for key, proof in proofs.items():
        batch.evidence(key, proof)
    store.commit(batch)
    store.close()
    store = open_at(tmp_path)
    with store.reader() as reader:
        assert list(reader.evidence()) == sorted(proofs.items())
        assert [key[0] for key, _ in reader.evidence(bytes([1]) * 27)] == [2, 3]
        assert list(reader.evidence(b"\xff")) == []
    store.close()


def test_the_archive_of_new_views_keeps_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By rows, so that large ones count for more; a view is dropped whole or not at all."""
    monkeypatch.setattr("node.store.store.VIEWS_ROWS_MAX", 5)
    store = open_at(tmp_path)
    for epoch, view, size in ((0, 7, 100), (0, 9, 70_000), (1, 1, 100), (1, 2, 100)):
        batch = store.batch()
        batch.archive(epoch, view, bytes([view]) * size)
        store.commit(batch)
    with store.reader() as reader:
        kept = [
            (int.from_bytes(k[:8], "big"), int.from_bytes(k[8:], "big"), len(v))
            for k, v in reader.new_views()
        ]
    assert kept == [(0, 9, 70_000), (1, 1, 100), (1, 2, 100)]
    batch = store.batch()
    batch.archive(1, 3, b"x")
    store.commit(batch)
    with store.reader() as reader:
        assert [k[-1] for k, _ in reader.new_views()] == [1, 2, 3], (
            "all three pieces of (0, 9) went"
        )
    store.close()
