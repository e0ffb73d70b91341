"""The assignment notice: held to classes that were generated from the published schema."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st
from python_iso20022.tsin.tsin_008_001_01 import Tsin00800101
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.serializers import XmlSerializer

from tallynet.receipts import Event
from tallynet.records import AcquiredBy, LotState
from tests.unit.state.samples import lot
from tools.arguments import UsageError, format_day
from tools.bank.notices import Bought, purchases_of, require_bought
from tools.bank.pain001 import Party
from tools.bank.tsin008 import NAMESPACE, Notice, Purchase, write

STRICT = ParserConfig(
    fail_on_unknown_properties=True,
    fail_on_unknown_attributes=True,
    fail_on_converter_warnings=True,
)
BANK, CORE = Party(b"b" * 16, "bank-2"), Party(b"c" * 16, "harbour-tours")
NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1).filter(
    str.strip
)
SELLERS = st.sampled_from([Party(b"s" * 16, "gate-devices"), Party(b"t" * 16, "商户" * 20)])


@st.composite
def purchases(draw: st.DrawFn) -> Purchase:
    start = draw(st.integers(0, 10**17 - 2))
    end = draw(st.integers(start + 1, 10**17 - 1))
    return Purchase(
        draw(st.binary(min_size=16, max_size=16)), start, end,
        draw(st.sampled_from(["CNY", "JPY"])), draw(SELLERS), *draw(st.tuples(*[st.integers(20_000, 30_000)] * 3)),
    )  # fmt: skip


def faults(node: Any, place: str) -> Iterator[str]:
    """What the schema does not allow: things missing, too many, too long, of another form."""
    for field in dataclasses.fields(node):
        meta, value = field.metadata, getattr(node, field.name)
        here = f"{place}/{meta.get('name', field.name)}"
        many = value if isinstance(value, list) else [] if value is None else [value]
        if (meta.get("required") and not many) or len(many) < meta.get("min_occurs", 0):
            yield f"{here} is missing"
        if len(many) > meta.get("max_occurs", 10**9):
            yield f"{here} is there {len(many)} times"
        for each in many:
            if dataclasses.is_dataclass(each) and type(each).__module__.startswith("python_iso"):
                yield from faults(each, here)
            elif isinstance(each, str):
                if not meta.get("min_length", 0) <= len(each) <= meta.get("max_length", 10**9):
                    yield f"{here} has {len(each)} characters"
                if "pattern" in meta and not re.fullmatch(meta["pattern"], each):
                    yield f"{here} is {each!r}"
            elif isinstance(each, Decimal):
                digits, exponent = each.as_tuple().digits, each.as_tuple().exponent
                if len(digits) > meta["total_digits"] or -int(exponent) > meta["fraction_digits"]:
                    yield f"{here} is {each}"


def in_order(element: Any) -> list[Any]:
    """Tags, texts and attributes, all the way down."""
    text = (element.text or "").strip()
    return [element.tag, text, dict(element.attrib), [in_order(child) for child in element]]


def parsed(content: bytes) -> Any:
    """Raises on any element that the schema does not have; one in the wrong place is written elsewhere."""
    found = XmlParser(config=STRICT).from_bytes(
        content.replace(b"<Document ", b"<Tsin00800101 ").replace(
            b"</Document>", b"</Tsin00800101>"
        ),
        Tsin00800101,
    )  # the class has the message's name where the schema says Document
    again = XmlSerializer().render(found, ns_map={None: NAMESPACE})
    ours, theirs = in_order(fromstring(content)), in_order(fromstring(again))
    assert ours[3] == theirs[3], "the elements are not in the order of the schema"
    return found.invc_assgnmt_ntfctn


@settings(max_examples=40)
@given(st.lists(purchases(), min_size=1, max_size=6), NAMES)
def test_every_notice_keeps_to_the_schema_and_lists_each_purchase_once(
    bought: list[Purchase], name: str
) -> None:
    notice = Notice("20270315-0123456789abcdef", 20_527, BANK, Party(CORE.id, name), bought)
    body = parsed(write(notice))
    assert list(faults(body, "")) == []
    parties = [body.hdr.orgtr, *body.hdr.pmry_rcpt, *body.hdr.authstn_usr, *body.hdr.othr_pty]
    marks = {party.id: party.pty[0].base_pty.pty_id.id.org_id.othr[0].id for party in parties}
    assert len(marks) == len(parties), "ids are unique in a document"
    told = sorted(
        (
            marks[part.assgnr],
            marks[part.assgne],
            item.itm_cntxt.idr,
            item.due_amt.ccy,
            item.due_amt.value,
        )
        for part in body.ntfctn_list
        for item in part.fin_itm
    )
    units = {"CNY": Decimal("0.01"), "JPY": Decimal(1)}
    assert told == sorted(
        (
            p.seller.id.hex(),
            BANK.id.hex(),
            p.voucher.hex(),
            p.currency,
            p.amount * units[p.currency],
        )
        for p in bought
    )
    assert int(body.itm_cnt) == len(bought)
    assert int(body.ntfctn_cnt) == len(body.ntfctn_list)
    days = {str(item.ttl_amt.pmt_due_dt) for part in body.ntfctn_list for item in part.fin_itm}
    assert days == {format_day(p.maturity) for p in bought}


def event(kind: str, start: int, end: int, source: str, target: str) -> Event:
    ids = {"": None, **{name: name.encode() * 16 for name in "abc"}}
    return Event(kind, 1, b"v" * 16, 0, start, end, ids[source], ids[target], 0, b"", None)


def test_a_joined_lot_was_bought_in_several_acts_and_the_newest_counts() -> None:
    buy, resell = "financing.payout.confirm", "financing.rediscount.confirm"
    log = [
        event("lot.transfer", 0, 10, "a", "c"),
        event(buy, 40, 60, "a", "c"),
        event(resell, 50, 100, "b", "c"),
        event(buy, 0, 100, "a", "b"),
        event(buy, 0, 50, "b", "c"),
    ]
    assert purchases_of(b"c" * 16, 10, 90, log) == [
        Bought(10, 40, b"b" * 16), Bought(40, 60, b"a" * 16), Bought(60, 90, b"b" * 16),
    ]  # fmt: skip


def test_a_court_may_let_a_sale_take_effect() -> None:
    log = [event("freeze.force_transfer", 0, 10, "a", "c"), event("lot.transfer", 0, 10, "b", "a")]
    assert purchases_of(b"c" * 16, 0, 10, log) == [Bought(0, 10, b"a" * 16)]


BOUGHT = msgspec.structs.replace(
    lot(0, 10, 1), state=LotState.HELD, lien=None, acquired_by=AcquiredBy.SALE
)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("NOT_HOLDER", {"holder": b"z" * 16}),
        ("LOT_STATE", {"acquired_by": AcquiredBy.COURT}),
        ("LOT_STATE", {"state": LotState.REDEEMED}),
        ("LOT_STATE", {"lien": b"l" * 16}),
    ],
)
def test_a_notice_is_of_what_its_sender_bought_and_is_owed(
    code: str, changes: dict[str, object]
) -> None:
    require_bought("v1:0", BOUGHT, BOUGHT.holder)
    pledged = msgspec.structs.replace(BOUGHT, state=LotState.PLEDGED, lien=b"l" * 16)
    require_bought("v1:0", pledged, BOUGHT.holder)
    with pytest.raises(UsageError) as caught:
        require_bought("v1:0", msgspec.structs.replace(BOUGHT, **changes), BOUGHT.holder)
    assert caught.value.code == code


def test_what_was_not_bought_is_in_no_purchase() -> None:
    log = [event("financing.payout.confirm", 20, 30, "a", "c")]
    assert purchases_of(b"c" * 16, 0, 100, log) == [Bought(20, 30, b"a" * 16)]
    assert purchases_of(b"b" * 16, 0, 100, log) == []
