"""The commands an organisation may sign (voucher law §8): one frozen Struct per command type.

The tag is the command's name in the specification. Every command opens with `label`: where it
creates a record, acting organisation and label give the new id; elsewhere it only tells two
otherwise equal acts apart. Amounts are minor units; a wrong amount is the rule's to refuse
(AMOUNT_RANGE), not the decoder's.
"""

from __future__ import annotations

from typing import Annotated, Final, get_args

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
    Label,
    Name,
    Ppm,
    PublicKey,
    Seconds,
    Signature,
    Small,
    Uint,
    Units,
)  # fmt: skip
from tallynet.records import (
    REQUEST_FUNDERS_MAX,
    AcceptMode,
    Algorithm,
    AttestationKind,
    BackstopShare,
    BranchStatus,
    CalendarEntry,
    DocumentPolicy,
    DocumentType,
    DocumentUse,
    FeeTerms,
    FinancingKind,
    GuaranteeScope,
    LineKind,
    OrganisationKind,
    PolicyRule,
    PoolKind,
    PriceMode,
    ProgrammeKind,
    Promise,
    Purpose,
    RateBand,
    ReadingPublicKey,
    ReadingSuite,
    Role,
    ScopeValue,
    SeasonalWindows,
    Size,
    Visibility,
    WaiverKind,
    WaiverScope,
    WrappedKey,
)  # fmt: skip

Ids = Annotated[tuple[Id, ...], Meta(max_length=256)]
Names = Annotated[tuple[Name, ...], Meta(max_length=64)]
"""Sorted, distinct; empty: all."""


class NewKey(Wire):
    """A key to register, with its proof of possession (C1)."""

    person_commitment: Hash
    roles: tuple[Role, ...]
    algorithm: Algorithm
    public_key: PublicKey
    valid_from: Seconds
    valid_to: Seconds
    cap: Units
    possession: Signature
    """By the new key over `tallynet/1` + KIND_REGISTER + genesis hash + public key."""


NewKeys = Annotated[tuple[NewKey, ...], Meta(min_length=1, max_length=16)]


# --- 8.1 governance (joint acts of the bank quorum) -------------------------------------------


class ParameterSet(Wire, tag="governance.parameter.set"):
    label: Label
    name: Name
    effective_day: Day
    value: Uint


class CalendarSet(Wire, tag="governance.calendar.set"):
    label: Label
    entries: Annotated[tuple[CalendarEntry, ...], Meta(min_length=1, max_length=400)]


class OrganisationAdmit(Wire, tag="governance.organisation.admit"):
    """Admit an institution; created id: record_id(ORGANISATION, body hash, b"")."""

    label: Label
    kinds: tuple[OrganisationKind, ...]
    industry: Name
    region: Name
    name_commitment: Hash
    tax_id_commitment: Hash
    uniqueness_tag: Hash
    keys: NewKeys


class Ready(Wire):
    """A validator to be has caught up, and holds its key."""

    height: Height
    """Of a block that it executed."""
    state_root: Hash
    """What that gave."""
    signature: Signature
    """By the new key over `tallynet/1` + KIND_READY + genesis hash + encoded `ReadyBody`."""


class ReadyBody(Wire):
    """What a validator to be signs."""

    organisation: Id
    height: Height
    state_root: Hash


class ValidatorAdd(Wire, tag="governance.validator.add"):
    """A bank's node becomes a validator; the bank's node before it, if there is one, is replaced."""

    label: Label
    organisation: Id
    name: Name
    public_key: PublicKey
    ready: Ready


class ValidatorRemove(Wire, tag="governance.validator.remove"):
    label: Label
    organisation: Id


class IssuerBlock(Wire, tag="issuer.block"):
    """By a regulator, or jointly by f + 1 banks, e.g. from an external overdue list."""

    label: Label
    organisation: Id


class IssuerUnblock(Wire, tag="issuer.unblock"):
    label: Label
    organisation: Id


class DistressOpen(Wire, tag="distress.open"):
    """Created: DistressEvent, by label when a regulator opens it, by body hash when banks do."""

    label: Label
    regions: Names
    industries: Names
    from_day: Day
    to_day: Day


class DistressClose(Wire, tag="distress.close"):
    label: Label
    event: Id


class DistressDeclare(Wire, tag="distress.declare"):
    label: Label


class DistressEnd(Wire, tag="distress.end"):
    label: Label


class ConsentWithdraw(Wire, tag="consent.withdraw"):
    label: Label
    body_hash: Hash


