"""The two sets of state tables: one is read, the other is prepared; one transaction changes their places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.state import CommittedState
from node.state.tables import RECORDS, STATE_TABLES, record_key
from node.store import Store, scan_in_child
from node.store.tables import BODIES, SEEDS, TABLES, height_key, name_in_file
from tallynet.records import Kind
from tests.unit.state.samples import record_id
from tests.unit.store.samples import adoption, commit_blocks, open_at, stage

KEY = record_key(Kind.REMAINDER, record_id((50, 0)))
"""A record of the staged state only."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_at(tmp_path)
    yield made
    made.close()


def contents(store: Store) -> dict[str, list[tuple[bytes, bytes]]]:
    with store.reader() as reader:
        return {table: list(reader.dump(table)) for table in STATE_TABLES}


def test_staged_rows_are_seen_by_nobody_who_reads_the_state(store: Store) -> None:
    commit_blocks(store, 1, 2)
    before = contents(store)
    live = store.live_reader()
    stage(store, 50)
    assert contents(store) == before
    assert live.get(RECORDS, KEY) is None
    assert store.staged_reader().get(RECORDS, KEY) is not None
    with store.reader() as reader:
        staging = reader.staging()
        assert staging is not None and staging.certificate is not None
        assert (reader.generation(), reader.base()) == (0, 1)


def test_adoption_changes_everything_at_once(store: Store) -> None:
    commit_blocks(store, 1, 2)
    staged = stage(store, 50)
    old_live = store.live_reader()
    with store.reader() as before:
        store.commit(adoption(store, 50, staged))
        tip = before.tip()
        assert tip is not None and tip.height == 2
        assert before.get(RECORDS, KEY) is None, "a reader stays in the commit of its beginning"
        assert CommittedState.snapshot(before).root == tip.state_root
    assert old_live.get(RECORDS, KEY) is None, "and a machine in its state"
    with store.reader() as after:
        tip, row = after.tip(), after.block(50)
        assert tip is not None and row is not None
        assert (tip.height, tip.block, tip.state_root) == (50, row.block, staged[2])
        assert CommittedState.snapshot(after).root == staged[2]
        assert (after.generation(), after.base(), after.staging()) == (1, 51, None)
        assert dict(after.journal()) == {b"commit 2": b"vote" * 50, b"view": b"view"}
        assert after.block(2) is not None, "what was held stays"
    assert store.live_reader().get(RECORDS, KEY) is not None


def test_the_change_survives_a_restart_and_the_scan_knows_it(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 2)
    store.commit(adoption(store, 50, stage(store, 50)))
    store.close()
    assert scan_in_child(tmp_path / "data").complete
    store = open_at(tmp_path)
    assert store.live_reader().get(RECORDS, KEY) is not None
    assert store.staged_reader().get(RECORDS, KEY) is None
    commit_blocks(store, 51, 52)
    store.commit(adoption(store, 90, stage(store, 90)))
    with store.reader() as reader:
        tip = reader.tip()
        assert tip is not None and tip.height == 90
        assert reader.generation() == 2
        assert CommittedState.snapshot(reader).root == tip.state_root
    store.close()
    assert scan_in_child(tmp_path / "data").complete


def test_bodies_of_blocks_that_are_skipped_go(store: Store) -> None:
    commit_blocks(store, 1, 1)
    batch = store.batch()
    batch.hold(2, bytes(32), [b"proposed, never final"])
    store.commit(batch)
    with store.reader() as reader:
        candidates = reader.keys(BODIES, height_key(2), 100)
    staged = stage(store, 50)
    batch = adoption(store, 50, staged)
    batch.rows.setdefault(BODIES, {}).update(dict.fromkeys(candidates))
    store.commit(batch)
    with store.reader() as reader:
        assert reader.candidates(2) == []


def test_a_row_of_one_set_is_damage_in_the_other() -> None:
    """B10: the checksum covers the table's name in the file, which is not the same in both."""
    for table in STATE_TABLES:
        names = {name_in_file(table, generation) for generation in range(4)}
        assert len(names) == 2 and names <= set(TABLES)
        assert len({SEEDS[name] for name in names}) == 2


def test_pruned_heights_and_a_fetched_base_add_up(store: Store) -> None:
    commit_blocks(store, 1, 4)
    batch = store.batch()
    for height in (1, 2):
        batch.prune(height, {}, keep_header=height == 2)
    store.commit(batch)
    with store.reader() as reader:
        assert (reader.pruned(), reader.base()) == (2, 3)
        assert reader.block(1) is None and reader.block(2) is not None
        assert reader.block_heights(reader.pruned(), 10) == [3, 4]
    store.commit(adoption(store, 50, stage(store, 50)))
    with store.reader() as reader:
        assert reader.base() == 51
        assert reader.block_heights(reader.pruned(), 10) == [3, 4, 50]
    batch = store.batch()
    batch.prune(3, {}, keep_header=False)
    store.commit(batch)
    with store.reader() as reader:
        assert reader.base() == 51
