"""The story of `tally demo`: a smart-tourism software company, its device suppliers, a one-person shop.

Every step is a real act on a running network of four banks; nothing is prepared or pretended. The
chapters are functions over one `Stage`, in the order in which they are told.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import trio

from tallynet import commands as c
from tallynet import records as r
from tallynet.client import Client
from tallynet.codec import Wire
from tallynet.documents import InvoiceError, Registration
from tallynet.errors import TallynetError
from tallynet.hashing import record_id
from tallynet.messages import NodeStatus
from tallynet.names import commitment
from tools import testnet_processes
from tools.arguments import format_amount, format_day
from tools.connect import connect
from tools.onboarding import account, document, new_organisation, registration, seal_file
from tools.participant import Outcome, Participant, Refusal, new_label
from tools.testnet_files import NetworkFile

CORE, DEVICES, SENSORS, SHOP = "vista-guide", "gate-devices", "beacon-sensors", "corner-parts"
BANKS: Final = ("bank-1", "bank-2", "bank-3", "bank-4")
TENOR_DAYS: Final = 35
"""Business days pass in seconds here; the voucher matures about half a minute after its issue."""
WAIT_SECONDS_MAX: Final = 150.0
"""Patience for one thing that must happen by itself: at most two long days, where people act afterwards."""


R = TypeVar("R")


class DemoFailed(TallynetError):
    """Something in the story did not come out as it must."""


@dataclass(slots=True)
class Step:
    """One line of the telling."""

    text: str
    outcome: Outcome | None = None
    remark: str = ""


@dataclass(slots=True)
class Stage:
    """Everything the chapters share."""

    directory: Path
    network: NetworkFile
    genesis: bytes
    client: Client
    tell: Callable[[Step], None]
    people: dict[str, Participant] = field(default_factory=dict)
    invoices: list[tuple[Path, Registration]] = field(default_factory=list)
    voucher: bytes = b""
    face: int = 0
    currency: str = "CNY"
    tenor_days: int = TENOR_DAYS
    extra: list[bytes] = field(default_factory=list)
    """Further vouchers from the user's own invoices."""
    latencies: list[float] = field(default_factory=list)

    def who(self, name: str) -> Participant:
        if name not in self.people:
            self.people[name] = Participant(self.directory, name, self.client, self.genesis)
        return self.people[name]

    def id(self, name: str) -> bytes:
        return self.who(name).id

    async def act(self, name: str, text: str, *commands: Wire) -> Outcome:
        """One act that must succeed, told with id, height and latency."""
        try:
            outcome = await self.who(name).act(*commands)
        except Refusal as refusal:
            raise DemoFailed(refusal.code, f"{text}: {refusal.message}") from None
        self.latencies.append(outcome.seconds)
        self.tell(Step(text, outcome))
        return outcome

    async def refused(self, name: str, text: str, code: str, *commands: Wire) -> None:
        """One act that the network must refuse with this code."""
        participant = self.who(name)
        outcome = await participant.submit(participant.envelope(commands))
        if code not in outcome.codes:
            raise DemoFailed("NOT_REFUSED", f"{text}: expected {code}, got {outcome.codes}")
        self.tell(Step(text, outcome, f"refused: {code}"))

    async def record(self, record_type: type[R], kind: r.Kind, id: bytes) -> R:
        """A record with its proof checked."""
        record = await self.client.read(kind, id)
        if not isinstance(record, record_type):
            raise DemoFailed("RECORD_MISSING", f"{kind.name} {id.hex()} is not in the state")
        return record

    async def today(self) -> int:
        network = await self.record(r.Network, r.Kind.NETWORK, r.NETWORK_ID)
        return network.business_date


Chapter = Callable[[Stage], Awaitable[None]]


async def wait_until(what: str, check: Callable[[], Awaitable[bool]]) -> None:
    """Poll until `check` is true. Raises DemoFailed after WAIT_SECONDS_MAX."""
    with trio.move_on_after(WAIT_SECONDS_MAX):
        while not await check():  # noqa: ASYNC110 - what is waited for happens in other processes
            await trio.sleep(0.1)
        return
    raise DemoFailed("TIMEOUT", f"{what} did not happen within {WAIT_SECONDS_MAX:.0f} s")


