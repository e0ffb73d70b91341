"""Ledgers of vouchers that went many ways, made by the real law from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from node.penetration import ShownState
from node.state import Overlay
from node.state.view import Index
from node.store.tables import Logged
from node.visibility import Sight
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import record_id
from tallynet.penetration import Page, Question, evaluate
from tallynet.penetration.evaluate import Row
from tests.rules.law_world import DIGEST, PEOPLE, World

SUPPLIERS = ("devices", "shop", "paint", "steel")


class Counting(Overlay):
    """A state that counts what is read from it."""

    __slots__ = ("reads",)

    def __init__(self, parent: object) -> None:
        super().__init__(parent)  # type: ignore[arg-type]  # counts reads
        self.reads = 0

    def get(self, kind: r.Kind, id: bytes) -> r.Record | None:
        self.reads += 1
        return super().get(kind, id)

    def index_scan(
        self, index: object, prefix: bytes, *, after: bytes = b"", limit: int
    ) -> list[bytes]:
        found = super().index_scan(index, prefix, after=after, limit=limit)  # type: ignore[arg-type]  # as above
        self.reads += 1 + len(found)
        return found


class NoHistory:
    """A store that holds no blocks."""

    def log(self, _voucher: bytes, _below: int, _limit: int) -> list[Logged]:
        return []


class Ledger(World):
    """core, its store (a branch) and rival owe; suppliers pass on, sell and pledge; surety guarantees."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.populate()

    def populate(self) -> None:
        self.join("core", r.OrganisationKind.CORE, r.Size.LARGE)
        self.join("rival", r.OrganisationKind.CORE, r.Size.LARGE)
        for name in SUPPLIERS:
            self.join(name, r.OrganisationKind.SUPPLIER)
        self.admit("surety", r.OrganisationKind.GUARANTOR)
        self.admit("watch", r.OrganisationKind.REGULATOR)
        self.branch("core", "store")
        self.lines = {
            name: self.line(r.LineKind.ISSUE, "bank-1", name, 10**12)
            for name in ("core", "store", "rival")
        }
        self.sale = self.offer()
        self.pledge = self.offer(
            kind=r.FinancingKind.LOAN_PLEDGE, grid=(r.RateBand(365, 43_500, 8_000),)
        )
        self.vouchers: list[bytes] = []

    def open_programme(self, owner: str = "core", **rules: object) -> bytes:
        create = c.ProgrammeCreate(
            self.label, r.ProgrammeKind.RECEIVABLE, "CNY", self.rules(**rules)
        )
        return self.ok(owner, create).created[0].id

    def paper(
        self, debtor: str = "core", payee: str = "devices", face: int = 10_000, tenor: int = 90,
        programme: bytes | None = None,
    ) -> bytes:  # fmt: skip
        """An issued and claimed voucher."""
        owner = "core" if debtor == "store" else debtor
        command = self.issue(
            face, self.document(face, payee, debtor), programme or self.open_programme(owner),
            self.lines[debtor], payee=self.ids[payee], maturity=self.day + tenor,
        )  # fmt: skip
        id = self.ok(debtor, command).created[0].id
        self.ok(payee, c.VoucherClaim(self.label, id, True))
        self.vouchers.append(id)
        return id

    def pass_on(self, holder: str, voucher: bytes, start: int, amount: int, to: str) -> None:
        piece = c.Piece(self.ids[to], amount, None)
        self.ok(holder, c.LotTransfer(self.label, voucher, start, (piece,)))

    def borrow(self, who: str, voucher: bytes, start: int, amount: int) -> bytes:
        """A pledge loan of bank-2 on the tail, paid out; its id."""
        drawn = self.ok(who, self.draw(who, voucher, start, amount, self.pledge))
        self.pay_out("bank-2", drawn, amount * 8 // 10)
        return next(x.id for x in drawn.created if x.kind == r.Kind.FINANCING)

    def guarantee(
        self, scope: r.GuaranteeScope, covered: bytes, cap: int, days: int = 200,
        beneficiary: bytes | None = None, by: str = "surety",
    ) -> bytes:  # fmt: skip
        command = c.GuaranteeIssue(
            self.label, self.ids["bank-4"], beneficiary, scope, covered, "CNY", cap, 0,
            self.day + days,
        )  # fmt: skip
        return self.ok(by, command).created[0].id

    def name(self, id: bytes | None) -> str | None:
        names = {id: name for name, id in self.ids.items()}
        return None if id is None else names[id]

    # --- at random ------------------------------------------------------------------------------

    def wander(self, seed: int, acts: int) -> None:
        """Random acts; the law refuses what does not fit, and that is fine."""
        choose = random.Random(seed)
        for _ in range(3):
            self.paper(choose.choice(("core", "store", "rival")), choose.choice(SUPPLIERS[:2]))
        for _ in range(acts):
            self._step(choose)
        # Draws that wait for their pay-out last a day.
        for name in SUPPLIERS:
            for entry in self.state.index_scan(Index.OPEN_LOTS, self.ids[name], limit=5):
                voucher, start = entry[20:36], int.from_bytes(entry[36:], "big")
                self.run(name, self.draw(name, voucher, start, 1, self.sale))

    def _step(self, choose: random.Random) -> None:
        voucher = choose.choice(self.vouchers)
        start = choose.choice(self.state.lot_starts(voucher))
        lot = self.get(r.Lot, r.lot_id(voucher, start))
        holder = self.name(lot.holder) or ""
        amount = choose.randint(1, lot.end - lot.start)
        match choose.randrange(8):
            case 0 | 1 | 2 if holder in SUPPLIERS:
                to = choose.choice([name for name in SUPPLIERS if name != holder])
                piece = c.Piece(self.ids[to], amount, None)
                self.run(holder, c.LotTransfer(self.label, voucher, start, (piece,)))
            case 3 | 4 if holder in SUPPLIERS:
                offer = choose.choice((self.sale, self.pledge))
                drawn = self.run(holder, self.draw(holder, voucher, start, amount, offer))
                if drawn.code == "OK" and choose.random() < 0.8:
                    paid = drawn.result[1] if offer == self.sale else amount * 8 // 10
                    self.pay_out("bank-2", drawn, paid)
            case 5:
                self.paper(
                    choose.choice(("core", "store", "rival")), choose.choice(SUPPLIERS),
                    face=choose.randint(10, 100_000), tenor=choose.randint(10, 90),
                )  # fmt: skip
            case 6:
                scope = choose.choice(tuple(r.GuaranteeScope))
                record = self.get(r.Voucher, voucher)
                covered = {
                    r.GuaranteeScope.VOUCHER: voucher,
                    r.GuaranteeScope.DEBTOR: record.debtor,
                    r.GuaranteeScope.PROGRAMME: record.programme,
                }[scope]
                days = choose.randint(1, 100)
                self.run("surety", c.GuaranteeIssue(
                    self.label, self.ids["bank-4"], None, scope, covered, "CNY", 500, 0, self.day + days,
                ))  # fmt: skip
            case 7:
                self.roll_to(self.day + choose.randint(1, 12))

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, by: str, question: Question) -> list[Row]:
        """The whole answer, page by page, as a node evaluates it."""
        return [row for page in self.pages(by, question) for row in page.rows]

    def pages(self, by: str, question: Question) -> list[Page[Row]]:
        found: list[Page[Row]] = []
        after: bytes | None = b""
        while after is not None:
            page, _ = self.page(by, question, after)
            found.append(page)
            assert len(found) < 1_000, "pages without end"
            after = page.after
        return found

    def page(self, by: str, question: Question, after: bytes = b"") -> tuple[Page[Row], int]:
        """One page, and how often the state was read for it."""
        state = Counting(self.committed)
        sight = Sight(state, self.ids[by])
        sight.require(question)
        shown = ShownState(NoHistory(), state, sight)  # type: ignore[arg-type]  # no log here
        return evaluate(shown, question, after), state.reads

    # --- the naive way --------------------------------------------------------------------------

    def every(self, kind: type) -> list[tuple[bytes, r.Record]]:
        """All records of a kind, by reading the whole state."""
        from node.state.tables import RECORDS, record_of
        from tallynet.codec import decode_trusted

        number = next(k for k, t in r.RECORD_TYPES.items() if t is kind)
        rows: Sequence[tuple[bytes, bytes]] = self.tables.scan(RECORDS, b"", b"", 10**9)
        named = [(record_of(key), data) for key, data in rows]
        return [
            (name[1], decode_trusted(kind, data))
            for name, data in named
            if name is not None and name[0] is number
        ]


__all__ = ["DIGEST", "PEOPLE", "SUPPLIERS", "Ledger", "record_id"]
