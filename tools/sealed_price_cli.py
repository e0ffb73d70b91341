"""`tally financing quote-sealed|quotes|accept-sealed|price|payout-confirm-sealed`: prices of two sides.

The terms travel encrypted beside the chain; the chain sees commitments. Each side keeps what opens them:

    wallets/<name>/quotes/<terms commitment>.json     salt and terms of a quote, given or accepted
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec
import trio
from cyclopts import App, Parameter

from tallynet.client import Client
from tallynet.codec import encode
from tallynet.commands import FinancingAcceptSealed, FinancingQuoteSealed, PayoutConfirmSealed
from tallynet.documents import DocumentError
from tallynet.names import commitment
from tallynet.records import (
    NETWORK_ID,
    Financing,
    FinancingRequest,
    Kind,
    LineKind,
    Network,
    Voucher,
)
from tallynet.sealed_price import (
    PriceTerms,
    SealedQuote,
    decode_quote,
    decrypt_quote,
    discount,
    encrypt_quote,
    price,
    price_commitment,
    terms_commitment,
)
from tools.arguments import (
    UsageError,
    format_amount,
    format_day,
    format_rate,
    parse_day,
    parse_rate,
)
from tools.connect import asking, connect
from tools.document_access import reading_keys_of
from tools.kept_documents import read_file, reading_keys, write_private
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, Common, NetworkOption, OutputOption, execute
from tools.organisation_cli import DryRunOption, SignAsOption, one_of
from tools.output import Output, print_json, print_rows
from tools.participant import new_label
from tools.penetration_cli import asking_key
from tools.records_by_name import AddressBook, label_bytes
from tools.show_cli import name_of
from tools.wallet import WALLETS, Wallet, load_wallet

QUOTES: Final = "quotes"
RequestOption = Annotated[str, Parameter(name="--request", help="request: OWNER/LABEL or id")]
FinancingOption = Annotated[str, Parameter(name="--financing", help="financing: OWNER/LABEL or id")]
DrawLabelOption = Annotated[str, Parameter(name="--label", help="name of the sale")]


class OpeningFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What opens the commitments of a quote."""

    quote: str
    """Hex of an encoded `SealedQuote`."""


def opening_path(network: Path, wallet: Wallet, commitment: bytes) -> Path:
    return network / WALLETS / wallet.name / QUOTES / f"{commitment.hex()}.json"


def keep_opening(network: Path, wallet: Wallet, quote: SealedQuote) -> None:
    """Write it before anybody signs for it; the same one again is no error."""
    path = opening_path(network, wallet, terms_commitment(quote))
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, exist_ok=True)
    file = OpeningFile(encode(quote).hex())
    write_private(path, (json.dumps(msgspec.to_builtins(file)) + "\n").encode())


def load_opening(path: Path) -> SealedQuote:
    """Raises UsageError FILE_MISSING, FILE_INVALID; DocumentError TERMS_MALFORMED."""
    try:
        text = msgspec.json.decode(read_file(path), type=OpeningFile).quote
        return decode_quote(bytes.fromhex(text))
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError("FILE_INVALID", f"{path}: {error}") from None


# --- quote ----------------------------------------------------------------------------------------