# --- chapter 1: who is there ----------------------------------------------------------------------


async def enterprises(stage: Stage) -> None:
    """Banks bring their customers onto the network and grant lines."""
    cast = (
        ("bank-1", CORE, r.OrganisationKind.CORE, r.Size.LARGE, "software company"),
        ("bank-2", DEVICES, r.OrganisationKind.SUPPLIER, r.Size.MEDIUM, "maker of gates"),
        ("bank-3", SENSORS, r.OrganisationKind.SUPPLIER, r.Size.SMALL, "maker of sensors"),
        ("bank-4", SHOP, r.OrganisationKind.SUPPLIER, r.Size.MICRO, "one-person spare-parts shop"),
    )
    for bank, name, kind, size, words in cast:
        wallet = new_organisation(stage.directory, stage.who(bank).wallet, name, kind, size)
        command = registration(stage.directory, stage.genesis, wallet, kind, size)
        await stage.act(bank, f"{bank} registers {name}, {words}", command)
    for bank, name, *_ in cast[1:]:
        bind = account(stage.who(name).wallet, stage.id(bank), stage.currency, f"account of {name}")
        await stage.act(name, f"{name} names its account at {bank}", bind)
        verify = c.AccountVerify(new_label(), main_account(stage, name))
        await stage.act(bank, f"{bank} verifies it", verify)


def main_account(stage: Stage, name: str) -> bytes:
    return record_id(r.Kind.ACCOUNT, stage.id(name), b"main")


async def lines_and_offers(stage: Stage) -> None:
    """A programme, credit lines, and standing offers of two banks."""
    today = await stage.today()
    until = today + 400
    rules = c.ProgrammeRules(
        r.AcceptMode.IMMEDIATE,
        0,
        10,
        200,
        1,
        180,
        3,
        r.DocumentPolicy.CAPPED,
        r.Visibility.TIER1,
        False,
        500,
        (),
        True,
        (),
        r.PriceMode.OPEN,
    )
    create = c.ProgrammeCreate(b"season", r.ProgrammeKind.RECEIVABLE, stage.currency, rules)
    await stage.act(CORE, f"{CORE} opens the programme 'season'", create)
    for bank, kind, granted in (
        ("bank-1", r.LineKind.ISSUE, 10_000_000_00),
        ("bank-2", r.LineKind.ISSUE, 10_000_000_00),
        ("bank-2", r.LineKind.DEBTOR_EXPOSURE, 5_000_000_00),
        ("bank-3", r.LineKind.DEBTOR_EXPOSURE, 5_000_000_00),
    ):
        grant = c.LineGrant(
            new_label(), kind, stage.id(CORE), stage.currency, granted, today, until, ()
        )
        money = format_amount(granted, stage.currency)
        await stage.act(bank, f"{bank} grants {kind.name} {money} on {CORE}", grant)
    exposure = (r.LineKind.DEBTOR_EXPOSURE,)
    for bank, label, financing, rate, advance in (
        ("bank-2", b"sale", r.FinancingKind.SALE, 43_500, 10_000),
        ("bank-3", b"pledge", r.FinancingKind.LOAN_PLEDGE, 34_500, 8_000),
    ):
        offer = c.OfferCreate(
            label, financing, stage.currency, (stage.id(CORE),), (),
            (r.RateBand(365, rate, advance),), 360, 1, 10**10, 0, 10**11, today, until, exposure,
            False, True, False, None,
        )  # fmt: skip
        text = f"{bank} offers {financing.name.lower().replace('_', ' ')} at {rate / 10_000:.2f} %"
        await stage.act(bank, text, offer)


# --- chapter 2: a promise -------------------------------------------------------------------------


