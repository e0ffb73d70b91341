"""Every ledger command as `tally NOUN VERB`: its options, how they are read, and an example.

One table for the command line, its help and the reference page. An option's reader turns text into
the field's value; the field's name says which reader, unless the entry says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire
from tools.arguments import UsageError, parse_amount, parse_day, parse_rate, parse_ratio
from tools.records_by_name import AddressBook, commitment


@dataclass(frozen=True, slots=True)
class Reading:
    """What readers may look at."""

    book: AddressBook
    acting: bytes
    """Organisation that acts."""
    currency: str


Reader = Callable[[Reading, str], Any]


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command: `--name VALUE`."""

    help: str
    read: Reader
    default: str | None = None
    """Text that is read when the option is missing; None makes it required."""
    many: bool = False
    """May be given several times; the field is a tuple."""


@dataclass(frozen=True, slots=True)
class CommandEntry:
    command: type[Wire]
    sentence: str
    example: str
    options: Mapping[str, Option]
    """By field name."""
    build: Callable[[dict[str, Any]], dict[str, Any]] = field(default=lambda values: values)
    """Turns option values into the fields of the command (without `label`)."""


# --- readers ------------------------------------------------------------------------------------


def organisation(reading: Reading, text: str) -> bytes:
    return reading.book.organisation(text)


def of_kind(kind: r.Kind) -> Reader:
    return lambda reading, text: reading.book.record(kind, text)


def line(reading: Reading, text: str) -> bytes:
    return reading.book.line(text)


def amount(reading: Reading, text: str) -> int:
    return parse_amount(text, reading.currency)


def day(_reading: Reading, text: str) -> int:
    return parse_day(text)


def rate(_reading: Reading, text: str) -> int:
    return parse_rate(text)


