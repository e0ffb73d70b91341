"""What one check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tallynet.errors import TallynetError
from tools.explanations import explain


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and will not for ever, or could not be looked at."""
    FAULT = "fault"
    """The node does not start, does not vote, or is about to stop."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    message: str
    remedy: str = ""
    """What to do; empty when all is well."""


def ok(check: str, message: str) -> Finding:
    return Finding(check, Verdict.OK, message)


def warning(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Verdict.WARNING, message, remedy)


def fault(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Verdict.FAULT, message, remedy)


def fault_of(check: str, error: TallynetError) -> Finding:
    """An error of the node's own code, with the remedy that `tally explain` knows."""
    remedy = explain(error.code) or "See the message."
    return fault(check, f"{error.code}: {error.message}", remedy)