async def promise(stage: Stage) -> None:
    """The core promises to pay, bound to an invoice read from a file; the supplier claims."""
    path, sealed = stage.invoices[0]
    register = document(b"invoice", sealed, stage.id(DEVICES), stage.id(CORE))
    amount = format_amount(sealed.total, stage.currency)
    text = f"{DEVICES} registers {path.name} ({amount} {stage.currency})"
    outcome = await stage.act(DEVICES, text, register)
    invoice = outcome.created(r.Kind.DOCUMENT)
    stage.face = sealed.total
    issue = await issue_command(stage, b"v1", invoice, sealed.total, "bank-1")
    issued = await stage.act(CORE, f"{CORE} issues a voucher over {amount} to {DEVICES}", issue)
    stage.voucher = issued.created(r.Kind.VOUCHER)
    await stage.refused(
        SENSORS, f"{SENSORS} tries to claim it", "NOT_PAYEE",
        c.VoucherClaim(new_label(), stage.voucher, True),
    )  # fmt: skip
    await stage.act(
        DEVICES, f"{DEVICES} claims it", c.VoucherClaim(new_label(), stage.voucher, True)
    )
    again = await issue_command(stage, b"v1-again", invoice, sealed.total, "bank-2")
    await stage.refused(
        CORE,
        f"{CORE} tries the same invoice again on {BANKS[1]}'s line",
        "DOCUMENT_OVERUSED",
        again,
    )


async def issue_command(
    stage: Stage, label: bytes, invoice: bytes, amount: int, bank: str
) -> c.VoucherIssue:
    from tools.records_by_name import line_id

    today = await stage.today()
    return c.VoucherIssue(
        label,
        stage.id(DEVICES),
        stage.currency,
        amount,
        today + stage.tenor_days,
        r.Promise(commitment("promise", stage.id(CORE), label.decode()), True, True, True),
        (r.DocumentUse(invoice, amount),),
        record_id(r.Kind.PROGRAMME, stage.id(CORE), b"season"),
        line_id(r.LineKind.ISSUE, stage.id(bank), stage.id(CORE), stage.currency),
        stage.id("bank-1"),
    )


# --- chapter 3: down the chain, and cash ------------------------------------------------------------


async def pass_on(stage: Stage) -> None:
    """Split and passed on over two tiers."""
    half = stage.face // 2
    pieces = (c.Piece(stage.id(SENSORS), half, None),)
    await stage.act(
        DEVICES, f"{DEVICES} passes {format_amount(half)} on to {SENSORS}",
        c.LotTransfer(new_label(), stage.voucher, 0, pieces),
    )  # fmt: skip
    start = stage.face - half
    await stage.act(
        SENSORS, f"{SENSORS} passes 100.00 of it on to {SHOP}",
        c.LotTransfer(new_label(), stage.voucher, start, (c.Piece(stage.id(SHOP), 100_00, None),)),
    )  # fmt: skip


async def one_yuan(stage: Stage) -> None:
    """The shop draws ¥1 of its ¥100 for a wage, and has the money seconds later."""
    started = time.perf_counter()
    draw = draw_command(
        stage, SHOP, stage.face - 100_00, 1_00, "bank-2", b"sale", r.Purpose.PAYROLL
    )
    outcome = await stage.act(SHOP, f"{SHOP} sells 1.00 of its 100.00 to bank-2 (payroll)", draw)
    discount, net = outcome.first.result[:2]
    await pay_out(stage, "bank-2", outcome, net)
    stage.tell(
        Step(
            f"cash after {time.perf_counter() - started:.3f} s:"
            f" {format_amount(net)} (discount {format_amount(discount)}); 99.00 stay with {SHOP}"
        )
    )


def draw_command(
    stage: Stage, who: str, start: int, amount: int, bank: str, offer: bytes, purpose: r.Purpose
) -> c.FinancingDraw:
    return c.FinancingDraw(
        new_label(),
        record_id(r.Kind.OFFER, stage.id(bank), offer),
        stage.voucher,
        start,
        amount,
        main_account(stage, who),
        purpose,
    )