# --- 8.2 identity and accounts ----------------------------------------------------------------


class OrganisationRegister(Wire, tag="organisation.register"):
    """By the sponsor bank: a core, supplier or distributor with its first keys and policy."""

    label: Label
    kinds: tuple[OrganisationKind, ...]
    size: Size
    kyc_level: Small
    industry: Name
    region: Name
    name_commitment: Hash
    tax_id_commitment: Hash
    uniqueness_tag: Hash
    keys: NewKeys
    policy: tuple[PolicyRule, ...]


class KycSet(Wire, tag="organisation.kyc.set"):
    label: Label
    organisation: Id
    level: Small
    size: Size
    industry: Name
    region: Name


class OrganisationSuspend(Wire, tag="organisation.suspend"):
    label: Label
    organisation: Id


class OrganisationResume(Wire, tag="organisation.resume"):
    label: Label
    organisation: Id


class BranchCreate(Wire, tag="organisation.branch.create"):
    """By the parent: a branch (门店) of the acting enterprise; created: Organisation, by label. Sponsor,
    level, size and industry are the parent's."""

    label: Label
    kinds: tuple[OrganisationKind, ...]
    """Some of the parent's."""
    region: Name
    name_commitment: Hash
    tax_id_commitment: Hash
    uniqueness_tag: Hash
    keys: NewKeys
    policy: tuple[PolicyRule, ...]
    """Delegated policy and limits; empty: the parent's own policy."""


class BranchStatusSet(Wire, tag="organisation.branch.status.set"):
    label: Label
    branch: Id
    status: BranchStatus


class RecoverStart(Wire, tag="organisation.recover.start"):
    """Joint act of the sponsor and a second attester for an organisation that lost its keys."""

    label: Label
    organisation: Id
    keys: NewKeys


class RecoverCancel(Wire, tag="organisation.recover.cancel"):
    """By any live key of the organisation."""

    label: Label


class PolicySet(Wire, tag="organisation.policy.set"):
    label: Label
    rules: tuple[PolicyRule, ...]
    branch: Id | None
    """A branch of the acting organisation to delegate to; None: the acting organisation itself."""


class KeyAdd(Wire, tag="key.add"):
    label: Label
    key: NewKey


class KeyRotate(Wire, tag="key.rotate"):
    label: Label
    old: Id
    key: NewKey


class KeyRevoke(Wire, tag="key.revoke"):
    label: Label
    key: Id


class ReadingKeySet(Wire, tag="key.reading.set"):
    """From now on documents are wrapped for the acting organisation under this key. Created, or replaced:
    its ReadingKey."""

    label: Label
    epoch: Epoch
    """Greater than that of the key before."""
    suite: ReadingSuite
    public_key: ReadingPublicKey


class AccountBind(Wire, tag="account.bind"):
    label: Label
    bank: Id
    account_commitment: Hash
    currency: Currency


class AccountVerify(Wire, tag="account.verify"):
    label: Label
    account: Id


# --- 8.3 programmes and lines -----------------------------------------------------------------


class ProgrammeRules(Wire):
    accept_mode: AcceptMode
    deemed_days: Small
    max_hops: Small
    max_lots: Small
    min_piece: Units
    max_tenor_days: Small
    grace_days: Small
    document_policy: DocumentPolicy
    visibility: Visibility
    document_required_on_transfer: bool
    penalty_ppm_day: Ppm
    funding_order: Annotated[tuple[Id, ...], Meta(max_length=16)]
    open_to_all: bool
    policy_minimum: Annotated[tuple[PolicyRule, ...], Meta(max_length=16)]
    """What no member's policy undercuts: sorted by class and amount, as a policy."""
    price_mode: PriceMode


class ProgrammeCreate(Wire, tag="programme.create"):
    label: Label
    kind: ProgrammeKind
    currency: Currency
    rules: ProgrammeRules


class ProgrammeUpdate(Wire, tag="programme.update"):
    label: Label
    programme: Id
    rules: ProgrammeRules


class ProgrammeJoin(Wire, tag="programme.join"):
    label: Label
    programme: Id


class ProgrammeLeave(Wire, tag="programme.leave"):
    label: Label
    programme: Id


class LineGrant(Wire, tag="line.grant"):
    label: Label
    kind: LineKind
    obligor: Id
    currency: Currency
    granted: Units
    valid_from: Day
    valid_to: Day
    seasonal: SeasonalWindows


