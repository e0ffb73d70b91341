"""A stage without a network: the voucher law itself, block by block, in this process.

Signatures are verified and every block is followed by the naive model of the money, as an audit does;
there is no consensus, no disk and no second node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from node.ledger.execute import execute_block, wants_block
from node.ledger.genesis_state import load
from node.state import CommittedState, MemoryReader, Overlay
from node.state.tables import RECORDS, record_of
from node.state.view import Index
from tallynet import records as r
from tallynet.blocks import Header
from tallynet.codec import decode
from tallynet.envelope import Envelope
from tallynet.receipts import EnvelopeReceipt, Event
from tools.connect import genesis_of
from tools.money_comparison import money_differences
from tools.money_model import Model, decode_receipts
from tools.scenarios.stage import DAY_SECONDS, MONDAY, OPENING_SECONDS, Facts, ScenarioFailed, Stage
from tools.testnet_files import Plan, init

BLOCK_ENVELOPES: Final = 50
"""So that what is sent together is spread over some blocks, as on a network."""
ALL: Final = 2**40


def plan(directory: Path, *, base_port: int = 20_000) -> Plan:
    """Four banks whose clocks begin at 10:00 of the first day."""
    return Plan(
        directory=directory,
        validators=4,
        hosts=("127.0.0.1",),
        base_port=base_port,
        name="scenario",
        time_ms=(MONDAY * DAY_SECONDS + OPENING_SECONDS) * 1000,
        business_date=MONDAY,
        day_seconds=DAY_SECONDS,
        window=4,
        pending_per_organisation=20_000,
    )


class LedgerStage(Stage):
    """Executes at once."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, Facts())
        init(plan(directory))
        genesis, self.genesis = genesis_of(directory)
        self._tables: Final = MemoryReader()
        self._state: Final = CommittedState(self._tables)
        self._model: Final = Model.of(genesis)
        self._height = 0
        self._time = genesis.time_ms // 1000
        opening = Overlay(self._state)
        load(opening, genesis, self.genesis)
        self._commit(opening)

    def now(self) -> int:
        return self._time

    async def send(self, envelopes: Iterable[Envelope]) -> list[EnvelopeReceipt]:
        waiting = list(envelopes)
        receipts: list[EnvelopeReceipt] = []
        for start in range(0, len(waiting), BLOCK_ENVELOPES):
            receipts += self._block(waiting[start : start + BLOCK_ENVELOPES])
        return receipts

    async def find(self, kind: r.Kind, id: bytes) -> r.Record | None:
        return self._overlay().get(kind, id)

    async def scan(self, index: Index, prefix: bytes) -> list[bytes]:
        return list(self._overlay().index_scan(index, prefix, limit=ALL))

    async def roll_to(self, day: int) -> None:
        while (network := self._network()).business_date < day:
            self._time = max(self._time, network.next_roll)
            self._block(())
        await self.until_idle()

    async def until_idle(self) -> None:
        while wants_block(self._overlay(), self._time):
            self._block(())

    def record_counts(self) -> Counter[str]:
        """Records of the state by kind."""
        keys = (record_of(key) for key, _ in self._tables.scan(RECORDS, b"", b"", ALL))
        return Counter(named[0].name for named in keys if named is not None)

    def _network(self) -> r.Network:
        network = self._overlay().get(r.Kind.NETWORK, r.NETWORK_ID)
        if not isinstance(network, r.Network):
            raise ScenarioFailed("RECORD_MISSING", "the network's own record")
        return network

    def _overlay(self) -> Overlay:
        return Overlay(self._state)

    def _block(self, envelopes: Iterable[Envelope]) -> list[EnvelopeReceipt]:
        chosen = tuple(envelopes)
        self._height += 1
        self._time += 1
        header = Header(
            self.genesis, 1, 0, self._height, bytes(32), bytes(32), self._time * 1000, 0, bytes(32)
        )
        overlay = self._overlay()
        result = execute_block(overlay, self.genesis, header, chosen)
        self._commit(overlay)
        prologue, receipts = decode_receipts([result.prologue, *result.receipts])
        events = [decode(Event, event) for event in result.events]
        self._model.block(prologue, chosen, receipts, events)
        return receipts

    def audit(self) -> None:
        """The naive model must have come to the same. Raises ScenarioFailed WRONG."""
        for difference in money_differences(self._model, self._state):
            raise ScenarioFailed("WRONG", f"the naive model of the money: {difference}")

    def _commit(self, overlay: Overlay) -> None:
        overlay.seal()
        self._tables.apply(overlay.changes())
        overlay.commit()
