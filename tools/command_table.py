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
from tallynet.names import commitment
from tools.arguments import (
    UsageError,
    parse_amount,
    parse_day,
    parse_hex_id,
    parse_rate,
    parse_ratio,
)
from tools.records_by_name import AddressBook


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


def ratio(_reading: Reading, text: str) -> int:
    return parse_ratio(text)


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


def names(_reading: Reading, text: str) -> tuple[str, ...]:
    """Names separated by commas, as a sorted tuple."""
    return tuple(sorted({part for part in text.split(",") if part}))


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


def net_leg(reading: Reading, text: str) -> c.NetLeg:
    voucher, start, face = _split(text, "VOUCHER:START:AMOUNT", 3, 3)
    return c.NetLeg(
        reading.book.record(r.Kind.VOUCHER, voucher),
        number(reading, start),
        amount(reading, face),
    )


def disputed_range(reading: Reading, text: str) -> c.DisputedRange:
    start, end = _split(text, "START:END", 2, 2)
    return c.DisputedRange(number(reading, start), number(reading, end))


def rate_band(_reading: Reading, text: str) -> r.RateBand:
    parts = _split(text, "DAYS:RATE or DAYS:RATE:ADVANCE, e.g. 180:4.35%:80%", 2, 3)
    advance = parse_ratio(parts[2]) if len(parts) == 3 else 10_000
    return r.RateBand(number(_reading, parts[0]), parse_rate(parts[1]), advance)


def bank_share(reading: Reading, text: str) -> r.BackstopShare:
    name, share = _split(text, "BANK:SHARE, e.g. bank-1:60%", 2, 2)
    return r.BackstopShare(reading.book.organisation(name), parse_ratio(share))


def triggers(_reading: Reading, text: str) -> int:
    values = {"overdue": r.TRIGGER_OVERDUE, "distress": r.TRIGGER_DISTRESS}
    words = set(text.split(","))
    if not words <= set(values):
        raise UsageError("USAGE", f"{text!r}: write overdue, distress or overdue,distress")
    return sum(values[word] for word in values if word in words)


def guarantee_cover(reading: Reading, text: str) -> tuple[r.GuaranteeScope, bytes]:
    word, _, name = text.partition(":")
    scope = r.GuaranteeScope.__members__.get(word.upper())
    if scope is None:
        raise UsageError("USAGE", f"{text!r}: write voucher:NAME, programme:NAME or debtor:NAME")
    if scope is r.GuaranteeScope.DEBTOR:
        return scope, reading.book.organisation(name)
    return scope, reading.book.record(r.Kind[scope.name], name)


def unless_none(kind: r.Kind) -> Reader:
    """A record by its name, or none."""
    one = of_kind(kind)
    return lambda reading, text: None if text == "none" else one(reading, text)


def id_or_none(_reading: Reading, text: str) -> bytes | None:
    if text == "none":
        return None
    id = parse_hex_id(text)
    if id is None:
        raise UsageError("USAGE", f"{text!r} is no id: 32 hexadecimal digits are needed")
    return id


def policy_rule(reading: Reading, text: str) -> r.PolicyRule:
    of_class, least, roles, persons = _split(text, "CLASS:FROM:ROLES:PERSONS", 4, 4)
    return r.PolicyRule(
        member_of(r.CommandClass)(reading, of_class),
        0 if least == "0" else amount(reading, least),
        members_of(r.Role)(reading, roles.replace("+", ",")),
        number(reading, persons),
    )


def batch_draw(reading: Reading, text: str) -> c.BatchDraw:
    purpose, value = _split(text, "PURPOSE:AMOUNT", 2, 2)
    return c.BatchDraw(amount(reading, value), member_of(r.Purpose)(reading, purpose))


def calendar_entry(_reading: Reading, text: str) -> r.CalendarEntry:
    when, what = _split(text, "DAY:holiday or DAY:working", 2, 2)
    if what not in ("holiday", "working"):
        raise UsageError("USAGE", f"{text!r}: the day is either holiday or working")
    return r.CalendarEntry(parse_day(when), what == "working")


def seasonal_window(reading: Reading, text: str) -> r.SeasonalWindow:
    first, last, more = _split(text, "FIRST:LAST:AMOUNT", 3, 3)
    return r.SeasonalWindow(parse_day(first), parse_day(last), amount(reading, more))


def programme_or_network(reading: Reading, text: str) -> bytes | None:
    return None if text == "network" else reading.book.record(r.Kind.PROGRAMME, text)


def pool(reading: Reading, text: str) -> bytes:
    return reading.book.pool(text)