class LineChange(Wire, tag="line.change"):
    label: Label
    line: Id
    granted: Units
    valid_from: Day
    valid_to: Day
    seasonal: SeasonalWindows


class LineSuspend(Wire, tag="line.suspend"):
    label: Label
    line: Id


class LineResume(Wire, tag="line.resume"):
    label: Label
    line: Id


class LineGrantSealed(Wire, tag="line.grant.sealed"):
    """A limit that only grantor and obligor know. DEBTOR_EXPOSURE or BORROWER."""

    label: Label
    kind: LineKind
    obligor: Id
    currency: Currency
    commitment: Hash
    """`sealed_line.commitment` of the first state."""
    valid_from: Day
    valid_to: Day


class LineChangeSealed(Wire, tag="line.change.sealed"):
    """By the grantor: another limit, other dates, or use that has ended."""

    label: Label
    line: Id
    sequence: Uint
    """One more than that of the line."""
    commitment: Hash
    valid_from: Day
    valid_to: Day


class LineUseSealed(Wire, tag="line.use.sealed"):
    """By the grantor, in one envelope with its act on `use`: the new commitment counts that use in."""

    label: Label
    line: Id
    sequence: Uint
    """One more than that of the line."""
    commitment: Hash
    use: Id
    """Request that is quoted for, rediscount that is accepted, or prepayment that is funded."""


class LineAllocate(Wire, tag="line.allocate"):
    """By a core: part of its ISSUE lines for a supplier; again, to change it."""

    label: Label
    supplier: Id
    currency: Currency
    granted: Units
    valid_from: Day
    valid_to: Day


class FeeScheduleSet(Wire, tag="fee.schedule.set"):
    """By the operator for the network, or by the owner for a programme. Replaces what was set for this day
    and later ones."""

    label: Label
    programme: Id | None
    terms: FeeTerms


class WaiverGrant(Wire, tag="waiver.grant"):
    label: Label
    programme: Id | None
    scope: WaiverScope
    value: ScopeValue
    kind: WaiverKind
    bps: Bps
    days: Small
    valid_from: Day
    valid_to: Day
    cap_total: Units


class WaiverRevoke(Wire, tag="waiver.revoke"):
    label: Label
    waiver: Id


class FundCommit(Wire, tag="fund.commit"):
    """By funder and agent bank together: more money for their pool of this kind."""

    label: Label
    funder: Id
    agent_bank: Id
    kind: PoolKind
    currency: Currency
    amount: Units
    terms: Hash


class FundWithdraw(Wire, tag="fund.withdraw"):
    """By funder and agent bank together."""

    label: Label
    pool: Id
    amount: Units


# --- 8.4 documents ----------------------------------------------------------------------------


class DocumentRegister(Wire, tag="document.register"):
    """By a party of the document. The same tag and root again gives a named party the existing id."""

    label: Label
    document_type: DocumentType
    uniqueness_tag: Hash
    root: Hash
    ciphertext_hash: Hash
    creditor: Id
    debtor: Id
    parties: Annotated[tuple[Id, ...], Meta(max_length=16)]
    """Further parties beside creditor and debtor."""
    currency: Currency
    total: Units
    delivery_day: Day | None


class DocumentAttest(Wire, tag="document.attest"):
    label: Label
    document: Id
    kind: AttestationKind


class DocumentVoid(Wire, tag="document.void"):
    """By an oracle; or jointly by owner and debtor."""

    label: Label
    document: Id


class AccessGrant(Wire, tag="document.access.grant"):
    """By the owner: the document's key for one reader, who stays unknown to everybody else."""

    label: Label
    document: Id
    hint: Hash
    """`hashing.reader_hint`: the owner gives its secret to the reader with the ciphertext."""
    epoch: Epoch
    """Of the reader's encryption key."""
    wrapped_key: WrappedKey


class OpenedField(Wire):
    """A field as the ciphertext gives it."""

    path: Annotated[str, Meta(min_length=1, max_length=256)]
    salt: Hash
    value: Annotated[bytes, Meta(max_length=65_536)]


class DocumentComplaint(Wire, tag="document.complaint"):
    """By a reader: the ciphertext with the registered hash does not give the registered root."""

    label: Label
    document: Id
    secret: Hash
    """Of the reader's hint; shows that a key was granted to the acting organisation."""
    fields: Annotated[tuple[OpenedField, ...], Meta(max_length=16)]
    """As the ciphertext gives them; empty where the wrapped key opens nothing at all."""


