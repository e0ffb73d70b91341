"""Errors that cross module borders, and the one way to state an invariant.

Two kinds of fault are kept apart everywhere: *Local* means this process is wrong and must stop,
*Remote* means somebody else is wrong: drop what they sent, count it, perhaps disconnect.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ERROR_CODES",
    "InvariantViolated",
    "LedgerError",
    "ProtocolError",
    "RemoteProtocolError",
    "TallynetError",
    "invariant",
]


class TallynetError(Exception):
    """Root of the errors a caller may expect in normal operation.

    `code` is stable and for machines, the text is for people and says what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: Final = code
        self.message: Final = message


class ProtocolError(TallynetError):
    """Abstract: raise one of the subclasses."""

    def __new__(cls, *_args: object, **_kwargs: object) -> ProtocolError:
        if cls is ProtocolError:
            raise TypeError("raise RemoteProtocolError; a local fault is an InvariantViolated")
        return super().__new__(cls)


class RemoteProtocolError(ProtocolError):
    """A peer or client broke the protocol: drop the message, count it; nothing else changes."""


class LedgerError(TallynetError):
    """A command was refused by the voucher law; `code` is one of `ERROR_CODES` (voucher law §20)."""


class InvariantViolated(BaseException):
    """This process is wrong. Not an `Exception`, so that no handler swallows it: the node halts."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code: Final = code


def invariant(condition: bool, code: str) -> None:
    """Halt unless `condition` holds; unlike `assert` it survives `python -O` (reliability D7)."""
    if not condition:
        raise InvariantViolated(code)


ERROR_CODES: Final[dict[str, tuple[str, ...]]] = {
    "FORM": (
        "ENVELOPE_MALFORMED", "ENVELOPE_TOO_LARGE", "NETWORK_MISMATCH", "EXPIRED",
        "VALIDITY_TOO_LONG", "DUPLICATE_TRANSACTION", "COMMAND_COUNT", "UNKNOWN_COMMAND",
        "SCHEMA_INVALID", "ATOMIC_ABORTED",
    ),
    "AUTHORITY": (
        "SIGNATURE_INVALID", "KEY_UNKNOWN", "KEY_REVOKED", "KEY_WEAK", "KEY_CAP",
        "POLICY_UNSATISFIED", "SAME_PERSON", "NOT_AUTHORISED", "NOT_SPONSOR", "NOT_LICENSED",
        "ORGANISATION_INACTIVE", "KYC_INSUFFICIENT", "CONSENT_NOT_OPEN", "CONSENT_REPEATED",
    ),
    "VALUE": (
        "AMOUNT_RANGE", "DATE_RANGE", "CURRENCY_MISMATCH", "RECORD_NOT_FOUND", "ID_IN_USE",
        "STATE_CONFLICT", "BATCH_LIMIT",
    ),
    "GOVERNANCE": (
        "PARAMETER_UNKNOWN", "PARAMETER_BOUNDS", "PARAMETER_DATE", "CALENDAR_PAST_DAY",
        "VALIDATOR_SET_SIZE",
    ),
    "IDENTITY": (
        "ORGANISATION_DUPLICATE", "SPONSOR_REQUIRED", "BRANCH_DEPTH", "BRANCH_CLOSED",
        "POLICY_TOO_WEAK", "RECOVERY_TIMELOCK", "ACCOUNT_DUPLICATE", "ACCOUNT_UNVERIFIED",
    ),
    "LIMIT": (
        "PROGRAMME_RULE", "PROGRAMME_NOT_MEMBER", "LINE_KIND", "LINE_EXCEEDED", "LINE_INACTIVE",
        "LINE_SEALED", "ALLOCATION_EXCEEDED", "FEE_INVALID", "WAIVER_OVERLAP", "FUND_INSUFFICIENT",
    ),
    "DOCUMENT": (
        "DOCUMENT_DUPLICATE", "DOCUMENT_CONFLICT", "DOCUMENT_STATE", "DOCUMENT_VOID",
        "DOCUMENT_PARTY", "DOCUMENT_OVERUSED", "DOCUMENT_REQUIRED", "ORACLE_REQUIRED",
        "READER_KEY", "FLOW_OVERLAP", "FLOW_COLLAPSED",
    ),
    "VOUCHER": (
        "ISSUER_BLOCKED", "TENOR_EXCEEDED", "PAYMENT_TERM_EXCEEDED", "PROMISE_MISSING",
        "NOT_PAYEE", "CLAIM_EXPIRED", "VOUCHER_STATE", "VOUCHER_SUSPENDED",
        "HOLDER_CONSENT_MISSING",
    ),
    "LOT": (
        "NOT_HOLDER", "LOT_STATE", "LOT_LOCKED", "LOT_FROZEN", "LOT_DISPUTED", "LOT_ENCUMBERED",
        "LOT_LIMIT", "HOP_LIMIT", "PIECE_TOO_SMALL", "TRANSFER_BARRED", "RECEIVER_NOT_ELIGIBLE",
        "NOT_MERGEABLE",
    ),
    "FINANCING": (
        "NO_OFFER", "OFFER_SCOPE", "OFFER_CAP", "TENOR_BAND", "QUOTE_EXPIRED", "SELF_DEALING",
        "PURPOSE_REQUIRED", "PAYEE_NOT_ALLOWED", "NET_NOT_POSITIVE", "REVIEW_REQUIRED",
        "REGISTRATION_REQUIRED", "RECEIPT_REUSED", "AMOUNT_MISMATCH", "OVERPAYMENT",
        "NO_RECOURSE", "BACKSTOP_NOT_TRIGGERED", "BACKSTOP_CAP",
    ),
    "SETTLEMENT AND LEGAL": (
        "FUNDS_EXCEEDED", "FUNDS_SHORT", "SETTLEMENT_REPLAY", "NET_MISMATCH", "GUARANTEE_CAP",
        "GUARANTEE_NOT_CALLED", "NOT_FROZEN",
    ),
    "GOODS AND POOLS": (
        "PAYEE_FIXED", "RECEIPT_PLEDGED", "QUANTITY_EXCEEDED", "LOAN_TO_VALUE",
        "POOL_INELIGIBLE", "POOL_MEMBER",
    ),
}  # fmt: skip
"""Every receipt code but OK, by family. Names are stable for ever (voucher law §20)."""
