"""What banks report, into rows: what each says of its payment, and what is refused, with its place."""

from __future__ import annotations

import pytest

from tools.arguments import UsageError, parse_day
from tools.bank.reports import BYTES_MAX, Row, Said, read_report

ID = "d41d8cd98f00b204e9800998ecf8427e"
XSD = "urn:iso:std:iso:20022:tech:xsd:"


def notification(entries: str, version: str = "08", kind: str = "camt.054") -> bytes:
    names = {"camt.054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn"), "camt.053": ("BkToCstmrStmt", "Stmt")}
    outer, inner = names[kind]
    return (
        f'<Document xmlns="{XSD}{kind}.001.{version}"><{outer}><{inner}>{entries}</{inner}></{outer}>'
        "</Document>"
    ).encode()


def entry(
    transactions: str,
    *,
    amount: str = "23826.00",
    status: str = "<Sts><Cd>BOOK</Cd></Sts>",
    more: str = "",
    reference: str = "<AcctSvcrRef>R-1</AcctSvcrRef>",
) -> str:
    return (
        f'<Ntry><Amt Ccy="CNY">{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd>{more}{status}'
        f"<BookgDt><Dt>2027-03-15</Dt></BookgDt>{reference}<NtryDtls>{transactions}</NtryDtls></Ntry>"
    )


def transaction(reference: str = ID, more: str = "") -> str:
    return f"<TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs>{more}</TxDtls>"


def rows(data: bytes) -> tuple[Row, ...]:
    return read_report(data, "report.xml").rows


def status(inner: str, group: str = "PART", version: str = "10") -> bytes:
    return (
        f'<Document xmlns="{XSD}pain.002.001.{version}"><CstmrPmtStsRpt><OrgnlGrpInfAndSts>'
        f"<OrgnlMsgId>M-1</OrgnlMsgId><GrpSts>{group}</GrpSts><StsRsnInf><Rsn><Cd>AM05</Cd></Rsn></StsRsnInf>"
        f"</OrgnlGrpInfAndSts>{inner}</CstmrPmtStsRpt></Document>"
    ).encode()


def block(transactions: str, own: str = "") -> str:
    return f"<OrgnlPmtInfAndSts>{own}{transactions}</OrgnlPmtInfAndSts>"


# --- camt -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["camt.053", "camt.054"])
def test_a_booking(kind: str) -> None:
    report = read_report(notification(entry(transaction()), kind=kind), "report.xml")
    assert report.kind == kind
    [row] = report.rows
    told = (row.reference, row.said, row.amount, row.currency, row.credit, row.entry, row.day)
    assert told == (ID, Said.BOOKED, 2_382_600, "CNY", False, "R-1", parse_day("2027-03-15"))


def test_the_oldest_version_has_its_status_as_text() -> None:
    [row] = rows(notification(entry(transaction(), status="<Sts>BOOK</Sts>"), "02"))
    assert row.said is Said.BOOKED


def test_one_booking_of_many_payments_gives_each_a_receipt_of_its_own() -> None:
    other = "ab" * 16
    new = transaction(ID, '<Amt Ccy="CNY">1.00</Amt>')
    old = transaction(other, '<AmtDtls><TxAmt><Amt Ccy="CNY">2.50</Amt></TxAmt></AmtDtls>')
    found = rows(notification(entry(new + old, amount="3.50")))
    assert [(r.amount, r.entry) for r in found] == [(100, f"R-1/{ID}"), (250, f"R-1/{other}")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "<Sts><Cd>PDNG</Cd></Sts>"}, Said.ACCEPTED),
        ({"more": "<RvslInd>true</RvslInd>"}, Said.RETURNED),
        ({"more": "<RvslInd>false</RvslInd>"}, Said.BOOKED),
    ],
)
def test_what_is_not_booked_is_not_paid(change: dict[str, str], said: Said) -> None:
    [row] = rows(notification(entry(transaction(), **change)))
    assert row.said is said


def test_a_return_says_so() -> None:
    [row] = rows(notification(entry(transaction(more="<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"))))
    assert row.said is Said.RETURNED