class FlowAnchorPublish(Wire, tag="flow.anchor.publish"):
    """Totals of the business records of a period, which lies within one day and after the last one."""

    label: Label
    stream: Name
    day: Day
    from_second: Uint
    """Of the day, included."""
    to_second: Uint
    """Excluded; 86,400 completes the day."""
    count: Uint
    sum: Units
    records_root: Hash
    """Over the records, for proofs of inclusion."""


# --- 8.5 voucher ------------------------------------------------------------------------------


class VoucherIssue(Wire, tag="voucher.issue"):
    label: Label
    payee: Id
    currency: Currency
    face: Units
    maturity: Day
    """As agreed; the voucher's own maturity is rolled to a working day."""
    promise: Promise
    documents: Annotated[tuple[DocumentUse, ...], Meta(min_length=1, max_length=64)]
    programme: Id
    issue_line: Id
    clearing_bank: Id


class VoucherClaim(Wire, tag="voucher.claim"):
    label: Label
    voucher: Id
    consent: bool
    """The payee's explicit consent to be paid by voucher."""


class VoucherReject(Wire, tag="voucher.reject"):
    label: Label
    voucher: Id


class VoucherWithdraw(Wire, tag="voucher.withdraw"):
    label: Label
    voucher: Id


class VoucherCancel(Wire, tag="voucher.cancel"):
    """Joint: the debtor and the sole holder."""

    label: Label
    voucher: Id


class VoucherReduce(Wire, tag="voucher.reduce"):
    """Joint: the debtor and the first payee, after a credit note."""

    label: Label
    voucher: Id
    start: Units
    """Lot of the first payee of which the tail is cancelled."""
    documents: Annotated[tuple[DocumentUse, ...], Meta(min_length=1, max_length=64)]
    """What each corrected document backs less; the sum is cancelled."""


class VoucherExtend(Wire, tag="voucher.extend"):
    """Joint: the debtor and everybody named."""

    label: Label
    voucher: Id
    maturity: Day
    """As agreed; the voucher's own maturity is rolled to a working day."""
    consenting: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=1_024)]
    """Sorted: every holder, lien holder and guarantor. Two for each of 500 lots, and guarantors."""


class VoucherReview(Wire, tag="voucher.review"):
    label: Label
    voucher: Id


class VoucherSuspend(Wire, tag="voucher.suspend"):
    label: Label
    voucher: Id


class VoucherResume(Wire, tag="voucher.resume"):
    label: Label
    voucher: Id


# --- 8.6 lot ----------------------------------------------------------------------------------


class Piece(Wire):
    """One receiver of a transfer. Pieces are carved in listed order, the first takes the tail."""

    receiver: Id
    amount: Units
    document: Id | None
    """Own trade document, where the programme requires one."""


class LotTransfer(Wire, tag="lot.transfer"):
    label: Label
    voucher: Id
    start: Units
    pieces: Annotated[tuple[Piece, ...], Meta(min_length=1, max_length=200)]


class LotAccept(Wire, tag="lot.accept"):
    label: Label
    voucher: Id
    start: Units


class LotDecline(Wire, tag="lot.decline"):
    label: Label
    voucher: Id
    start: Units


class LotRecall(Wire, tag="lot.recall"):
    label: Label
    voucher: Id
    start: Units


class LotFlagSet(Wire, tag="lot.flag.set"):
    """By the holder, or by the issuer before the claim."""

    label: Label
    voucher: Id
    start: Units
    no_transfer: bool


class LotMerge(Wire, tag="lot.merge"):
    label: Label
    voucher: Id
    start: Units


# --- 8.7 financing ----------------------------------------------------------------------------


class OfferCreate(Wire, tag="offer.create"):
    label: Label
    kind: FinancingKind
    currency: Currency
    debtors: Ids
    programmes: Ids
    grid: Annotated[tuple[RateBand, ...], Meta(min_length=1, max_length=32)]
    basis: Small
    draw_min: Units
    draw_max: Units
    organisation_cap: Units
    total_cap: Units
    valid_from: Day
    valid_to: Day
    lines_required: tuple[LineKind, ...]
    registration_required: bool
    automatic: bool
    stop_on_flow_collapse: bool
    source: Id | None
    """A fund pool of the acting organisation, or None."""


class OfferRevoke(Wire, tag="offer.revoke"):
    label: Label
    offer: Id


