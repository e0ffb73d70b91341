"""`tally demo`: the story of a voucher on four real validators, told live, audited at the end."""

from __future__ import annotations

import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import trio
from rich.console import Console

from tallynet.errors import TallynetError
from tallynet.records import Kind
from tools import testnet_processes
from tools.audit_nodes import run_audit
from tools.connect import genesis_of
from tools.demo_people import make_password, open_lights, stop_lights
from tools.demo_story import (
    CHAPTERS,
    CORE,
    DEVICES,
    SENSORS,
    TENOR_DAYS,
    DemoFailed,
    Step,
    on_stage,
    read_invoices,
)
from tools.guard import guarded
from tools.output import Exit
from tools.ports import free_ports
from tools.records_by_name import AddressBook
from tools.testnet_files import NetworkFile, Plan, init

DAY_SECONDS: Final = 1
"""A business day of the demo: thirty-five days to maturity pass in half a minute."""
PAGES_DAY_SECONDS: Final = 60
"""With pages, where people act: they have minutes to claim, and the price of a day holds for a minute."""
PAGES_TENOR_DAYS: Final = 2
MONDAY: Final = 4
"""Of 1970-01-05, on which and every seven days later weeks begin: with pages the days to maturity are working days."""
CAST: Final = (CORE, DEVICES, SENSORS, "bank-1", "bank-2", "bank-3")
"""Whose light nodes run then: debtor, supplier, second tier, and who gives lines, clears and lends."""
VALIDATORS: Final = 4
_EXAMPLES: Final = Path(__file__).resolve().parent / "demo_invoices"
UPLOAD: Final = _EXAMPLES / "guide-tablets.xml"
"""Of the project's own examples; the story leaves it unused."""
_UTC8_SECONDS: Final = 8 * 3600


def invoice_files(directory: Path | None) -> list[Path]:
    """XML files of the user's directory, or the project's own examples."""
    files = sorted((directory or _EXAMPLES).rglob("*.xml"))
    if not files:
        raise DemoFailed("NO_INVOICES", f"{directory} holds no .xml file")
    return files


def plan(directory: Path, *, pages: bool = False) -> Plan:
    now = time.time()
    today = int(now + _UTC8_SECONDS) // 86_400
    return Plan(
        directory=directory,
        validators=VALIDATORS,
        hosts=("127.0.0.1",),
        base_port=free_ports(VALIDATORS),
        name="demo",
        time_ms=int(now * 1000),
        business_date=today - (today - MONDAY) % 7 if pages else today,
        day_seconds=PAGES_DAY_SECONDS if pages else DAY_SECONDS,
        window=4,
    )


class Teller:
    """Prints the story: a line per step, with transaction id, height and latency."""

    def __init__(self, script_only: bool) -> None:
        self.console: Final = Console(highlight=False, no_color=script_only, soft_wrap=True)
        self.latencies: Final[list[float]] = []
        self.steps = 0

    def chapter(self, number: int, title: str) -> None:
        self.console.print(f"\n[bold]{number}. {title}[/bold]")

    def note(self, text: str) -> None:
        self.console.print(f"     {text}", style="dim")

    def tell(self, step: Step) -> None:
        self.steps += 1
        if step.outcome is None:
            self.console.print(f"   · {step.text}")
            return
        self.latencies.append(step.outcome.seconds)
        mark = "[yellow]✗[/yellow]" if step.remark else "[green]✓[/green]"
        remark = f"  [yellow]{step.remark}[/yellow]" if step.remark else ""
        facts = (
            f"{step.outcome.transaction.hex()[:8]}  block {step.outcome.height}"
            f"  {step.outcome.seconds * 1000:.1f} ms"
        )
        self.console.print(f"   {mark} {step.text}{remark}  [dim]{facts}[/dim]")


