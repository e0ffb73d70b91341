"""`tally audit`: re-execute a stopped node's chain from genesis, beside an independent model of the money.

Three witnesses must agree at every height: what the node stored, what the voucher law computes again
from the bodies, and what a quorum of validators signed. At the end the naive model's picture of every
voucher, line and document is compared with the node's state, fen by fen.

A node that began with a fetched state, or deleted old blocks, does not have the state below its first block:
nothing can be executed again there. Its blocks, receipts and events are checked against their certificates,
and its state against its own records and the newest one (`tools.audit_state`). The report says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import lmdb

from node.config import load_config
from node.ledger.execute import execute_block
from node.ledger.genesis_state import load as load_genesis_state
from node.ledger.membership import validators_of
from node.state import CommittedState, MemoryReader, Overlay
from node.state.tables import STATE_TABLES
from node.store import BlockRow, Snapshot, StoreError, scan_in_child
from node.store.errors import corrupt
from node.store.store import has_data, lock_directory
from node.store.tables import MAP_BYTES, TABLES, VOUCHER_LOG, height_key, open_environment
from node.validator import load_genesis
from tallynet.blocks import Commit, Header
from tallynet.codec import decode
from tallynet.envelope import Envelope, open_envelope
from tallynet.errors import RemoteProtocolError, TallynetError
from tallynet.genesis import Genesis, genesis_hash, validators_hash
from tallynet.hashing import block_hash, envelope_hash
from tallynet.merkle import list_root
from tallynet.receipts import Event, events_digest, split_events
from tallynet.validators import Handover, Succession
from tools.audit_state import Sums, check_state
from tools.money_comparison import money_differences
from tools.money_limits import Mismatch
from tools.money_model import Model, decode_receipts
from tools.testnet_files import NETWORK_FILE, load_network

Advance = Callable[[int, int], None]
"""(blocks done, blocks in all)"""
HEIGHTS_PER_READ: Final = 1_000
DIFFERENCES_MAX: Final = 20
"""Differences reported per node; the first few say everything."""


@dataclass(slots=True)
class Report:
    """What the audit of one node found."""

    node: str
    height: int = 0
    first_block: int = 1
    """Blocks below are not held."""
    executed: bool = True
    """Everything was executed again from genesis; otherwise blocks were checked by their certificates."""
    commands: int = 0
    vouchers: int = 0
    state_root: str = ""
    face: int = 0
    """Sum of all faces ever claimed or pending, fen."""
    live: int = 0
    redeemed: int = 0
    cancelled: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        return not self.differences

    def differ(self, what: str) -> None:
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(what)


def node_directories(given: Sequence[Path]) -> list[Path]:
    """Node directories; a network directory stands for all its nodes."""
    found: list[Path] = []
    for directory in given:
        if (directory / NETWORK_FILE).exists():
            found += [directory / node.name for node in load_network(directory).nodes]
        else:
            found.append(directory)
    return found


def _heights(stored: Snapshot) -> Iterator[int]:
    """Heights of which a row is stored, ascending."""
    after = 0
    while heights := stored.block_heights(after, HEIGHTS_PER_READ):
        yield from heights
        after = heights[-1]


# --- one node -------------------------------------------------------------------------------------


@contextmanager
def stopped_store(directory: Path) -> Iterator[Snapshot]:
    """A snapshot of a database that no node uses. Raises StoreError STORE_IN_USE, STORE_MISSING."""
    if not has_data(directory):
        raise StoreError("STORE_MISSING", f"{directory} holds no database")
    scan_in_child(directory)
    lock_file = lock_directory(directory, exclusive=False)
    environment = open_environment(directory, map_bytes=MAP_BYTES, readonly=True)
    try:
        tables = {name: environment.open_db(name.encode(), create=False) for name in TABLES}
        with environment.begin() as transaction:
            yield Snapshot(transaction, tables, lambda what: corrupt(directory, what))
    except lmdb.Error as error:
        raise StoreError("STORE_CORRUPT", f"{directory}: {error}") from None
    finally:
        environment.close()
        os.close(lock_file)


def audit_node(directory: Path, progress: Advance | None = None) -> Report:
    """Re-execute one node's chain. Differences are in the report; what cannot be read raises
    ConfigError or StoreError."""
    config = load_config(directory)
    genesis = load_genesis(directory / config.genesis_file)
    with stopped_store(directory / config.data_directory) as stored:
        return _Auditor(config.name, genesis, stored, progress).run()


class _Auditor:
    def __init__(
        self, name: str, genesis: Genesis, stored: Snapshot, progress: Advance | None
    ) -> None:
        self._genesis: Final = genesis
        self._hash: Final = genesis_hash(genesis)
        self._succession: Final = Succession.of(genesis)
        self._stored: Final = stored
        self._progress: Final = progress
        self._memory: Final = MemoryReader()
        self._state: Final = CommittedState(self._memory)
        self._model: Final = Model.of(genesis)
        self.report: Final = Report(name)

    def run(self) -> Report:
        """What is held of the chain, then the state."""
        for _, handover in self._stored.handovers():
            try:
                self._succession.add(decode(Handover, handover))
            except RemoteProtocolError as error:
                self.report.differ(f"a change of the validator set: {error.message}")
                break
        self.report.first_block = self._stored.base()
        if self.report.first_block == 1:
            self._execute()
        else:
            self._follow()
        return self.report

    def _execute(self) -> None:
        """Genesis, every block, then the comparison of the end."""
        opening = Overlay(self._state)
        load_genesis_state(opening, self._genesis, self._hash)
        self._fold(opening)
        tip = self._stored.tip()
        total = 0 if tip is None else tip.height
        parent, time_ms = self._hash, self._genesis.time_ms
        for height in range(1, total + 1):
            row = self._stored.block(height)
            if row is None:
                self.report.differ(f"block {height} is missing")
                break
            header = decode(Header, row.header)
            self._check_header(height, row, header, parent, time_ms)
            try:
                self._block(height, row, header)
            except Mismatch as mismatch:
                self.report.differ(f"block {height}: {mismatch}")
                break
            parent, time_ms = row.block, header.time_ms
            self.report.height = height
            if self._progress is not None and height % 20 == 0:
                self._progress(height, total)
        self.report.state_root = self._state.root.hex()
        if (
            tip is not None
            and self.report.height == tip.height
            and self._state.root != tip.state_root
        ):
            self.report.differ("the stored state root is not that of the re-executed chain")
        if self.report.agrees:
            self._compare_tables()
        self._compare_money()
        self._check_state(self._state.root)

    def _check_state(self, root: bytes) -> Sums:
        return check_state(self._stored, root, self.report.differ)

    def _follow(self) -> None:
        """The blocks that are held, by their certificates, then the state by the newest one."""
        report, stored, tip = self.report, self._stored, self._stored.tip()
        report.executed = False
        if tip is None:
            report.differ("blocks were deleted, and there is no newest one")
            return
        commit = None
        below = (0, self._hash, self._genesis.time_ms)
        for height in _heights(stored):
            row = stored.block(height)
            if row is None:
                continue
            header = decode(Header, row.header)
            if below[0] != height - 1:
                if height > report.first_block:
                    report.differ(f"block {height - 1} is missing")
                below = (height - 1, header.parent, header.time_ms - 1)
            self._check_header(height, row, header, *below[1:])
            commit = self._certified(height, row)
            if height >= report.first_block and commit is not None:
                try:
                    self._follow_block(height, row, commit)
                except Mismatch as mismatch:
                    report.differ(f"block {height}: {mismatch}")
            below = (height, row.block, header.time_ms)
            if self._progress is not None and height % 20 == 0:
                self._progress(height, tip.height)
        report.height, report.state_root = tip.height, tip.state_root.hex()
        if commit is None or (commit.height, commit.state_root) != (tip.height, tip.state_root):
            report.differ("no certificate for the state that is stored")
        sums = self._check_state(tip.state_root)
        report.vouchers, report.face, report.live = sums.vouchers, sums.face, sums.live
        report.redeemed, report.cancelled = sums.redeemed, sums.cancelled

    def _follow_block(self, height: int, row: BlockRow, commit: Commit) -> None:
        """Bodies are those that were ordered, receipts those that were certified, events those that the
        receipts commit to."""
        bodies, given = self._stored.envelopes(height, row.block), self._stored.receipts(height)
        if bodies is None or given is None:
            raise Mismatch("bodies or receipts are missing")
        if tuple(envelope_hash(body) for body in bodies) != row.envelopes:
            raise Mismatch("the bodies are not those that were ordered")
        if list_root(given.receipts) != commit.receipts_root:
            raise Mismatch("the receipts are not those that were certified")
        prologue, receipts = decode_receipts(given.receipts)
        parts = split_events(given.receipts, given.events)
        digests = (prologue.events_digest, *(receipt.events_digest for receipt in receipts))
        for part, digest in zip(parts, digests, strict=True):
            if events_digest(part) != digest:
                raise Mismatch("the events are not those that the receipts commit to")
        self.report.commands += sum(len(receipt.commands) for receipt in receipts)

    def _compare_tables(self) -> None:
        """What the node stores as its state is, byte for byte, what the chain gives: records, state
        tree and derived indexes (I14)."""
        for table in STATE_TABLES:
            expected = dict(self._memory.scan(table, b"", b"", sys.maxsize))
            for key, value in self._stored.dump(table):
                if expected.pop(key, None) != value:
                    self.report.differ(f"table {table}: {key.hex()} is not what the chain gives")
            for key in sorted(expected)[:1]:
                self.report.differ(f"table {table}: {key.hex()} is missing")

    def _fold(self, overlay: Overlay) -> bytes:
        root = overlay.seal()
        self._memory.apply(overlay.changes())
        overlay.commit()
        return root

    def _check_header(
        self, height: int, row: BlockRow, header: Header, parent: bytes, time_ms: int
    ) -> None:
        right = (
            header.height == height
            and header.parent == parent
            and header.genesis == self._hash
            and header.time_ms > time_ms
            and block_hash(row.header) == row.block
            and header.envelopes_root == list_root(row.envelopes)
        )
        if not right:
            self.report.differ(f"block {height}: the header does not continue the chain")

    def _block(self, height: int, row: BlockRow, header: Header) -> None:
        commit = self._certified(height, row)
        bodies = self._stored.envelopes(height, row.block)
        given = self._stored.receipts(height)
        if bodies is None or given is None:
            raise Mismatch("bodies or receipts are missing")
        envelopes: list[Envelope] = [open_envelope(body) for body in bodies]
        if tuple(e.hash for e in envelopes) != row.envelopes:
            raise Mismatch("the bodies are not those that were ordered")
        overlay = Overlay(self._state)
        result = execute_block(overlay, self._hash, header, envelopes)
        root = self._fold(overlay)
        if commit is not None and root != commit.state_root:
            self.report.differ(
                f"block {height}: state root {root.hex()[:16]} is not the certified one"
            )
        ends = height % self._genesis.epoch_length == 0
        following = validators_of(Overlay(self._state), header.epoch + ends)
        if header.next_validators != validators_hash(following):
            self.report.differ(f"block {height}: names another validator set than the state")
        if commit is not None and result.receipts_root != commit.receipts_root:
            self.report.differ(f"block {height}: receipts root is not the certified one")
        if (result.prologue, *result.receipts) != given.receipts or result.events != given.events:
            self.report.differ(
                f"block {height}: stored receipts or events are not those of the law"
            )
        for key, place in result.log.items():
            if self._stored.get(VOUCHER_LOG, key) != height_key(height) + place:
                self.report.differ(f"block {height}: the log of voucher {key[:16].hex()} differs")
        prologue, receipts = decode_receipts(given.receipts)
        events = [decode(Event, event) for event in given.events]
        self._model.block(prologue, envelopes, receipts, events)
        self.report.commands += sum(len(receipt.commands) for receipt in receipts)

    def _certified(self, height: int, row: BlockRow) -> Commit | None:
        try:
            commit = self._succession.committed(row.certificate)
        except TallynetError as error:
            self.report.differ(f"block {height}: {error}")
            return None
        if commit.block != row.block or commit.height != height:
            self.report.differ(f"block {height}: the certificate is for another block")
        return commit

    # --- the end ----------------------------------------------------------------------------------

    def _compare_money(self) -> None:
        report = self.report
        for paper in self._model.papers.values():
            report.vouchers += 1
            report.face += paper.face
            report.redeemed += paper.total("REDEEMED")
            report.cancelled += paper.total("CANCELLED")
            report.live += paper.face - paper.total("REDEEMED", "CANCELLED")
        for difference in money_differences(self._model, self._state):
            report.differ(difference)