class FinancingDraw(Wire, tag="financing.draw"):
    """Sell or pledge the last `amount` fen of a lot. Created: Financing (by label), Instruction."""

    label: Label
    offer: Id | None
    """None: AUTO, the programme's funding order and then the cheapest open offer (C16)."""
    voucher: Id
    start: Units
    amount: Units
    payee: Id
    """The drawer's verified account; from `controlled_payment_min`, that of a controlled payee."""
    purpose: Purpose


class BatchDraw(Wire):
    amount: Units
    purpose: Purpose


class FinancingDrawBatch(Wire, tag="financing.draw_batch"):
    """Many draws from the tail of one lot under one offer. Created: one Financing (by label), one
    Instruction."""

    label: Label
    offer: Id
    voucher: Id
    start: Units
    draws: Annotated[tuple[BatchDraw, ...], Meta(min_length=1, max_length=256)]
    """At most `draw_batch_max`; the wire takes some more, so that the rule can say BATCH_LIMIT."""
    payee: Id


class FinancingRequestOpen(Wire, tag="financing.request"):
    """Ask funders for quotes on the last `amount` fen of a lot. Created: FinancingRequest (by label)."""

    label: Label
    voucher: Id
    start: Units
    amount: Units
    payee: Id
    purpose: Purpose
    funders: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=REQUEST_FUNDERS_MAX)]
    """Sorted, distinct; the debtor among them may quote early payment."""


class FinancingQuote(Wire, tag="financing.quote"):
    """A funder's firm answer to a request."""

    label: Label
    request: Id
    amount: Units
    """Face that it is for: the request's."""
    kind: FinancingKind
    rate_ppm: Ppm
    basis: Small
    advance_bps: Bps
    lines: tuple[LineKind, ...]
    registration_required: bool
    valid_to: Day


class FinancingAccept(Wire, tag="financing.accept"):
    """Draw at the quote of `funder`. Created: Financing (by label), Instruction."""

    label: Label
    request: Id
    funder: Id


class FinancingQuoteSealed(Wire, tag="financing.quote.sealed"):
    """A bank's firm answer to a request: it buys the range at a price that only the holder learns."""

    label: Label
    request: Id
    amount: Units
    """Face that it is for: the request's."""
    terms_commitment: Hash
    """`sealed_price.terms_commitment`."""
    ciphertext_hash: Hash
    """Of the terms and their salt, encrypted for the holder's reading key."""
    lines: tuple[LineKind, ...]
    registration_required: bool
    valid_to: Day


class FinancingAcceptSealed(Wire, tag="financing.accept.sealed"):
    """Sell at the sealed quote of `funder`. Created: Financing (by label), Instruction."""

    label: Label
    request: Id
    funder: Id
    terms_commitment: Hash
    """That of the quote: the holder signs for the terms too."""
    price_commitment: Hash
    """`sealed_price.price_commitment` of what the terms give on `value_day`."""
    value_day: Day
    """The business date, on which the discount depends; on another one the act is refused."""


class FinancingCancel(Wire, tag="financing.cancel"):
    label: Label
    request: Id


class RegistrationRecord(Wire, tag="financing.registration.record"):
    """Evidence of an entry in the national registry. Recorded again, the newer one counts."""

    label: Label
    financing: Id
    number_commitment: Hash
    day: Day
    expiry: Day


class InstructionSend(Wire, tag="instruction.send"):
    label: Label
    instruction: Id


class InstructionConfirm(Wire, tag="instruction.confirm"):
    label: Label
    instruction: Id
    amount: Units
    receipt_commitment: Hash


class InstructionFail(Wire, tag="instruction.fail"):
    label: Label
    instruction: Id


class PayoutConfirm(Wire, tag="financing.payout.confirm"):
    label: Label
    instruction: Id
    amount: Units
    receipt_commitment: Hash


class PayoutConfirmSealed(Wire, tag="financing.payout.confirm.sealed"):
    """The funder's bank has paid a sealed price, less the fee that the financing deducts."""

    label: Label
    instruction: Id
    face: Units
    """Of the range bought: more than is ever paid, for policies and caps."""
    price_commitment: Hash
    """That of the instruction: the bank has paid what it commits to."""
    receipt_commitment: Hash


class PayoutFail(Wire, tag="financing.payout.fail"):
    label: Label
    instruction: Id


class FinancingRepay(Wire, tag="financing.repay"):
    """The borrower announces a repayment; created: Instruction REPAYMENT."""

    label: Label
    financing: Id
    amount: Units


