"""Two stores on simulated disks: one with certified states to hand out, one that fetches them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consensus.config import ReplicaConfig
from node.state import CommittedState, Overlay
from node.state.tables import RECORDS, STATE_TREE
from node.state_server import StateServer
from node.state_sync import StateSync, Step
from node.store import Store
from tallynet.blocks import Certificate, Commit, Header
from tallynet.codec import decode, encode
from tallynet.genesis import validators_hash
from tallynet.hashing import block_hash, signed_bytes
from tallynet.merkle import list_root
from tallynet.messages import (
    FetchState,
    FetchStateHead,
    NoState,
    PeerMessage,
    StateHead,
    StatePart,
)
from tallynet.records import Kind, Validator, lot_id
from tallynet.signatures import KIND_COMMIT
from tallynet.validators import Handover, Succession
from tests.unit.state.samples import lot, record_id, remainder, voucher
from tools.simulator.disk import SimulatedDisk

GENESIS = sha256(b"genesis").digest()
KEYS = sorted(
    (Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in range(4)),
    key=lambda key: key.public_key().public_bytes_raw(),
)
PUBLIC = tuple(key.public_key().public_bytes_raw() for key in KEYS)
VALIDATORS = tuple(Validator(bytes(16), key, f"v{i}") for i, key in enumerate(PUBLIC))
CONFIG = ReplicaConfig(
    genesis=GENESIS,
    genesis_time_ms=0,
    validators=PUBLIC,
    validators_hash=validators_hash(VALIDATORS),
    index=3,
    epoch_length=1_000,
)
TABLES = (RECORDS, STATE_TREE)


def open_store(disk: SimulatedDisk) -> Store:
    store = Store(Path("nowhere"), disk, -1, genesis=GENESIS, mark=None)
    store.prepare(bytes(32))
    return store


def certificate_of(
    commit: Commit, genesis: bytes = GENESIS, keys: Sequence[Ed25519PrivateKey] = KEYS
) -> Certificate:
    """Signed by the first three."""
    body = encode(commit)
    message = signed_bytes(KIND_COMMIT, genesis, body)
    return Certificate(body, (0, 1, 2), tuple(key.sign(message) for key in keys[:3]))


class Source:
    """A validator with a state that grows: remainders, and vouchers with lots."""

    def __init__(
        self,
        store: Store | None = None,
        config: ReplicaConfig = CONFIG,
        keys: Sequence[Ed25519PrivateKey] = KEYS,
        height: int = 0,
    ) -> None:
        """Its first block comes above `height`."""
        self.config, self.keys = config, keys
        self.store = store or open_store(SimulatedDisk())
        self.state = CommittedState(self.store.live_reader())
        self.server = StateServer(self.store)
        self.height = height

    def write(
        self,
        remainders: dict[int, int | None],
        vouchers: dict[int, int] | None = None,
    ) -> None:
        """A block: remainders by number and value (None: deleted), vouchers by number and lots."""
        self.height += 1
        overlay = Overlay(self.state)
        for number, value in remainders.items():
            id = record_id(number)
            if value is not None:
                overlay.put(Kind.REMAINDER, id, remainder(value))
            elif overlay.get(Kind.REMAINDER, id) is not None:
                overlay.delete(Kind.REMAINDER, id)
        for number, lots in (vouchers or {}).items():
            id = record_id(("voucher", number))
            overlay.put(Kind.VOUCHER, id, voucher(self.height))
            for start in list(overlay.lot_starts(id))[lots:]:
                overlay.delete(Kind.LOT, lot_id(id, start))
            for start in range(lots):
                overlay.put(Kind.LOT, lot_id(id, start), lot(start, start + 1, self.height))
        root = overlay.seal()
        genesis, epoch = self.config.genesis, (self.height - 1) // self.config.epoch_length
        header = encode(
            Header(
                genesis, 1, epoch, self.height, bytes(32), list_root((bytes(32),)), self.height, 0,
                self.config.validators_hash,
            )
        )  # fmt: skip
        commit = Commit(epoch, 0, self.height, block_hash(header), root, bytes(32))
        batch = self.store.batch()
        batch.deliver(
            height=self.height,
            block=commit.block,
            header=header,
            envelopes=(bytes(32),),
            executed={},
            certificate=certificate_of(commit, genesis, self.keys),
            state_root=root,
            receipts=(),
            events=(),
            changes=overlay.changes(),
        )
        self.store.commit(batch)
        overlay.commit()

    def answer(self, message: bytes, now_ms: int = 0) -> PeerMessage:
        """What the server says to validator 3."""
        request = decode(PeerMessage, message)
        if isinstance(request, FetchStateHead):
            return decode(PeerMessage, self.server.head(3, request, now_ms).message or b"")
        assert isinstance(request, FetchState)
        return decode(PeerMessage, self.server.part(3, request, now_ms).message or b"")

    def tables(self) -> dict[str, list[tuple[bytes, bytes]]]:
        with self.store.reader() as reader:
            return {table: list(reader.dump(table)) for table in TABLES}


class Target:
    """The one that fetches."""

    def __init__(self, disk: SimulatedDisk | None = None) -> None:
        self.disk = disk or SimulatedDisk()
        self.store = open_store(self.disk)
        self.sync = StateSync(
            config=CONFIG,
            succession=Succession(GENESIS, 1_000, VALIDATORS),
            staged=self.store.staged_reader(),
        )
        self.claims = {0: 10_000, 1: 10_000, 2: 10_000}
        self.least = 1
        self.now_ms = 0
        self.sent: list[tuple[int, bytes]] = []
        """Requests that were not answered yet."""
        self.faults: list[str] = []
        self.handovers: list[Handover] = []
        """What it wants kept."""

    def restarted(self) -> Target:
        """The process died; what was committed is there."""
        return Target(self.disk)

    def tick(self, later_ms: int = 0) -> None:
        self.now_ms += later_ms
        self.carry_out(self.sync.tick(self.now_ms, self.claims, self.least))

    def receive(self, source: int, message: PeerMessage) -> None:
        if isinstance(message, StateHead):
            step = self.sync.on_head(source, message, self.now_ms)
        elif isinstance(message, StatePart):
            step = self.sync.on_part(source, message, self.now_ms)
        else:
            assert isinstance(message, NoState)
            step = self.sync.on_no_state(source, message, self.now_ms)
        if step.fault:
            self.faults.append(step.fault)
        self.carry_out(step)

    def carry_out(self, step: Step) -> None:
        self.sent.extend(step.sends)
        self.handovers.extend(step.handovers)
        if step.rows:
            batch = self.store.batch()
            for table, rows in step.rows.items():
                batch.staged(table, rows)
            self.store.commit(batch)
            self.carry_out(self.sync.durable(self.now_ms))

    def exchange(self, source: Source) -> bool:
        """One question and its answer; False when nothing was asked."""
        if not self.sent:
            return False
        to, message = self.sent.pop()
        self.receive(to, source.answer(message, self.now_ms))
        return True

    def fetch(self, source: Source, exchanges: int = 100_000) -> int:
        """Go on until it is done, or so often; returns how many questions were asked."""
        if not self.sent:
            self.tick()
        asked = 0
        while self.sync.finished is None and asked < exchanges and self.exchange(source):
            asked += 1
        return asked

    def tables(self) -> dict[str, list[tuple[bytes, bytes]]]:
        staged = self.store.staged_reader()
        return {table: staged.scan(table, b"", b"", 1_000_000) for table in TABLES}
