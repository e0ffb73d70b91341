"""A followed world with the parties of amendments, freezes and disputes, and what their tests do often."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from followed_world import FollowedWorld

from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.hashing import record_id
from tallynet.receipts import CommandReceipt


class WatchedWorld(FollowedWorld):
    """A followed world of a core, two suppliers, a court and a regulator."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.core_and_suppliers()
        self.admit("court", r.OrganisationKind.COURT_AGENT)
        self.admit("regulator", r.OrganisationKind.REGULATOR)

    def together(self, command: Wire, *parties: str) -> CommandReceipt:
        """A joint act: all consent, the last one executes it."""
        for number, party in enumerate(parties[:-1], 1):
            assert self.ok(party, command).result == (number, len(parties))
        return self.ok(parties[-1], command)

    def give(self, voucher: bytes, start: int, amount: int, to: str, by: str = "devices") -> None:
        piece = c.Piece(self.ids[to], amount, None)
        self.ok(by, c.LotTransfer(self.label, voucher, start, (piece,)))

    def number(self) -> bytes:
        """A bank's receipt number, by commitment."""
        return sha256(b"number" + self.label).digest()

    def fund(self, voucher: bytes, amount: int) -> None:
        self.ok("bank-1", c.FundsReceived(self.label, voucher, amount, 0, self.number()))

    def instruction(self, voucher: bytes, start: int) -> bytes:
        return record_id(r.Kind.INSTRUCTION, voucher, start.to_bytes(8, "big"))

    def instructions(self, voucher: bytes) -> list[tuple[int, int]]:
        """(start, amount) of the open settlement instructions."""
        keys = self.state.index_scan(Index.VOUCHER_INSTRUCTIONS, voucher, limit=1_000)
        found = [self.get(r.Instruction, key[16:]) for key in keys]
        return sorted((x.start, x.amount) for x in found)

    def line_used(self, kind: str = "ISSUE", bank: str = "bank-1") -> tuple[int, int]:
        line = self.get(r.CreditLine, self.ids[f"line {kind} {bank} core"])
        return line.reserved, line.used
