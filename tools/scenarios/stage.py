"""What a scenario acts on: a network of four banks, whoever joins it, and a business date that moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from node.ledger.lines import line_id
from node.state.view import Index
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tallynet.envelope import Envelope, Mode
from tallynet.errors import TallynetError
from tallynet.hashing import record_id
from tallynet.names import commitment
from tallynet.receipts import CommandReceipt, EnvelopeReceipt, Event
from tools.onboarding import (
    admission,
    branch_creation,
    new_branch,
    new_organisation,
    registration,
)
from tools.participant import Signatory

CURRENCY: Final = "CNY"
MONDAY: Final = 20_878
"""2027-03-01, on which every story begins (voucher law §19)."""
OPENING_SECONDS: Final = 10 * 3600 - 8 * 3600
"""The networks open at 10:00, UTC+8."""
DAY_SECONDS: Final = 86_400
VALID_SECONDS: Final = 3_600
BANKS: Final = ("bank-1", "bank-2", "bank-3", "bank-4")
LINE_DAYS: Final = 1_000
ENVELOPE_COMMANDS: Final = 100
"""Commands per envelope of a load."""

R = TypeVar("R")


class ScenarioFailed(TallynetError):
    """Something did not come out as it must. Codes: REFUSED, NOT_REFUSED, RECORD_MISSING, WRONG, TIMEOUT."""


class Facts:
    """What a scenario showed: names and values, in order."""

    def __init__(self) -> None:
        self.values: Final[dict[str, Any]] = {}

    def note(self, name: str, value: Any) -> None:
        """A figure."""
        self.values[name] = value

    def require(self, name: str, value: Any, expected: Any) -> None:
        """A figure that must be this one. Raises ScenarioFailed WRONG."""
        self.values[name] = value
        if value != expected:
            raise ScenarioFailed("WRONG", f"{name} is {value}, must be {expected}")


class Stage(ABC):
    """One network. Organisations are called by name; ids of records follow from labels."""

    def __init__(self, directory: Path, facts: Facts) -> None:
        self.directory: Final = directory
        self.genesis = b""
        self.facts: Final = facts
        self._people: Final[dict[str, Signatory]] = {}
        self._labels = 0

    # --- what the two stages do differently -----------------------------------------------------

    @abstractmethod
    async def send(self, envelopes: Iterable[Envelope]) -> list[EnvelopeReceipt]:
        """Have them ordered and executed; their receipts, in order. Envelopes that are sent together may
        stand in one block."""

    @abstractmethod
    async def find(self, kind: r.Kind, id: bytes) -> r.Record | None:
        """A record of the newest state."""

    @abstractmethod
    async def scan(self, index: Index, prefix: bytes) -> list[bytes]:
        """Entries of a derived index."""

    @abstractmethod
    def now(self) -> int:
        """The network's wall clock, seconds."""

    @abstractmethod
    async def roll_to(self, day: int) -> None:
        """Let days pass until the business date is `day`, and until its work is done."""

    @abstractmethod
    async def until_idle(self) -> None:
        """Until the ledger has no work of its own left for today."""

    async def proven_path(self, by: str, voucher: bytes, start: int) -> list[Event] | None:
        """The events that lead from a lot up to its debtor, newest first, as a node proves them to `by`; None
        where no node could."""
        del by, voucher, start
        return None

    # --- people -----------------------------------------------------------------------------------

    def who(self, name: str) -> Signatory:
        """An organisation. It acts through the stage alone."""
        if name not in self._people:
            self._people[name] = Signatory(self.directory, name, self.genesis)
        return self._people[name]

    def id(self, name: str) -> bytes:
        return self.who(name).id

    def label(self) -> bytes:
        """A new one."""
        self._labels += 1
        return self._labels.to_bytes(6, "big")

    async def join(
        self,
        *names: str,
        kind: r.OrganisationKind = r.OrganisationKind.SUPPLIER,
        size: r.Size = r.Size.SMALL,
        bank: str = "bank-1",
        region: str = "coast",
        industry: str = "tourism",
    ) -> None:
        """Organisations that `bank` registers, each with a verified account there."""
        registrations, binds, verifies = [], [], []
        for name in names:
            wallet = new_organisation(self.directory, self.who(bank).wallet, name, kind, size)
            registrations.append(
                registration(
                    self.directory,
                    self.genesis,
                    wallet,
                    kind,
                    size,
                    region=region,
                    industry=industry,
                )
            )
            number = commitment("account", wallet.id, name)
            bind = c.AccountBind(b"main", self.id(bank), number, CURRENCY)
            binds.append(self.sign(name, bind))
            verifies.append(c.AccountVerify(self.label(), self.account(name)))
        await self.all_ok(bank, registrations)
        require_ok(await self.send(binds))
        await self.all_ok(bank, verifies)

    async def admit(self, name: str, kind: r.OrganisationKind) -> None:
        """An institution that the banks admit together, with a verified account at bank-1."""
        command = admission(
            self.directory, self.genesis, name, (kind,), self.label(), tax_id=f"test-{name}",
            industry="finance", region="coast",
        )  # fmt: skip
        await self.jointly(command, *BANKS[:3])
        number = commitment("account", self.id(name), name)
        await self.act(name, c.AccountBind(b"main", self.id("bank-1"), number, CURRENCY))
        await self.act("bank-1", c.AccountVerify(self.label(), self.account(name)))

    async def branches(self, parent: str, names: Sequence[str]) -> None:
        """Branches of an organisation, in its region and with its policy."""
        wallet = self.who(parent).wallet
        kinds = [r.OrganisationKind[kind] for kind in wallet.kinds]
        creations = [
            branch_creation(
                self.directory, self.genesis, new_branch(self.directory, wallet, name, kinds),
                tax_id=f"test-{name}", region="coast",
            )
            for name in names
        ]  # fmt: skip
        await self.all_ok(parent, creations)

    # --- acting -----------------------------------------------------------------------------------

    def sign(self, by: str, *commands: Wire, mode: Mode = Mode.ATOMIC) -> Envelope:
        return self.who(by).envelope(commands, mode=mode, valid_until=self.now() + VALID_SECONDS)

    async def act(self, by: str, *commands: Wire) -> tuple[CommandReceipt, ...]:
        """One envelope; every command must be carried out. Raises ScenarioFailed REFUSED."""
        (receipt,) = await self.send([self.sign(by, *commands)])
        require_ok([receipt])
        return receipt.commands

    async def one(self, by: str, command: Wire) -> CommandReceipt:
        """One command that must be carried out."""
        (receipt,) = await self.act(by, command)
        return receipt

    async def refused(self, code: str, by: str, command: Wire) -> None:
        """One command that must be refused with this code. Raises ScenarioFailed NOT_REFUSED."""
        (receipt,) = await self.send([self.sign(by, command)])
        if codes_of(receipt) != (code,):
            name = type(command).__name__
            raise ScenarioFailed("NOT_REFUSED", f"{name} of {by}: {codes_of(receipt)}, not {code}")

    async def jointly(self, command: Wire, *by: str) -> CommandReceipt:
        """The same act by several organisations; the receipt of the last, which carries it out."""
        receipt = None
        for one in by:
            receipt = await self.one(one, command)
        if receipt is None or receipt.result:
            raise ScenarioFailed("REFUSED", f"{type(command).__name__} waits for more consents")
        return receipt

    async def all_ok(self, by: str, commands: Sequence[Wire]) -> list[CommandReceipt]:
        """Many commands of one organisation, a hundred to an envelope; all must be carried out."""
        receipts = await self.send_ok(self.signed_in_parts(by, commands))
        return [command for receipt in receipts for command in receipt.commands]

    async def send_ok(self, envelopes: Iterable[Envelope]) -> list[EnvelopeReceipt]:
        """Send; every command must be carried out. Raises ScenarioFailed REFUSED."""
        receipts = await self.send(envelopes)
        require_ok(receipts)
        return receipts

    def signed_in_parts(self, by: str, commands: Sequence[Wire]) -> Iterable[Envelope]:
        for start in range(0, len(commands), ENVELOPE_COMMANDS):
            part = commands[start : start + ENVELOPE_COMMANDS]
            yield self.sign(by, *part, mode=Mode.INDEPENDENT)

    # --- looking ----------------------------------------------------------------------------------

    async def record(self, record_type: type[R], kind: r.Kind, id: bytes) -> R:
        """A record that must be there. Raises ScenarioFailed RECORD_MISSING."""
        record = await self.find(kind, id)
        if not isinstance(record, record_type):
            raise ScenarioFailed("RECORD_MISSING", f"{kind.name} {id.hex()} is not in the state")
        return record

    async def today(self) -> int:
        """The business date, days since 1970."""
        network = await self.record(r.Network, r.Kind.NETWORK, r.NETWORK_ID)
        return network.business_date

    async def voucher(self, id: bytes) -> r.Voucher:
        return await self.record(r.Voucher, r.Kind.VOUCHER, id)

    async def lots(self, voucher: bytes) -> list[r.Lot]:
        """All lots of a voucher, by start."""
        found: list[r.Lot] = []
        face = (await self.voucher(voucher)).face
        start = 0
        while start < face:
            lot = await self.record(r.Lot, r.Kind.LOT, r.lot_id(voucher, start))
            found.append(lot)
            start = lot.end
        return found

    async def line(self, kind: r.LineKind, bank: str, obligor: str) -> r.CreditLine:
        id = self.line_id(kind, bank, obligor)
        return await self.record(r.CreditLine, r.Kind.CREDIT_LINE, id)

    # --- the usual furniture ------------------------------------------------------------------------

    def account(self, name: str) -> bytes:
        return record_id(r.Kind.ACCOUNT, self.id(name), b"main")

    def line_id(self, kind: r.LineKind, bank: str, obligor: str) -> bytes:
        return line_id(kind, self.id(bank), self.id(obligor), CURRENCY)

    def programme_id(self, core: str, label: bytes = b"p") -> bytes:
        return record_id(r.Kind.PROGRAMME, self.id(core), label)

    async def grant(self, kind: r.LineKind, bank: str, obligor: str, granted: int) -> bytes:
        """A credit line; its id."""
        today = await self.today()
        grant = c.LineGrant(
            self.label(), kind, self.id(obligor), CURRENCY, granted, today, today + LINE_DAYS, ()
        )
        await self.act(bank, grant)
        return self.line_id(kind, bank, obligor)

    async def programme(self, core: str, label: bytes = b"p", **changes: Any) -> bytes:
        """A programme for receivables; its id."""
        rules: dict[str, Any] = {
            "accept_mode": r.AcceptMode.IMMEDIATE, "deemed_days": 0, "max_hops": 10,
            "max_lots": 200, "min_piece": 1, "max_tenor_days": 365, "grace_days": 5,
            "document_policy": r.DocumentPolicy.CAPPED, "visibility": r.Visibility.TIER1,
            "document_required_on_transfer": False,
            "penalty_ppm_day": 500, "funding_order": (), "open_to_all": True,
            "policy_minimum": (), "price_mode": r.PriceMode.OPEN,
        }  # fmt: skip
        create = c.ProgrammeCreate(
            label, r.ProgrammeKind.RECEIVABLE, CURRENCY, c.ProgrammeRules(**(rules | changes))
        )
        await self.act(core, create)
        return self.programme_id(core, label)

    async def offer(self, bank: str, **changes: Any) -> bytes:
        """A standing offer, a sale at 4.35 % unless told otherwise; its id."""
        today = await self.today()
        given: dict[str, Any] = {
            "label": self.label(), "kind": r.FinancingKind.SALE, "currency": CURRENCY,
            "debtors": (), "programmes": (), "grid": (r.RateBand(365, 43_500, 10_000),),
            "basis": 360, "draw_min": 1, "draw_max": 10**12, "organisation_cap": 0,
            "total_cap": 10**13, "valid_from": today, "valid_to": today + 300,
            "lines_required": (), "registration_required": False, "automatic": True,
            "stop_on_flow_collapse": False, "source": None,
        }  # fmt: skip
        command = c.OfferCreate(**(given | changes))
        await self.act(bank, command)
        return record_id(r.Kind.OFFER, self.id(bank), command.label)

    def document(self, creditor: str, debtor: str, total: int, label: bytes) -> c.DocumentRegister:
        """The command that registers a contract over `total` fen."""
        tag = sha256(b"document" + self.id(creditor) + label).digest()
        return c.DocumentRegister(
            label, r.DocumentType.CONTRACT, tag, tag, tag, self.id(creditor), self.id(debtor), (),
            CURRENCY, total, None,
        )  # fmt: skip

    def document_id(self, command: c.DocumentRegister) -> bytes:
        return record_id(r.Kind.DOCUMENT, b"", command.uniqueness_tag)

    def issue(
        self, core: str, payee: str, face: int, maturity: int, document: bytes, **changes: Any
    ) -> c.VoucherIssue:
        """The command that issues a voucher under the core's programme `p` and line of bank-1."""
        label = self.label()
        promise = r.Promise(commitment("promise", self.id(core), label.hex()), True, True, True)
        given: dict[str, Any] = {
            "label": label, "payee": self.id(payee), "currency": CURRENCY, "face": face,
            "maturity": maturity, "promise": promise,
            "documents": (r.DocumentUse(document, face),), "programme": self.programme_id(core),
            "issue_line": self.line_id(r.LineKind.ISSUE, "bank-1", core),
            "clearing_bank": self.id("bank-1"),
        }  # fmt: skip
        return c.VoucherIssue(**(given | changes))

    def voucher_id(self, core: str, command: c.VoucherIssue) -> bytes:
        return record_id(r.Kind.VOUCHER, self.id(core), command.label)

    async def promise(
        self, core: str, payee: str, face: int, maturity: int, **changes: Any
    ) -> bytes:
        """A voucher, documented, issued and claimed; its id."""
        document = self.document(payee, core, face, self.label())
        await self.act(payee, document)
        issue = self.issue(core, payee, face, maturity, self.document_id(document), **changes)
        await self.act(core, issue)
        voucher = self.voucher_id(core, issue)
        await self.act(payee, c.VoucherClaim(self.label(), voucher, True))
        return voucher

    def draw(
        self,
        by: str,
        voucher: bytes,
        start: int,
        amount: int,
        offer: bytes | None,
        purpose: r.Purpose = r.Purpose.GOODS,
    ) -> c.FinancingDraw:
        return c.FinancingDraw(
            self.label(), offer, voucher, start, amount, self.account(by), purpose
        )

    def payout(self, drawn: CommandReceipt) -> c.PayoutConfirm:
        """The command that confirms that what a draw asked for was paid."""
        instruction = created(drawn, r.Kind.INSTRUCTION)
        return c.PayoutConfirm(self.label(), instruction, drawn.result[1], self.receipt())

    async def pay_out(self, bank: str, drawn: CommandReceipt) -> CommandReceipt:
        """The bank confirms that it paid what a draw asked of it."""
        return await self.one(bank, self.payout(drawn))

    def receipt(self) -> bytes:
        """The hash of a new bank receipt."""
        return sha256(b"receipt" + self.label()).digest()


def created(receipt: CommandReceipt, kind: r.Kind) -> bytes:
    """Id of the first record of this kind that a command created."""
    for item in receipt.created:
        if item.kind == kind:
            return item.id
    raise ScenarioFailed("RECORD_MISSING", f"no {kind.name} was created")


def codes_of(receipt: EnvelopeReceipt) -> tuple[str, ...]:
    """Code per command; one code for an envelope that was not admitted."""
    if receipt.code != "OK":
        return (receipt.code,)
    return tuple(command.code for command in receipt.commands)


def require_ok(receipts: Iterable[EnvelopeReceipt]) -> None:
    """Raises ScenarioFailed REFUSED, naming the first refusal."""
    for receipt in receipts:
        for place, code in enumerate(codes_of(receipt)):
            if code != "OK":
                raise ScenarioFailed("REFUSED", f"command {place} of an envelope: {code}")
