"""Dated parameters: rules that regulators change, with defaults and bounds (voucher law §17)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.ledger.context import Context, refuse
from node.state.view import StateView
from tallynet.hashing import record_id
from tallynet.records import Kind, Parameter


@dataclass(frozen=True, slots=True)
class ParameterRule:
    default: int
    least: int
    most: int


def _tenfold(default: int) -> ParameterRule:
    """Bounds not shown in the table: a tenth to ten times the default."""
    return ParameterRule(default, max(1, default // 10), default * 10)


PARAMETERS: Final[dict[str, ParameterRule]] = {
    "branch_depth_max": _tenfold(3),
    "claim_deadline_days": _tenfold(10),
    "consent_days": _tenfold(10),
    "controlled_payment_min": _tenfold(1_000_000_000),
    "day_roll_offset": ParameterRule(0, 0, 86_399),
    "default_after_days": _tenfold(30),
    "draw_batch_max": ParameterRule(200, 20, 200),
    "envelope_lifetime_seconds": ParameterRule(86_400, 60, 86_400),
    "extra_review_days": _tenfold(183),
    "flow_baseline_days": _tenfold(28),
    "flow_collapse_bps": _tenfold(3_000),
    "flow_recover_bps": _tenfold(6_000),
    "flow_window_days": _tenfold(7),
    "instruction_batch": ParameterRule(200, 20, 200),
    "margin_call_days": _tenfold(5),
    "max_hops": ParameterRule(10, 1, 20),
    "max_lots_per_voucher": ParameterRule(200, 1, 500),
    "max_tenor_days": ParameterRule(365, 1, 365),
    "payout_timeout_seconds": _tenfold(86_400),
    "penalty_ppm_day": ParameterRule(500, 0, 2_000),
    "recovery_timelock_days": _tenfold(7),
    "request_expiry_days": _tenfold(3),
    "single_signer_max": _tenfold(100_000_000),
    "sme_payment_days": _tenfold(60),
    "sme_payment_deny": ParameterRule(0, 0, 1),
    "system_work_per_block": _tenfold(2_000),
    "transfer_deadline_days": _tenfold(5),
}
"""`envelope_lifetime_seconds`: no block holds an envelope that lives longer than
`consensus.constants.TRANSACTION_TTL_S`, whatever the law says (decision 0019). `sme_payment_deny`: 0 is the mode WARN, 1 the mode DENY. Amounts are fen."""


def parameter_id(name: str) -> bytes:
    return record_id(Kind.PARAMETER, b"", name.encode())


_IDS: Final = {name: parameter_id(name) for name in PARAMETERS}
"""Asked for by every command."""


def value(context: Context, name: str) -> int:
    """The value in force on the business date."""
    return value_on(context.state, name, context.today)


def value_on(state: StateView, name: str, day: int) -> int:
    """The value in force on `day`. Up to the business date it never changes any more: new values begin
    later."""
    record = state.get(Kind.PARAMETER, _IDS[name])
    current = PARAMETERS[name].default
    if isinstance(record, Parameter):
        for dated in record.values:
            if dated.effective_day <= day:
                current = dated.value
    return current


def check(name: str, new: int) -> None:
    """PARAMETER_UNKNOWN or PARAMETER_BOUNDS."""
    rule = PARAMETERS.get(name)
    if rule is None:
        raise refuse("PARAMETER_UNKNOWN", f"no parameter {name!r}")
    if not rule.least <= new <= rule.most:
        raise refuse("PARAMETER_BOUNDS", f"{name} must be {rule.least} to {rule.most}, not {new}")
