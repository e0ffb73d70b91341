"""Executed transaction ids stay remembered until they expire, and leave nothing behind (INV-14)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

from node.ledger.remembered import BUCKET_SECONDS, ID_BYTES, ids_of
from node.state.overlay import Overlay
from node.state.tables import INDEXES, RECORDS
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.messages import BLOCK_TRANSACTIONS_MAX


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


def stored(world: World) -> tuple[list[bytes], list[bytes]]:
    """(keys of the records, keys of the index)."""
    records = world.tables.scan(RECORDS, bytes((r.Kind.REMEMBERED,)), b"", 100_000)
    index = world.tables.scan(INDEXES, bytes((Index.REMEMBERED,)), b"", 100_000)
    return [key for key, _ in records], [key for key, _ in index]


def bind(world: World) -> c.AccountBind:
    label = world.label
    return c.AccountBind(label, world.ids["bank-1"], sha256(label).digest(), "CNY")


def test_an_id_is_in_the_state_from_its_block_on(world: World) -> None:
    first, second = world.envelope("core", bind(world)), world.envelope("core", bind(world))
    world.block(first, second)
    bucket = (first.body.valid_until // BUCKET_SECONDS).to_bytes(8, "big")
    record = world.get(r.Remembered, bucket + world.height.to_bytes(8, "big"))
    assert ids_of(record) == [first.transaction, second.transaction], "in order of execution"
    assert world.receipt(first).code == "DUPLICATE_TRANSACTION"


def test_ids_are_forgotten_by_whole_buckets_and_replays_stay_refused(world: World) -> None:
    envelope = world.envelope("core", bind(world), valid_for=200)
    world.block(envelope)
    records, index = stored(world)
    assert records and index
    world.block(seconds=envelope.body.valid_until - world.time - 1)
    assert world.receipt(envelope).code == "EXPIRED"
    world.block(seconds=BUCKET_SECONDS)
    assert stored(world) == ([], []), "the last of them is forgotten with its bucket"


def test_a_record_holds_the_ids_of_the_fullest_block() -> None:
    full = encode(r.Remembered(bytes(ID_BYTES * BLOCK_TRANSACTIONS_MAX)))
    assert len(ids_of(decode(r.Remembered, full))) == BLOCK_TRANSACTIONS_MAX
    with pytest.raises(RemoteProtocolError):
        decode(r.Remembered, encode(r.Remembered(bytes(ID_BYTES * (BLOCK_TRANSACTIONS_MAX + 1)))))


def test_a_block_in_which_nothing_expires_reads_one_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many records wait for their time: a network of small blocks has thousands."""
    for _ in range(3):
        world.block(world.envelope("core", bind(world)))
    asked: list[int] = []
    scan = Overlay.index_scan

    def counted(self: Overlay, index: Index, prefix: bytes, **bounds: Any) -> list[bytes]:
        if index is Index.REMEMBERED_BLOCKS:
            asked.append(bounds["limit"])
        return scan(self, index, prefix, **bounds)

    monkeypatch.setattr(Overlay, "index_scan", counted)
    world.block()
    assert asked == [1]


def test_what_is_read_once_in_a_day_takes_no_room_in_the_cache(world: World) -> None:
    envelope = world.envelope("core", bind(world))
    world.block(envelope)
    held = {key[0] for key in world.committed._records._young}
    assert r.Kind.ACCOUNT in held
    assert r.Kind.REMEMBERED not in held
    world.block(seconds=envelope.body.valid_until - world.time + 2 * BUCKET_SECONDS)
    assert stored(world)[0] == [], "and is gone for all that when its time is over"
    assert r.Kind.REMEMBERED not in {key[0] for key in world.committed._records._young}
