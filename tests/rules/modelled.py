"""A world whose every block is replayed by the naive money model, and compared with it fen by fen."""

from __future__ import annotations

from dataclasses import dataclass, field

from law_world import World

from node.ledger.execute import BlockResult
from tallynet.codec import decode
from tallynet.envelope import Envelope
from tallynet.receipts import Event
from tools.money_comparison import money_differences
from tools.money_model import Model, decode_receipts


@dataclass
class ModelledWorld(World):
    model: Model = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.model = Model(self.day)

    def block(self, *envelopes: Envelope, seconds: int = 1) -> BlockResult:
        result = super().block(*envelopes, seconds=seconds)
        prologue, receipts = decode_receipts((result.prologue, *result.receipts))
        events = [decode(Event, event) for event in result.events]
        self.model.block(prologue, envelopes, receipts, events)
        assert list(money_differences(self.model, self.committed)) == []
        return result
