"""Overlays against plain dictionaries that are copied for every layer."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from node.state import Changes, CommittedState, MemoryReader, Overlay, memory_state
from node.state.tables import INDEXES, RECORDS, STATE_TREE, lots_key, record_key
from node.state.view import Index
from tallynet.codec import encode
from tallynet.errors import InvariantViolated
from tallynet.records import Kind, Record, lot_id
from tests.unit.state.samples import lot, record_id, remainder, voucher

IDS = [record_id(i) for i in range(6)]
VOUCHERS = [record_id(f"voucher {i}") for i in range(3)]
INDEX_KEYS = [bytes((a, b)) * 8 for a in range(3) for b in range(8)]


@pytest.mark.parametrize("prefix", [b"", b"a", b"ab", b"a\xff", b"\xff", b"\xff\xff", b"b"])
@pytest.mark.parametrize("after", [b"", b"a", b"ab", b"ab\x00", b"a\xff", b"\xff", b"\xff\xff\xff"])
def test_a_scan_of_tables_in_memory_is_what_filtering_all_keys_gives(
    prefix: bytes, after: bytes
) -> None:
    keys = [b"a", b"ab", b"ab\x00", b"abc", b"a\xff", b"a\xff\x01", b"b", b"\xff", b"\xff\xff\x01"]
    reader = MemoryReader()
    reader.apply(Changes([], [], [(key, b"") for key in keys]))
    for limit in (1, 3, 100):
        expected = [key for key in keys if key.startswith(prefix) and key > after][:limit]
        assert [key for key, _ in reader.scan(INDEXES, prefix, after, limit)] == expected
    assert reader.copy().scan(INDEXES, b"", b"", 100) == reader.scan(INDEXES, b"", b"", 100)


@dataclass
class Model:
    """What a layer should show."""

    records: dict[tuple[Kind, bytes], Record] = field(default_factory=dict)
    indexes: set[tuple[Index, bytes]] = field(default_factory=set)


def root_from_scratch(model: Model) -> bytes:
    overlay = memory_state()
    for (kind, id), record in model.records.items():
        overlay.put(kind, id, record)
    return overlay.seal()


class OverlayMachine(RuleBasedStateMachine):
    """Four blocks in flight at most, nested scratch layers in the newest, tiny or roomy caches below."""

    @initialize(cache=st.sampled_from([2, 100]))
    def start(self, cache: int) -> None:
        self.reader = MemoryReader()
        self.committed = CommittedState(
            self.reader,
            record_cache=cache,
            lot_row_cache=cache,
            node_cache=cache,
            absent_cache=cache,
        )
        self.stack = [Overlay(self.committed)]
        self.models = [Model()]
        self.scratch: list[Model] = []

    @property
    def top(self) -> Overlay:
        return self.stack[-1]

    @property
    def model(self) -> Model:
        return self.models[-1]

    # --- writes ---

    @rule(id=st.sampled_from(IDS), value=st.integers(0, 5))
    def put(self, id: bytes, value: int) -> None:
        self.top.put(Kind.REMAINDER, id, remainder(value))
        self.model.records[Kind.REMAINDER, id] = remainder(value)

    @rule(id=st.sampled_from(IDS))
    def delete(self, id: bytes) -> None:
        if self.model.records.pop((Kind.REMAINDER, id), None) is not None:
            self.top.delete(Kind.REMAINDER, id)

    @rule(id=st.sampled_from(VOUCHERS), event_count=st.integers(0, 3))
    def put_voucher(self, id: bytes, event_count: int) -> None:
        self.top.put(Kind.VOUCHER, id, voucher(event_count))
        self.model.records[Kind.VOUCHER, id] = voucher(event_count)

    @rule(
        id=st.sampled_from(VOUCHERS),
        starts=st.lists(st.integers(0, 40), min_size=1, max_size=8),
        holder=st.integers(0, 3),
    )
    def put_lots(self, id: bytes, starts: list[int], holder: int) -> None:
        if (Kind.VOUCHER, id) in self.model.records:
            for start in starts:
                self.top.put(Kind.LOT, lot_id(id, start), lot(start, start + 1, holder))
                key = (Kind.LOT, lot_id(id, start))
                self.model.records[key] = lot(start, start + 1, holder)

    @rule(id=st.sampled_from(VOUCHERS), starts=st.sets(st.integers(0, 40)))
    def delete_lots(self, id: bytes, starts: set[int]) -> None:
        for start in sorted(starts):
            if self.model.records.pop((Kind.LOT, lot_id(id, start)), None) is not None:
                self.top.delete(Kind.LOT, lot_id(id, start))

    @rule(id=st.sampled_from(VOUCHERS))
    def delete_voucher_and_its_lots(self, id: bytes) -> None:
        if self.model.records.pop((Kind.VOUCHER, id), None) is not None:
            self.delete_lots(id, set(range(41)))
            self.top.delete(Kind.VOUCHER, id)

    @rule(index=st.sampled_from([Index.DEBTOR_VOUCHERS, Index.SCHEDULE_DAYS]), data=st.data())
    def toggle_index(self, index: Index, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(INDEX_KEYS))
        assert self.top.index_has(index, key) == ((index, key) in self.model.indexes)
        if (index, key) in self.model.indexes:
            self.top.index_remove(index, key)
            self.model.indexes.remove((index, key))
        else:
            self.top.index_add(index, key)
            self.model.indexes.add((index, key))

    # --- scratch layers ---

    @precondition(lambda self: len(self.scratch) < 3)
    @rule()
    def begin(self) -> None:
        self.top.begin()
        self.scratch.append(copy.deepcopy(self.model))

    @precondition(lambda self: self.scratch)
    @rule()
    def accept(self) -> None:
        self.top.accept()
        self.scratch.pop()

    @precondition(lambda self: self.scratch)
    @rule()
    def rollback(self) -> None:
        self.top.rollback()
        self.models[-1] = self.scratch.pop()

    # --- blocks ---

    @precondition(lambda self: not self.scratch and len(self.stack) < 4)
    @rule()
    def seal_and_stack(self) -> None:
        assert self.top.seal() == root_from_scratch(self.model)
        assert self.top.root == self.top.seal()
        self.models.append(copy.deepcopy(self.model))
        self.stack.append(Overlay(self.top))

    @precondition(lambda self: len(self.stack) > 1)
    @rule()
    def commit_oldest(self) -> None:
        overlay = self.stack.pop(0)
        self.models.pop(0)
        root = overlay.root
        self.reader.apply(overlay.changes())
        overlay.commit()
        assert self.committed.root == root
        assert overlay.committed

    @precondition(lambda self: len(self.stack) > 1)
    @rule()
    def drop_newest(self) -> None:
        self.stack.pop().drop()
        self.models.pop()
        self.scratch.clear()
        self.models.append(copy.deepcopy(self.model))
        self.stack.append(Overlay(self.top))

    # --- reads ---

    @invariant()
    def records_are_those_of_the_model(self) -> None:
        for id in IDS:
            assert self.top.get(Kind.REMAINDER, id) == self.model.records.get((Kind.REMAINDER, id))

    @invariant()
    def lots_are_those_of_the_model(self) -> None:
        for id in VOUCHERS:
            starts = sorted(
                int.from_bytes(key[16:], "big")
                for kind, key in self.model.records
                if kind is Kind.LOT and key[:16] == id
            )
            assert list(self.top.lot_starts(id)) == starts
            for start in starts[:3]:
                expected = self.model.records[Kind.LOT, lot_id(id, start)]
                assert self.top.get(Kind.LOT, lot_id(id, start)) == expected

    @rule(
        index=st.sampled_from([Index.DEBTOR_VOUCHERS, Index.SCHEDULE_DAYS]),
        prefix=st.sampled_from([b"", b"\x00", b"\x01", b"\x01\x03", b"\x09"]),
        limit=st.integers(1, 30),
    )
    def scans_are_those_of_the_model(self, index: Index, prefix: bytes, limit: int) -> None:
        keys = sorted(key for i, key in self.model.indexes if i is index)
        for after in (b"", b"\x00\x04", *INDEX_KEYS):
            expected = [key for key in keys if key.startswith(prefix) and key > after]
            found = self.top.index_scan(index, prefix, after=after, limit=limit)
            assert found == expected[:limit]


OverlayMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
test_overlay_is_its_model = OverlayMachine.TestCase


def test_scan_passes_over_more_removed_keys_than_a_page() -> None:
    reader = MemoryReader()
    committed = CommittedState(reader)
    block = Overlay(committed)
    for i in range(500):
        block.index_add(Index.SCHEDULE_SECONDS, i.to_bytes(8, "big"))
    block.seal()
    reader.apply(block.changes())
    block.commit()
    following = Overlay(committed)
    for i in range(490):
        following.index_remove(Index.SCHEDULE_SECONDS, i.to_bytes(8, "big"))
    found = following.index_scan(Index.SCHEDULE_SECONDS, b"", limit=3)
    assert found == [i.to_bytes(8, "big") for i in (490, 491, 492)]


def test_reads_between_durable_and_folded_see_every_value_once() -> None:
    """The store is ahead of the committed state until `commit` is called on the event loop."""
    reader = MemoryReader()
    block = Overlay(CommittedState(reader))
    block.put(Kind.REMAINDER, IDS[0], remainder(1))
    block.index_add(Index.DEBTOR_VOUCHERS, b"a")
    following = Overlay(block)
    following.put(Kind.REMAINDER, IDS[1], remainder(2))
    block.seal()
    reader.apply(block.changes())
    assert following.index_scan(Index.DEBTOR_VOUCHERS, b"", limit=5) == [b"a"]
    assert following.get(Kind.REMAINDER, IDS[0]) == remainder(1)
    block.commit()
    following.begin()
    following.accept()
    assert following.index_scan(Index.DEBTOR_VOUCHERS, b"", limit=5) == [b"a"]
    assert following.get(Kind.REMAINDER, IDS[0]) == remainder(1)


def test_changes_are_in_order_of_key_and_hold_the_bytes_that_were_hashed() -> None:
    overlay = memory_state()
    for id in IDS:
        overlay.put(Kind.REMAINDER, id, remainder(1))
        overlay.index_add(Index.DEBTOR_VOUCHERS, id)
    overlay.put(Kind.VOUCHER, VOUCHERS[0], voucher())
    overlay.put(Kind.LOT, lot_id(VOUCHERS[0], 0), lot(0, 1))
    overlay.seal()
    changes = overlay.changes()
    tables = dict(changes.by_table())
    assert set(tables) == {RECORDS, STATE_TREE, INDEXES}
    for rows in tables.values():
        assert rows == sorted(rows)
        assert rows
    assert (bytes((Kind.REMAINDER,)) + IDS[0], encode(remainder(1))) in changes.records


def test_a_voucher_and_its_lots_lie_side_by_side() -> None:
    overlay = memory_state()
    for id in VOUCHERS:
        overlay.put(Kind.VOUCHER, id, voucher())
        overlay.put(Kind.LOT, lot_id(id, 7), lot(7, 8))
    overlay.seal()
    keys = [key for key, _ in overlay.changes().records]
    assert keys == [
        key
        for id in sorted(VOUCHERS)
        for key in (
            record_key(Kind.VOUCHER, id), lots_key(id), record_key(Kind.LOT, lot_id(id, 7))
        )
    ]  # fmt: skip


def halts(action: object, *arguments: object) -> bool:
    with pytest.raises(InvariantViolated):
        action(*arguments)  # type: ignore[operator]
    return True


def test_misuse_halts() -> None:
    overlay = memory_state()
    assert halts(overlay.delete, Kind.REMAINDER, IDS[0])
    assert halts(overlay.put, Kind.LOT, lot_id(VOUCHERS[0], 5), lot(6, 7))
    assert halts(overlay.changes)
    overlay.index_add(Index.DEBTOR_VOUCHERS, b"a")
    assert halts(overlay.index_add, Index.DEBTOR_VOUCHERS, b"a")
    assert halts(overlay.index_add, Index.DEBTOR_VOUCHERS, bytes(201))
    following = Overlay(overlay)
    assert halts(following.seal)
    overlay.begin()
    assert halts(overlay.seal)
    overlay.accept()
    overlay.seal()
    assert halts(overlay.put, Kind.REMAINDER, IDS[0], remainder(1))
    assert halts(overlay.begin)
    following.seal()
    assert halts(following.commit)
    overlay.drop()
    assert halts(overlay.commit)
    assert halts(Overlay, overlay)


def test_block_on_a_dropped_block_cannot_be_sealed() -> None:
    overlay = memory_state()
    overlay.seal()
    following = Overlay(overlay)
    overlay.drop()
    assert halts(following.seal)


def test_lots_without_their_voucher_halt() -> None:
    overlay = memory_state()
    overlay.put(Kind.LOT, lot_id(VOUCHERS[0], 0), lot(0, 1))
    assert halts(overlay.seal)


def test_what_was_written_and_taken_back_leaves_no_trace() -> None:
    overlay = memory_state()
    overlay.put(Kind.REMAINDER, IDS[0], remainder(1))
    overlay.delete(Kind.REMAINDER, IDS[0])
    overlay.index_add(Index.DEBTOR_VOUCHERS, b"a")
    overlay.index_remove(Index.DEBTOR_VOUCHERS, b"a")
    assert overlay.seal() == memory_state().seal()
    reader = MemoryReader()
    reader.apply(Changes(**{f: getattr(overlay.changes(), f) for f in Changes.__slots__}))
    assert reader.scan(RECORDS, b"", b"", 10) == []
    assert reader.scan(INDEXES, b"", b"", 10) == []


def test_what_a_committed_block_deleted_is_gone_from_the_cache() -> None:
    reader = MemoryReader()
    committed = CommittedState(reader)
    keys = (
        (Kind.REMAINDER, IDS[0]),
        (Kind.LOT, lot_id(VOUCHERS[0], 0)),
        (Kind.VOUCHER, VOUCHERS[0]),
    )
    for number in range(2):
        block = Overlay(committed)
        for (kind, id), record in zip(keys, (remainder(1), lot(0, 1), voucher()), strict=True):
            if number == 0:
                block.put(kind, id, record)
            else:
                block.delete(kind, id)
        block.seal()
        reader.apply(block.changes())
        block.commit()
    after = Overlay(committed)
    assert [after.get(kind, id) for kind, id in keys] == [None, None, None]
    assert list(after.lot_starts(VOUCHERS[0])) == []
    assert committed.root == memory_state().seal()


def test_an_index_key_that_was_looked_for_in_vain_is_found_when_a_block_has_added_it() -> None:
    reader = MemoryReader()
    committed = CommittedState(reader)
    key = INDEX_KEYS[0]
    assert not Overlay(committed).index_has(Index.REMEMBERED, key)
    for there in (True, False, True):
        block = Overlay(committed)
        (block.index_add if there else block.index_remove)(Index.REMEMBERED, key)
        block.seal()
        reader.apply(block.changes())
        assert block.index_has(Index.REMEMBERED, key) == there
        block.commit()
        assert Overlay(committed).index_has(Index.REMEMBERED, key) == there