def quote_sealed(
    *,
    as_: AsOption,
    request: RequestOption,
    rate: Annotated[str, Parameter(name="--rate", help="rate per year, e.g. 4.10%")],
    valid_to: Annotated[str, Parameter(name="--valid-to", help="last day of acceptance")],
    basis: Annotated[int, Parameter(name="--basis", help="360 or 365")] = 360,
    lines: Annotated[str, Parameter(name="--lines", help="e.g. debtor-exposure")] = "",
    registration_required: Annotated[
        bool, Parameter(name="--registration-required", negative=(), help="pay out only after it")
    ] = False,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Answer a request, as a bank, with a price that only the holder learns.

    The terms are encrypted for the holder's reading key and brought to a node; the chain
    gets a commitment. The wallet keeps what opens it.

    For example:

        tally financing quote-sealed --as bank-2 --request corner-parts/r1 --rate 4.10%
            --valid-to 2027-03-20
    """
    if basis not in (360, 365):
        raise UsageError("USAGE", "--basis is 360 or 365")
    book, wallet = AddressBook(network), load_wallet(network, as_)
    id = book.record(Kind.FINANCING_REQUEST, request)
    chosen = tuple(sorted({one_of(LineKind, part) for part in lines.split(",") if part}))
    offered = _Offered(parse_rate(rate), basis, parse_day(valid_to))
    quote, box = trio.run(_make_quote, network, wallet, id, offered, not dry_run)
    command = FinancingQuoteSealed(
        new_label(), id, quote.terms.face, terms_commitment(quote), sha256(box).digest(), chosen,
        registration_required, offered.valid_to,
    )  # fmt: skip
    execute(Common(network, as_, "", sign_as, dry_run, output), command)


@dataclass(frozen=True, slots=True)
class _Offered:
    rate_ppm: int
    basis: int
    valid_to: int


async def _make_quote(
    network: Path, wallet: Wallet, id: bytes, offered: _Offered, upload: bool
) -> tuple[SealedQuote, bytes]:
    """The quote, kept, and its ciphertext, at a node."""
    book = AddressBook(network)
    async with connect(network, key=asking_key(network, book, wallet.name)) as client:
        asked, voucher = await _request(client, id)
        [holder] = await reading_keys_of(client, book, [asked.holder])
        terms = PriceTerms(
            id, wallet.id, asked.holder, asked.end - asked.start, asked.currency, voucher.maturity,
            offered.rate_ppm, offered.basis, offered.valid_to,
        )  # fmt: skip
        quote = SealedQuote(os.urandom(32), terms)
        price_commitment(quote, await _today(client))  # refused here if nothing would be paid
        box = encrypt_quote(quote, holder.key.public_key)
        if upload:
            keep_opening(network, wallet, quote)
            await client.put_ciphertext(Kind.FINANCING_REQUEST, id, box)
    return quote, box


async def _request(client: Client, id: bytes) -> tuple[FinancingRequest, Voucher]:
    """A request and its voucher, proven. Raises UsageError RECORD_NOT_FOUND."""
    asked = await client.read(Kind.FINANCING_REQUEST, id)
    if not isinstance(asked, FinancingRequest):
        raise UsageError("RECORD_NOT_FOUND", f"no request {id.hex()} is open")
    voucher = await client.read(Kind.VOUCHER, asked.voucher)
    if not isinstance(voucher, Voucher):
        raise UsageError("RECORD_NOT_FOUND", f"no voucher {asked.voucher.hex()}")
    return asked, voucher


async def _today(client: Client) -> int:
    network = await client.read(Kind.NETWORK, NETWORK_ID)
    if not isinstance(network, Network):
        raise UsageError("RECORD_NOT_FOUND", "the network has no state yet")
    return network.business_date


# --- what was quoted, and accepting it ------------------------------------------------------------


def quotes(
    *,
    as_: AsOption,
    request: RequestOption,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Open the sealed quotes for a request of the acting organisation, and price them for today.

    For example:

        tally financing quotes --as corner-parts --request corner-parts/r1
    """
    book, wallet = AddressBook(network), load_wallet(network, as_)
    id = book.record(Kind.FINANCING_REQUEST, request)
    today, found = trio.run(_open_quotes, network, wallet, id)
    rows = [_figures(quote.terms, today) for quote in found]
    if output is Output.json:
        print_json(rows)
        return
    names = book.names()
    shown = [
        (
            name_of(bytes.fromhex(str(row["funder"])), names),
            str(row["rate"]), str(row["price"]), str(row["discount"]), str(row["valid_to"]),
        )
        for row in rows
    ]  # fmt: skip
    columns = ("bank", "rate", "price", "discount", "valid to")
    print_rows(f"sealed quotes, priced for {format_day(today)}; fees apart", columns, shown)


def _figures(terms: PriceTerms, value_day: int) -> dict[str, object]:
    """A price as its two sides compute it."""
    return {
        "funder": terms.funder.hex(),
        "face": format_amount(terms.face, terms.currency),
        "rate": format_rate(terms.rate_ppm),
        "basis": terms.basis,
        "value_day": format_day(value_day),
        "discount": format_amount(discount(terms, value_day), terms.currency),
        "price": format_amount(price(terms, value_day), terms.currency),
        "valid_to": format_day(terms.valid_to),
    }


async def _open_quotes(
    network: Path, wallet: Wallet, id: bytes, funder: bytes | None = None
) -> tuple[int, list[SealedQuote]]:
    """The business date, and the sealed quotes for a request of this wallet, checked; of one funder, or
    all. Raises DocumentError TERMS_MALFORMED."""
    found = []
    book = AddressBook(network)
    async with asking(network, key=asking_key(network, book, wallet.name)) as client:
        asked, voucher = await _request(client, id)
        for given in asked.quotes:
            if given.sealed is None or funder not in (None, given.funder):
                continue
            box = await client.ciphertext(Kind.FINANCING_REQUEST, id, given.sealed.ciphertext_hash)
            quote = decrypt_quote(
                box, reading_keys(network, wallet), id, given.funder, given.sealed.terms_commitment
            )
            _require_about(quote.terms, asked, voucher)
            found.append(quote)
        return await _today(client), found


def _require_about(terms: PriceTerms, asked: FinancingRequest, voucher: Voucher) -> None:
    """The terms are for this very range. Raises DocumentError TERMS_MALFORMED."""
    stated = (terms.holder, terms.face, terms.currency, terms.maturity)
    if stated != (asked.holder, asked.end - asked.start, asked.currency, voucher.maturity):
        raise DocumentError("TERMS_MALFORMED", "the terms are for another range or another day")


def accept_sealed(
    *,
    as_: AsOption,
    request: RequestOption,
    funder: Annotated[str, Parameter(name="--funder", help="whose quote")],
    label: DrawLabelOption = "",
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Sell at a sealed quote; the wallet keeps what opens the price.

    The price is committed to for today; the result shows days and fee, the other figures 0.

    For example:

        tally financing accept-sealed --as corner-parts --label s1 --request corner-parts/r1
            --funder bank-2
    """
    book, wallet = AddressBook(network), load_wallet(network, as_)
    id = book.record(Kind.FINANCING_REQUEST, request)
    bank = book.organisation(funder)
    today, found = trio.run(_open_quotes, network, wallet, id, bank)
    if not found:
        raise UsageError("RECORD_NOT_FOUND", f"{funder} has given no sealed quote")
    [quote] = found
    if not dry_run:
        keep_opening(network, wallet, quote)
    command = FinancingAcceptSealed(
        label_bytes(label) if label else new_label(), id, bank, terms_commitment(quote),
        price_commitment(quote, today), today,
    )  # fmt: skip
    execute(Common(network, as_, label, sign_as, dry_run, output), command)


# --- price and pay-out ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deal:
    """A sale at a sealed price, opened and checked."""

    financing: Financing
    quote: SealedQuote

    @property
    def deducted(self) -> int:
        """The platform fee that the bank withholds."""
        fee = self.financing.fee
        return 0 if fee is None or fee.deferred else fee.drawer

    @property
    def price(self) -> int:
        return price(self.quote.terms, self.financing.value_day)

    @property
    def paid(self) -> int:
        return self.price - self.deducted


def load_deal(network: Path, id: bytes, opening: Path | None, wallet: Wallet | None) -> Deal:
    """Raises UsageError RECORD_NOT_FOUND, DocumentError TERMS_MALFORMED where the chain's commitments are to
    something else."""
    financing = trio.run(_financing, network, id, wallet.name if wallet else "")
    if financing.sealed is None:
        raise UsageError("USAGE", "the price of this financing is open: tally show financing ID")
    if opening is None:
        if wallet is None:
            raise UsageError("USAGE", "give --as, or the file that opens the price")
        opening = opening_path(network, wallet, financing.sealed.terms_commitment)
    return open_deal(financing, opening)


def open_deal(financing: Financing, opening: Path) -> Deal:
    """A sale at a sealed price with what opens it. Raises UsageError FILE_MISSING, FILE_INVALID; DocumentError
    TERMS_MALFORMED where the chain's commitments are to something else."""
    quote, sealed = load_opening(opening), financing.sealed
    if sealed is None or terms_commitment(quote) != sealed.terms_commitment:
        raise DocumentError("TERMS_MALFORMED", "the terms are not those that both sides signed")
    if price_commitment(quote, financing.value_day) != sealed.price_commitment:
        raise DocumentError(
            "TERMS_MALFORMED", "the holder committed to another price than the terms give"
        )
    return Deal(financing, quote)


async def _financing(network: Path, id: bytes, acting: str) -> Financing:
    async with asking(network, acting=acting) as client:
        financing = await client.read(Kind.FINANCING, id)
    if not isinstance(financing, Financing):
        raise UsageError("RECORD_NOT_FOUND", f"no financing {id.hex()} is open")
    return financing


def show_price(
    opening: Path | None = None,
    *,
    financing: FinancingOption,
    as_: Annotated[str, Parameter(name="--as", help="side of the sale: a wallet's name")] = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Open the sealed price of a sale that awaits its pay-out, and check it against the chain.

    A side of the sale has what opens it in its wallet; an auditor is handed the file.

    For example:

        tally financing price --as bank-2 --financing corner-parts/s1

        tally financing price opening.json --financing corner-parts/s1

    Parameters
    ----------
    opening
        File that opens the price; default: from the wallet of --as.
    """
    wallet = load_wallet(network, as_) if as_ else None
    id = AddressBook(network).record(Kind.FINANCING, financing)
    deal = load_deal(network, id, opening, wallet)
    terms = deal.quote.terms
    shown = _figures(terms, deal.financing.value_day) | {
        "fee": format_amount(deal.deducted, terms.currency),
        "to be paid": format_amount(deal.paid, terms.currency),
    }
    if output is Output.json:
        print_json(shown)
    else:
        rows = [(name, str(value)) for name, value in shown.items()]
        print_rows(f"financing {id.hex()}, as both sides signed", ("figure", "value"), rows)


def payout_confirm_sealed(
    *,
    as_: AsOption,
    financing: FinancingOption,
    receipt: Annotated[
        str, Parameter(name="--receipt", help="payment receipt number (kept as commitment)")
    ],
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Confirm as the buying bank that a sealed price was paid out.

    The price is computed from the bank's own terms first; if the holder committed to another
    one, nothing is sent. `tally financing price` shows what to pay.

    For example:

        tally financing payout-confirm-sealed --as bank-2 --financing corner-parts/s1
            --receipt R-1001
    """
    wallet = load_wallet(network, as_)
    id = AddressBook(network).record(Kind.FINANCING, financing)
    deal = load_deal(network, id, None, wallet)
    command = PayoutConfirmSealed(
        new_label(), deal.financing.instruction, deal.quote.terms.face,
        price_commitment(deal.quote, deal.financing.value_day),
        commitment("receipt", wallet.id, receipt),
    )  # fmt: skip
    execute(Common(network, as_, "", sign_as, dry_run, output), command)


def add_sealed_price_commands(nouns: dict[str, App]) -> None:
    """Add the commands of this module."""
    nouns["financing"].command(quote_sealed, name="quote-sealed")
    nouns["financing"].command(quotes, name="quotes")
    nouns["financing"].command(accept_sealed, name="accept-sealed")
    nouns["financing"].command(show_price, name="price")
    nouns["financing"].command(payout_confirm_sealed, name="payout-confirm-sealed")
