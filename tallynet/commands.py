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
    AttestationKind,
    CalendarEntry,
    DocumentPolicy,
    DocumentType,
    DocumentUse,
    FeeTerms,
    FinancingKind,
    LineKind,
    OrganisationKind,
    PolicyRule,
    PoolKind,
    ProgrammeKind,
    Promise,
    Purpose,
    RateBand,
    Role,
    ScopeValue,
    SeasonalWindows,
    Size,
    WaiverKind,
    WaiverScope,
    WrappedKey,
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
    fields: Annotated[tuple[OpenedField, ...], Meta(min_length=1, max_length=16)]


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


Command = (
    ParameterSet | CalendarSet | OrganisationAdmit | ConsentWithdraw
    | OrganisationRegister | KycSet | OrganisationSuspend | OrganisationResume | PolicySet
    | KeyAdd | KeyRotate | KeyRevoke | AccountBind | AccountVerify
    | ProgrammeCreate | ProgrammeUpdate | ProgrammeJoin | ProgrammeLeave
    | LineGrant | LineChange | LineSuspend | LineResume
    | LineAllocate | FeeScheduleSet | WaiverGrant | WaiverRevoke | FundCommit | FundWithdraw
    | DocumentRegister
    | DocumentAttest | DocumentVoid | AccessGrant | DocumentComplaint
    | FlowAnchorPublish
    | VoucherIssue | VoucherClaim | VoucherReject | VoucherWithdraw
    | LotTransfer | LotAccept | LotDecline | LotRecall
    | OfferCreate | OfferRevoke | FinancingDraw | InstructionSend | PayoutConfirm | PayoutFail
    | FinancingRepay | RepayConfirm
    | FundsReceived | SettlementPaid | SettlementFailed
)  # fmt: skip

COMMAND_TYPES: Final[tuple[type[Wire], ...]] = get_args(Command)


def command_name(command: Wire | type[Wire]) -> str:
    """The command's name in the specification, e.g. `lot.transfer`."""
    return str(command.__struct_config__.tag)
