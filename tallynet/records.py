"""The records of the validated state (voucher law §6): one frozen Struct per entity.

A record is stored and committed as its canonical bytes. `Kind` numbers are part of every record id
and of the state tree; they are never reused.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from tallynet.codec import Wire
from tallynet.fields import (
    Bps,
    Currency,
    Day,
    Epoch,
    Hash,
    Height,
    Id,
    Name,
    Ppm,
    PublicKey,
    Seconds,
    Small,
    Uint,
    Units,
    Wide,
)  # fmt: skip


class Kind(IntEnum):
    """Record kinds; the number opens every state key."""

    NETWORK = 1
    ORGANISATION = 2
    KEY = 3
    POLICY = 4
    ACCOUNT = 5
    PROGRAMME = 6
    CREDIT_LINE = 7
    DOCUMENT = 8
    VOUCHER = 9
    LOT = 10
    OFFER = 11
    FINANCING = 12
    INSTRUCTION = 13
    PARAMETER = 14
    CALENDAR = 15
    REMAINDER = 16
    BANK_RECEIPT = 17
    CONSENT = 18
    REMEMBERED = 19
    OFFER_USE = 20
    RECOVERY = 31
    DISTRESS_EVENT = 32
    FINANCING_REQUEST = 33
    FREEZE = 39
    DISPUTE = 40
    DOCUMENT_READER = 41
    FLOW_ANCHOR = 42
    FEE_SCHEDULE = 43
    WAIVER = 44
    FUND_POOL = 45
    ALLOCATIONS = 46
    READING_KEY = 47
    GUARANTEE = 51
    BACKSTOP = 52
    WAREHOUSE_RECEIPT = 53
    PREPAYMENT = 54
    MARGIN = 55
    DEBTOR_TOTALS = 61
    RECONCILIATION_ANCHOR = 62


# --- identity ---------------------------------------------------------------------------------


class OrganisationKind(IntEnum):
    CORE = 1
    SUPPLIER = 2
    DISTRIBUTOR = 3
    BANK = 4
    FACTOR = 5
    FUNDER = 6
    GUARANTOR = 7
    WAREHOUSE = 8
    CLEARING = 9
    ORACLE = 10
    COURT_AGENT = 11
    REGULATOR = 12
    OPERATOR = 13
    TRUSTEE = 14


class Size(IntEnum):
    MICRO = 1
    SMALL = 2
    MEDIUM = 3
    LARGE = 4


class OrganisationStatus(IntEnum):
    ACTIVE = 1
    SUSPENDED = 2
    RECOVERING = 3
    CLOSED = 4


class BranchStatus(IntEnum):
    OPEN = 1
    RESTRICTED = 2
    """No new issue; what it holds it may still pass on and draw on."""
    CLOSED = 3
    """Neither issue nor draw."""


class Organisation(Wire, tag="organisation"):
    """A legal person on the network. Names stay outside: only salted commitments are here."""

    kinds: tuple[OrganisationKind, ...]
    """Sorted, distinct."""
    status: OrganisationStatus
    kyc_level: Small
    """0 none, 1 light, 2 standard, 3 enhanced."""
    size: Size
    sponsor: Id | None
    """The attesting bank; None for institutions admitted by the banks."""
    industry: Name
    region: Name
    name_commitment: Hash
    tax_id_commitment: Hash
    uniqueness_tag: Hash
    """One organisation per tag in the whole network."""
    blocked_automatic: bool
    """Issuer block while `overdue_count` > 0."""
    blocked_manual: bool
    overdue_count: Uint
    """Overdue vouchers of this debtor and of its branches."""
    parent: Id | None
    """The enterprise, or branch of it, whose branch (门店) this is."""
    branch_status: BranchStatus
    """OPEN for whoever is no branch."""
    distress_declared: bool
    """Own declared difficulty: no new issue until it is ended."""
    freezes: Small
    """Orders in force on everything that it holds; acts on its lots look them up when there are any."""


class Role(IntEnum):
    MAKER = 1
    CHECKER = 2
    APPROVER = 3
    ADMIN = 4
    API = 5
    NODE = 6


class Algorithm(IntEnum):
    ED25519 = 1


ReadingPublicKey = Annotated[bytes, Meta(min_length=1_216, max_length=1_216)]
"""ML-KEM-768 (1,184 bytes) and X25519 (32), joined."""


class Key(Wire, tag="key"):
    """A signing key of one person of one organisation. Id: `record_id(KEY, b"", public_key)`."""

    organisation: Id
    person_commitment: Hash
    """Two keys with the same commitment are one person for maker-checker (I10)."""
    roles: tuple[Role, ...]
    """Sorted, distinct."""
    algorithm: Algorithm
    public_key: PublicKey
    valid_from: Seconds
    valid_to: Seconds
    revoked: bool
    cap: Units
    """Largest amount per command for an API key; 0 for others (no cap)."""


class ReadingSuite(IntEnum):
    """How keys are wrapped for a reader: key encapsulation, key derivation, cipher (RFC 9180)."""

    MLKEM768_X25519 = 1
    """Hybrid of ML-KEM-768 and X25519, HKDF-SHA256, AES-256-GCM: what is recorded today stays closed to
    tomorrow's quantum computers as long as one of the two holds."""


class ReadingKey(Wire, tag="reading-key"):
    """For whom documents are encrypted: the public key of one organisation's readers. Id: the
    organisation's id, so that there is one at a time."""

    epoch: Epoch
    """Grows with each new key; readers keep the private keys of earlier epochs."""
    suite: ReadingSuite
    public_key: ReadingPublicKey