def fee_terms(reading: Reading, text: str) -> r.FeeTerms:
    form = "DAY:RATIO:MINIMUM:FREE_BELOW[:DEBTOR_SHARE], e.g. 2027-03-01:0.05%:1.00:100.00:50%"
    parts = _split(text, form, 4, 5)
    amounts = amount(reading, parts[2]), amount(reading, parts[3])
    share = parse_ratio(parts[4]) if len(parts) == 5 else 0
    return r.FeeTerms(parse_day(parts[0]), parse_ratio(parts[1]), *amounts, share)


def waiver_scope(reading: Reading, text: str) -> tuple[r.WaiverScope, bytes]:
    name, value = _split(text, "drawer|industry|region|size|debtor:VALUE", 2, 2)
    scope: r.WaiverScope = member_of(r.WaiverScope)(reading, name)
    if scope in (r.WaiverScope.DRAWER, r.WaiverScope.DEBTOR):
        return scope, reading.book.organisation(value)
    if scope is r.WaiverScope.SIZE:
        return scope, bytes((member_of(r.Size)(reading, value),))
    return scope, value.encode()


# --- common options -------------------------------------------------------------------------------

VOUCHER: Final = Option("voucher: OWNER/LABEL", of_kind(r.Kind.VOUCHER))
START: Final = Option("start of the lot in fen (see `tally voucher show`)", number, "0")
CURRENCY: Final = Option("ISO 4217 code", plain_text, "CNY")
INSTRUCTION: Final = Option(
    "instruction: hexadecimal id from the receipt", of_kind(r.Kind.INSTRUCTION)
)
RECEIPT: Final = Option("the bank's receipt number", hash_of("receipt"))
PAYEE: Final = Option(
    "verified account: OWNER/LABEL; yours, or for large draws that of whom you pay",
    of_kind(r.Kind.ACCOUNT),
)
PURPOSE: Final = Option("use of proceeds", member_of(r.Purpose))
FINANCING: Final = Option("financing: OWNER/LABEL", of_kind(r.Kind.FINANCING))
REQUEST: Final = Option("request: OWNER/LABEL", of_kind(r.Kind.FINANCING_REQUEST))
LINE: Final = Option("line: KIND:GRANTOR:OBLIGOR", line)
VALID_FROM: Final = Option("first day", day)
VALID_TO: Final = Option("last day", day)
SEASONAL: Final = Option(
    "FIRST:LAST:AMOUNT, so much more between two days, may be repeated", seasonal_window, many=True
)
POOL: Final = Option("fund pool: KIND:FUNDER:AGENT", pool)
DOCUMENT: Final = Option("document: OWNER/LABEL or id", of_kind(r.Kind.DOCUMENT))
ORGANISATION: Final = Option("organisation: wallet name or id", organisation)
LOT: Final = {"voucher": VOUCHER, "start": START}
REDISCOUNT: Final = Option("rediscount: SELLER/LABEL", of_kind(r.Kind.FINANCING))
BACKSTOP: Final = Option("backstop: hexadecimal id from the receipt", of_kind(r.Kind.BACKSTOP))
GUARANTEE: Final = Option("guarantee: OWNER/LABEL", of_kind(r.Kind.GUARANTEE))
STORED: Final = Option("receipt: ISSUER/LABEL", of_kind(r.Kind.WAREHOUSE_RECEIPT))
PREPAYMENT: Final = Option("prepayment: DISTRIBUTOR/LABEL", of_kind(r.Kind.PREPAYMENT))
PREPAID: Final = Option("prepayment loan: BANK/LABEL", of_kind(r.Kind.FINANCING))
SKU: Final = Option("kind of goods", plain_text)
UNIT: Final = Option("unit they are counted in", plain_text)
LOCATION: Final = Option("place in the warehouse", plain_text)
QUANTITY: Final = Option("number of units", number)
UNIT_VALUE: Final = Option("value of one unit", amount)
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
    "visibility": Option(
        "what the debtor's side sees: full: every holder; tier1: what was not passed on; consent: nothing",
        member_of(r.Visibility),
        "tier1",
    ),
    "document_required_on_transfer": Option("transfers need an own document", yes_no, "no"),
    "penalty_ppm_day": Option("penalty per day, e.g. 0.05%", rate, "0.05%"),
    "funding_order": Option("offers that AUTO draws try first", of_kind(r.Kind.OFFER), many=True),
    "open_to_all": Option("every registered organisation counts as member", yes_no, "yes"),
    "policy_minimum": Option(
        "who must sign at least, CLASS:FROM:ROLES:PERSONS, e.g. issue:1000000.00:maker+checker:2;"
        " classes: issue, claim, voucher, lot, draw",
        policy_rule,
        many=True,
    ),
    "price_mode": Option(
        "open; sealed: quotes to buy are known to their two sides only",
        member_of(r.PriceMode),
        "open",
    ),
}