class RepayConfirm(Wire, tag="financing.repay.confirm"):
    label: Label
    instruction: Id
    amount: Units
    receipt_commitment: Hash


class RecourseClaim(Wire, tag="financing.recourse.claim"):
    label: Label
    financing: Id
    contract_event: Hash | None
    """Commitment to the proof of an event that the contract names; None: the voucher is overdue."""


class RecourseRepurchase(Wire, tag="financing.recourse.repurchase"):
    """The borrower announces what it owes for the range; created: Instruction REPAYMENT."""

    label: Label
    financing: Id


class FinancingEnforce(Wire, tag="financing.enforce"):
    label: Label
    financing: Id


class FinancingWriteOff(Wire, tag="financing.write_off"):
    label: Label
    financing: Id


class RediscountOffer(Wire, tag="financing.rediscount.offer"):
    """A bank offers the tail of a bought lot to another bank. Created: Financing REDISCOUNT."""

    label: Label
    voucher: Id
    start: Units
    amount: Units
    """Face."""
    buyer: Id
    price: Units
    """Agreed between the two; paid by the buyer for the whole amount."""


class RediscountAccept(Wire, tag="financing.rediscount.accept"):
    """By the buyer; created: Instruction buyer -> seller."""

    label: Label
    financing: Id
    price: Units
    """As offered: the buyer signs for it."""


class RediscountConfirm(Wire, tag="financing.rediscount.confirm"):
    """The seller received the price; holder and exposure move."""

    label: Label
    financing: Id
    amount: Units
    receipt_commitment: Hash


class RediscountCancel(Wire, tag="financing.rediscount.cancel"):
    label: Label
    financing: Id


class BackstopCreate(Wire, tag="backstop.create"):
    """Joint act of all member banks; created id: record_id(BACKSTOP, body hash, b"")."""

    label: Label
    banks: Annotated[tuple[BackstopShare, ...], Meta(min_length=1, max_length=16)]
    lead_bank: Id
    currency: Currency
    debtors: Annotated[tuple[Id, ...], Meta(max_length=64)]
    programmes: Annotated[tuple[Id, ...], Meta(max_length=64)]
    cap: Units
    advance_bps: Bps
    rate_ppm: Ppm
    basis: Small
    recourse: bool
    triggers: Small


class BackstopTrigger(Wire, tag="backstop.trigger"):
    """Open the pool for one debtor, naming why."""

    label: Label
    backstop: Id
    debtor: Id
    overdue_voucher: Id | None
    distress_event: Id | None
    """One of both is the reason."""


class BackstopClose(Wire, tag="backstop.close"):
    label: Label
    backstop: Id


class BackstopDraw(Wire, tag="backstop.draw"):
    """Borrow from the pool on the tail of a lot. Created: Financing BACKSTOP, one Instruction a bank."""

    label: Label
    backstop: Id
    voucher: Id
    start: Units
    amount: Units
    """Face to pledge; the loan is its advance."""
    payee: Id
    """The drawer's verified account."""
    purpose: Purpose


# --- 8.8 settlement ---------------------------------------------------------------------------


class FundsReceived(Wire, tag="settlement.funds_received"):
    label: Label
    voucher: Id
    face_part: Units
    penalty_part: Units
    receipt_commitment: Hash


class SettlementPaid(Wire, tag="settlement.paid"):
    label: Label
    instruction: Id
    amount: Units
    receipt_commitment: Hash


class SettlementFailed(Wire, tag="settlement.failed"):
    label: Label
    instruction: Id


class SettlementEscrow(Wire, tag="settlement.escrow"):
    label: Label
    instruction: Id
    amount: Units
    receipt_commitment: Hash


class SettlementWriteOff(Wire, tag="settlement.write_off"):
    label: Label
    voucher: Id


NET_LEGS_MAX: Final = 64
"""Lots of one netting: a ring of sixteen enterprises with four lots each; every consent reads all of them."""


class NetLeg(Wire):
    """The last `amount` fen of a lot, which its debtor owes its holder no more."""

    voucher: Id
    start: Units
    amount: Units


class SettlementNet(Wire, tag="settlement.net"):
    """Joint: every debtor and every holder of the legs."""

    label: Label
    legs: Annotated[tuple[NetLeg, ...], Meta(min_length=2, max_length=NET_LEGS_MAX)]
    """Sorted by voucher and start, each lot once."""


class GuaranteeIssue(Wire, tag="guarantee.issue"):
    label: Label
    bank: Id
    """Pays for the guarantor."""
    beneficiary: Id | None
    scope: GuaranteeScope
    covered: Id
    currency: Currency
    cap: Units
    fee: Units
    expiry: Day


