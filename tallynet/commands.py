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
    Currency,
    Day,
    Hash,
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
    AcceptMode,
    Algorithm,
    CalendarEntry,
    DocumentPolicy,
    DocumentType,
    DocumentUse,
    FinancingKind,
    LineKind,
    OrganisationKind,
    PolicyRule,
    ProgrammeKind,
    Promise,
    Purpose,
    RateBand,
    Role,
    Size,
)  # fmt: skip

Ids = Annotated[tuple[Id, ...], Meta(max_length=256)]


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


class PolicySet(Wire, tag="organisation.policy.set"):
    label: Label
    rules: tuple[PolicyRule, ...]


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
    document_required_on_transfer: bool
    penalty_ppm_day: Ppm
    funding_order: Annotated[tuple[Id, ...], Meta(max_length=16)]
    open_to_all: bool


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


class LineChange(Wire, tag="line.change"):
    label: Label
    line: Id
    granted: Units
    valid_from: Day
    valid_to: Day


class LineSuspend(Wire, tag="line.suspend"):
    label: Label
    line: Id


class LineResume(Wire, tag="line.resume"):
    label: Label
    line: Id


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
    """The drawer's verified account."""
    purpose: Purpose


class InstructionSend(Wire, tag="instruction.send"):
    label: Label
    instruction: Id


class PayoutConfirm(Wire, tag="financing.payout.confirm"):
    label: Label
    instruction: Id
    amount: Units
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


Command = (
    ParameterSet | CalendarSet | OrganisationAdmit | ConsentWithdraw
    | OrganisationRegister | KycSet | OrganisationSuspend | OrganisationResume | PolicySet
    | KeyAdd | KeyRotate | KeyRevoke | AccountBind | AccountVerify
    | ProgrammeCreate | ProgrammeUpdate | ProgrammeJoin | ProgrammeLeave
    | LineGrant | LineChange | LineSuspend | LineResume
    | DocumentRegister
    | VoucherIssue | VoucherClaim | VoucherReject | VoucherWithdraw
    | VoucherCancel | VoucherReduce | VoucherExtend | VoucherReview | VoucherSuspend | VoucherResume
    | LotTransfer | LotAccept | LotDecline | LotRecall
    | LotFlagSet | LotMerge
    | OfferCreate | OfferRevoke | FinancingDraw | InstructionSend | PayoutConfirm | PayoutFail
    | FinancingRepay | RepayConfirm
    | FundsReceived | SettlementPaid | SettlementFailed
    | SettlementEscrow | SettlementWriteOff
    | FreezeOrder | FreezeExtend | FreezeLift | ForceTransfer | DisputeOpen | DisputeResolve
)  # fmt: skip

COMMAND_TYPES: Final[tuple[type[Wire], ...]] = get_args(Command)


def command_name(command: Wire | type[Wire]) -> str:
    """The command's name in the specification, e.g. `lot.transfer`."""
    return str(command.__struct_config__.tag)