class CommandClass(IntEnum):
    """What a policy distinguishes: the families of §8, with issue, claim, draw and payout apart."""

    GOVERNANCE = 1
    IDENTITY = 2
    ACCOUNT = 3
    PROGRAMME = 4
    LINE = 5
    DOCUMENT = 6
    ISSUE = 7
    CLAIM = 8
    VOUCHER = 9
    LOT = 10
    OFFER = 11
    DRAW = 12
    PAYOUT = 13
    REPAYMENT = 14
    SETTLEMENT = 15
    GOODS = 18
    LEGAL = 20
    """Freezes and disputes of §8.8."""


class PolicyRule(Wire):
    """From `amount_from` on, acts of this class need these roles by this many distinct persons."""

    command_class: CommandClass
    amount_from: Units
    roles: tuple[Role, ...]
    """Each listed role must be played by a signer holding it; sorted, distinct."""
    persons: Small
    """Distinct persons among the signers, at least. A branch's policy may say 0, without roles: such
    acts are not delegated to it."""


class Policy(Wire, tag="policy"):
    """Maker-checker rules of one organisation. Id: the organisation's id. Unlisted classes take the
    default policy of the command table."""

    rules: tuple[PolicyRule, ...]
    """Sorted by class, then amount; the rule with the largest `amount_from` <= amount applies."""


class Recovery(Wire, tag="recovery"):
    """New keys of an organisation that lost its own, under their time lock. Id: the organisation's id."""

    keys: tuple[Id, ...]
    """Registered, but revoked until the lock ends."""
    ends: Day
    """Last business date on which a live key can cancel; on the next the new keys replace all."""
    before: OrganisationStatus
    """Status to return to: ACTIVE or SUSPENDED."""


class AccountStatus(IntEnum):
    BOUND = 1
    VERIFIED = 2


class Account(Wire, tag="account"):
    """A bank account known by commitment. Usable once its bank verified it."""

    organisation: Id
    bank: Id
    account_commitment: Hash
    currency: Currency
    status: AccountStatus


# --- programmes and lines ---------------------------------------------------------------------


class ProgrammeKind(IntEnum):
    RECEIVABLE = 1


class AcceptMode(IntEnum):
    IMMEDIATE = 1
    EXPLICIT = 2
    DEEMED = 3


class DocumentPolicy(IntEnum):
    EXCLUSIVE = 1
    """A document backs at most one uncancelled voucher."""
    CAPPED = 2
    """A document backs vouchers up to its total."""


class PriceMode(IntEnum):
    """Who learns at what price a bank buys (voucher law §16.6)."""

    OPEN = 1
    """Quotes may be open: the chain computes the discount, and everybody with the chain sees it."""
    SEALED = 2
    """Quotes to buy are sealed: the chain knows commitments, the two sides know the price."""


class Visibility(IntEnum):
    """What the debtor's side learns of the lots of a voucher (voucher law §13, §16)."""

    FULL = 1
    """Every holder."""
    TIER1 = 2
    """The part that no supplier has passed on."""
    CONSENT = 3
    """Nothing, but what a holder shows it by a proof of its own."""


class Programme(Wire, tag="programme"):
    """Rules that the owner sets for its chain, within the network's parameters.

    Vouchers copy what they need when issued, so that a change binds new vouchers only.
    """

    owner: Id
    kind: ProgrammeKind
    currency: Currency
    accept_mode: AcceptMode
    deemed_days: Small
    """DEEMED: silent acceptance after so many days; otherwise 0."""
    max_hops: Small
    max_lots: Small
    min_piece: Units
    max_tenor_days: Small
    grace_days: Small
    document_policy: DocumentPolicy
    visibility: Visibility
    document_required_on_transfer: bool
    penalty_ppm_day: Ppm
    funding_order: tuple[Id, ...]
    """Offers that `AUTO` draws try first, in order (C16)."""
    open_to_all: bool
    """True: any registered organisation counts as a member."""
    members: tuple[Id, ...]
    """Sorted. The owner is always a member."""
    policy_minimum: tuple[PolicyRule, ...]
    """What no member's policy undercuts in acts on the programme's vouchers (§5)."""
    price_mode: PriceMode


class LineKind(IntEnum):
    ISSUE = 1
    DEBTOR_EXPOSURE = 2
    BORROWER = 3
    ALLOCATION = 4
    """Core on supplier: face that this supplier may finance on this core."""


class SeasonalWindow(Wire):
    """So much more than `granted` between two days, both included (C36)."""

    first_day: Day
    last_day: Day
    amount: Units


SeasonalWindows = Annotated[tuple[SeasonalWindow, ...], Meta(max_length=12)]


class LineStatus(IntEnum):
    ACTIVE = 1
    SUSPENDED = 2


class SealedLine(Wire):
    """What the chain knows of a limit that grantor and obligor know (`tallynet.sealed_line`)."""

    sequence: Uint
    """Grows by one with each commitment (I15); 1 at the grant."""
    commitment: Hash
    """To what is granted and used now."""
    history: Hash
    """`line_root` over all commitments since the grant."""
    use: Id | None
    """Request, rediscount or prepayment that the newest commitment counts in, until the grantor's act on it
    takes it."""


class CreditLine(Wire, tag="line"):
    """A limit by `grantor` on `obligor`. Id: by-product of (kind, grantor ‖ obligor ‖ currency), so
    there is one per (kind, grantor, obligor, currency)."""

    kind: LineKind
    grantor: Id
    obligor: Id
    currency: Currency
    granted: Units
    reserved: Units
    used: Units
    """May exceed `granted` after a cut; then only new use stops (I4, C12)."""
    valid_from: Day
    valid_to: Day
    status: LineStatus
    seasonal: SeasonalWindows
    """Windows that overlap add up."""
    sealed: SealedLine | None
    """Then DEBTOR_EXPOSURE or BORROWER; granted, reserved and used are 0 and say nothing."""