class GuaranteeCall(Wire, tag="guarantee.call"):
    """Demand payment for the tail of an overdue lot. Created: Instruction GUARANTEE."""

    label: Label
    guarantee: Id
    voucher: Id
    start: Units
    amount: Units


class GuaranteePayConfirm(Wire, tag="guarantee.pay.confirm"):
    """The guarantor's bank paid the called range; the guarantor holds it now."""

    label: Label
    voucher: Id
    start: Units
    """Of the lot that was called."""
    amount: Units
    receipt_commitment: Hash


class GuaranteeRelease(Wire, tag="guarantee.release"):
    """By the beneficiary: the whole guarantee, or its call on the lot that starts at `start`."""

    label: Label
    guarantee: Id
    voucher: Id | None
    """None: the whole guarantee."""
    start: Units


# --- 8.8 legal --------------------------------------------------------------------------------


class FrozenPart(Wire):
    """Part of a voucher that a legal order names."""

    voucher: Id
    start: Units
    amount: Units
    exact: bool
    """True: the range `[start, start + amount)`; False: the last `amount` fen of the lot at `start`."""


class FreezeOrder(Wire, tag="freeze.order"):
    """By a court agent or regulator. Created: Freeze, by label."""

    label: Label
    organisation: Id
    """Whose assets."""
    case_commitment: Hash
    parts: Annotated[tuple[FrozenPart, ...], Meta(max_length=64)]
    """Empty: everything that the organisation holds."""
    expires: Day
    """Last day in force."""


class FreezeExtend(Wire, tag="freeze.extend"):
    label: Label
    freeze: Id
    expires: Day


class FreezeLift(Wire, tag="freeze.lift"):
    label: Label
    freeze: Id


class ForceTransfer(Wire, tag="freeze.force_transfer"):
    """By a court agent: a frozen range gets a new holder."""

    label: Label
    voucher: Id
    start: Units
    end: Units
    receiver: Id
    case_commitment: Hash


class DisputedRange(Wire):
    start: Units
    end: Units


class DisputeOpen(Wire, tag="dispute.open"):
    """By the debtor, or by the holder of every range named. Created: Dispute, by label."""

    label: Label
    voucher: Id
    ranges: Annotated[tuple[DisputedRange, ...], Meta(min_length=1, max_length=16)]
    """Sorted, disjoint."""
    reason_commitment: Hash


class DisputeResolve(Wire, tag="dispute.resolve"):
    """Joint: the debtor and every holder of the disputed ranges; or a court agent alone."""

    label: Label
    dispute: Id


# --- 8.9 goods --------------------------------------------------------------------------------


class WarehouseReceiptIssue(Wire, tag="warehouse.receipt.issue"):
    label: Label
    owner: Id
    sku: Name
    unit: Name
    location: Name
    currency: Currency
    quantity: Units
    unit_value: Units


class WarehouseReceiptPledge(Wire, tag="warehouse.receipt.pledge"):
    label: Label
    receipt: Id
    financing: Id
    advance_bps: Bps


class WarehouseReceiptDeliver(Wire, tag="warehouse.receipt.deliver"):
    label: Label
    receipt: Id
    quantity: Units


class WarehouseReceiptRelease(Wire, tag="warehouse.receipt.release"):
    label: Label
    receipt: Id
    quantity: Units


class WarehouseReceiptPrice(Wire, tag="warehouse.receipt.price"):
    label: Label
    receipt: Id
    unit_value: Units


class WarehouseReceiptSplit(Wire, tag="warehouse.receipt.split"):
    """Created: WarehouseReceipt for the tail of what is free."""

    label: Label
    receipt: Id
    quantity: Units


class WarehouseReceiptTransfer(Wire, tag="warehouse.receipt.transfer"):
    label: Label
    receipt: Id
    receiver: Id


class PrepaymentRequest(Wire, tag="prepayment.request"):
    label: Label
    maker: Id
    bank: Id
    account: Id
    """The maker's."""
    currency: Currency
    amount: Units
    sku: Name
    unit: Name
    ship_by: Day
    end_day: Day


class PrepaymentFund(Wire, tag="prepayment.fund"):
    """Created: Financing PREPAYMENT, Instruction bank -> maker."""

    label: Label
    prepayment: Id
    amount: Units
    """As requested: the bank signs for it."""
    rate_ppm: Ppm
    basis: Small
    advance_bps: Bps
    """Of the goods' value, for releases."""


