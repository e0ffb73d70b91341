"""The small world of `law_world`, followed by the naive model of the money in every block."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

from node.ledger.execute import BlockResult
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, decode
from tallynet.envelope import Envelope
from tallynet.hashing import record_id
from tallynet.receipts import EnvelopeReceipt, Event, PrologueReceipt
from tools.money_comparison import money_differences


class FollowedWorld(World):
    """After every block the model holds what the state holds, fen by fen."""

    def block(self, *envelopes: Envelope, seconds: int = 1) -> BlockResult:
        result = super().block(*envelopes, seconds=seconds)
        receipts = [decode(EnvelopeReceipt, row) for row in result.receipts]
        events = [decode(Event, row) for row in result.events]
        prologue = decode(PrologueReceipt, result.prologue)
        self.model.block(prologue, envelopes, receipts, events)
        assert list(money_differences(self.model, self.committed)) == []
        return result

    def admit(self, name: str, kind: r.OrganisationKind) -> bytes:
        """An institution, admitted by the bank quorum, with a verified account at bank-1."""
        given = self.registration(name, kind, r.Size.LARGE)
        admit = c.OrganisationAdmit(
            given.label, given.kinds, given.industry, given.region, given.name_commitment,
            given.tax_id_commitment, given.uniqueness_tag, given.keys,
        )  # fmt: skip
        receipt = self.jointly(admit, "bank-1", "bank-2", "bank-3")
        self.ids[name] = receipt
        self.people[name] = self.people["bank-1"]
        self.ok(name, c.AccountBind(b"main", self.ids["bank-1"], bytes(32), "CNY"))
        self.ok("bank-1", c.AccountVerify(self.label, self.account(name)))
        return receipt

    def jointly(self, command: Wire, *parties: str) -> bytes:
        """A joint act; id of the record that the last consent created."""
        receipts = [self.ok(party, command) for party in parties]
        assert all(receipt.result for receipt in receipts[:-1])
        return receipts[-1].created[0].id

    def financing(self, by: str, label: bytes) -> bytes:
        return record_id(r.Kind.FINANCING, self.ids[by], label)