class Allocations(Wire, tag="allocations"):
    """What a core can allocate and has allocated in a currency. Id: record_id(ALLOCATIONS, core,
    currency)."""

    issue_granted: Units
    """Sum of `granted` over the core's ISSUE lines."""
    allocated: Units
    """Sum of `granted` over its ALLOCATION lines."""


# --- fees -------------------------------------------------------------------------------------


class FeeTerms(Wire):
    """What a draw costs from a day on."""

    effective_day: Day
    bps: Bps
    """Of the face financed, rounded up."""
    minimum: Units
    free_below: Units
    """A smaller face costs nothing."""
    debtor_bps: Bps
    """The debtor's share of the fee; the drawer bears the rest."""


class FeeSchedule(Wire, tag="fee-schedule"):
    """Platform fee of a programme, or of the network for programmes without their own. Id:
    record_id(FEE_SCHEDULE, b"", programme or empty)."""

    owner: Id
    """Who set it and is paid."""
    programme: Id | None
    terms: tuple[FeeTerms, ...]
    """Those in force and those to come, ascending by day."""


class WaiverKind(IntEnum):
    EXEMPT = 1
    REDUCE = 2
    DEFER = 3


class WaiverScope(IntEnum):
    """What of a draw a waiver's value is compared with."""

    DRAWER = 1
    INDUSTRY = 2
    """Of the drawer; so are region and size."""
    REGION = 3
    SIZE = 4
    DEBTOR = 5


ScopeValue = Annotated[bytes, Meta(min_length=1, max_length=256)]
"""An organisation's id; a name in UTF-8; a size as one byte."""


class Waiver(Wire, tag="waiver"):
    """Fees that are not charged, charged less, or charged later (C30, C31)."""

    owner: Id
    programme: Id | None
    """Whose schedule it waives; None: the network's."""
    scope: WaiverScope
    value: ScopeValue
    kind: WaiverKind
    bps: Bps
    """REDUCE: the part that is waived; otherwise 0."""
    days: Small
    """DEFER: days after the draw; otherwise 0."""
    valid_from: Day
    valid_to: Day
    cap_total: Units
    """Largest sum waived or deferred, 0: none."""
    used: Units
    """Of draws accepted and not undone."""
    revoked: bool


# --- fund pools -------------------------------------------------------------------------------


class PoolKind(IntEnum):
    EARLY_PAY = 1
    """The funder is the debtor and pays its own vouchers early."""
    ENTRUSTED_LOAN = 2
    """The agent bank is lender of record, the funder bears the risk (委托贷款)."""


class FundPool(Wire, tag="fund-pool"):
    """Money that an enterprise has set aside with an agent bank for offers (C34). One per (funder, agent
    bank, kind, currency); the network never holds any of it."""

    funder: Id
    agent_bank: Id
    kind: PoolKind
    currency: Currency
    committed: Units
    reserved: Units
    """Of draws that await their pay-out."""
    drawn: Units
    """Paid out, and not repaid."""
    terms: Hash
    """Commitment to the agency agreement."""


# --- documents --------------------------------------------------------------------------------


class DocumentType(IntEnum):
    ORDER = 1
    CONTRACT = 2
    INVOICE = 3
    DELIVERY = 4
    ACCEPTANCE = 5
    OTHER = 6


class DocumentStatus(IntEnum):
    ACTIVE = 1
    VOID = 2


class AttestationKind(IntEnum):
    INVOICE_GENUINE = 1
    GOODS_RECEIVED = 2
    CONTRACT_SEALED = 3


class Attestation(Wire):
    """What somebody else than the owner says about a document."""

    kind: AttestationKind
    attestor: Id
    day: Day


WrappedKey = Annotated[bytes, Meta(min_length=80, max_length=1_280)]
"""HPKE (RFC 9180) encapsulation, sealed document key and secret of the hint: 1,200 bytes with X25519 +
ML-KEM-768."""


class Document(Wire, tag="document"):
    """A sealed trade document. Id: `record_id(DOCUMENT, b"", uniqueness_tag)`: one per invoice
    across all banks (§16.5)."""

    document_type: DocumentType
    owner: Id
    uniqueness_tag: Hash
    root: Hash
    ciphertext_hash: Hash
    parties: tuple[Id, ...]
    """Sorted; includes the owner. An invoice: seller and buyer."""
    creditor: Id
    """Who is owed: the seller of an invoice."""
    debtor: Id
    """Who owes: the buyer of an invoice."""
    currency: Currency
    total: Units
    occupied: Units
    """Sum over uncancelled vouchers using it; never above `total` (I2)."""
    uses: Uint
    """Number of uncancelled vouchers using it."""
    delivery_day: Day | None
    status: DocumentStatus
    attestations: tuple[Attestation, ...]
    """In order of time; one per kind and attestor."""


class DocumentReader(Wire, tag="document-reader"):
    """The document's key, wrapped for one reader. Id: record_id(DOCUMENT_READER, document, hint), where
    the hint is an HMAC (`hashing.reader_hint`), so that the state does not say who reads what (§16.3)."""

    document: Id
    epoch: Epoch
    """Of the reader's encryption key; a newer grant replaces an older one."""
    wrapped_key: WrappedKey
    complained: bool
    """The reader has said that the ciphertext does not match the root."""


class FlowAlarm(IntEnum):
    NONE = 1
    COLLAPSED = 2


