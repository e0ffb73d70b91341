"""The network that `tally bench` measures: suppliers with vouchers, and the transfers that they sign."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import trio
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tallynet import commands as c
from tallynet import records as r
from tallynet.client import Client, Receipt
from tallynet.codec import Wire
from tallynet.envelope import Envelope, Mode
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis
from tallynet.hashing import record_id
from tallynet.receipts import EnvelopeReceipt
from tools.onboarding import new_organisation, registration
from tools.output import ERRORS
from tools.participant import Signatory
from tools.records_by_name import line_id
from tools.testnet_files import NetworkFile

VOUCHERS: Final = 200
"""At least; with `--lots` as many as hold that many lots."""
LOTS_PER_VOUCHER: Final = 6
"""The mean of the voucher law §18."""
SUPPLIERS: Final = 4
"""That claim vouchers and sign transfers."""
RECEIVERS: Final = 2
"""That hold lots and sign nothing; with the other suppliers there are enough for six holders of a voucher."""
FACE: Final = 6 * 10**7
"""Fen; more than any run can transfer of one voucher, and within what one signer may do."""
BUILDING: Final = 60
"""Envelopes of preparation under way per organisation."""
_PREPARED_PER_ENVELOPE: Final = 100


class BenchFailed(TallynetError):
    """The benchmark could not be carried out."""


@dataclass(frozen=True, slots=True)
class Site:
    """The network that is measured."""

    directory: Path
    network: NetworkFile
    genesis: Genesis
    hash: bytes


class Carrier(Protocol):
    """Carries signed envelopes out: the network, or its law alone (`tools.bench_state`)."""

    async def today(self) -> int:
        """Business date."""

    async def carry(self, envelopes: Iterable[Envelope]) -> Sequence[EnvelopeReceipt]:
        """Carry all of them out, in any order; their receipts. Raises BenchFailed REFUSED."""


class NetworkCarrier:
    """Through a client of a running network."""

    def __init__(self, client: Client) -> None:
        self._client: Final = client

    async def today(self) -> int:
        network = await self._client.read(r.Kind.NETWORK, r.NETWORK_ID)
        return network.business_date if isinstance(network, r.Network) else 0

    async def carry(self, envelopes: Iterable[Envelope]) -> Sequence[EnvelopeReceipt]:
        receipts: list[EnvelopeReceipt] = []
        for outcome in await self._client.submit_many(envelopes, in_flight=BUILDING):
            if not isinstance(outcome, Receipt):
                raise BenchFailed("REFUSED", f"preparing the vouchers: {outcome}")
            receipts.append(outcome.receipt)
        return receipts


class World:
    """Suppliers with vouchers on a fresh network; makes signed transfers."""

    def __init__(self, site: Site, carrier: Carrier) -> None:
        self.site: Final = site
        self._carrier: Final = carrier
        self.suppliers: Final[list[Signatory]] = []
        self.vouchers: Final[list[tuple[Signatory, bytes]]] = []
        self._label = 0
        self._turn = 0
        """Envelopes made; the next one takes the next supplier's next vouchers."""

    def _label_bytes(self) -> bytes:
        self._label += 1
        return self._label.to_bytes(8, "big")

    async def build(self, lots: int) -> None:
        """Register, grant, issue and claim; with `lots`, cut the vouchers into six lots each until there are
        that many."""
        bank = Signatory(self.site.directory, "bank-1", self.site.hash)
        core = await self._join(bank, "core", r.OrganisationKind.CORE, r.Size.LARGE)
        for number in range(SUPPLIERS + RECEIVERS):
            size = r.Size.MICRO  # one signer: one signature per envelope
            supplier = await self._join(
                bank, f"supplier-{number}", r.OrganisationKind.SUPPLIER, size
            )
            self.suppliers.append(supplier)
        today = await self._carrier.today()
        rules = c.ProgrammeRules(
            r.AcceptMode.IMMEDIATE, 0, 10, 200, 1, 180, 5, r.DocumentPolicy.CAPPED, r.Visibility.TIER1, False, 500,
            (), True, (), r.PriceMode.OPEN,
        )  # fmt: skip
        programme = c.ProgrammeCreate(b"p", r.ProgrammeKind.RECEIVABLE, "CNY", rules)
        await carry_out(self._carrier, core, [programme])
        count = max(VOUCHERS, lots // LOTS_PER_VOUCHER)
        line = c.LineGrant(
            b"l", r.LineKind.ISSUE, core.id, "CNY", count * FACE, today, today + 400, ()
        )
        await carry_out(self._carrier, bank, [line])
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )  # fmt: skip
        with Progress(*columns, console=ERRORS, transient=True) as progress:
            task = progress.add_task("vouchers", total=count)
            async with trio.open_nursery() as nursery:
                for number, supplier in enumerate(self.suppliers[:SUPPLIERS]):
                    share = count // SUPPLIERS + (number < count % SUPPLIERS)
                    nursery.start_soon(
                        self._vouchers, bank, core, supplier, share, today, bool(lots),
                        lambda done: progress.advance(task, done),
                    )  # fmt: skip

    async def _join(
        self, bank: Signatory, name: str, kind: r.OrganisationKind, size: r.Size
    ) -> Signatory:
        site = self.site
        wallet = new_organisation(site.directory, bank.wallet, name, kind, size)
        command = registration(site.directory, site.hash, wallet, kind, size)
        await carry_out(self._carrier, bank, [command])
        return Signatory(site.directory, name, site.hash)

    async def _vouchers(
        self,
        bank: Signatory,
        core: Signatory,
        supplier: Signatory,
        count: int,
        today: int,
        cut: bool,
        advance: Callable[[int], None],
    ) -> None:
        """Documented, issued, claimed and, if asked for, cut, in groups that fit into what may be under
        way."""
        pieces = tuple(
            c.Piece(other.id, FACE // LOTS_PER_VOUCHER, None)
            for other in self.suppliers if other is not supplier
        )  # fmt: skip
        line = line_id(r.LineKind.ISSUE, bank.id, core.id, "CNY")
        programme = record_id(r.Kind.PROGRAMME, core.id, b"p")
        group = BUILDING * _PREPARED_PER_ENVELOPE
        for start in range(0, count, group):
            documents, issues, claims, cuts = [], [], [], []
            for _ in range(min(group, count - start)):
                label = self._label_bytes()
                tag = sha256(label).digest()
                documents.append(
                    c.DocumentRegister(
                        label, r.DocumentType.CONTRACT, tag, tag, tag, supplier.id, core.id, (),
                        "CNY", FACE, None,
                    )
                )  # fmt: skip
                document = record_id(r.Kind.DOCUMENT, b"", tag)
                issues.append(
                    c.VoucherIssue(
                        label, supplier.id, "CNY", FACE, today + 90,
                        r.Promise(tag, True, True, True), (r.DocumentUse(document, FACE),),
                        programme, line, bank.id,
                    )
                )  # fmt: skip
                voucher = record_id(r.Kind.VOUCHER, core.id, label)
                claims.append(c.VoucherClaim(self._label_bytes(), voucher, True))
                cuts.append(c.LotTransfer(self._label_bytes(), voucher, 0, pieces))
                self.vouchers.append((supplier, voucher))
            for by, commands in (
                (supplier, documents), (core, issues), (supplier, claims), (supplier, cuts if cut else ())
            ):  # fmt: skip
                await carry_out(self._carrier, by, commands)
            advance(len(issues))

    def _owners(self) -> list[tuple[Signatory, list[bytes]]]:
        """Suppliers with the vouchers that they claimed."""
        owners: dict[bytes, tuple[Signatory, list[bytes]]] = {}
        for supplier, voucher in self.vouchers:
            owners.setdefault(supplier.id, (supplier, []))[1].append(voucher)
        return list(owners.values())

    def transfers(self, count: int, batch: int) -> list[Envelope]:
        """Signed envelopes of `batch` transfers of one fen each, spread over all vouchers."""
        receiver = self.suppliers[SUPPLIERS].id
        pieces = (c.Piece(receiver, 1, None),)
        owners = self._owners()
        valid_until = int(time.time()) + 3_600
        envelopes: list[Envelope] = []
        for n in range(self._turn, self._turn + count):
            supplier, vouchers = owners[n % len(owners)]
            commands: list[Wire] = [
                c.LotTransfer(
                    self._label_bytes(),
                    vouchers[(n // len(owners) * batch + i) % len(vouchers)],
                    0,
                    pieces,
                )
                for i in range(batch)
            ]
            envelopes.append(
                supplier.envelope(commands, mode=Mode.INDEPENDENT, valid_until=valid_until)
            )
        self._turn += count
        return envelopes


async def carry_out(carrier: Carrier, by: Signatory, commands: Sequence[Wire]) -> None:
    """All of these commands, many envelopes at once. Raises BenchFailed REFUSED."""
    envelopes = (
        by.envelope(commands[start : start + _PREPARED_PER_ENVELOPE], mode=Mode.INDEPENDENT)
        for start in range(0, len(commands), _PREPARED_PER_ENVELOPE)
    )
    for receipt in await carrier.carry(envelopes):
        codes = {command.code for command in receipt.commands} | {receipt.code}
        if codes != {"OK"}:
            raise BenchFailed("REFUSED", f"preparing the vouchers: {', '.join(sorted(codes))}")