class PrepaymentShip(Wire, tag="prepayment.ship"):
    """Created: WarehouseReceipt, pledged to the bank."""

    label: Label
    prepayment: Id
    warehouse: Id
    location: Name
    quantity: Units
    unit_value: Units


class MarginCall(Wire, tag="warehouse.margin.call"):
    """Result: shortfall in fen, last day for the borrower."""

    label: Label
    financing: Id


class BuybackCall(Wire, tag="warehouse.buyback.call"):
    """Created: Instruction BUYBACK maker -> bank. Result: the amount in fen."""

    label: Label
    financing: Id


class BuybackConfirm(Wire, tag="warehouse.buyback.confirm"):
    """Created: WarehouseReceipt of the maker, if the borrower keeps a free part of the old one."""

    label: Label
    instruction: Id
    amount: Units
    receipt_commitment: Hash


# --- 8.10 audit -------------------------------------------------------------------------------


class ReconciliationAttest(Wire, tag="reconciliation.attest"):
    """By a bank: what its own books say that a debtor owed at the end of an anchored day."""

    label: Label
    debtor: Id
    currency: Currency
    day: Day
    count: Uint
    sum: Units


Command = (
    ParameterSet | CalendarSet | OrganisationAdmit | ConsentWithdraw
    | ValidatorAdd | ValidatorRemove
    | OrganisationRegister | KycSet | OrganisationSuspend | OrganisationResume | PolicySet
    | KeyAdd | KeyRotate | KeyRevoke | ReadingKeySet | AccountBind | AccountVerify
    | ProgrammeCreate | ProgrammeUpdate | ProgrammeJoin | ProgrammeLeave
    | LineGrant | LineChange | LineSuspend | LineResume
    | LineGrantSealed | LineChangeSealed | LineUseSealed
    | IssuerBlock | IssuerUnblock | DistressOpen | DistressClose | DistressDeclare | DistressEnd
    | BranchCreate | BranchStatusSet | RecoverStart | RecoverCancel
    | LineAllocate | FeeScheduleSet | WaiverGrant | WaiverRevoke | FundCommit | FundWithdraw
    | DocumentRegister
    | DocumentAttest | DocumentVoid | AccessGrant | DocumentComplaint
    | FlowAnchorPublish
    | VoucherIssue | VoucherClaim | VoucherReject | VoucherWithdraw
    | VoucherCancel | VoucherReduce | VoucherExtend | VoucherReview | VoucherSuspend | VoucherResume
    | LotTransfer | LotAccept | LotDecline | LotRecall
    | LotFlagSet | LotMerge
    | OfferCreate | OfferRevoke | FinancingDraw | InstructionSend | PayoutConfirm | PayoutFail
    | FinancingRepay | RepayConfirm
    | FinancingDrawBatch | FinancingRequestOpen | FinancingQuote | FinancingAccept | FinancingCancel
    | FinancingQuoteSealed | FinancingAcceptSealed | PayoutConfirmSealed
    | InstructionConfirm | InstructionFail | RegistrationRecord
    | RecourseClaim | RecourseRepurchase | FinancingEnforce | FinancingWriteOff
    | FundsReceived | SettlementPaid | SettlementFailed
    | RediscountOffer | RediscountAccept | RediscountConfirm | RediscountCancel
    | BackstopCreate | BackstopTrigger | BackstopClose | BackstopDraw
    | GuaranteeIssue | GuaranteeCall | GuaranteePayConfirm | GuaranteeRelease
    | WarehouseReceiptIssue | WarehouseReceiptPledge | WarehouseReceiptDeliver
    | WarehouseReceiptRelease | WarehouseReceiptPrice | WarehouseReceiptSplit
    | WarehouseReceiptTransfer | PrepaymentRequest | PrepaymentFund | PrepaymentShip
    | MarginCall | BuybackCall | BuybackConfirm
    | SettlementEscrow | SettlementWriteOff | SettlementNet | ReconciliationAttest
    | FreezeOrder | FreezeExtend | FreezeLift | ForceTransfer | DisputeOpen | DisputeResolve
)  # fmt: skip

COMMAND_TYPES: Final[tuple[type[Wire], ...]] = get_args(Command)


def command_name(command: Wire | type[Wire]) -> str:
    """The command's name in the specification, e.g. `lot.transfer`."""
    return str(command.__struct_config__.tag)