class FlowAnchor(Wire, tag="flow"):
    """One stream of a publisher's business records, known by totals. Id: record_id(FLOW_ANCHOR,
    publisher, stream)."""

    publisher: Id
    stream: Name
    last_day: Day
    """Day of the newest period; `daily` ends with it."""
    last_second: Uint
    """Second of that day with which the newest period ended."""
    count: Uint
    """Of the newest period: records, their sum, and the root over them."""
    sum: Units
    records_root: Hash
    daily: tuple[Units, ...]
    """Sums of consecutive days, oldest first: as many as the alarm looks at, and one."""
    alarm: FlowAlarm
    frozen_baseline: Wide | None
    """B of the day on which the alarm was raised; None without alarm."""
    next_check: Day
    """Business date whose roll checks the stream next, 0: none before another anchor."""


# --- vouchers and lots ------------------------------------------------------------------------


class VoucherStatus(IntEnum):
    PENDING_CLAIM = 1
    ACTIVE = 2
    DUE = 3
    OVERDUE = 4
    DEFAULTED = 5
    SETTLED = 6
    CANCELLED = 7
    WRITTEN_OFF = 8
    """Every open lot is written off by its holder; still payable."""


class DocumentUse(Wire):
    """Part of a document's total that backs a voucher."""

    document: Id
    amount: Units


class Promise(Wire):
    """The debtor's signed, unconditional, irrevocable undertaking (voucher law §6, Civil Code
    546, 548, 549)."""

    commitment: Hash
    """Of the promise letter's text."""
    waive_setoff: bool
    waive_defence: bool
    notice_consent: bool


class Voucher(Wire, tag="voucher"):
    """A debtor's promise to pay `face` on `maturity`. Its leaf covers the voucher and all lots."""

    debtor: Id
    first_payee: Id
    currency: Currency
    face: Units
    issue_day: Day
    claim_deadline: Day
    maturity: Day
    """Rolled to a working day (FOLLOWING)."""
    grace_days: Small
    grace_end: Day
    """Maturity plus `grace_days`, rolled."""
    promise: Promise
    documents: tuple[DocumentUse, ...]
    """What is left of each after credit notes; they sum to the face not cancelled, unless the whole
    voucher was cancelled."""
    programme: Id
    issue_line: Id
    clearing_bank: Id
    accept_mode: AcceptMode
    deemed_days: Small
    max_hops: Small
    max_lots: Small
    min_piece: Units
    document_required_on_transfer: bool
    visibility: Visibility
    penalty_ppm_day: Ppm
    status: VoucherStatus
    payment_term_warning: bool
    """The SME payment term of §17 was exceeded while the mode was WARN."""
    transfer_barred: bool
    """Issuer and first payee agreed that the payee does not transfer (Civil Code 545)."""
    extra_review_by: Id | None
    """Bank whose review of a long tenor was the last; no financing of such a voucher before one."""
    suspended_by: Id | None
    """SUSPENDED: the authority that stopped transfer and financing; it alone resumes them."""
    freezes: Small
    """Freezes in force on ranges of this voucher."""
    disputes: Small
    """DISPUTED while above 0: open disputes about ranges of this voucher."""
    funds_in: Units
    """Face money that the debtor paid to its clearing bank."""
    redeemed: Units
    cancelled: Units
    paid: Units
    """Face money confirmed as paid to holders or into escrow; `paid <= funds_in` (I13)."""
    penalty_day: Day
    """Business date up to which the penalty has been accrued, itself not yet counted; it begins on
    the day after `grace_end`."""
    penalty_numerator: Wide
    """Accrued sum of uncovered face x ppm x days, in millionths of a fen."""
    penalty_in: Units
    guarantees: tuple[Id, ...]
    """Guarantees of this very voucher, oldest first; those of its debtor or programme are not listed."""
    instructions_opened: Units
    """Settlement instructions exist for lots starting below this; face when all are open."""
    event_count: Uint
    event_accumulator: Hash
    policy_minimum: tuple[PolicyRule, ...]
    """From the programme, as it was when issued."""
    price_mode: PriceMode
    """The same."""


class LotState(IntEnum):
    PENDING_CLAIM = 1
    HELD = 2
    TRANSFER_PENDING = 3
    FINANCING_PENDING = 4
    PLEDGED = 5
    REDEEMED = 6
    CANCELLED = 7


class AcquiredBy(IntEnum):
    ISSUE = 1
    TRANSFER = 2
    SALE = 3
    GUARANTEE = 4
    """By paying its holder under a guarantee (subrogation)."""
    COURT = 5


FLAG_NO_TRANSFER: Final = 1
FLAG_FROZEN: Final = 2
FLAG_DISPUTED: Final = 4
FLAG_WRITTEN_OFF: Final = 32
"""The holder has written its claim off in its books; the debtor still owes it."""
FLAG_COUNTED: Final = 64
"""The holder's DEBTOR_EXPOSURE line counts it: it was bought under that line, while it was open."""


class Lot(Wire, tag="lot"):
    """The sub-range `[start, end)` of a voucher with one holder (voucher law §7). Id: the voucher's
    id followed by `start` as 8 bytes, big-endian, so that lots sort by start."""

    start: Units
    end: Units
    holder: Id
    state: LotState
    pending_to: Id | None
    """Receiver while TRANSFER_PENDING."""
    pending_day: Day
    """Business date of the pending transfer, else 0."""
    hops: Small
    newest_event: Uint
    acquired_day: Day
    acquired_by: AcquiredBy
    recourse_from: Id | None
    lien: Id | None
    """The Financing or FinancingRequest of a FINANCING_PENDING lot, the Financing of a PLEDGED or
    enforced one (I5)."""
    covered: Units
    """Fen of this lot funded by the debtor and not yet paid out."""
    flags: Small
    """Sum of FLAG_ values. A lot whose holder is frozen as a whole carries no FROZEN flag."""


# --- legal ------------------------------------------------------------------------------------


class LotRange(Wire):
    """The fen `[start, end)` of a voucher."""

    voucher: Id
    start: Units
    end: Units


