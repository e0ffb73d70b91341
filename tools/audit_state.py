"""The part of the audit that needs no history: a stored state against itself and its certificate.

The records alone give the state tree, the state root that a quorum signed, and every derived index. So a
node that began with a fetched state, or deleted old blocks, can be audited too: who holds what now is
certain, and how it came about is not its to tell.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from node.ledger.derived import index_keys
from node.state import CommittedState, Overlay
from node.state.tables import INDEXES, RECORDS, STATE_TREE, Row, lots_key, record_of
from node.state.tree import ROOT_PATH, Leaf, make_subtree
from node.store import Snapshot
from tallynet.codec import decode
from tallynet.errors import InvariantViolated, TallynetError
from tallynet.records import (
    RECORD_TYPES,
    CreditLine,
    Financing,
    Kind,
    Lot,
    LotState,
    Record,
    Voucher,
)
from tallynet.state_proof import entity_key, leaf_hash, lot_row, tree_root, voucher_leaf_hash
from tools.audit_lines import Differ, LineSums


@dataclass(slots=True)
class Sums:
    """What the vouchers of a state come to, fen."""

    vouchers: int = 0
    face: int = 0
    redeemed: int = 0
    cancelled: int = 0

    @property
    def live(self) -> int:
        return self.face - self.redeemed - self.cancelled


@dataclass(slots=True)
class _Paper:
    """A voucher and its lots, as the table of records lists them one after the other."""

    id: bytes
    data: bytes
    voucher: Voucher
    row: bytes
    lots: list[Lot]
    rows: bytes = b""


def check_state(stored: Snapshot, root: bytes, differ: Differ) -> Sums:
    """Compare tree, root and indexes with what the records give, and every voucher with its lots,
    every line with what counts under it. `root` is the certified state root; `differ` is told of every difference."""
    sums, books = Sums(), LineSums()
    leaves: list[Leaf] = []
    expected: set[bytes] = set()
    view = Overlay(CommittedState.snapshot(stored))
    paper: _Paper | None = None
    for key, data in stored.dump(RECORDS):
        named = record_of(key)
        if named is None:
            if paper is None or key != lots_key(paper.id):
                differ(f"table {RECORDS}: {key.hex()} belongs to no voucher")
            else:
                paper.row = data
            continue
        kind, id = named
        try:
            record: Record = decode(RECORD_TYPES[kind], data)
        except TallynetError as error:
            differ(f"record {key.hex()}: {error.message}")
            continue
        try:
            entries = index_keys(view, kind, id, record)
        except InvariantViolated:
            entries = []
            differ(f"record {key.hex()}: the voucher that it belongs to is not there")
        expected.update(bytes((index,)) + entry for index, entry in entries)
        if isinstance(record, Lot):
            if paper is None or id[:16] != paper.id:
                differ(f"lot {id.hex()} belongs to no voucher")
            else:
                paper.lots.append(record)
                paper.rows += lot_row(record.start, data)
            continue
        if paper is not None:
            leaves.append(_close(paper, sums, books, differ))
            paper = None
        if isinstance(record, CreditLine):
            books.line(id, record)
        elif isinstance(record, Financing):
            books.financing(record)
        if isinstance(record, Voucher):
            paper = _Paper(id, data, record, b"", [])
        else:
            leaves.append((entity_key(key), leaf_hash(kind, data), key))
    if paper is not None:
        leaves.append(_close(paper, sums, books, differ))
    books.check(differ)
    _compare_tree(stored, leaves, root, differ)
    _compare(stored, INDEXES, iter(sorted((key, b"") for key in expected)), differ)
    return sums


def _close(paper: _Paper, sums: Sums, books: LineSums, differ: Differ) -> Leaf:
    """Every lot of a voucher is known: they tile its face (I1)."""
    name, voucher = paper.id.hex(), paper.voucher
    if paper.row != paper.rows:
        differ(f"voucher {name}: the row of its lots is not that of the lots stored")
    end = 0
    for lot in paper.lots:
        if lot.start != end or lot.end <= lot.start:
            differ(f"voucher {name}: its lots do not tile its face at {end}")
        end = lot.end
    if end != voucher.face:
        differ(f"voucher {name}: its lots end at {end}, its face is {voucher.face}")
    redeemed = _length(paper.lots, LotState.REDEEMED)
    cancelled = _length(paper.lots, LotState.CANCELLED)
    if (redeemed, cancelled) != (voucher.redeemed, voucher.cancelled):
        differ(f"voucher {name}: {redeemed} redeemed and {cancelled} cancelled by its lots")
    books.voucher(voucher, paper.lots)
    sums.vouchers += 1
    sums.face += voucher.face
    sums.redeemed += redeemed
    sums.cancelled += cancelled
    key = bytes((Kind.VOUCHER,)) + paper.id
    value = voucher_leaf_hash(sha256(paper.data).digest(), paper.rows)
    return entity_key(key), value, key


def _length(lots: list[Lot], state: LotState) -> int:
    return sum(lot.end - lot.start for lot in lots if lot.state is state)


def _compare_tree(stored: Snapshot, leaves: list[Leaf], root: bytes, differ: Differ) -> None:
    leaves.sort()
    tree, rows = make_subtree(ROOT_PATH, leaves)
    if tree_root(len(leaves), tree) != root:
        differ("the records do not give the state root that a quorum signed")
    _compare(stored, STATE_TREE, iter(sorted(rows.items())), differ)


def _compare(stored: Snapshot, table: str, expected: Iterator[Row], differ: Differ) -> None:
    """Two ascending lists of rows; the first difference says enough."""
    for row in stored.scan(table, b"", b"", sys.maxsize):
        wanted = next(expected, None)
        if wanted != row:
            at = row[0] if wanted is None else min(row[0], wanted[0])
            differ(f"table {table}: {at.hex()} is not what the records give")
            return
    missing = next(expected, None)
    if missing is not None:
        differ(f"table {table}: {missing[0].hex()} is missing")