def run_demo(
    *, script_only: bool, keep: Path | None, invoices: Path | None, pages: bool = False
) -> int:
    """Play the demo; returns the exit code. Ctrl-C and errors leave no process behind. At a terminal the network runs
    on afterwards, with its pages, until Ctrl-C; with `pages` always, and people can act."""
    teller = Teller(script_only)
    started = time.monotonic()
    with ExitStack() as stack:
        if keep is None:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-demo-"))
            directory = Path(scratch) / "network"
        else:
            directory = keep
        files = invoice_files(invoices)
        planned = plan(directory, pages=pages)
        network = init(planned)
        stack.enter_context(guarded(directory))
        stack.callback(testnet_processes.stop_all, directory)
        teller.console.print(
            f"Four banks, four validators, four disks in {directory}; a business day lasts"
            f" {planned.day_seconds} s."
        )
        with teller.console.status("starting four validators") if not script_only else ExitStack():
            testnet_processes.start_all(directory)
        failure: BaseExceptionGroup[TallynetError] | None = None
        try:
            tenor = PAGES_TENOR_DAYS if pages else TENOR_DAYS
            trio.run(_play, directory, network, files, teller, tenor)
        except* TallynetError as group:
            failure = group
        if failure is not None:
            _tell_failure(failure, teller)
            return int(Exit.REFUSED)
        teller.chapter(len(CHAPTERS) + 1, "The audit")
        testnet_processes.stop_all(directory)
        code = run_audit([directory])
        teller.console.print(
            f"\n{teller.steps} steps, median latency"
            f" {statistics.median(teller.latencies) * 1000:.1f} ms,"
            f" {time.monotonic() - started:.0f} s in all."
            + (f" The network is kept in {directory}." if keep else "")
        )
        if not code and (pages or (sys.stdout.isatty() and not script_only)):
            _show_pages(directory, network, teller, desks=pages)
        if not pages:
            teller.console.print("To act in the browser yourself: tally demo --pages")
        return code


def _show_pages(directory: Path, network: NetworkFile, teller: Teller, *, desks: bool) -> None:
    """Start the nodes again, say where their pages are, and wait for Ctrl-C."""
    teller.console.print("\nLook at it in a browser:")
    testnet_processes.start_all(directory)
    book = AddressBook(directory)
    base = f"http://{network.nodes[0].web}"
    for what, path in (
        ("the network", "network"),
        ("the voucher", f"vouchers/{book.record(Kind.VOUCHER, f'{CORE}/v1').hex()}"),
        ("its debtor", f"organisations/{book.organisation(CORE).hex()}"),
        ("a bank that lent on it", f"banks/{book.organisation('bank-3').hex()}"),
    ):
        teller.console.print(f"   · {what}: {base}/{path}")
    try:
        if desks:
            _open_desks(directory, teller)
        teller.console.print("The network runs until Ctrl-C.")
        with suppress(KeyboardInterrupt):
            signal.pause()
    finally:
        stop_lights(directory, CAST)


def _open_desks(directory: Path, teller: Teller) -> None:
    """Start light nodes, with accounts, and say how to get in."""
    password, base = make_password(), free_ports(len(CAST))
    opened = open_lights(directory, CAST, base, password)
    teller.chapter(len(CHAPTERS) + 2, "Now you: sign in and act")
    rows = [("who", "address", "accounts", "password")]
    rows += [(each.who, each.address, ", ".join(each.accounts), password) for each in opened]
    for who, address, accounts, secret in rows:
        teller.console.print(f"   {who:<15} {address:<22} {accounts:<24} {secret}")
    teller.console.print(
        "\n[bold]For this demo only: one password for all, printed here, gone with the network.[/bold]\n"
        f"An invoice to upload, from {DEVICES} to {CORE}: {UPLOAD}\n"
        f"Begin as the maker of {CORE}: Issue, to be paid to {DEVICES}; its checker and its approver agree. Then {DEVICES} claims it.\n"
        f"A business day lasts {PAGES_DAY_SECONDS} s: choose a day of payment some days ahead, and wait for it."
    )


def _tell_failure(group: BaseExceptionGroup[TallynetError], teller: Teller) -> None:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _tell_failure(error, teller)
        else:
            teller.console.print(f"[bold red]the demo failed[/]: {error}")


async def _play(
    directory: Path, network: NetworkFile, files: list[Path], teller: Teller, tenor_days: int
) -> None:
    genesis = genesis_of(directory)[1]
    async with on_stage(directory, network, genesis, teller.tell) as stage:
        found, refused = read_invoices(files)
        for sentence in refused:
            teller.note(f"not used: {sentence}")
        usable = [entry for entry in found if entry[1].currency in CURRENCIES]
        usable.sort(key=lambda entry: (entry[1].currency != "CNY", -entry[1].total))
        if not usable or usable[0][1].total < FACE_MIN:
            raise DemoFailed(
                "NO_INVOICES",
                f"the story needs an invoice over at least {FACE_MIN // 100} in one of"
                f" {', '.join(sorted(CURRENCIES))}",
            )
        stage.tenor_days = tenor_days
        stage.invoices = usable
        stage.currency = usable[0][1].currency
        for number, (title, chapter) in enumerate(CHAPTERS, 1):
            teller.chapter(number, title)
            await chapter(stage)


CURRENCIES: Final = frozenset({"CNY", "EUR", "USD", "GBP"})
"""Currencies of the network with two decimals: the amounts of the story are written in them."""
FACE_MIN: Final = 500_00
"""Below it the story's ¥100 and its quarters would not fit."""