class FreezeState(IntEnum):
    IN_FORCE = 1
    LIFTED = 2
    EXPIRED = 3


class Freeze(Wire, tag="freeze"):
    """An order of a court or regulator that nothing takes effect on these ranges but redemption into
    escrow and forced transfer (I6)."""

    authority: Id
    organisation: Id
    """Whose ranges were frozen."""
    case_commitment: Hash
    ranges: tuple[LotRange, ...]
    """Sorted, disjoint; empty: everything that the organisation holds, now and later."""
    expires: Day
    """Last day in force."""
    state: FreezeState


class DisputeState(IntEnum):
    OPEN = 1
    RESOLVED = 2


class Dispute(Wire, tag="dispute"):
    """A disagreement about ranges of one voucher: they do not move until it is resolved."""

    ranges: tuple[LotRange, ...]
    """Sorted, disjoint, all of one voucher."""
    opener: Id
    reason_commitment: Hash
    state: DisputeState


# --- finance ----------------------------------------------------------------------------------


class FinancingKind(IntEnum):
    SALE = 1
    LOAN_RECOURSE = 2
    LOAN_PLEDGE = 3
    EARLY_PAY = 4
    BACKSTOP = 5
    REDISCOUNT = 6
    PREPAYMENT = 7


class RateBand(Wire):
    """Rate for draws of at most `days_max` days."""

    days_max: Small
    rate_ppm: Ppm
    """Per year."""
    advance_bps: Bps
    """Loans: principal per lot length; sales: 10,000."""


class OfferStatus(IntEnum):
    OPEN = 1
    REVOKED = 2
    EXPIRED = 3


class Offer(Wire, tag="offer"):
    """A funder's standing promise to finance on these terms (C8)."""

    funder: Id
    kind: FinancingKind
    currency: Currency
    debtors: tuple[Id, ...]
    """Sorted; empty: any debtor on which the funder has a line."""
    programmes: tuple[Id, ...]
    """Sorted; empty: any."""
    grid: tuple[RateBand, ...]
    """Ascending `days_max`; the first band that fits applies."""
    basis: Small
    """360 or 365."""
    draw_min: Units
    draw_max: Units
    organisation_cap: Units
    """Largest sum of live and past draws by one drawer, 0: none."""
    total_cap: Units
    used: Units
    """Sum of the draws accepted and not undone."""
    valid_from: Day
    valid_to: Day
    lines_required: tuple[LineKind, ...]
    """DEBTOR_EXPOSURE and/or BORROWER; sorted."""
    status: OfferStatus
    registration_required: bool
    """Pay-out only once the funder has recorded the draw's registration (voucher law §17)."""
    automatic: bool
    """False: a draw becomes a request, which the funder answers with a quote (§8.7)."""
    stop_on_flow_collapse: bool
    """No draws while the flow of the voucher's debtor has collapsed."""
    source: Id | None
    """The fund pool that pays; None: the funder itself."""


class OfferUse(Wire, tag="offer-use"):
    """What one drawer took from one offer. Id: record_id(OFFER_USE, offer ‖ drawer, b"")."""

    used: Units
    """Sum of its draws accepted and not undone."""


class FinancingState(IntEnum):
    AWAIT_PAYOUT = 1
    OUTSTANDING = 2
    OVERDUE = 3
    REPAID = 4
    REQUESTED = 5
    """A rediscount that its buyer has not accepted."""
    PAYOUT_HELD = 8
    """The bank has confirmed the pay-out of a frozen or disputed range: it takes effect once nothing
    holds the range any more."""
    RECOURSE = 11
    """The lender has claimed the range back from the borrower."""
    ENFORCED = 12
    """The lender holds the pledged range; what it brings beyond the debt is the borrower's."""
    WRITTEN_OFF = 13
    """A loss in the lender's books; still payable."""


class Purpose(IntEnum):
    """Use of proceeds (C19, C44)."""

    PAYROLL = 1
    SOCIAL_INSURANCE = 2
    RENT = 3
    GOODS = 4
    TAX = 5
    UTILITIES = 6
    OTHER = 7


class PurposeAmount(Wire):
    """Face whose proceeds serve one purpose."""

    purpose: Purpose
    amount: Units


Purposes = Annotated[tuple[PurposeAmount, ...], Meta(max_length=len(Purpose))]
"""Sorted by purpose, each once; the amounts sum to the face drawn."""


class Registration(Wire):
    """Entry in the national registry of movable property (中登网): evidence, not title (§17)."""

    number_commitment: Hash
    day: Day
    expiry: Day
    """Last day on which the entry counts."""


class Fee(Wire):
    """The platform fee of one draw, computed at the draw and instructed with its pay-out."""

    payee: Id
    drawer: Units
    """The drawer's share: deducted from a sale unless it is deferred, else instructed beside it."""
    debtor: Units
    due: Day
    deferred: bool
    waiver: Id | None
    waived: Units
    """Counted in the waiver's `used`."""


