"""A small world for tests of the voucher law: four banks, a core, suppliers, real signatures.

Every act goes through a signed envelope in a block of its own on a stack of overlays; nothing of the
law is called directly.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).parent))

from law_invariants import exposure_lines_count_what_was_bought_and_lent, records_of

from node.ledger.derived import index_keys
from node.ledger.execute import BlockResult, execute_block
from node.ledger.genesis_state import load
from node.ledger.lines import line_id
from node.ledger.rulebook import RULES, Signers
from node.state import CommittedState, MemoryReader, Overlay
from node.state.tables import INDEXES, RECORDS, record_of
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.blocks import Header
from tallynet.codec import Wire, decode, decode_trusted, encode
from tallynet.envelope import Envelope, EnvelopeBody, Mode, Signer, seal_envelope
from tallynet.genesis import Genesis, GenesisKey, GenesisOrganisation, genesis_hash
from tallynet.hashing import record_id, signed_bytes
from tallynet.receipts import CommandReceipt, EnvelopeReceipt, Event
from tallynet.records import Role
from tallynet.signatures import KIND_ENVELOPE, KIND_REGISTER
from tools.money_comparison import money_differences
from tools.money_model import Model, decode_receipts

MONDAY = 20_878  # 2027-03-01
FOREVER = 2**40
PEOPLE = {
    "maker": (Role.MAKER, Role.ADMIN),
    "checker": (Role.CHECKER, Role.ADMIN),
    "approver": (Role.APPROVER, Role.ADMIN),
    "machine": (Role.API,),
}
DIGEST = sha256(b"x").digest()


def key_of(organisation: str, person: str) -> Ed25519PrivateKey:
    seed = sha256(f"{organisation}/{person}".encode()).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_of(organisation: str, person: str) -> bytes:
    return key_of(organisation, person).public_key().public_bytes_raw()


def key_id(organisation: str, person: str) -> bytes:
    return record_id(r.Kind.KEY, b"", public_of(organisation, person))


def person_hash(organisation: str, person: str) -> bytes:
    return sha256(f"person {organisation}/{person}".encode()).digest()


@dataclass
class World:
    """Run commands with `ok`, `refused`, `run`; move time with `roll_to`."""

    day: int = MONDAY
    ids: dict[str, bytes] = field(default_factory=dict)
    people: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tables: MemoryReader = field(default_factory=MemoryReader)
    height: int = 0
    epoch_length: int = 1_000
    labels: int = 0
    audited: bool = False
    """Follow every block with the naive model of the money and compare."""

    def __post_init__(self) -> None:
        organisations = []
        for i in range(1, 5):
            name = f"bank-{i}"
            self.ids[name] = bytes([i]) * 16
            self.people[name] = tuple(PEOPLE)
            organisations.append(self._founder(name))
        validators = tuple(
            r.Validator(self.ids[f"bank-{i}"], sha256(bytes([i])).digest(), f"bank-{i}")
            for i in range(1, 5)
        )
        start = self.day * 86_400 - 8 * 3600
        self.time = start + 10 * 3600
        self.genesis = Genesis(
            1, "law", start * 1000, self.day, 86_400, 4, self.epoch_length,
            tuple(sorted(validators, key=lambda v: v.public_key)), tuple(organisations), (),
        )  # fmt: skip
        self.hash = genesis_hash(self.genesis)
        self.committed = CommittedState(self.tables)
        opening = Overlay(self.committed)
        load(opening, self.genesis, self.hash)
        self._commit(opening)
        self.model = Model.of(self.genesis)

    def _founder(self, name: str) -> GenesisOrganisation:
        tag = sha256(name.encode()).digest()
        keys = tuple(
            GenesisKey(
                person_hash(name, person), roles, r.Algorithm.ED25519, public_of(name, person), 0,
                FOREVER, 10**12 if person == "machine" else 0,
            )
            for person, roles in PEOPLE.items()
        )  # fmt: skip
        kinds = (r.OrganisationKind.BANK, r.OrganisationKind.CLEARING)
        return GenesisOrganisation(
            self.ids[name], kinds, r.Size.LARGE, "banking", "home", tag, tag, tag, keys
        )

    # --- blocks ---------------------------------------------------------------------------------

    @property
    def label(self) -> bytes:
        self.labels += 1
        return self.labels.to_bytes(4, "big")

    def block(self, *envelopes: Envelope, seconds: int = 1) -> BlockResult:
        """Execute one block on top."""
        self.height += 1
        self.time += seconds
        header = Header(
            self.hash, 1, (self.height - 1) // self.epoch_length, self.height, bytes(32), bytes(32),
            self.time * 1000, 0, bytes(32),
        )  # fmt: skip
        overlay = Overlay(self.committed)
        result = execute_block(overlay, self.hash, header, envelopes)
        self._commit(overlay)
        network = self.get(r.Network, r.NETWORK_ID)
        self.day = network.business_date
        if self.audited:
            self._audit(result, envelopes)
        return result

    def _audit(self, result: BlockResult, envelopes: tuple[Envelope, ...]) -> None:
        prologue, receipts = decode_receipts([result.prologue, *result.receipts])
        events = [decode(Event, event) for event in result.events]
        self.model.block(prologue, envelopes, receipts, events)
        assert list(money_differences(self.model, self.committed)) == []

    def _commit(self, overlay: Overlay) -> None:
        self.root = overlay.seal()
        self.tables.apply(overlay.changes())
        overlay.commit()
        self.state = Overlay(self.committed)
        self.require_derived_indexes()
        assert list(exposure_lines_count_what_was_bought_and_lent(records_of(self.tables))) == []

    def require_derived_indexes(self) -> None:
        """I14: after every block the indexes are exactly what the records say."""
        expected = set()
        for key, data in self.tables.scan(RECORDS, b"", b"", sys.maxsize):
            named = record_of(key)
            if named is not None:
                kind, id = named
                record = decode_trusted(r.RECORD_TYPES[kind], data)
                expected.update(index_keys(self.state, kind, id, record))
        stored = {
            (Index(key[0]), key[1:]) for key, _ in self.tables.scan(INDEXES, b"", b"", sys.maxsize)
        }
        assert stored == expected

    def roll_to(self, day: int) -> None:
        """Blocks until the business date is `day`, one day each."""
        while self.day < day:
            network = self.get(r.Network, r.NETWORK_ID)
            self.block(seconds=max(1, network.next_roll - self.time))
        self.block()

    def envelope(
        self,
        by: str,
        *commands: Wire,
        mode: Mode = Mode.ATOMIC,
        signers: list[tuple[str, Role]] | None = None,
        valid_for: int = 120,
    ) -> Envelope:
        chosen = signers if signers is not None else self.signers(by, commands[0])
        body = EnvelopeBody(
            1, self.hash, self.ids[by], mode, commands, self.time + 1 + valid_for,
            tuple(Signer(key_id(by, person), role) for person, role in chosen),
        )  # fmt: skip
        message = signed_bytes(KIND_ENVELOPE, self.hash, encode(body))
        return seal_envelope(body, tuple(key_of(by, person).sign(message) for person, _ in chosen))

    def signers(self, by: str, command: Wire) -> list[tuple[str, Role]]:
        if self.people[by] == ("owner",):
            default = RULES[type(command)].signers
            return [("owner", Role.ADMIN if default is Signers.AD2 else Role.MAKER)]
        rule = RULES[type(command)]
        if rule.signers is Signers.ANY:
            return [("maker", Role.MAKER)]
        if rule.signers is Signers.AD2:
            return [("maker", Role.ADMIN), ("checker", Role.ADMIN)]
        names = {Role.MAKER: "maker", Role.CHECKER: "checker", Role.APPROVER: "approver"}
        return [(names[role], role) for role in rule.signers.roles]

    def receipt(self, envelope: Envelope) -> EnvelopeReceipt:
        return decode(EnvelopeReceipt, self.block(envelope).receipts[0])

    def run(self, by: str, command: Wire, **how: object) -> CommandReceipt:
        receipt = self.receipt(self.envelope(by, command, **how))  # type: ignore[arg-type]
        if receipt.code != "OK":
            return CommandReceipt(receipt.code, (), 0, ())
        return receipt.commands[0]

    def ok(self, by: str, command: Wire, **how: object) -> CommandReceipt:
        receipt = self.run(by, command, **how)
        assert receipt.code == "OK", receipt
        return receipt

    def refused(self, code: str, by: str, command: Wire, **how: object) -> None:
        """The command gets this code and changes nothing but bookkeeping."""
        before = self.money()
        receipt = self.run(by, command, **how)
        assert receipt.code == code, receipt.code
        assert self.money() == before

    def money(self) -> list[object]:
        """Everything that a refused command must not change, for the vouchers of this world."""
        found: list[object] = []
        for name, id in self.ids.items():
            if name.startswith("voucher "):
                found.append(self.lots(id))
                found.append(self.state.get(r.Kind.VOUCHER, id))
            if name.startswith("line "):
                found.append(self.state.get(r.Kind.CREDIT_LINE, id))
        return found

    # --- looking --------------------------------------------------------------------------------

    def get(self, kind: type, id: bytes):
        from tallynet.records import RECORD_TYPES

        number = next(k for k, t in RECORD_TYPES.items() if t is kind)
        record = self.state.get(number, id)
        assert record is not None
        return record

    def lots(self, voucher: bytes) -> list[tuple[str, int, int, str]]:
        """(holder, start, end, state) of every lot."""
        names = {id: name for name, id in self.ids.items()}
        found = []
        for start in self.state.lot_starts(voucher):
            lot = self.state.get(r.Kind.LOT, r.lot_id(voucher, start))
            assert isinstance(lot, r.Lot)
            found.append((names[lot.holder], lot.start, lot.end, lot.state.name))
        return found

    # --- making a world ---------------------------------------------------------------------------

    def new_key(self, organisation: str, person: str, roles: tuple[Role, ...]) -> c.NewKey:
        key = key_of(organisation, person)
        public = key.public_key().public_bytes_raw()
        cap = 10**12 if Role.API in roles else 0
        return c.NewKey(
            person_hash(organisation, person), roles, r.Algorithm.ED25519, public, 0, FOREVER, cap,
            key.sign(signed_bytes(KIND_REGISTER, self.hash, public)),
        )  # fmt: skip

    def registration(
        self, name: str, kind: r.OrganisationKind, size: r.Size
    ) -> c.OrganisationRegister:
        tag = sha256(name.encode()).digest()
        people = {"owner": (Role.MAKER, Role.ADMIN)} if size is r.Size.MICRO else PEOPLE
        keys = tuple(self.new_key(name, person, roles) for person, roles in people.items())
        return c.OrganisationRegister(
            name.encode(), (kind,), size, 2, "tourism", "coast", tag, tag, tag, keys, ()
        )

    def join(
        self, name: str, kind: r.OrganisationKind, size: r.Size = r.Size.SMALL, bank: str = "bank-1"
    ) -> bytes:
        receipt = self.ok(bank, self.registration(name, kind, size))
        self.ids[name] = receipt.created[0].id
        self.people[name] = ("owner",) if size is r.Size.MICRO else tuple(PEOPLE)
        bind = c.AccountBind(b"main", self.ids[bank], sha256(name.encode()).digest(), "CNY")
        self.ok(name, bind)
        self.ok(bank, c.AccountVerify(self.label, self.account(name)))
        return self.ids[name]

    def admit(self, name: str, *kinds: r.OrganisationKind) -> bytes:
        """An institution, by three of the four banks."""
        tag = sha256(name.encode()).digest()
        keys = tuple(self.new_key(name, person, roles) for person, roles in PEOPLE.items())
        command = c.OrganisationAdmit(b"admit", kinds, "finance", "home", tag, tag, tag, keys)
        receipt = self.jointly(command, "bank-1", "bank-2", "bank-3")
        self.ids[name], self.people[name] = receipt.created[0].id, tuple(PEOPLE)
        return self.ids[name]

    def jointly(self, command: Wire, *by: str) -> CommandReceipt:
        """The same act by several organisations; the receipt of the last, which executes it."""
        *receipts, last = [self.ok(one, command) for one in by]
        assert all(receipt.result for receipt in receipts)
        assert not last.result
        return last

    def account(self, name: str) -> bytes:
        return record_id(r.Kind.ACCOUNT, self.ids[name], b"main")

    def branch(self, parent: str, name: str, policy: tuple[r.PolicyRule, ...] = ()) -> bytes:
        command = self.branch_of(parent, name, policy)
        self.ids[name] = self.ok(parent, command).created[0].id
        self.people[name] = tuple(PEOPLE)
        return self.ids[name]

    def branch_of(
        self, parent: str, name: str, policy: tuple[r.PolicyRule, ...] = ()
    ) -> c.BranchCreate:
        tag = sha256(name.encode()).digest()
        kinds = self.get(r.Organisation, self.ids[parent]).kinds
        keys = tuple(self.new_key(name, person, roles) for person, roles in PEOPLE.items())
        return c.BranchCreate(name.encode(), kinds, "island", tag, tag, tag, keys, policy)

    def core_and_suppliers(self) -> None:
        self.join("core", r.OrganisationKind.CORE, r.Size.LARGE)
        self.join("devices", r.OrganisationKind.SUPPLIER)
        self.join("shop", r.OrganisationKind.SUPPLIER, r.Size.MICRO)

    def rules(self, **changes: object) -> c.ProgrammeRules:
        base = {
            "accept_mode": r.AcceptMode.IMMEDIATE, "deemed_days": 0, "max_hops": 10,
            "max_lots": 200, "min_piece": 1, "max_tenor_days": 365, "grace_days": 5,
            "document_policy": r.DocumentPolicy.CAPPED, "visibility": r.Visibility.TIER1,
            "document_required_on_transfer": False,
            "penalty_ppm_day": 500, "funding_order": (), "open_to_all": True,
            "policy_minimum": (), "price_mode": r.PriceMode.OPEN,
        }  # fmt: skip
        return c.ProgrammeRules(**(base | changes))  # type: ignore[arg-type]

    def programme(self, **changes: object) -> bytes:
        label = self.label
        create = c.ProgrammeCreate(label, r.ProgrammeKind.RECEIVABLE, "CNY", self.rules(**changes))
        return self.ok("core", create).created[0].id

    def line(self, kind: r.LineKind, bank: str, obligor: str, granted: int) -> bytes:
        grant = c.LineGrant(
            self.label, kind, self.ids[obligor], "CNY", granted, self.day, self.day + 1_000, ()
        )
        self.ok(bank, grant)
        id = line_id(kind, self.ids[bank], self.ids[obligor], "CNY")
        self.ids[f"line {kind.name} {bank} {obligor}"] = id
        return id

    def document(
        self,
        total: int,
        creditor: str = "devices",
        debtor: str = "core",
        delivery: int | None = None,
    ) -> bytes:
        tag = sha256(b"document" + self.label).digest()
        register = c.DocumentRegister(
            self.label, r.DocumentType.INVOICE, tag, DIGEST, DIGEST, self.ids[creditor],
            self.ids[debtor], (), "CNY", total, delivery,
        )  # fmt: skip
        return self.ok(creditor, register).created[0].id

    def issue(
        self, face: int, document: bytes, programme: bytes, line: bytes, **changes: object
    ) -> c.VoucherIssue:
        given = {
            "label": self.label, "payee": self.ids["devices"], "currency": "CNY", "face": face,
            "maturity": self.day + 90, "promise": r.Promise(DIGEST, True, True, True),
            "documents": (r.DocumentUse(document, face),), "programme": programme,
            "issue_line": line, "clearing_bank": self.ids["bank-1"],
        }  # fmt: skip
        return c.VoucherIssue(**(given | changes))  # type: ignore[arg-type]  # by name

    def voucher(self, face: int = 10_000, payee: str = "devices", **programme: object) -> bytes:
        """An issued and claimed voucher."""
        line = self.ids.get("line ISSUE bank-1 core") or self.line(
            r.LineKind.ISSUE, "bank-1", "core", 10**12
        )
        command = self.issue(
            face, self.document(face, payee), self.programme(**programme), line,
            payee=self.ids[payee],
        )  # fmt: skip
        id = self.ok("core", command).created[0].id
        self.ids[f"voucher {len(self.ids)}"] = id
        self.ok(payee, c.VoucherClaim(self.label, id, True))
        return id

    def offer(self, bank: str = "bank-2", **changes: object) -> bytes:
        given = {
            "label": self.label, "kind": r.FinancingKind.SALE, "currency": "CNY", "debtors": (),
            "programmes": (), "grid": (r.RateBand(365, 43_500, 10_000),), "basis": 360,
            "draw_min": 1, "draw_max": 10**12, "organisation_cap": 0, "total_cap": 10**12,
            "valid_from": self.day, "valid_to": self.day + 300, "lines_required": (),
            "registration_required": False, "automatic": True,
            "stop_on_flow_collapse": False, "source": None,
        }  # fmt: skip
        command = c.OfferCreate(**(given | changes))  # type: ignore[arg-type]  # by name
        return self.ok(bank, command).created[0].id

    def draw(
        self, who: str, voucher: bytes, start: int, amount: int, offer: bytes | None
    ) -> c.FinancingDraw:
        return c.FinancingDraw(
            self.label, offer, voucher, start, amount, self.account(who), r.Purpose.PAYROLL
        )

    def pay_out(self, bank: str, drawn: CommandReceipt, amount: int) -> CommandReceipt:
        instruction = next(x.id for x in drawn.created if x.kind == r.Kind.INSTRUCTION)
        receipt = sha256(b"receipt" + self.label).digest()
        return self.ok(bank, c.PayoutConfirm(self.label, instruction, amount, receipt))

    def sell(
        self, who: str, voucher: bytes, start: int, amount: int, offer: bytes
    ) -> tuple[int, int]:
        """Draw and pay out a sale; (discount, net)."""
        drawn = self.ok(who, self.draw(who, voucher, start, amount, offer))
        self.pay_out("bank-2", drawn, drawn.result[1])
        return drawn.result[0], drawn.result[1]