def _with_rules(values: dict[str, Any]) -> dict[str, Any]:
    minimum = values["policy_minimum"]
    values["policy_minimum"] = tuple(
        sorted(minimum, key=lambda rule: (rule.command_class, rule.amount_from))
    )
    rules = c.ProgrammeRules(**{name: values.pop(name) for name in _RULES})
    return values | {"rules": rules}


def _with_promise(values: dict[str, Any]) -> dict[str, Any]:
    promise = r.Promise(values.pop("promise"), True, True, True)
    return values | {"promise": promise}


def _with_scope(values: dict[str, Any]) -> dict[str, Any]:
    scope, covered = values["covered"]
    return values | {"scope": scope, "covered": covered}


def _sorted_ids(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda values: values | {name: tuple(sorted(values[name])) for name in names}


def _sorted_legs(values: dict[str, Any]) -> dict[str, Any]:
    return values | {
        "legs": tuple(sorted(values["legs"], key=lambda leg: (leg.voucher, leg.start)))
    }


def _with_waiver_scope(values: dict[str, Any]) -> dict[str, Any]:
    scope, value = values["scope"]
    return values | {"scope": scope, "value": value}


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
    "validator remove": CommandEntry(
        c.ValidatorRemove,
        "End a bank's part in the validator set; its other records stay (bank quorum).",
        "tally validator remove --as bank-1 --organisation bank-4",
        {"organisation": Option("bank: wallet name or id", organisation)},
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
    "branch status": CommandEntry(
        c.BranchStatusSet,
        "Open, restrict or close a branch, as its parent, its sponsor or an oracle.",
        "tally branch status --as bank-1 --branch harbour-kiosk --status closed",
        {
            "branch": Option("branch: wallet name or id", organisation),
            "status": Option(
                "open; restricted: no new issue; closed: neither issue nor draw",
                member_of(r.BranchStatus),
            ),
        },
    ),
    "recovery cancel": CommandEntry(
        c.RecoverCancel,
        "Stop the recovery of the acting organisation: it has not lost its keys.",
        "tally recovery cancel --as harbour-tours --sign-as maker:maker",
        {},
    ),
    "issuer block": CommandEntry(
        c.IssuerBlock,
        "Stop new issue by a debtor (a regulator, or f + 1 banks).",
        "tally issuer block --as bank-1 --organisation harbour-tours",
        {"organisation": ORGANISATION},
    ),
    "issuer unblock": CommandEntry(
        c.IssuerUnblock,
        "Lift a manual issuer block (a regulator, or f + 1 banks).",
        "tally issuer unblock --as bank-1 --organisation harbour-tours",
        {"organisation": ORGANISATION},
    ),
    "distress open": CommandEntry(
        c.DistressOpen,
        "Declare a difficulty of regions or industries for some time (a regulator, or f + 1 banks).",
        "tally distress open --as bank-1 --label flood --regions coast --industries tourism"
        " --from-day 2027-07-01 --to-day 2027-09-30",
        {
            "regions": Option("regions, separated by commas; none: every region", names, ""),
            "industries": Option(
                "industries, separated by commas; none: every industry", names, ""
            ),
            "from_day": Option("first day, also in the past", day),
            "to_day": Option("last day", day),
        },
    ),
    "distress close": CommandEntry(
        c.DistressClose,
        "End a distress event before its last day (a regulator, or f + 1 banks).",
        "tally distress close --as bank-1 --event ID",
        {
            "event": Option(
                "event: OWNER/LABEL of a regulator, or the id from the receipt",
                of_kind(r.Kind.DISTRESS_EVENT),
            )
        },
    ),
    "distress declare": CommandEntry(
        c.DistressDeclare,
        "Declare the acting core's own difficulty; new issue is blocked.",
        "tally distress declare --as harbour-tours",
        {},
    ),
    "distress end": CommandEntry(
        c.DistressEnd,
        "End the acting core's declared difficulty.",
        "tally distress end --as harbour-tours",
        {},
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
            "seasonal": SEASONAL,
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
            "seasonal": SEASONAL,
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
    "line allocate": CommandEntry(
        c.LineAllocate,
        "Allocate part of the core's ISSUE lines to a supplier.",
        "tally line allocate --as harbour-tours --supplier gate-devices --granted 100000.00"
        " --valid-from 2027-01-01 --valid-to 2028-12-31",
        {
            "supplier": Option("to whom", organisation),
            "currency": CURRENCY,
            "granted": Option("face that it may finance on the core", amount),
            "valid_from": VALID_FROM,
            "valid_to": VALID_TO,
        },
    ),
    "fee set": CommandEntry(
        c.FeeScheduleSet,
        "Set the platform fee of the network or of a programme from a day on.",
        "tally fee set --as harbour-tours --programme harbour-tours/season"
        " --terms 2027-03-01:0.05%:1.00:100.00:50%",
        {
            "programme": Option("OWNER/LABEL, or network", programme_or_network, "network"),
            "terms": Option("DAY:RATIO:MINIMUM:FREE_BELOW[:DEBTOR_SHARE]", fee_terms),
        },
    ),
    "waiver grant": CommandEntry(
        c.WaiverGrant,
        "Waive, reduce or defer a fee for an enterprise, industry, region or size.",
        "tally waiver grant --as harbour-tours --label w1 --programme harbour-tours/season"
        " --scope region:coast --kind reduce --bps 3333 --valid-from 2027-03-01"
        " --valid-to 2027-12-31",
        {
            "programme": Option("OWNER/LABEL, or network", programme_or_network, "network"),
            "scope": Option("drawer, industry, region, size or debtor, then :VALUE", waiver_scope),
            "kind": Option("exempt, reduce, defer", member_of(r.WaiverKind)),
            "bps": Option("reduce: the part waived, in hundredths of a percent", number, "0"),
            "days": Option("defer: days after the draw", number, "0"),
            "valid_from": VALID_FROM,
            "valid_to": VALID_TO,
            "cap_total": Option("largest sum waived, 0: none", amount, "0"),
        },
        _with_waiver_scope,
    ),
    "waiver revoke": CommandEntry(
        c.WaiverRevoke,
        "End a waiver; accepted draws keep it.",
        "tally waiver revoke --as harbour-tours --waiver harbour-tours/w1",
        {"waiver": Option("waiver: OWNER/LABEL", of_kind(r.Kind.WAIVER))},
    ),
    "fund commit": CommandEntry(
        c.FundCommit,
        "Set money aside for a fund pool, as funder and agent bank together.",
        "tally fund commit --as harbour-tours --funder harbour-tours --agent-bank bank-1"
        " --kind early-pay --amount 5000000.00 --terms HEX",
        {
            "funder": Option("whose money it is", organisation),
            "agent_bank": Option("bank that keeps and pays it", organisation),
            "kind": Option("early-pay, entrusted-loan", member_of(r.PoolKind)),
            "currency": CURRENCY,
            "amount": Option("amount added", amount),
            "terms": Option("hash of the agency agreement, 64 hexadecimal digits", digest),
        },
    ),
    "fund withdraw": CommandEntry(
        c.FundWithdraw,
        "Take unpromised money out of a fund pool, as funder and agent bank together.",
        "tally fund withdraw --as harbour-tours --pool early-pay:harbour-tours:bank-1"
        " --amount 100.00",
        {"pool": POOL, "amount": Option("amount", amount)},
    ),
    "document attest": CommandEntry(
        c.DocumentAttest,
        "Attest as oracle, bank or counterparty what a document says.",
        "tally document attest --as bank-1 --document gate-devices/inv-1 --kind invoice-genuine",
        {
            "document": DOCUMENT,
            "kind": Option(
                "invoice-genuine, goods-received, contract-sealed", member_of(r.AttestationKind)
            ),
        },
    ),
    "document void": CommandEntry(
        c.DocumentVoid,
        "Declare a document void, as oracle, or owner and debtor together.",
        "tally document void --as gate-devices --document gate-devices/inv-1",
        {"document": DOCUMENT},
    ),
    "flow anchor": CommandEntry(
        c.FlowAnchorPublish,
        "Anchor the totals of the business records of a period.",
        "tally flow anchor --as harbour-tours --stream bookings --day 2027-03-01 --count 1200"
        " --sum 140000.00 --records-root HEX",
        {
            "stream": Option("name of the stream", plain_text),
            "day": Option("business date of the records", day),
            "from_second": Option("first second of the period in its day", number, "0"),
            "to_second": Option("second after its last; 86400 completes the day", number, "86400"),
            "count": Option("number of records", number),
            "sum": Option("their sum", amount),
            "records_root": Option("root over the records, 64 hexadecimal digits", digest),
        },
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
            "registration_required": Option("pay out only after registration", yes_no, "no"),
            "automatic": Option("no: a draw becomes a request for your quote", yes_no, "yes"),
            "stop_on_flow_collapse": Option(
                "no draws while the debtor's business flow has collapsed", yes_no, "no"
            ),
            "source": Option(
                "fund pool KIND:FUNDER:AGENT, or own for the funder's own money",
                lambda reading, text: None if text == "own" else pool(reading, text),
                "own",
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
            "payee": PAYEE,
            "purpose": PURPOSE,
        },
    ),
    "financing draw-batch": CommandEntry(
        c.FinancingDrawBatch,
        "Make many small draws from one lot under one offer, with one pay-out.",
        "tally financing draw-batch --as corner-parts --label week-9 --offer bank-2/quick"
        " --voucher harbour-tours/v1 --draws payroll:300.00 --draws rent:120.00"
        " --payee corner-parts/main",
        {
            "offer": Option("offer: OWNER/LABEL", of_kind(r.Kind.OFFER)),
            **LOT,
            "draws": Option("PURPOSE:AMOUNT, may be repeated", batch_draw, many=True),
            "payee": PAYEE,
        },
    ),
    "financing request": CommandEntry(
        c.FinancingRequestOpen,
        "Ask funders for quotes; the range stays locked for some days.",
        "tally financing request --as corner-parts --label r1 --voucher harbour-tours/v1"
        " --amount 80000.00 --payee corner-parts/main --purpose goods --funders bank-2"
        " --funders bank-3",
        {
            **LOT,
            "amount": Option("face amount to sell or pledge", amount),
            "payee": PAYEE,
            "purpose": PURPOSE,
            "funders": Option("whom to ask, may be repeated", organisation, many=True),
        },
        _sorted_ids("funders"),
    ),
    "financing quote": CommandEntry(
        c.FinancingQuote,
        "Answer a request with firm terms, once.",
        "tally financing quote --as bank-2 --request corner-parts/r1 --amount 80000.00"
        " --kind sale --rate-ppm 4.10% --valid-to 2027-03-03",
        {
            "request": REQUEST,
            "amount": Option("face amount of the request", amount),
            "kind": Option(
                "sale, loan-recourse, loan-pledge, early-pay", member_of(r.FinancingKind)
            ),
            "rate_ppm": Option("rate per year", rate),
            "basis": Option("360 or 365", number, "360"),
            "advance_bps": Option("loans: principal per face", ratio, "100%"),
            "lines": Option(
                "lines it must fit in: debtor-exposure,borrower", members_of(r.LineKind), ""
            ),
            "registration_required": Option("pay out only after registration", yes_no, "no"),
            "valid_to": Option("last day on which it can be accepted", day),
        },
    ),
    "financing accept": CommandEntry(
        c.FinancingAccept,
        "Take a quote: the request becomes a draw.",
        "tally financing accept --as corner-parts --label d2 --request corner-parts/r1"
        " --funder bank-2",
        {"request": REQUEST, "funder": Option("whose quote", organisation)},
    ),
    "financing cancel": CommandEntry(
        c.FinancingCancel,
        "Take a request for quotes back.",
        "tally financing cancel --as corner-parts --request corner-parts/r1",
        {"request": REQUEST},
    ),
    "financing registration-record": CommandEntry(
        c.RegistrationRecord,
        "Record that a financing is entered in the national registry.",
        "tally financing registration-record --as bank-2 --financing corner-parts/d1"
        " --number-commitment 'entry 0417 2208' --day 2027-03-01 --expiry 2028-03-01",
        {
            "financing": FINANCING,
            "number_commitment": Option(
                "registry number (kept as commitment)", hash_of("registration")
            ),
            "day": Option("day of the entry", day),
            "expiry": Option("last day on which it counts", day),
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
            "financing": FINANCING,
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
    "financing recourse-claim": CommandEntry(
        c.RecourseClaim,
        "Claim a range back from the borrower of a recourse loan.",
        "tally financing recourse-claim --as bank-2 --financing corner-parts/d1",
        {
            "financing": FINANCING,
            "contract_event": Option(
                "text or number of the proof of an event that the contract names (kept as"
                " commitment); none: the voucher is overdue",
                lambda reading, text: (
                    None if text == "none" else commitment("contract", reading.acting, text)
                ),
                "none",
            ),
        },
    ),
    "financing recourse-repurchase": CommandEntry(
        c.RecourseRepurchase,
        "Announce as the borrower that you pay for a range that was claimed back.",
        "tally financing recourse-repurchase --as corner-parts --financing corner-parts/d1",
        {"financing": FINANCING},
    ),
    "financing enforce": CommandEntry(
        c.FinancingEnforce,
        "Take over the pledged range of a loan that was not repaid.",
        "tally financing enforce --as bank-2 --financing corner-parts/d1",
        {"financing": FINANCING},
    ),
    "financing write-off": CommandEntry(
        c.FinancingWriteOff,
        "Mark an unpaid loan as a loss; it stays payable.",
        "tally financing write-off --as bank-2 --financing corner-parts/d1",
        {"financing": FINANCING},
    ),
    "instruction confirm": CommandEntry(
        c.InstructionConfirm,
        "Confirm that a fee, refund, surplus or penalty was paid.",
        "tally instruction confirm --as bank-1 --instruction ID --amount 120.00"
        " --receipt-commitment P-7",
        {
            "instruction": INSTRUCTION,
            "amount": Option("amount paid", amount),
            "receipt_commitment": RECEIPT,
        },
    ),
    "instruction fail": CommandEntry(
        c.InstructionFail,
        "Report that a fee, refund, surplus or penalty could not be paid, or a repayment did not come.",
        "tally instruction fail --as bank-1 --instruction ID",
        {"instruction": INSTRUCTION},
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
    "settlement net": CommandEntry(
        c.SettlementNet,
        "Settle by exchange what is due on one day (joint: every debtor and holder of the legs).",
        "tally settlement net --as harbour-tours --legs harbour-tours/v1:0:30000.00"
        " --legs bay-hotels/v4:0:30000.00",
        {
            "legs": Option(
                "VOUCHER:START:AMOUNT, the tail of the lot at START, may be repeated",
                net_leg,
                many=True,
            )
        },
        _sorted_legs,
    ),
    "reconciliation attest": CommandEntry(
        c.ReconciliationAttest,
        "Say as a bank what your books have for an anchored day of a debtor.",
        "tally reconciliation attest --as bank-1 --debtor harbour-tours --day 2027-03-01 --count 1"
        " --sum 500000.00",
        {
            "debtor": Option("debtor", organisation),
            "currency": CURRENCY,
            "day": Option("day whose end the figures are of", day),
            "count": Option("vouchers with something left to pay", number),
            "sum": Option("what is left to pay of them", amount),
        },
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
    "financing rediscount-offer": CommandEntry(
        c.RediscountOffer,
        "Offer a bought range, or its tail, to another bank.",
        "tally financing rediscount-offer --as bank-2 --label r1 --voucher harbour-tours/v1 --amount 10000.00"
        " --buyer bank-3 --price 9950.00",
        LOT
        | {
            "amount": Option("face to sell on", amount),
            "buyer": Option("buying bank", organisation),
            "price": Option("agreed price", amount),
        },
    ),
    "financing rediscount-accept": CommandEntry(
        c.RediscountAccept,
        "Accept a rediscount as the buying bank.",
        "tally financing rediscount-accept --as bank-3 --financing bank-2/r1 --price 9950.00",
        {"financing": REDISCOUNT, "price": Option("price, as offered", amount)},
    ),
    "financing rediscount-confirm": CommandEntry(
        c.RediscountConfirm,
        "Confirm as the selling bank that the price arrived.",
        "tally financing rediscount-confirm --as bank-2 --financing bank-2/r1 --amount 9950.00"
        " --receipt-commitment R-2001",
        {
            "financing": REDISCOUNT,
            "amount": Option("amount received", amount),
            "receipt_commitment": RECEIPT,
        },
    ),
    "financing rediscount-cancel": CommandEntry(
        c.RediscountCancel,
        "Call a rediscount off before it is paid.",
        "tally financing rediscount-cancel --as bank-2 --financing bank-2/r1",
        {"financing": REDISCOUNT},
    ),
    "backstop create": CommandEntry(
        c.BackstopCreate,
        "Agree on a pool that lends in distress (all member banks).",
        "tally backstop create --as bank-1 --banks bank-1:60% --banks bank-2:40%"
        " --lead-bank bank-1 --debtors harbour-tours --cap 1000000.00 --advance-bps 80%"
        " --rate-ppm 3% --triggers overdue,distress",
        {
            "banks": Option("BANK:SHARE, summing to 100%, may be repeated", bank_share, many=True),
            "lead_bank": Option("lender of record", organisation),
            "currency": CURRENCY,
            "debtors": Option("for vouchers of these debtors", organisation, many=True),
            "programmes": Option("or of these programmes", of_kind(r.Kind.PROGRAMME), many=True),
            "cap": Option("largest sum lent at one time", amount),
            "advance_bps": Option("loan per face, e.g. 80%", ratio),
            "rate_ppm": Option("rate per year, e.g. 3%", rate),
            "basis": Option("360 or 365", number, "360"),
            "recourse": Option("borrowers owe what the range does not bring", yes_no, "no"),
            "triggers": Option("overdue, distress, or both with a comma", triggers),
        },
        _sorted_ids("debtors", "programmes"),
    ),
    "backstop trigger": CommandEntry(
        c.BackstopTrigger,
        "Open a pool for a debtor in distress, as lead bank or regulator.",
        "tally backstop trigger --as bank-1 --backstop ID --debtor harbour-tours"
        " --overdue-voucher harbour-tours/v1",
        {
            "backstop": BACKSTOP,
            "debtor": Option("debtor", organisation),
            "overdue_voucher": Option(
                "reason: an overdue voucher of the debtor", unless_none(r.Kind.VOUCHER), "none"
            ),
            "distress_event": Option("reason: a distress event, by id", id_or_none, "none"),
        },
    ),
    "backstop close": CommandEntry(
        c.BackstopClose,
        "Close a pool for new loans, as lead bank or regulator.",
        "tally backstop close --as bank-1 --backstop ID",
        {"backstop": BACKSTOP},
    ),
    "backstop draw": CommandEntry(
        c.BackstopDraw,
        "Borrow from a triggered pool on the tail of a lot.",
        "tally backstop draw --as corner-parts --label b1 --backstop ID --voucher harbour-tours/v1"
        " --amount 1000.00 --payee corner-parts/main --purpose payroll",
        {
            "backstop": BACKSTOP,
            **LOT,
            "amount": Option("face to pledge", amount),
            "payee": Option("your verified account: OWNER/LABEL", of_kind(r.Kind.ACCOUNT)),
            "purpose": Option("use of proceeds", member_of(r.Purpose)),
        },
    ),
    "guarantee issue": CommandEntry(
        c.GuaranteeIssue,
        "Guarantee a voucher, a debtor or a programme.",
        "tally guarantee issue --as bank-3 --label g1 --bank bank-3 "
        " --covered voucher:harbour-tours/v1 --cap 500000.00 --expiry 2027-12-31",
        {
            "bank": Option("bank that pays for the guarantor", organisation),
            "beneficiary": Option(
                "who alone may call; none: every holder",
                lambda reading, text: None if text == "none" else organisation(reading, text),
                "none",
            ),
            "covered": Option(
                "voucher:OWNER/LABEL, programme:OWNER/LABEL or debtor:NAME", guarantee_cover
            ),
            "currency": CURRENCY,
            "cap": Option("largest sum of calls", amount),
            "fee": Option("agreed fee (information)", amount, "0"),
            "expiry": Option("last day of calls", day),
        },
        _with_scope,
    ),
    "guarantee call": CommandEntry(
        c.GuaranteeCall,
        "Demand payment of an overdue range, as its holder or lender.",
        "tally guarantee call --as corner-parts --guarantee bank-3/g1 --voucher harbour-tours/v1"
        " --amount 1000.00",
        {"guarantee": GUARANTEE, **LOT, "amount": Option("face called", amount)},
    ),
    "guarantee pay-confirm": CommandEntry(
        c.GuaranteePayConfirm,
        "Confirm as the guarantor's bank that a call was paid.",
        "tally guarantee pay-confirm --as bank-3 --voucher harbour-tours/v1 --amount 1000.00"
        " --receipt-commitment G-1",
        LOT | {"amount": Option("amount paid", amount), "receipt_commitment": RECEIPT},
    ),
    "guarantee release": CommandEntry(
        c.GuaranteeRelease,
        "Free a guarantor, or take a call on a lot back.",
        "tally guarantee release --as corner-parts --guarantee bank-3/g1"
        " --voucher harbour-tours/v1",
        {
            "guarantee": GUARANTEE,
            "voucher": Option(
                "take back the call on a lot of this voucher; none: the whole guarantee",
                unless_none(r.Kind.VOUCHER),
                "none",
            ),
            "start": START,
        },
    ),
    "warehouse receipt-issue": CommandEntry(
        c.WarehouseReceiptIssue,
        "Certify stored goods, as the warehouse.",
        "tally warehouse receipt-issue --as north-store --label w1 --owner spirits-south --sku B-12"
        " --unit case --location hall-3 --quantity 2000 --unit-value 720.00",
        {
            "owner": Option("owner of the goods", organisation),
            "sku": SKU,
            "unit": UNIT,
            "location": LOCATION,
            "currency": CURRENCY,
            "quantity": QUANTITY,
            "unit_value": UNIT_VALUE,
        },
    ),
    "warehouse receipt-pledge": CommandEntry(
        c.WarehouseReceiptPledge,
        "Pledge all stored goods of a receipt for a loan.",
        "tally warehouse receipt-pledge --as spirits-south --receipt north-store/w1 --financing bank-2/p1"
        " --advance-bps 70%",
        {
            "receipt": STORED,
            "financing": Option("loan: OWNER/LABEL", of_kind(r.Kind.FINANCING)),
            "advance_bps": Option("loan per value, e.g. 70%", ratio),
        },
    ),
    "warehouse receipt-deliver": CommandEntry(
        c.WarehouseReceiptDeliver,
        "Hand out goods that are not pledged, as the warehouse.",
        "tally warehouse receipt-deliver --as north-store --receipt north-store/w1 --quantity 800",
        {"receipt": STORED, "quantity": QUANTITY},
    ),
    "warehouse receipt-release": CommandEntry(
        c.WarehouseReceiptRelease,
        "Free pledged goods, as the lender.",
        "tally warehouse receipt-release --as bank-2 --receipt north-store/w1 --quantity 800",
        {"receipt": STORED, "quantity": QUANTITY},
    ),
    "warehouse receipt-price": CommandEntry(
        c.WarehouseReceiptPrice,
        "State, as an oracle, what a unit is worth today.",
        "tally warehouse receipt-price --as price-board --receipt north-store/w1"
        " --unit-value 700.00",
        {"receipt": STORED, "unit_value": UNIT_VALUE},
    ),
    "warehouse receipt-split": CommandEntry(
        c.WarehouseReceiptSplit,
        "Cut free goods off into a receipt of their own.",
        "tally warehouse receipt-split --as spirits-south --label w2 --receipt north-store/w1"
        " --quantity 100",
        {"receipt": STORED, "quantity": QUANTITY},
    ),
    "warehouse receipt-transfer": CommandEntry(
        c.WarehouseReceiptTransfer,
        "Pass a receipt that is not pledged on to a new owner.",
        "tally warehouse receipt-transfer --as spirits-south --receipt spirits-south/w2"
        " --receiver harbour-tours",
        {"receipt": STORED, "receiver": Option("new owner", organisation)},
    ),
    "warehouse margin-call": CommandEntry(
        c.MarginCall,
        "Call on a borrower, as the lender, to make up what its goods do not carry.",
        "tally warehouse margin-call --as bank-2 --financing bank-2/p1",
        {"financing": PREPAID},
    ),
    "warehouse buyback-call": CommandEntry(
        c.BuybackCall,
        "Make the maker buy back the goods of a loan unpaid at its end, as the lender.",
        "tally warehouse buyback-call --as bank-2 --financing bank-2/p1",
        {"financing": PREPAID},
    ),
    "warehouse buyback-confirm": CommandEntry(
        c.BuybackConfirm,
        "Confirm, as the lender, that the maker has paid for its goods.",
        "tally warehouse buyback-confirm --as bank-2 --instruction ID --amount 840000.00"
        " --receipt-commitment P-7",
        {
            "instruction": INSTRUCTION,
            "amount": Option("amount paid", amount),
            "receipt_commitment": RECEIPT,
        },
    ),
    "prepayment request": CommandEntry(
        c.PrepaymentRequest,
        "Ask a bank to pay a maker for ordered goods.",
        "tally prepayment request --as spirits-south --label o1 --maker distillery --bank bank-2"
        " --account distillery/main --amount 1000000.00 --sku B-12 --unit case"
        " --ship-by 2027-04-01 --end-day 2027-06-30",
        {
            "maker": Option("maker of the goods", organisation),
            "bank": Option("lending bank", organisation),
            "account": Option("the maker's account: OWNER/LABEL", of_kind(r.Kind.ACCOUNT)),
            "currency": CURRENCY,
            "amount": Option("amount to be paid", amount),
            "sku": SKU,
            "unit": UNIT,
            "ship_by": Option("last day of shipping", day),
            "end_day": Option("end of the loan", day),
        },
    ),
    "prepayment fund": CommandEntry(
        c.PrepaymentFund,
        "Grant a requested prepayment, as the bank.",
        "tally prepayment fund --as bank-2 --label p1 --prepayment spirits-south/o1"
        " --amount 1000000.00 --rate-ppm 4.35% --advance-bps 70%",
        {
            "prepayment": PREPAYMENT,
            "amount": Option("amount, as requested", amount),
            "rate_ppm": Option("rate per year", rate),
            "basis": Option("360 or 365", number, "360"),
            "advance_bps": Option("loan per value of the goods, e.g. 70%", ratio),
        },
    ),
    "prepayment ship": CommandEntry(
        c.PrepaymentShip,
        "Report as the maker that the goods are stored, pledged to the bank.",
        "tally prepayment ship --as distillery --label w1 --prepayment spirits-south/o1"
        " --warehouse north-store --location hall-3 --quantity 2000 --unit-value 720.00",
        {
            "prepayment": PREPAYMENT,
            "warehouse": Option("warehouse", organisation),
            "location": LOCATION,
            "quantity": QUANTITY,
            "unit_value": UNIT_VALUE,
        },
    ),
}
"""Commands whose values fit options. Those that make keys or read files (`organisation register`,
`organisation policy`, `key add`, `key rotate`, `document register`, ...) have modules of their own."""