class Financing(Wire, tag="financing"):
    """One draw or batch. A SALE or EARLY_PAY leaves the state once PAID; a loan lives until REPAID."""

    kind: FinancingKind
    funder: Id
    """BACKSTOP: the lead bank. REDISCOUNT: the buyer."""
    offer: Id | None
    """BACKSTOP and PREPAYMENT: the record of that kind. None: a quote that the drawer accepted, a
    rediscount."""
    obligor: Id
    """The drawer. REDISCOUNT: the seller."""
    debtor: Id
    """PREPAYMENT: the maker."""
    voucher: Id
    """PREPAYMENT: zero bytes; goods stand behind it, no range."""
    start: Units
    end: Units
    principal: Units
    """Sale: face sold; loan: money lent."""
    discount: Units
    net: Units
    numerator: Wide
    """amount x rate x days of the draw, needed to undo the remainder exactly."""
    currency: Currency
    rate_ppm: Ppm
    basis: Small
    value_day: Day
    end_day: Day
    """BACKSTOP: 0, it runs until the range is paid."""
    accrued_to: Day
    """Loans: interest accrued up to this business date."""
    accrual: Wide
    """Interest numerator not yet billed; negative after a bill was rounded up."""
    interest_billed: Units
    """Billed and not yet paid."""
    repaid: Units
    """Principal repaid."""
    repayment_pending: Units
    """Announced by the borrower, not yet confirmed by the bank."""
    payee: Id
    """Account."""
    purposes: Purposes
    instruction: Id
    expires: Seconds
    """Pay-out must be confirmed before this header time; PAYOUT_HELD: the next look at whether the
    range is still held."""
    state: FinancingState
    lines: tuple[LineKind, ...]
    """Kinds of the funder's lines that the principal uses; sorted."""
    registration_required: bool
    registration: Registration | None
    fee: Fee | None
    agent_bank: Id | None
    """Of the fund pool that pays; lender of record of an entrusted loan."""
    pool: Id | None
    """Fund pool that pays; None: the funder's own money."""
    allocation: Id | None
    """ALLOCATION line of the debtor on the drawer, if there was one at the draw."""
    sealed: SealedPrice | None
    """Then a SALE; discount, net, rate and basis are 0 and say nothing."""


class SealedTerms(Wire):
    """Terms of a quote that only its two sides know (`tallynet.sealed_price`)."""

    terms_commitment: Hash
    ciphertext_hash: Hash
    """Of the terms, encrypted for the holder; kept by nodes as those of documents are."""


class SealedPrice(Wire):
    """What the chain knows of a price that was agreed on."""

    terms_commitment: Hash
    """Signed by the funder with its quote and by the holder with its acceptance."""
    price_commitment: Hash
    """To the price of the whole range, by the holder; the funder's bank confirms the same."""


class Quote(Wire):
    """A funder's firm terms for one request."""

    funder: Id
    kind: FinancingKind
    rate_ppm: Ppm
    """Per year."""
    basis: Small
    """360 or 365."""
    advance_bps: Bps
    """Loans: principal per lot length; otherwise 10,000."""
    lines: tuple[LineKind, ...]
    """DEBTOR_EXPOSURE and/or BORROWER; sorted. Counted at the acceptance."""
    sealed_lines: tuple[LineKind, ...]
    """Of these the funder has counted the use in, under its sealed lines."""
    registration_required: bool
    valid_to: Day
    """Last day on which it can be accepted."""
    sealed: SealedTerms | None
    """Then a SALE, with rate and basis 0."""


REQUEST_FUNDERS_MAX: Final = 16
"""Funders of one request: twice the banks of a supplier, and each gives one quote at most."""


class FinancingRequest(Wire, tag="financing-request"):
    """A holder asks funders for quotes; the range stays locked meanwhile (C5). Leaves the state when
    a quote is accepted, when it is cancelled, and when it lapses."""

    holder: Id
    debtor: Id
    voucher: Id
    start: Units
    end: Units
    currency: Currency
    payee: Id
    """Account."""
    purposes: Purposes
    funders: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=REQUEST_FUNDERS_MAX)]
    """Sorted: who may quote."""
    quotes: Annotated[tuple[Quote, ...], Meta(max_length=REQUEST_FUNDERS_MAX)]
    """Sorted by funder, one each."""
    lapses: Day
    """Business date on which it ends by itself."""


class InstructionPurpose(IntEnum):
    PAYOUT = 1
    SETTLEMENT = 2
    REPAYMENT = 3
    SURPLUS = 4
    PENALTY = 5
    FEE = 6
    GUARANTEE = 21
    REDISCOUNT = 22
    REFUND = 23
    BUYBACK = 24


class InstructionState(IntEnum):
    NEW = 1
    SENT = 2
    PAID = 3
    FAILED = 4
    CANCELLED = 5


class Instruction(Wire, tag="instruction"):
    """An order to a bank to move money; the network never holds any."""

    payer: Id
    payee: Id
    account: Id | None
    amount: Units
    paid: Units
    """Settlement may be confirmed in parts."""
    currency: Currency
    due: Day
    purpose: InstructionPurpose
    reference: Id
    """Financing or voucher."""
    start: Units
    """Settlement: start of the lot when the instruction was opened; otherwise 0."""
    bank: Id
    """Who executes and confirms."""
    state: InstructionState
    price_commitment: Hash | None
    """PAYOUT of a sealed price, which is paid less the fee deducted by the financing; `amount` is 0 then and
    says nothing."""


class Remainder(Wire, tag="remainder"):
    """Rounding carried per (funder, drawer, currency, basis), in units of 1 / (basis x 10^6) of a
    fen (I16). Negative only after an earlier draw was undone."""

    value: Wide


class BankReceipt(Wire, tag="receipt"):
    """A bank's payment receipt number, by commitment: used once (I8)."""

    used_by: Id
    """The instruction or voucher it paid."""
    day: Day


# --- cover --------------------------------------------------------------------------------------


class GuaranteeScope(IntEnum):
    VOUCHER = 1
    DEBTOR = 2
    PROGRAMME = 3


class GuaranteeState(IntEnum):
    ACTIVE = 1
    RELEASED = 2
    """Nothing more can be called; what was called is still payable."""