def machine(stage: Stage, bank: str) -> list[tuple[object, r.Role]]:
    """The bank's payment system signs alone, within its cap."""
    people = stage.who(bank).wallet.people
    return [(person, r.Role.API) for person in people if r.Role.API in person.role_set]


async def pay_out(stage: Stage, bank: str, draw: Outcome, net: int) -> None:
    instruction = draw.created(r.Kind.INSTRUCTION)
    receipt = commitment("receipt", stage.id(bank), f"pay-out {instruction.hex()}")
    confirm = c.PayoutConfirm(new_label(), instruction, net, receipt)
    await stage.act(bank, f"{bank} confirms the pay-out of {format_amount(net)}", confirm)


async def instant_draw(stage: Stage) -> None:
    """AUTO finds the best source; a loan is taken and repaid."""
    started = time.perf_counter()
    amount = stage.face // 4
    start = stage.face - stage.face // 2
    draw = c.FinancingDraw(
        new_label(), None, stage.voucher, start, amount, main_account(stage, SENSORS),
        r.Purpose.GOODS,
    )  # fmt: skip
    outcome = await stage.act(
        SENSORS, f"{SENSORS} draws {format_amount(amount)} from the best source (AUTO)", draw
    )
    instruction = await stage.record(
        r.Instruction, r.Kind.INSTRUCTION, outcome.created(r.Kind.INSTRUCTION)
    )
    bank = next(name for name in BANKS if stage.id(name) == instruction.bank)
    await pay_out(stage, bank, outcome, instruction.amount)
    stage.tell(Step(f"from draw to confirmed pay-out: {time.perf_counter() - started:.3f} s"))


