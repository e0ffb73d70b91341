"""The payment file: held to the published schema, and read back by a bank of another make."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from mockbank.messages import read_pain001
from mockbank.schema import exponent

from tools.arguments import format_day
from tools.bank.pain001 import SUM_DIGITS_MAX, Initiation, Party, Payment, is_iban, write
from tools.bank.references import reference_of

_FOUND = find_spec("sepaxml")
assert _FOUND is not None and _FOUND.submodule_search_locations
SCHEMA = xmlschema.XMLSchema(
    str(Path(_FOUND.submodule_search_locations[0]) / "schemas" / "pain.001.001.09.xsd")
)
IBAN = "NL41MOCK0000000098"
DEBITS = {"CNY": "0000000098", "EUR": IBAN, "JPY": "branch 12, account 0098"}
NAMES = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=200
)
PARTIES = st.builds(Party, st.binary(min_size=16, max_size=16), NAMES.filter(str.strip))
BANK = Party(b"b" * 16, "bank-2")


@st.composite
def payments(draw: st.DrawFn) -> Payment:
    id = draw(st.binary(min_size=16, max_size=16))
    return Payment(
        reference=reference_of(id, draw(st.integers(1, 999))),
        instruction=id,
        payer=draw(st.one_of(st.just(BANK), PARTIES)),
        payee=draw(PARTIES),
        account=draw(st.sampled_from([None, IBAN, "6217000000000042", id.hex()])),
        account_bank=draw(st.one_of(st.none(), PARTIES)),
        amount=draw(st.integers(1, 10**17 - 1)),
        currency=draw(st.sampled_from(sorted(DEBITS))),
        execution=draw(st.integers(20_000, 30_000)),
        purpose="PAYOUT",
        remittance=draw(NAMES.filter(str.strip)),
    )


def filed(found: list[Payment]) -> bytes:
    return write(
        Initiation("20270315-0123456789abcdef", "2027-03-15T09:00:00Z", BANK, DEBITS, found)
    )


@settings(max_examples=40)
@given(st.lists(payments(), min_size=1, max_size=6))
def test_every_file_is_valid_and_says_what_was_to_be_paid(found: list[Payment]) -> None:
    content = filed(found)
    SCHEMA.validate(content.decode())
    read = read_pain001(content)
    told = sorted(
        (p.end_to_end_id, p.amount, p.currency, p.creditor_account) for p in read.payments
    )
    assert told == sorted((p.reference, p.amount, p.currency, p.account) for p in found)
    blocks = [
        (b.debtor_account_currency, b.requested_execution_date.isoformat()) for b in read.batches
    ]
    assert blocks == sorted({(p.currency, format_day(p.execution)) for p in found})
    assert all(b.debtor_account == DEBITS[b.debtor_account_currency] for b in read.batches)
    assert read.nb_of_txs == len(found)
    for batch in read.batches:
        units = sum(payment.amount for payment in batch.payments)
        places = exponent(batch.debtor_account_currency)
        room = len(str(units)) <= SUM_DIGITS_MAX
        assert (batch.ctrl_sum is not None) == room
        assert not room or batch.ctrl_sum * 10**places == units
    if read.ctrl_sum is not None:
        assert read.ctrl_sum == sum(batch.ctrl_sum for batch in read.batches)


def test_who_pays_stands_there_if_it_is_not_the_bank() -> None:
    core = Party(b"c" * 16, "harbour-tours")
    own = Payment("a" * 32, b"a" * 16, BANK, core, None, None, 1, "CNY", 20_892, "FEE", "FEE")
    assert b"UltmtDbtr" not in filed([own])
    other = Payment("a" * 32, b"a" * 16, core, BANK, None, None, 1, "CNY", 20_892, "FEE", "FEE")
    assert f"<Id>{core.id.hex()}</Id>".encode() in filed([other])


def test_an_iban_has_right_check_digits() -> None:
    assert is_iban(IBAN)
    assert not is_iban("NL42MOCK0000000098")
    assert not is_iban("6217000000000042")