class Guarantee(Wire, tag="guarantee"):
    """A third party's promise to pay holders what an overdue debtor does not (voucher law §8.8)."""

    guarantor: Id
    bank: Id
    """Pays for the guarantor and confirms it."""
    beneficiary: Id | None
    """Who alone may call and release it; None: every holder of a covered range may call, and the
    guarantee ends by its expiry."""
    scope: GuaranteeScope
    covered: Id
    """The voucher, debtor or programme."""
    currency: Currency
    cap: Units
    called: Units
    """Face called and not taken back, the paid part included; never above `cap`."""
    paid: Units
    fee: Units
    """As agreed; information, the network opens no instruction for it."""
    expiry: Day
    """Last day of calls."""
    state: GuaranteeState


class BackstopShare(Wire):
    bank: Id
    share_bps: Bps


class BackstopState(IntEnum):
    READY = 1
    TRIGGERED = 2
    """For the debtors in `triggered`."""
    CLOSED = 3
    """No new loans; those that run, run on."""


TRIGGER_OVERDUE: Final = 1
TRIGGER_DISTRESS: Final = 2


class Backstop(Wire, tag="backstop"):
    """A pool of banks that agreed to lend to holders when a debtor is in distress (托底)."""

    banks: tuple[BackstopShare, ...]
    """Distinct, as agreed; shares sum to 10,000, leftover units go to the earlier bank."""
    lead_bank: Id
    """Lender of record: holds the liens and collects."""
    currency: Currency
    debtors: tuple[Id, ...]
    """Sorted; the pool is for vouchers of these debtors, or"""
    programmes: tuple[Id, ...]
    """sorted; of these programmes."""
    cap: Units
    reserved: Units
    drawn: Units
    """Principal lent and not repaid; what a range did not bring stays used up."""
    advance_bps: Bps
    rate_ppm: Ppm
    basis: Small
    recourse: bool
    """False: a loan ends with its range, whatever the range brought."""
    triggers: Small
    """Sum of TRIGGER_ values."""
    triggered: tuple[Id, ...]
    """Sorted debtors for whom it is open."""
    state: BackstopState


# --- goods --------------------------------------------------------------------------------------


class ReceiptStatus(IntEnum):
    STORED = 1
    DELIVERED = 2


class WarehouseReceipt(Wire, tag="warehouse-receipt"):
    """Goods in a warehouse as the range `[0, quantity)` (仓单). Both cuts are from the tail, as with
    lots, so two numbers say everything: `[0, pledged)` is pledged, `[pledged, stored)` is free,
    `[stored, quantity)` was delivered."""

    warehouse: Id
    owner: Id
    sku: Name
    unit: Name
    location: Name
    currency: Currency
    quantity: Units
    stored: Units
    pledged: Units
    pledge_quantity: Units
    """What the present pledge began with; releases are measured by it. 0 without a pledge."""
    pledgee: Id | None
    financing: Id | None
    """The loan it is pledged for; gone from the state once repaid in full."""
    unit_value: Units
    price_day: Day
    """Business date of `unit_value`."""
    advance_bps: Bps
    shipped_for: Id | None
    """The prepayment loan that the maker shipped these goods for, which it may have to buy them back
    from; None: stored by their owner, or split off since."""
    status: ReceiptStatus


class PrepaymentState(IntEnum):
    REQUESTED = 1
    AWAIT_PAYOUT = 2
    FUNDED = 3


class Prepayment(Wire, tag="prepayment"):
    """A distributor's order that a bank pays to the maker before the goods are shipped (1+N). It leaves
    the state when the goods are shipped or the refund is due; the loan lives on as Financing."""

    distributor: Id
    maker: Id
    bank: Id
    account: Id
    """The maker's; no money goes anywhere else."""
    currency: Currency
    amount: Units
    sku: Name
    unit: Name
    ship_by: Day
    """Last day of shipping."""
    end_day: Day
    """Of the loan."""
    advance_bps: Bps
    """Set by the bank when it funds, else 0."""
    financing: Id | None
    """The loan, from its funding on."""
    state: PrepaymentState


class Margin(Wire, tag="margin"):
    """Goods that no longer carry their prepayment loan, or a loan unpaid at its end: what is short until it
    is made up, or its maker has to buy the goods back (差额补足). One per loan; it leaves the state then."""

    financing: Id
    shortfall: Units
    """Principal, fen, that the goods do not carry; all that is outstanding once the loan has ended."""
    since: Day
    """Business date of the price that was too low, or the loan's end."""
    deadline: Day | None
    """Last day for the borrower; None: not called yet, which time does on the day after `since`."""


# --- reconciliation -----------------------------------------------------------------------------


class DebtorTotals(Wire, tag="debtor-totals"):
    """What a debtor owes on claimed vouchers of one currency, kept as it changes. Id:
    record_id(DEBTOR_TOTALS, debtor, currency)."""

    debtor: Id
    currency: Currency
    count: Uint
    """Vouchers with something left to pay."""
    sum: Units
    """Their face that is neither redeemed nor cancelled."""
    root: Hash
    """Over every change of what a voucher owes, in order (`hashing.owed_root`); zero bytes before the
    first."""
    changed: Day
    """Business date of the newest change."""
    anchored: Day
    """Newest day that was anchored, 0: none. Below `changed`, that day waits for its anchor."""


class AnchorAttestation(Wire):
    """A bank's own figures for an anchor."""

    bank: Id
    count: Uint
    sum: Units
    day: Day
    """Business date on which it said so."""


ANCHOR_ATTESTATIONS_MAX: Final = 64
"""Banks that attest one anchor; a national network has 25 to 50 (voucher law §18)."""


class ReconciliationAnchor(Wire, tag="reconciliation-anchor"):
    """What a debtor owed at the end of a day on which that changed. Id: record_id(RECONCILIATION_ANCHOR,
    debtor, currency ‖ day as 4 bytes)."""

    debtor: Id
    currency: Currency
    day: Day
    count: Uint
    sum: Units
    root: Hash
    """As in the debtor's totals at that time."""
    attestations: Annotated[tuple[AnchorAttestation, ...], Meta(max_length=ANCHOR_ATTESTATIONS_MAX)]
    """Sorted by bank, the newest of each; one with other figures than the anchor's is an alarm."""