def number(_reading: Reading, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError("USAGE", f"{text!r} is no whole number")
    return int(text)


def plain_text(_reading: Reading, text: str) -> str:
    return text


def yes_no(_reading: Reading, text: str) -> bool:
    if text not in ("yes", "no"):
        raise UsageError("USAGE", f"write yes or no, not {text!r}")
    return text == "yes"


def member_of(enumeration: type[Any]) -> Reader:
    """An enum member by its name in lower case with hyphens."""

    def read(_reading: Reading, text: str) -> Any:
        name = text.upper().replace("-", "_")
        if name not in enumeration.__members__:
            known = ", ".join(m.lower().replace("_", "-") for m in enumeration.__members__)
            raise UsageError("USAGE", f"{text!r} is not one of: {known}")
        return enumeration[name]

    return read


def members_of(enumeration: type[Any]) -> Reader:
    """Several enum members, separated by commas, as a sorted tuple."""
    one = member_of(enumeration)
    return lambda reading, text: tuple(
        sorted(one(reading, part) for part in text.split(",") if part)
    )


def hash_of(purpose: str) -> Reader:
    """Commitment by the acting organisation to a text."""
    return lambda reading, text: commitment(purpose, reading.acting, text)


def digest(_reading: Reading, text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise UsageError("USAGE", f"{text!r} is no SHA-256: 64 hexadecimal digits are needed")
    return value


def key(_reading: Reading, text: str) -> bytes:
    from tools.wallet import key_id

    return key_id(digest(_reading, text))


def _split(text: str, form: str, least: int, most: int) -> list[str]:
    parts = text.split(":")
    if not least <= len(parts) <= most:
        raise UsageError("USAGE", f"{text!r}: write {form}")
    return parts


def piece(reading: Reading, text: str) -> c.Piece:
    parts = _split(text, "RECEIVER:AMOUNT or RECEIVER:AMOUNT:DOCUMENT", 2, 3)
    document = reading.book.record(r.Kind.DOCUMENT, parts[2]) if len(parts) == 3 else None
    return c.Piece(reading.book.organisation(parts[0]), amount(reading, parts[1]), document)


def document_use(reading: Reading, text: str) -> r.DocumentUse:
    name, value = _split(text, "DOCUMENT:AMOUNT", 2, 2)
    return r.DocumentUse(reading.book.record(r.Kind.DOCUMENT, name), amount(reading, value))


def frozen_part(reading: Reading, text: str) -> c.FrozenPart:
    parts = _split(text, "VOUCHER:START:AMOUNT or VOUCHER:START:AMOUNT:exact", 3, 4)
    if len(parts) == 4 and parts[3] != "exact":
        raise UsageError("USAGE", f"{text!r}: write exact, or nothing, after the amount")
    voucher = reading.book.record(r.Kind.VOUCHER, parts[0])
    start = number(reading, parts[1])
    return c.FrozenPart(voucher, start, amount(reading, parts[2]), len(parts) == 4)


def disputed_range(reading: Reading, text: str) -> c.DisputedRange:
    start, end = _split(text, "START:END", 2, 2)
    return c.DisputedRange(number(reading, start), number(reading, end))


def rate_band(_reading: Reading, text: str) -> r.RateBand:
    parts = _split(text, "DAYS:RATE or DAYS:RATE:ADVANCE, e.g. 180:4.35%:80%", 2, 3)
    advance = parse_ratio(parts[2]) if len(parts) == 3 else 10_000
    return r.RateBand(number(_reading, parts[0]), parse_rate(parts[1]), advance)


def calendar_entry(_reading: Reading, text: str) -> r.CalendarEntry:
    when, what = _split(text, "DAY:holiday or DAY:working", 2, 2)
    if what not in ("holiday", "working"):
        raise UsageError("USAGE", f"{text!r}: the day is either holiday or working")
    return r.CalendarEntry(parse_day(when), what == "working")


# --- common options -------------------------------------------------------------------------------

VOUCHER: Final = Option("voucher: OWNER/LABEL", of_kind(r.Kind.VOUCHER))
START: Final = Option("start of the lot in fen (see `tally voucher show`)", number, "0")
CURRENCY: Final = Option("ISO 4217 code", plain_text, "CNY")
INSTRUCTION: Final = Option(
    "instruction: hexadecimal id from the receipt", of_kind(r.Kind.INSTRUCTION)
)
RECEIPT: Final = Option("the bank's receipt number", hash_of("receipt"))
LINE: Final = Option("line: KIND:GRANTOR:OBLIGOR", line)
VALID_FROM: Final = Option("first day", day)
VALID_TO: Final = Option("last day", day)
ORGANISATION: Final = Option("organisation: wallet name or id", organisation)
LOT: Final = {"voucher": VOUCHER, "start": START}
FREEZE: Final = Option("freeze: OWNER/LABEL", of_kind(r.Kind.FREEZE))
CASE: Final = Option("number of the case (kept as commitment)", hash_of("case"))

_RULES: Final = {
    "accept_mode": Option(
        "how receivers accept transfers: immediate, explicit, deemed",
        member_of(r.AcceptMode),
        "immediate",
    ),
    "deemed_days": Option("days until silence accepts (deemed mode)", number, "0"),
    "max_hops": Option("transfers from the first payee on", number, "10"),
    "max_lots": Option("lots per voucher", number, "200"),
    "min_piece": Option("smallest piece of a transfer", amount, "0.01"),
    "max_tenor_days": Option("longest tenor", number, "365"),
    "grace_days": Option("days of grace after maturity", number, "5"),
    "document_policy": Option(
        "exclusive: one voucher per document; capped: up to its total",
        member_of(r.DocumentPolicy),
        "capped",
    ),
    "document_required_on_transfer": Option("transfers need an own document", yes_no, "no"),
    "penalty_ppm_day": Option("penalty per day, e.g. 0.05%", rate, "0.05%"),
    "funding_order": Option("offers that AUTO draws try first", of_kind(r.Kind.OFFER), many=True),
    "open_to_all": Option("every registered organisation counts as member", yes_no, "yes"),
}


def _with_rules(values: dict[str, Any]) -> dict[str, Any]:
    rules = c.ProgrammeRules(**{name: values.pop(name) for name in _RULES})
    return values | {"rules": rules}


def _with_promise(values: dict[str, Any]) -> dict[str, Any]:
    promise = r.Promise(values.pop("promise"), True, True, True)
    return values | {"promise": promise}


def _sorted_ids(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: values | {name: tuple(sorted(values[name])) for name in names}


COMMANDS: Final[dict[str, CommandEntry]] = {
    "parameter set": CommandEntry(
        c.ParameterSet,
        "Set a network parameter from a later day on (bank quorum).",
        "tally parameter set --as bank-1 --name penalty_ppm_day --effective-day 2027-06-01"
        " --value 400",
        {
            "name": Option("parameter", plain_text),
            "effective_day": Option("first day in force", day),
            "value": Option("value in the parameter's unit", number),
        },
    ),
    "calendar set": CommandEntry(
        c.CalendarSet,
        "Declare holidays and working days (bank quorum).",
        "tally calendar set --as bank-1 --entries 2027-10-01:holiday",
        {"entries": Option("DAY:holiday or DAY:working", calendar_entry, many=True)},
    ),
    "consent withdraw": CommandEntry(
        c.ConsentWithdraw,
        "Take back the consent to a joint act that is still open.",
        "tally consent withdraw --as bank-1 --body-hash HEX",
        {"body_hash": Option("hash of the command's body, 64 hexadecimal digits", digest)},
    ),
    "organisation kyc": CommandEntry(
        c.KycSet,
        "Set what the sponsor attests about an organisation.",
        "tally organisation kyc --as bank-1 --organisation corner-parts --level 2 --size micro"
        " --industry parts --region coast",
        {
            "organisation": ORGANISATION,
            "level": Option("0 none, 1 light, 2 standard, 3 enhanced", number),
            "size": Option("micro, small, medium, large", member_of(r.Size)),
            "industry": Option("industry", plain_text),
            "region": Option("region", plain_text),
        },
    ),
    "organisation suspend": CommandEntry(
        c.OrganisationSuspend,
        "Suspend an organisation: it may only receive, settle and repay.",
        "tally organisation suspend --as bank-1 --organisation corner-parts",
        {"organisation": ORGANISATION},
    ),
    "organisation resume": CommandEntry(
        c.OrganisationResume,
        "Lift a suspension.",
        "tally organisation resume --as bank-1 --organisation corner-parts",
        {"organisation": ORGANISATION},
    ),
    "key revoke": CommandEntry(
        c.KeyRevoke,
        "Revoke a key of the acting organisation for good.",
        "tally key revoke --as harbour-tours --key PUBLIC-KEY-HEX",
        {"key": Option("public key, 64 hexadecimal digits", key)},
    ),
    "account bind": CommandEntry(
        c.AccountBind,
        "Name a bank account; its bank has to verify it before use.",
        "tally account bind --as corner-parts --label main --bank bank-2"
        " --account-commitment 'branch 12, account 0098'",
        {
            "bank": Option("the account's bank", organisation),
            "account_commitment": Option("account number (kept as commitment)", hash_of("account")),
            "currency": CURRENCY,
        },
    ),
    "account verify": CommandEntry(
        c.AccountVerify,
        "Confirm as the account's bank that it belongs to its owner.",
        "tally account verify --as bank-2 --account corner-parts/main",
        {"account": Option("account: OWNER/LABEL", of_kind(r.Kind.ACCOUNT))},
    ),
    "programme create": CommandEntry(
        c.ProgrammeCreate,
        "Create a programme: the rules a core sets for its chain.",
        "tally programme create --as harbour-tours --label season --grace-days 5",
        {
            "kind": Option("receivable", member_of(r.ProgrammeKind), "receivable"),
            "currency": CURRENCY,
            **_RULES,
        },
        _with_rules,
    ),
    "programme update": CommandEntry(
        c.ProgrammeUpdate,
        "Change a programme's rules for new vouchers.",
        "tally programme update --as harbour-tours --programme harbour-tours/season --grace-days 3",
        {"programme": Option("programme: OWNER/LABEL", of_kind(r.Kind.PROGRAMME)), **_RULES},
        _with_rules,
    ),
    "programme join": CommandEntry(
        c.ProgrammeJoin,
        "Join a programme.",
        "tally programme join --as corner-parts --programme harbour-tours/season",
        {"programme": Option("programme: OWNER/LABEL", of_kind(r.Kind.PROGRAMME))},
    ),
    "programme leave": CommandEntry(
        c.ProgrammeLeave,
        "Leave a programme.",
        "tally programme leave --as corner-parts --programme harbour-tours/season",
        {"programme": Option("programme: OWNER/LABEL", of_kind(r.Kind.PROGRAMME))},
    ),
    "line grant": CommandEntry(
        c.LineGrant,
        "Grant a credit line.",
        "tally line grant --as bank-1 --kind issue --obligor harbour-tours --granted 5000000.00"
        " --valid-from 2027-01-01 --valid-to 2028-12-31",
        {
            "kind": Option("issue, debtor-exposure, borrower", member_of(r.LineKind)),
            "obligor": Option("on whom", organisation),
            "currency": CURRENCY,
            "granted": Option("limit", amount),
            "valid_from": VALID_FROM,
            "valid_to": VALID_TO,
        },
    ),
    "line change": CommandEntry(
        c.LineChange,
        "Change a line, also below its use: existing use stands, new use stops.",
        "tally line change --as bank-1 --line issue:bank-1:harbour-tours --granted 100000.00"
        " --valid-from 2027-01-01 --valid-to 2028-12-31",
        {
            "line": LINE,
            "granted": Option("limit", amount),
            "valid_from": VALID_FROM,
            "valid_to": VALID_TO,
        },
    ),
    "line suspend": CommandEntry(
        c.LineSuspend,
        "Suspend a line.",
        "tally line suspend --as bank-1 --line issue:bank-1:harbour-tours",
        {"line": LINE},
    ),
    "line resume": CommandEntry(
        c.LineResume,
        "Resume a suspended line.",
        "tally line resume --as bank-1 --line issue:bank-1:harbour-tours",
        {"line": LINE},
    ),
    "voucher issue": CommandEntry(
        c.VoucherIssue,
        "Promise to pay a supplier, bound to trade documents.",
        "tally voucher issue --as harbour-tours --label v1 --payee gate-devices --face 500000.00"
        " --maturity 2027-05-31 --documents DOCUMENT:500000.00 --programme harbour-tours/season"
        " --issue-line issue:bank-1:harbour-tours --clearing-bank bank-1 --promise 'letter 1'",
        {
            "payee": Option("first payee", organisation),
            "currency": CURRENCY,
            "face": Option("face amount", amount),
            "maturity": Option("agreed day of payment (rolled to a working day)", day),
            "promise": Option(
                "text or number of the promise letter: unconditional, irrevocable, waiving"
                " set-off and defences, consenting to notice by transfer",
                hash_of("promise"),
            ),
            "documents": Option("DOCUMENT:AMOUNT, may be repeated", document_use, many=True),
            "programme": Option("programme: OWNER/LABEL", of_kind(r.Kind.PROGRAMME)),
            "issue_line": Option("ISSUE line to use", line),
            "clearing_bank": Option("bank that will pay the holders", organisation),
        },
        _with_promise,
    ),
    "voucher claim": CommandEntry(
        c.VoucherClaim,
        "Accept a voucher as its payee; it becomes transferable and financeable.",
        "tally voucher claim --as gate-devices --voucher harbour-tours/v1",
        {
            "voucher": VOUCHER,
            "consent": Option("consent to be paid by voucher: yes", yes_no, "yes"),
        },
    ),
    "voucher reject": CommandEntry(
        c.VoucherReject,
        "Refuse a voucher as its payee.",
        "tally voucher reject --as gate-devices --voucher harbour-tours/v1",
        {"voucher": VOUCHER},
    ),
    "voucher withdraw": CommandEntry(
        c.VoucherWithdraw,
        "Take back a voucher that was not claimed.",
        "tally voucher withdraw --as harbour-tours --voucher harbour-tours/v1",
        {"voucher": VOUCHER},
    ),
    "voucher cancel": CommandEntry(
        c.VoucherCancel,
        "Cancel a claimed voucher that is still whole (joint: core and sole holder).",
        "tally voucher cancel --as harbour-tours --voucher harbour-tours/v1",
        {"voucher": VOUCHER},
    ),
    "voucher reduce": CommandEntry(
        c.VoucherReduce,
        "Cancel the tail of the first payee's lot after a credit note (joint: core and first payee).",
        "tally voucher reduce --as gate-devices --voucher harbour-tours/v1"
        " --documents DOCUMENT:20000.00",
        LOT
        | {
            "documents": Option(
                "DOCUMENT:AMOUNT that it backs less, may be repeated", document_use, many=True
            )
        },
    ),
    "voucher extend": CommandEntry(
        c.VoucherExtend,
        "Move a voucher's maturity (joint: core, every holder, lien holder and guarantor).",
        "tally voucher extend --as harbour-tours --voucher harbour-tours/v1 --maturity 2027-06-30"
        " --consenting gate-devices --consenting corner-parts",
        {
            "voucher": VOUCHER,
            "maturity": Option("agreed new day of payment (rolled to a working day)", day),
            "consenting": Option(
                "holder, lien holder or guarantor, may be repeated", organisation, many=True
            ),
        },
        _sorted_ids("consenting"),
    ),
    "voucher review": CommandEntry(
        c.VoucherReview,
        "Mark a voucher of long tenor as reviewed by your bank.",
        "tally voucher review --as bank-2 --voucher harbour-tours/v1",
        {"voucher": VOUCHER},
    ),
    "voucher suspend": CommandEntry(
        c.VoucherSuspend,
        "Stop transfer and financing of a voucher, as regulator or court agent.",
        "tally voucher suspend --as regulator --voucher harbour-tours/v1",
        {"voucher": VOUCHER},
    ),
    "voucher resume": CommandEntry(
        c.VoucherResume,
        "End a suspension, as the authority that ordered it.",
        "tally voucher resume --as regulator --voucher harbour-tours/v1",
        {"voucher": VOUCHER},
    ),
    "lot transfer": CommandEntry(
        c.LotTransfer,
        "Pass parts of a lot on; the first piece takes the tail.",
        "tally lot transfer --as gate-devices --voucher harbour-tours/v1"
        " --pieces corner-parts:30000.00",
        LOT | {"pieces": Option("RECEIVER:AMOUNT, may be repeated", piece, many=True)},
    ),
    "lot accept": CommandEntry(
        c.LotAccept,
        "Accept a pending transfer.",
        "tally lot accept --as corner-parts --voucher harbour-tours/v1 --start 0",
        LOT,
    ),
    "lot decline": CommandEntry(
        c.LotDecline,
        "Decline a pending transfer.",
        "tally lot decline --as corner-parts --voucher harbour-tours/v1 --start 0",
        LOT,
    ),
    "lot recall": CommandEntry(
        c.LotRecall,
        "Take a pending transfer back as its sender.",
        "tally lot recall --as gate-devices --voucher harbour-tours/v1 --start 0",
        LOT,
    ),
    "lot flag-set": CommandEntry(
        c.LotFlagSet,
        "Set or clear the agreement not to transfer a lot.",
        "tally lot flag-set --as gate-devices --voucher harbour-tours/v1 --no-transfer yes",
        LOT | {"no_transfer": Option("yes or no", yes_no)},
    ),
    "lot merge": CommandEntry(
        c.LotMerge,
        "Join a lot with its equal neighbours.",
        "tally lot merge --as gate-devices --voucher harbour-tours/v1",
        LOT,
    ),
    "offer create": CommandEntry(
        c.OfferCreate,
        "Offer financing on standing terms.",
        "tally offer create --as bank-2 --label quick --kind sale --grid 365:4.35%"
        " --draw-max 1000000.00 --total-cap 50000000.00 --valid-from 2027-01-01"
        " --valid-to 2027-12-31",
        {
            "kind": Option(
                "sale, loan-recourse, loan-pledge, early-pay", member_of(r.FinancingKind)
            ),
            "currency": CURRENCY,
            "debtors": Option("only vouchers of these debtors", organisation, many=True),
            "programmes": Option("only these programmes", of_kind(r.Kind.PROGRAMME), many=True),
            "grid": Option("DAYS:RATE[:ADVANCE], ascending, may be repeated", rate_band, many=True),
            "basis": Option("360 or 365", number, "360"),
            "draw_min": Option("smallest draw", amount, "0.01"),
            "draw_max": Option("largest draw", amount),
            "organisation_cap": Option("largest sum per drawer, 0: none", amount, "0"),
            "total_cap": Option("largest sum of all draws", amount),
            "valid_from": VALID_FROM,
            "valid_to": VALID_TO,
            "lines_required": Option(
                "lines a draw must fit in: debtor-exposure,borrower", members_of(r.LineKind), ""
            ),
        },
        _sorted_ids("debtors", "programmes"),
    ),
    "offer revoke": CommandEntry(
        c.OfferRevoke,
        "Close an offer; accepted draws stand.",
        "tally offer revoke --as bank-2 --offer bank-2/quick",
        {"offer": Option("offer: OWNER/LABEL", of_kind(r.Kind.OFFER))},
    ),
    "financing draw": CommandEntry(
        c.FinancingDraw,
        "Get cash for the tail of a lot, at once, from an offer or from the best source.",
        "tally financing draw --as corner-parts --label d1 --offer bank-2/quick"
        " --voucher harbour-tours/v1 --amount 1.00 --payee corner-parts/main --purpose payroll",
        {
            "offer": Option(
                "OWNER/LABEL, or auto for the best source",
                lambda reading, text: (
                    None if text == "auto" else reading.book.record(r.Kind.OFFER, text)
                ),
                "auto",
            ),
            **LOT,
            "amount": Option("face amount to sell or pledge", amount),
            "payee": Option("your verified account: OWNER/LABEL", of_kind(r.Kind.ACCOUNT)),
            "purpose": Option("use of proceeds", member_of(r.Purpose)),
        },
    ),
    "financing payout-confirm": CommandEntry(
        c.PayoutConfirm,
        "Confirm as the paying bank that the money was sent.",
        "tally financing payout-confirm --as bank-2 --instruction ID --amount 0.99"
        " --receipt-commitment R-1001",
        {
            "instruction": INSTRUCTION,
            "amount": Option("amount paid", amount),
            "receipt_commitment": RECEIPT,
        },
    ),
    "financing payout-fail": CommandEntry(
        c.PayoutFail,
        "Report that a pay-out failed; the draw is undone.",
        "tally financing payout-fail --as bank-2 --instruction ID",
        {"instruction": INSTRUCTION},
    ),
    "financing repay": CommandEntry(
        c.FinancingRepay,
        "Announce the repayment of a loan.",
        "tally financing repay --as corner-parts --financing corner-parts/d1 --amount 100.00",
        {
            "financing": Option("financing: OWNER/LABEL", of_kind(r.Kind.FINANCING)),
            "amount": Option("amount", amount),
        },
    ),
    "financing repay-confirm": CommandEntry(
        c.RepayConfirm,
        "Confirm as the bank that a repayment arrived.",
        "tally financing repay-confirm --as bank-2 --instruction ID --amount 100.00"
        " --receipt-commitment R-1002",
        {
            "instruction": INSTRUCTION,
            "amount": Option("amount", amount),
            "receipt_commitment": RECEIPT,
        },
    ),
    "instruction send": CommandEntry(
        c.InstructionSend,
        "Mark an instruction as sent to the payment system.",
        "tally instruction send --as bank-2 --instruction ID",
        {"instruction": INSTRUCTION},
    ),
    "settlement funds-received": CommandEntry(
        c.FundsReceived,
        "Report as the clearing bank that the debtor's money arrived.",
        "tally settlement funds-received --as bank-1 --voucher harbour-tours/v1"
        " --face-part 500000.00 --receipt-commitment F-1",
        {
            "voucher": VOUCHER,
            "face_part": Option("money for the face", amount),
            "penalty_part": Option("money for the penalty", amount, "0"),
            "receipt_commitment": RECEIPT,
        },
    ),
    "settlement paid": CommandEntry(
        c.SettlementPaid,
        "Confirm as the clearing bank that a holder was paid.",
        "tally settlement paid --as bank-1 --instruction ID --amount 30000.00"
        " --receipt-commitment P-1",
        {
            "instruction": INSTRUCTION,
            "amount": Option("amount paid", amount),
            "receipt_commitment": RECEIPT,
        },
    ),
    "settlement failed": CommandEntry(
        c.SettlementFailed,
        "Report that paying a holder failed.",
        "tally settlement failed --as bank-1 --instruction ID",
        {"instruction": INSTRUCTION},
    ),
    "settlement escrow": CommandEntry(
        c.SettlementEscrow,
        "Confirm as the clearing bank that a frozen holder's share was paid into escrow.",
        "tally settlement escrow --as bank-1 --instruction ID --amount 10000.00"
        " --receipt-commitment E-1",
        {
            "instruction": INSTRUCTION,
            "amount": Option("amount paid", amount),
            "receipt_commitment": RECEIPT,
        },
    ),
    "settlement write-off": CommandEntry(
        c.SettlementWriteOff,
        "Write off your lots of a voucher in default.",
        "tally settlement write-off --as corner-parts --voucher harbour-tours/v1",
        {"voucher": VOUCHER},
    ),
    "freeze order": CommandEntry(
        c.FreezeOrder,
        "Freeze ranges, or all that an organisation holds, as court agent or regulator.",
        "tally freeze order --as court --label case-7 --organisation corner-parts"
        " --case-commitment '(2027) 7' --parts harbour-tours/v1:0:10000.00 --expires 2027-12-31",
        {
            "organisation": Option("whose assets", organisation),
            "case_commitment": CASE,
            "parts": Option(
                "VOUCHER:START:AMOUNT, the tail of the lot at START, or with :exact the range from"
                " START on; may be repeated; none: all it holds",
                frozen_part,
                many=True,
            ),
            "expires": Option("last day in force", day),
        },
    ),
    "freeze extend": CommandEntry(
        c.FreezeExtend,
        "Extend a freeze, as the authority that ordered it.",
        "tally freeze extend --as court --freeze court/case-7 --expires 2028-06-30",
        {"freeze": FREEZE, "expires": Option("last day in force", day)},
    ),
    "freeze lift": CommandEntry(
        c.FreezeLift,
        "Lift a freeze, as the authority that ordered it.",
        "tally freeze lift --as court --freeze court/case-7",
        {"freeze": FREEZE},
    ),
    "freeze force-transfer": CommandEntry(
        c.ForceTransfer,
        "Give a frozen range to a new holder, as court agent.",
        "tally freeze force-transfer --as court --voucher harbour-tours/v1 --start 0 --end 1000000"
        " --receiver gate-devices --case-commitment '(2027) 7'",
        {
            "voucher": VOUCHER,
            "start": Option("first fen of the range", number),
            "end": Option("fen after its last", number),
            "receiver": Option("new holder", organisation),
            "case_commitment": CASE,
        },
    ),
    "dispute open": CommandEntry(
        c.DisputeOpen,
        "Dispute ranges of a voucher, as their holder or as the debtor.",
        "tally dispute open --as harbour-tours --label d-1 --voucher harbour-tours/v1"
        " --ranges 0:1000000 --reason-commitment 'goods returned'",
        {
            "voucher": VOUCHER,
            "ranges": Option("START:END in fen, may be repeated", disputed_range, many=True),
            "reason_commitment": Option("reason (kept as commitment)", hash_of("reason")),
        },
    ),
    "dispute resolve": CommandEntry(
        c.DisputeResolve,
        "End a dispute (joint: core and holders; or a court agent).",
        "tally dispute resolve --as harbour-tours --dispute harbour-tours/d-1",
        {"dispute": Option("dispute: OWNER/LABEL", of_kind(r.Kind.DISPUTE))},
    ),
}
"""Commands whose values fit options. Those that make keys or read files (`organisation register`,
`organisation policy`, `key add`, `key rotate`, `document register`, ...) have modules of their own."""