async def loan(stage: Stage) -> None:
    """A pledge loan: principal paid in full, repaid early, the lot is free again."""
    amount = stage.face // 10
    draw = draw_command(stage, DEVICES, 0, amount, "bank-3", b"pledge", r.Purpose.RENT)
    outcome = await stage.act(
        DEVICES, f"{DEVICES} pledges {format_amount(amount)} to bank-3 for a loan", draw
    )
    financing = outcome.created(r.Kind.FINANCING)
    lent = await stage.record(r.Financing, r.Kind.FINANCING, financing)
    principal = lent.principal
    await pay_out(stage, "bank-3", outcome, principal)
    repaid = await stage.act(
        DEVICES, f"{DEVICES} announces to repay {format_amount(principal // 2)}",
        c.FinancingRepay(new_label(), financing, principal // 2),
    )  # fmt: skip
    instruction = repaid.created(r.Kind.INSTRUCTION)
    receipt = commitment("receipt", stage.id("bank-3"), f"repayment {instruction.hex()}")
    await stage.act(
        "bank-3", "bank-3 confirms it",
        c.RepayConfirm(new_label(), instruction, principal // 2, receipt),
    )  # fmt: skip


# --- chapter 4: a bank's node dies ------------------------------------------------------------------


async def leader_dies(stage: Stage) -> None:
    """The leader is killed with SIGKILL; the other three elect the next one and go on."""
    status = await stage.client.status()
    leader = stage.network.nodes[status.leader].name
    testnet_processes.kill(stage.directory, leader, signal.SIGKILL)
    stage.tell(Step(f"the leader, {leader}, is killed with SIGKILL"))
    started = time.perf_counter()
    transfer = c.LotTransfer(
        new_label(), stage.voucher, stage.face - 100_00, (c.Piece(stage.id(DEVICES), 1_00, None),)
    )
    await stage.act(SHOP, f"{SHOP} pays 1.00 to {DEVICES} meanwhile", transfer)
    stage.tell(Step(f"committed without {leader} after {time.perf_counter() - started:.2f} s"))
    await trio.to_thread.run_sync(testnet_processes.restart, stage.directory, leader)

    async def caught_up() -> bool:
        theirs, ours = await status_of(stage, leader), await stage.client.status()
        return theirs is not None and theirs.committed >= ours.committed

    await wait_until(f"{leader} catching up", caught_up)
    stage.tell(Step(f"{leader} is back and has caught up"))


async def status_of(stage: Stage, name: str) -> NodeStatus | None:
    """One node's own status, or None while it does not answer."""
    try:
        async with connect(stage.directory, only=name) as client:
            return await client.status()
    except TallynetError:
        return None


# --- chapter 5: maturity ----------------------------------------------------------------------------


async def maturity(stage: Stage) -> None:
    """The day comes, the debtor's money arrives, every holder is paid."""
    voucher = await stage.record(r.Voucher, r.Kind.VOUCHER, stage.voucher)
    stage.tell(Step(f"the business date is {format_day(await stage.today())}; the voucher is due"
                    f" on {format_day(voucher.maturity)}"))  # fmt: skip

    async def is_due() -> bool:
        return await stage.today() >= voucher.maturity

    await wait_until("maturity", is_due)
    receipt = commitment("receipt", stage.id("bank-1"), "funds for v1")
    await stage.act(
        "bank-1", f"bank-1 reports {format_amount(voucher.face)} from {CORE}",
        c.FundsReceived(new_label(), stage.voucher, voucher.face, 0, receipt),
    )  # fmt: skip
    await pay_holders(stage)
    settled = await stage.record(r.Voucher, r.Kind.VOUCHER, stage.voucher)
    if settled.status is not r.VoucherStatus.SETTLED:
        raise DemoFailed("NOT_SETTLED", f"the voucher is {settled}")
    stage.tell(
        Step(f"every holder is paid, {format_amount(settled.redeemed)}: the voucher is SETTLED")
    )


async def pay_holders(stage: Stage) -> None:
    """The clearing bank pays each open settlement instruction and confirms with a receipt."""
    paid = 0
    async for instruction_id, instruction in open_instructions(stage):
        receipt = commitment("receipt", stage.id("bank-1"), f"settlement {instruction_id.hex()}")
        amount = instruction.amount - instruction.paid
        holder = next((n for n in stage.people if stage.id(n) == instruction.payee), "a holder")
        await stage.act(
            "bank-1", f"bank-1 pays {format_amount(amount)} to {holder}",
            c.SettlementPaid(new_label(), instruction_id, amount, receipt),
        )  # fmt: skip
        paid += 1
    if not paid:
        raise DemoFailed("NO_INSTRUCTIONS", "no settlement instruction was opened")


async def open_instructions(stage: Stage) -> AsyncIterator[tuple[bytes, r.Instruction]]:
    from node.state.view import Index

    page = await stage.client.unproven_index(Index.VOUCHER_INSTRUCTIONS, stage.voucher)
    for entry in page.entries:
        instruction_id = entry[16:]
        instruction = await stage.client.read(r.Kind.INSTRUCTION, instruction_id)
        if isinstance(instruction, r.Instruction):
            yield instruction_id, instruction


CHAPTERS: Final[tuple[tuple[str, Chapter], ...]] = (
    ("Enterprises join", enterprises),
    ("Lines and offers", lines_and_offers),
    ("A promise bound to an invoice", promise),
    ("Split and passed on", pass_on),
    ("One yuan out of a hundred", one_yuan),
    ("Cash at once", instant_draw),
    ("A loan", loan),
    ("The leader dies", leader_dies),
    ("Maturity and clearing", maturity),
)


@asynccontextmanager
async def on_stage(
    directory: Path, network: NetworkFile, genesis: bytes, tell: Callable[[Step], None]
) -> AsyncIterator[Stage]:
    """A stage with a connected client."""
    async with connect(directory) as client:
        yield Stage(directory, network, genesis, client, tell)


def read_invoices(files: list[Path]) -> tuple[list[tuple[Path, Registration]], list[str]]:
    """Those that could be read, and one sentence for each that was refused."""
    found: list[tuple[Path, Registration]] = []
    refused: list[str] = []
    for path in files:
        try:
            found.append((path, seal_file(path)))
        except InvoiceError as error:
            refused.append(f"{path.name}: {error.code}: {error.message}")
    return found, refused