# --- distress ---------------------------------------------------------------------------------


class DistressState(IntEnum):
    OPEN = 1
    CLOSED = 2


class DistressEvent(Wire, tag="distress"):
    """A difficulty that hits regions or industries for some time (C29). Backstops and waivers refer to it."""

    regions: tuple[Name, ...]
    """Sorted; empty: every region."""
    industries: tuple[Name, ...]
    """Sorted; empty: every industry."""
    from_day: Day
    to_day: Day
    """Last day."""
    state: DistressState


# --- network ----------------------------------------------------------------------------------


class ParameterValue(Wire):
    effective_day: Day
    value: Uint


class Parameter(Wire, tag="parameter"):
    """Dated values of one named parameter, ascending by day (voucher law §17)."""

    name: Name
    values: tuple[ParameterValue, ...]


class CalendarEntry(Wire):
    day: Day
    working: bool


class Calendar(Wire, tag="calendar"):
    """Exceptions to "Monday to Friday are working days"; sorted by day."""

    entries: tuple[CalendarEntry, ...]


class Consent(Wire, tag="consent"):
    """Open joint act. Id: record_id(CONSENT, body hash, b"")."""

    organisations: tuple[Id, ...]
    """Sorted."""
    lapses: Day
    """Business date on which it is forgotten."""


class Validator(Wire):
    """A voting bank's node."""

    organisation: Id
    public_key: PublicKey
    name: Name


class NextValidators(Wire):
    """A validator set that was decided on and does not validate yet."""

    validators: tuple[Validator, ...]
    """Sorted by public key (INV-16)."""
    epoch: Epoch
    """The first one that it validates."""


class Network(Wire, tag="network"):
    """The one record about the network itself. Id: sixteen zero bytes."""

    business_date: Day
    next_roll: Seconds
    """Header time from which the business date advances again."""
    day_seconds: Seconds
    """From the genesis: 86,400, or less on a testnet; each roll adds it to `next_roll`."""
    epoch: Epoch
    height: Height
    """Height of the block that wrote this state."""
    epoch_length: Uint
    """Blocks per epoch, from the genesis."""
    validators: tuple[Validator, ...]
    """Of that block's epoch, sorted by public key."""
    next: NextValidators | None
    """One change at a time; None: nothing was decided."""


class Remembered(Wire, tag="remembered"):
    """The transactions of one block that expire within one bucket of 64 seconds. Id: the bucket (expiry
    // 64) and the block's height, 8 bytes each."""

    transactions: Annotated[bytes, Meta(max_length=16_000)]
    """Their ids in order of execution, joined: 32 bytes each, at most 500."""


Record = (
    Network | Organisation | Key | Policy | Account | Programme | CreditLine | Document | Voucher
    | Lot | Offer | Financing | Instruction | Parameter | Calendar | Remainder | BankReceipt
    | Consent | Remembered | OfferUse | Recovery | DistressEvent | FinancingRequest | Freeze | Dispute
    | DocumentReader | ReadingKey | FlowAnchor | FeeSchedule | Waiver | FundPool | Allocations
    | Guarantee | Backstop | WarehouseReceipt | Prepayment | Margin | DebtorTotals
    | ReconciliationAnchor
)  # fmt: skip

RECORD_TYPES: Final[dict[Kind, type[Record]]] = {
    Kind.NETWORK: Network,
    Kind.ORGANISATION: Organisation,
    Kind.KEY: Key,
    Kind.POLICY: Policy,
    Kind.ACCOUNT: Account,
    Kind.PROGRAMME: Programme,
    Kind.CREDIT_LINE: CreditLine,
    Kind.DOCUMENT: Document,
    Kind.VOUCHER: Voucher,
    Kind.LOT: Lot,
    Kind.OFFER: Offer,
    Kind.FINANCING: Financing,
    Kind.INSTRUCTION: Instruction,
    Kind.PARAMETER: Parameter,
    Kind.CALENDAR: Calendar,
    Kind.REMAINDER: Remainder,
    Kind.BANK_RECEIPT: BankReceipt,
    Kind.CONSENT: Consent,
    Kind.REMEMBERED: Remembered,
    Kind.OFFER_USE: OfferUse,
    Kind.RECOVERY: Recovery,
    Kind.DISTRESS_EVENT: DistressEvent,
    Kind.FINANCING_REQUEST: FinancingRequest,
    Kind.FREEZE: Freeze,
    Kind.DISPUTE: Dispute,
    Kind.DOCUMENT_READER: DocumentReader,
    Kind.READING_KEY: ReadingKey,
    Kind.FLOW_ANCHOR: FlowAnchor,
    Kind.FEE_SCHEDULE: FeeSchedule,
    Kind.WAIVER: Waiver,
    Kind.FUND_POOL: FundPool,
    Kind.ALLOCATIONS: Allocations,
    Kind.GUARANTEE: Guarantee,
    Kind.BACKSTOP: Backstop,
    Kind.WAREHOUSE_RECEIPT: WarehouseReceipt,
    Kind.PREPAYMENT: Prepayment,
    Kind.MARGIN: Margin,
    Kind.DEBTOR_TOTALS: DebtorTotals,
    Kind.RECONCILIATION_ANCHOR: ReconciliationAnchor,
}
NETWORK_ID: Final = bytes(16)


def lot_id(voucher: bytes, start: int) -> bytes:
    """State id of the lot of `voucher` that begins at `start` (24 bytes)."""
    return voucher + start.to_bytes(8, "big")
