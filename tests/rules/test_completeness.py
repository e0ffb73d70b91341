"""Nothing of the voucher law is only on paper: every command that must be there has its rule (§8), every code of
§20 is given by the code and asserted by a test.

The codes are looked up in the syntax of source and tests. That a test asserts the right thing is its own affair;
that there is one is seen here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tallynet.errors import ERROR_CODES
from tools.cli import rule_table

ROOT: Final = Path(__file__).parents[2]
GIVERS: Final = ("node/ledger", "node/service.py", "tallynet/client/envelopes.py")
"""The rules, a node's door, and what builds envelopes for it."""
ASSERTERS: Final = ("tests/rules", "tests/unit")
TABLE: Final = frozenset(code for family in ERROR_CODES.values() for code in family)
CODE: Final = re.compile(r"\b[A-Z]+(?:_[A-Z]+)*\b")

NOT_GIVEN: Final = {
    "POOL_INELIGIBLE": "asset-backed pools are of a later release",
    "POOL_MEMBER": "asset-backed pools are of a later release",
    "PURPOSE_REQUIRED": "no command that draws can be written without a purpose",
}
"""Codes of the table that nothing gives, and why."""

MUST: Final = {
    "8.1": (
        "governance.parameter.set", "governance.calendar.set", "governance.organisation.admit",
        "governance.validator.add", "governance.validator.remove", "issuer.block",
        "issuer.unblock", "distress.open", "distress.close", "distress.declare", "distress.end",
        "consent.withdraw",
    ),
    "8.2": (
        "organisation.register", "organisation.kyc.set", "organisation.suspend",
        "organisation.resume", "organisation.branch.create", "organisation.branch.status.set",
        "organisation.policy.set", "key.add", "key.rotate", "key.revoke", "key.reading.set",
        "organisation.recover.start", "organisation.recover.cancel", "account.bind",
        "account.verify",
    ),
    "8.3": (
        "programme.create", "programme.update", "programme.join", "programme.leave", "line.grant",
        "line.change", "line.suspend", "line.resume", "line.grant.sealed", "line.change.sealed",
        "line.use.sealed", "fee.schedule.set", "waiver.grant",
        "waiver.revoke", "fund.commit", "fund.withdraw",
    ),
    "8.4": (
        "document.register", "document.attest", "document.void", "document.access.grant",
        "document.complaint", "flow.anchor.publish",
    ),
    "8.5": (
        "voucher.issue", "voucher.claim", "voucher.reject", "voucher.withdraw", "voucher.cancel",
        "voucher.reduce", "voucher.extend", "voucher.review", "voucher.suspend", "voucher.resume",
    ),
    "8.6": ("lot.transfer", "lot.accept", "lot.decline", "lot.recall", "lot.flag.set"),
    "8.7": (
        "offer.create", "offer.revoke", "financing.request", "financing.quote",
        "financing.accept", "financing.cancel", "financing.draw", "financing.draw_batch",
        "financing.quote.sealed", "financing.accept.sealed", "financing.payout.confirm.sealed",
        "instruction.send", "instruction.confirm", "instruction.fail",
        "financing.payout.confirm", "financing.payout.fail", "financing.repay",
        "financing.repay.confirm", "financing.recourse.claim", "financing.recourse.repurchase",
        "financing.enforce", "financing.write_off", "financing.rediscount.offer",
        "financing.rediscount.accept", "financing.rediscount.confirm",
        "financing.rediscount.cancel", "financing.registration.record", "backstop.create",
        "backstop.trigger", "backstop.close", "backstop.draw",
    ),
    "8.8": (
        "settlement.funds_received", "settlement.paid", "settlement.failed", "settlement.escrow",
        "settlement.write_off", "guarantee.issue", "guarantee.call", "guarantee.pay.confirm",
        "guarantee.release", "freeze.order", "freeze.extend", "freeze.lift",
        "freeze.force_transfer", "dispute.open", "dispute.resolve",
    ),
    "8.9": (
        "prepayment.request", "prepayment.fund", "prepayment.ship", "warehouse.receipt.issue",
        "warehouse.receipt.pledge", "warehouse.receipt.deliver", "warehouse.receipt.release",
    ),
}  # fmt: skip
"""Commands of the first release, by section of the voucher law."""
SYSTEM: Final = {
    "8.1": ("system.day.roll", "system.expire"),
    "8.2": ("system.recovery.complete",),
    "8.5": (
        "system.voucher.expire", "system.voucher.mature", "system.voucher.overdue",
        "system.voucher.default",
    ),
    "8.6": ("system.transfer.deem",),
    "8.7": ("system.payout.expire",),
    "8.8": ("system.settlement.open",),
}  # fmt: skip
"""What time does: unsigned, so without a rule in the table, but in the log by these names."""


def files(places: Iterable[str]) -> Iterator[ast.Module]:
    for place in places:
        path = ROOT / place
        found = [path] if path.is_file() else sorted(path.rglob("*.py"))
        assert found, place
        for file in found:
            yield ast.parse(file.read_text())


def words(node: ast.AST) -> Iterator[str]:
    """The strings in a piece of syntax."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def given() -> set[str]:
    """Codes that the source gives: whole strings outside of what a rule's row lists."""
    modules = list(files(GIVERS))
    listed = {
        id(part)
        for module in modules
        for call in ast.walk(module)
        if isinstance(call, ast.Call) and name_of(call) == "rule"
        for row in call.keywords
        if row.arg == "errors"
        for part in ast.walk(row)
    }
    return TABLE & {
        part.value
        for module in modules
        for part in ast.walk(module)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in listed
    }


def claims(module: ast.Module) -> Iterator[ast.AST]:
    """What a test says must be so: `assert`, `refused(...)` and its kin, `raises(...)`, and the cases that
    a parametrized test is given to say it of."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assert) or (
            isinstance(node, ast.Call)
            and name_of(node).startswith(("refused", "raises", "pytest.raises", "parametrize"))
        ):
            yield node


def asserted() -> set[str]:
    return TABLE & {
        code
        for module in files(ASSERTERS)
        for claim in claims(module)
        for text in words(claim)
        for code in CODE.findall(text)
    }


def test_every_code_is_given_but_those_that_say_why_not() -> None:
    assert TABLE - given() == NOT_GIVEN.keys(), "name what is not given any more, drop what now is"


def test_every_code_that_is_given_is_asserted_by_a_test() -> None:
    assert given() - asserted() == set()


def test_a_code_that_only_a_rules_row_lists_is_not_given() -> None:
    """The look-up itself: docstrings, rows and comments are no refusals."""
    assert "POOL_MEMBER" not in given()
    assert {"LOAN_TO_VALUE", "ATOMIC_ABORTED", "COMMAND_COUNT"} <= given()


@pytest.mark.parametrize("section", MUST)
def test_every_command_that_must_be_there_is_in_tally_rules(section: str) -> None:
    names = {row["name"] for row in rule_table()}
    assert set(MUST[section]) - names == set()


@pytest.mark.parametrize("section", SYSTEM)
def test_everything_that_time_must_do_is_in_the_log(section: str) -> None:
    logged = {word for module in files(("node/ledger",)) for word in words(module)}
    assert set(SYSTEM[section]) - logged == set()
