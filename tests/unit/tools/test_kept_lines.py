"""What a bank's program counts in before an act, against proven records of real listeners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from tallynet.client import Client
from tallynet.codec import Wire, encode
from tallynet.commands import (
    FinancingQuote,
    FinancingQuoteSealed,
    LineUseSealed,
    LotAccept,
    PrepaymentFund,
    RediscountAccept,
)
from tallynet.documents import DocumentError
from tallynet.errors import LedgerError
from tallynet.fields import ZERO_WIDE
from tallynet.records import (
    CreditLine,
    Financing,
    FinancingKind,
    FinancingRequest,
    FinancingState,
    Kind,
    LineKind,
    LineStatus,
    Prepayment,
    PrepaymentState,
    Purpose,
    PurposeAmount,
    SealedLine,
)
from tallynet.sealed_line import OpenedState, commitment, counted_in, granted, restated
from tests.unit.client.serving import GENESIS, Chain, envelope, serving
from tests.unit.net.samples import STRANGER
from tools.arguments import UsageError
from tools.kept_lines import (
    keep_state,
    kept_history,
    kept_state,
    load_states,
    with_uses,
    write_states,
)
from tools.records_by_name import line_id
from tools.wallet import BANK_PEOPLE, Wallet, create_wallet

BANK, CORE, SHOP = b"b" * 16, b"c" * 16, b"s" * 16
REQUEST, DEAL, ORDER = b"q" * 16, b"d" * 16, b"p" * 16
EXPOSURE = line_id(LineKind.DEBTOR_EXPOSURE, BANK, CORE, "CNY")
BORROWER = line_id(LineKind.BORROWER, BANK, SHOP, "CNY")
BOTH = (LineKind.DEBTOR_EXPOSURE, LineKind.BORROWER)
LIMIT = 1_000


def quote(kind: FinancingKind, advance: int, lines: tuple[LineKind, ...] = BOTH) -> FinancingQuote:
    return FinancingQuote(b"l", REQUEST, 600, kind, 40_000, 360, advance, lines, False, 20_000)


def request() -> FinancingRequest:
    purposes = (PurposeAmount(Purpose.GOODS, 600),)
    return FinancingRequest(
        SHOP, CORE, b"v" * 16, 0, 600, "CNY", b"a" * 16, purposes, (BANK,), (), 20_003
    )


def rediscount() -> Financing:
    return Financing(
        FinancingKind.REDISCOUNT, BANK, None, SHOP, CORE, b"v" * 16, 0, 500, 500, 10, 490, ZERO_WIDE,
        "CNY", 0, 360, 20_000, 20_090, 20_000, ZERO_WIDE, 0, 0, 0, b"a" * 16, (), b"i" * 16, 0,
        FinancingState.REQUESTED, BOTH[:1], False, None, None, None, None, None, None,
    )  # fmt: skip


def order() -> Prepayment:
    return Prepayment(
        SHOP, CORE, BANK, b"a" * 16, "CNY", 700, "B", "case", 20_010, 20_060, 0, None,
        PrepaymentState.REQUESTED,
    )  # fmt: skip


@dataclass
class Books:
    """A bank's wallet and the chain that its program asks."""

    network: Path
    wallet: Wallet
    chain: Chain = field(default_factory=Chain)

    def put(self, kind: Kind, id: bytes, record: Wire) -> None:
        self.chain.records[int(kind), id] = encode(record)

    def line(self, kind: LineKind, obligor: bytes, sealed: SealedLine | None) -> None:
        record = CreditLine(
            kind, BANK, obligor, "CNY", 0, 0, 0, 1, 90_000, LineStatus.ACTIVE, (), sealed
        )
        self.put(Kind.CREDIT_LINE, line_id(kind, BANK, obligor, "CNY"), record)

    def seal(self, kind: LineKind, obligor: bytes, opened: OpenedState) -> None:
        state = SealedLine(opened.state.sequence, commitment(opened), bytes(32), None)
        self.line(kind, obligor, state)
        keep_state(self.network, self.wallet, opened)

    def counted(self, *commands: Wire, keep: bool = True) -> tuple[Wire, ...]:
        async def ask() -> tuple[Wire, ...]:
            addresses = [server.address for server in servers]
            async with Client.connect(addresses, GENESIS, STRANGER) as client:
                return await with_uses(client, self.network, self.wallet, commands, keep=keep)

        self.chain.extend([envelope(len(self.chain.blocks))])
        with serving(chain=self.chain) as servers:
            return trio.run(ask)


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Both lines are sealed, with room for 1,000; there is a request, a rediscount and a prepayment."""
    wallet = create_wallet(tmp_path, "bank-2", BANK, ("BANK",), BANK_PEOPLE)
    made = Books(tmp_path, wallet)
    made.seal(LineKind.DEBTOR_EXPOSURE, CORE, granted(EXPOSURE, LIMIT, 0, b"1" * 32))
    made.seal(LineKind.BORROWER, SHOP, granted(BORROWER, LIMIT, 0, b"2" * 32))
    made.put(Kind.FINANCING_REQUEST, REQUEST, request())
    made.put(Kind.FINANCING, DEAL, rediscount())
    made.put(Kind.PREPAYMENT, ORDER, order())
    return made


CASES: dict[str, tuple[Wire, Sequence[tuple[bytes, int, bytes]]]] = {
    "a sale uses the line on the debtor, with its face": (
        quote(FinancingKind.SALE, 10_000), [(EXPOSURE, 600, REQUEST)],
    ),
    "a loan uses both, with its principal": (
        quote(FinancingKind.LOAN_PLEDGE, 8_000),
        [(EXPOSURE, 480, REQUEST), (BORROWER, 480, REQUEST)],
    ),
    "a sealed price is counted by the face": (
        FinancingQuoteSealed(b"l", REQUEST, 600, b"t" * 32, b"h" * 32, BOTH, False, 20_000),
        [(EXPOSURE, 600, REQUEST)],
    ),
    "a rediscount": (RediscountAccept(b"l", DEAL, 490), [(EXPOSURE, 500, DEAL)]),
    "a prepayment": (PrepaymentFund(b"l", ORDER, 700, 0, 360, 7_000), [(BORROWER, 700, ORDER)]),
    "a quote that asks for no line": (quote(FinancingKind.SALE, 10_000, ()), []),
    "any other act": (LotAccept(b"l", b"v" * 16, 0), []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_use_stands_before_its_act_and_is_kept(books: Books, case: str) -> None:
    act, uses = CASES[case]
    *said, last = books.counted(act)
    assert last == act
    assert [(use.line, use.use) for use in said if isinstance(use, LineUseSealed)] == [
        (line, of) for line, _, of in uses
    ]
    for use, (line, amount, of) in zip(said, uses, strict=True):
        assert isinstance(use, LineUseSealed)
        before, after = kept_history(books.network, books.wallet, use.commitment)
        assert (use.sequence, after.state.sequence, after.state.line) == (2, 2, line)
        assert (after.state.used, after.state.use) == (amount, of)
        assert after.salt != before.salt


def test_two_acts_in_one_envelope_use_a_line_one_after_the_other(books: Books) -> None:
    first, _, second, _ = books.counted(
        RediscountAccept(b"l", DEAL, 490), RediscountAccept(b"m", DEAL, 490)
    )
    assert isinstance(first, LineUseSealed)
    assert isinstance(second, LineUseSealed)
    assert (first.sequence, second.sequence) == (2, 3)
    history = kept_history(books.network, books.wallet, second.commitment)
    assert [one.state.used for one in history] == [0, 500, 1_000]


def test_an_open_line_is_counted_by_the_chain(books: Books) -> None:
    books.line(LineKind.DEBTOR_EXPOSURE, CORE, None)
    act = quote(FinancingKind.SALE, 10_000)
    assert books.counted(act) == (act,)


def test_I4_nothing_is_signed_that_exceeds_the_limit_LINE_EXCEEDED(books: Books) -> None:
    books.seal(LineKind.DEBTOR_EXPOSURE, CORE, granted(EXPOSURE, LIMIT, 401, b"3" * 32))
    with pytest.raises(LedgerError, match="exceeds the sealed line's free room of 599") as caught:
        books.counted(quote(FinancingKind.SALE, 10_000))
    assert caught.value.code == "LINE_EXCEEDED"


def test_a_state_that_this_wallet_does_not_have_is_not_guessed_FILE_MISSING(books: Books) -> None:
    books.line(LineKind.DEBTOR_EXPOSURE, CORE, SealedLine(9, b"?" * 32, bytes(32), None))
    with pytest.raises(UsageError, match="bank-2 does not hold") as caught:
        books.counted(quote(FinancingKind.SALE, 10_000))
    assert caught.value.code == "FILE_MISSING"


def test_a_dry_run_keeps_nothing(books: Books) -> None:
    [use, _] = books.counted(RediscountAccept(b"l", DEAL, 490), keep=False)
    assert isinstance(use, LineUseSealed)
    with pytest.raises(UsageError, match="does not hold"):
        kept_state(books.network, books.wallet, use.commitment)


def test_states_are_handed_over_as_a_file_that_only_this_user_reads(tmp_path: Path) -> None:
    first = granted(EXPOSURE, LIMIT, 0, b"1" * 32)
    history = [first, counted_in(first, 5, REQUEST, b"2" * 32)]
    history.append(restated(history[-1], LIMIT, 0, b"3" * 32))
    write_states(tmp_path / "line.json", history)
    assert load_states(tmp_path / "line.json") == history
    assert (tmp_path / "line.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}", UsageError), ('{"states": ["x"]}', UsageError), ('{"states": [3]}', UsageError),
        ('{"states": ["00"]}', DocumentError),
    ],
)  # fmt: skip
def test_what_is_no_file_of_states_is_refused(
    tmp_path: Path, text: str, error: type[Exception]
) -> None:
    (tmp_path / "line.json").write_text(text)
    with pytest.raises(error) as caught:
        load_states(tmp_path / "line.json")
    assert caught.value.code in ("FILE_INVALID", "LINE_STATE_MALFORMED")  # type: ignore[attr-defined]