def test_an_entry_without_details_is_somebody_elses() -> None:
    [row] = rows(notification(entry("")))
    assert (row.reference, row.amount) == ("", 2_382_600)


def test_a_statement_says_its_day_though_nothing_was_booked() -> None:
    balance = (
        '<Bal><Tp><CdOrPrtry><Cd>{}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">1.00</Amt>'
        "<Dt><Dt>2027-03-{}</Dt></Dt></Bal>"
    )
    statement = notification(
        balance.format("OPBD", 14) + balance.format("CLBD", 15), kind="camt.053"
    )
    report = read_report(statement, "report.xml")
    assert report.rows == ()
    assert report.closed == {(parse_day("2027-03-15"), "EUR")}


# --- pain.002 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ACCP", Said.ACCEPTED),
        ("ACSP", Said.ACCEPTED),
        ("ACSC", Said.ACCEPTED),
        ("RJCT", Said.REJECTED),
        ("XXXX", Said.UNCLEAR),
    ],
)
def test_a_status_of_one_payment(code: str, said: Said) -> None:
    one = f"<TxInfAndSts><OrgnlEndToEndId>{ID}</OrgnlEndToEndId><TxSts>{code}</TxSts></TxInfAndSts>"
    [row] = rows(status(block(one)))
    assert (row.reference, row.said) == (ID, said)


def test_settled_with_the_banks_reference_is_booked() -> None:
    one = (
        f"<TxInfAndSts><OrgnlEndToEndId>{ID}</OrgnlEndToEndId><TxSts>ACSC</TxSts>"
        "<AcctSvcrRef>R-7</AcctSvcrRef></TxInfAndSts>"
    )
    [row] = rows(status(block(one)))
    assert (row.said, row.entry) == (Said.BOOKED, "R-7")


def test_a_payment_has_its_blocks_status_and_a_block_its_files() -> None:
    one = f"<TxInfAndSts><OrgnlEndToEndId>{ID}</OrgnlEndToEndId></TxInfAndSts>"
    [row] = rows(status(block(one, "<PmtInfSts>RJCT</PmtInfSts>"), "ACCP"))
    assert row.said is Said.REJECTED
    [row] = rows(status(block(one), "ACCP"))
    assert row.said is Said.ACCEPTED


def test_a_file_rejected_as_a_whole_names_its_message() -> None:
    [row] = rows(status("", "RJCT"))
    assert (row.reference, row.said, row.entry, row.reason) == ("", Said.REJECTED, "M-1", "AM05")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{}", "not well-formed"),
        (b"<!DOCTYPE a><a/>", "document type"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (b" " * (BYTES_MAX + 1), "at most"),
        (b"\xff<a/>", "UTF-8"),
        (b"<Document/>", "not a pain.002"),
        (notification("", "01"), "not a pain.002"),
        (notification("").replace(b"Document", b"Dokument"), "not a pain.002"),
        (notification("<Ntry/>"), "Document/BkToCstmrDbtCdtNtfctn/Ntfctn/Ntry: an entry without an amount"),
        (notification(entry("", amount="1.234")), "Ntry/Amt"),
        (notification(entry("", amount="-1")), "Ntry/Amt"),
        (notification(entry("").replace("CNY", "XXX")), "Ntry/Amt"),
        (notification(entry("").replace("DBIT", "BOTH")), "CdtDbtInd"),
        (notification(entry("").replace("2027-03-15", "2027-13-15")), "no day"),
        (notification(entry("") + entry(transaction() * 2).replace("</Sts>", "</Sts><Sts/>")), "Ntry[2]/Sts"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(data: bytes, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_report(data, "report.xml")
    assert refused.value.code == "FILE_INVALID"
    assert refused.value.message.startswith("report.xml: ")
    assert told in refused.value.message
    assert "invoice" not in refused.value.message


def test_trailing_zeros_are_no_parts_of_a_fen() -> None:
    [row] = rows(notification(entry(transaction(), amount="1.5000")))
    assert row.amount == 150
