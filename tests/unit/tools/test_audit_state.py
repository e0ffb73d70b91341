"""The audit of a node that does not hold the whole chain: what it finds, and what it says it cannot check."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from node.state.tables import INDEXES, RECORDS, STATE_TREE, lots_key
from node.store import WriteBatch
from node.store.batch import BASE_KEY
from node.store.tables import BLOCKS, RECEIPTS
from tallynet.codec import decode, encode
from tallynet.plain import to_plain
from tallynet.records import Kind, Offer
from tests.unit.node.machines import Net, approved_offer, new_key
from tools.audit import Report, audit_node

Rows = dict[str, dict[bytes, bytes]]
Change = Callable[[WriteBatch, Rows], None]
CONFIG = """
name = "bank-{index}"
listen_host = "127.0.0.1"
listen_port = 1024
peers = []
data_directory = "{data}"
"""


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Net, Path]]:
    """A stopped network whose last validator began with a fetched state, and a node directory for each."""
    path = tmp_path_factory.mktemp("audited")
    net = Net(path, epoch_length=8, state_sync_blocks=6)
    net.cut_off(3)
    for _ in range(5):
        grow(net)
    net.nodes[0].submit(new_key(net))
    for _ in range(6):
        grow(net)
    net.passes = lambda _source, to, message: to != 3 or type(message).__name__ != "Blocks"
    assert net.run(20_000, lambda: "state_adopted" in net.nodes[3].logs)
    net.heal()
    assert net.run(10_000, net.agree)
    grow(net)
    grow(net)
    assert net.run(10_000, net.agree)
    net.close()
    (path / "genesis.json").write_text(json.dumps(to_plain(net.world.genesis)))
    for index in range(4):
        directory = path / f"bank-{index}"
        directory.mkdir()
        (directory / "genesis.json").symlink_to(path / "genesis.json")
        (directory / "node.toml").write_text(CONFIG.format(index=index, data=path / str(index)))
    yield net, path


def grow(net: Net) -> None:
    height = net.nodes[0].height
    net.nodes[0].submit(approved_offer(net))
    assert net.run(5_000, lambda: net.nodes[0].height > height)


def test_it_says_what_was_checked_and_agrees_with_the_others(fetched: tuple[Net, Path]) -> None:
    _, path = fetched
    whole, part = audit_node(path / "bank-0"), audit_node(path / "bank-3")
    assert whole.differences == part.differences == []
    assert whole.executed and whole.first_block == 1
    assert not part.executed and part.first_block > 6
    assert (whole.height, whole.state_root) == (part.height, part.state_root)
    assert (whole.vouchers, whole.face) == (part.vouchers, part.face)


def corrupted(fetched: tuple[Net, Path], change: Change) -> Report:
    """The audit after a change that has right checksums; it is taken back afterwards."""
    net, path = fetched
    node = net.nodes[3]
    data = node.directory / "data.mdb"
    before = data.read_bytes()
    node.open()
    with node.store.reader() as reader:
        rows = {
            table: dict(reader.dump(table))
            for table in (RECORDS, STATE_TREE, INDEXES, BLOCKS, RECEIPTS)
        }
    batch = WriteBatch()
    change(batch, rows)
    node.store.commit(batch)
    node.store.close()
    try:
        return audit_node(path / "bank-3")
    finally:
        data.write_bytes(before)


def first_of(rows: Rows, kind: Kind) -> bytes:
    return next(key for key in rows[RECORDS] if key[0] == kind)


def change_a_record(batch: WriteBatch, rows: Rows) -> None:
    key = first_of(rows, Kind.OFFER)
    record = decode(Offer, rows[RECORDS][key])
    batch.rows[RECORDS] = {key: encode(msgspec.structs.replace(record, used=7))}


def hide_a_record(batch: WriteBatch, rows: Rows) -> None:
    batch.rows[RECORDS] = {first_of(rows, Kind.KEY): None}


def lots_without_a_voucher(batch: WriteBatch, rows: Rows) -> None:
    batch.rows[RECORDS] = {lots_key(bytes(16)): bytes(40)}


def change_the_tree(batch: WriteBatch, rows: Rows) -> None:
    key = max(rows[STATE_TREE])
    batch.rows[STATE_TREE] = {key: None}


def add_to_an_index(batch: WriteBatch, rows: Rows) -> None:
    batch.rows[INDEXES] = {b"\x01" + bytes(40): b""}


def drop_from_an_index(batch: WriteBatch, rows: Rows) -> None:
    batch.rows[INDEXES] = {max(rows[INDEXES]): None}


def drop_a_block(batch: WriteBatch, rows: Rows) -> None:
    batch.rows[BLOCKS] = {sorted(rows[BLOCKS])[-2]: None}


def change_a_receipt(batch: WriteBatch, rows: Rows) -> None:
    key = max(rows[RECEIPTS])
    data = rows[RECEIPTS][key]
    assert b"OK" in data
    batch.rows[RECEIPTS] = {key: data.replace(b"OK", b"KO", 1)}


def change_an_event(batch: WriteBatch, rows: Rows) -> None:
    key = max(rows[RECEIPTS])
    data = rows[RECEIPTS][key]
    assert b"offer.create" in data
    batch.rows[RECEIPTS] = {key: data.replace(b"offer.create", b"offer.revoke", 1)}


def claim_more_blocks(batch: WriteBatch, rows: Rows) -> None:
    batch.meta(BASE_KEY, (2).to_bytes(8, "big"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_a_record, "state root that a quorum signed"),
        (hide_a_record, "state root that a quorum signed"),
        (lots_without_a_voucher, "belongs to no voucher"),
        (change_the_tree, "table state_tree"),
        (add_to_an_index, "table indexes"),
        (drop_from_an_index, "table indexes"),
        (drop_a_block, "is missing"),
        (change_a_receipt, "receipts are not those that were certified"),
        (change_an_event, "events are not those that the receipts commit to"),
        (claim_more_blocks, "missing"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_every_lie_is_noticed(
    fetched: tuple[Net, Path],
    change: Change,
    said: str,
) -> None:
    report = corrupted(fetched, change)
    assert not report.agrees
    assert any(said in difference for difference in report.differences), report.differences
