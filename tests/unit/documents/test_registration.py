"""What `document.register` needs (voucher law §16.2, §16.3, §16.5)."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallynet.codec import encode
from tallynet.commands import DocumentRegister
from tallynet.documents import (
    DocumentError,
    decode_disclosure,
    encrypt_document,
    invoice_fields,
    open_document,
    read_invoice,
    registration_fields,
    seal,
    uniqueness_tag,
    verify_disclosure,
)
from tallynet.documents.registration import CLASS_BYTES_MAX, Registration
from tallynet.records import DocumentType
from tests.unit.documents.examples import OWN, own_examples, real_examples

SALT, KEY = bytes(range(32)), bytes(range(32, 64))
TEA = OWN / "einvoice-tea.xml"


def registered(path: Path, salt: bytes = SALT, key: bytes = KEY) -> Registration:
    data = path.read_bytes()
    return registration_fields(read_invoice(data), data, document_salt=salt, document_key=key)


GOOD = registered(TEA)


def test_uniqueness_tag_hashes_length_prefixed_parts() -> None:
    preimage = b"inv/v1"
    for part in (b"91990000TESTSELL01", b"", b"27990000000000000001", b"20892", b"50000000"):
        preimage += len(part).to_bytes(4, "big") + part
    assert registered(TEA).uniqueness_tag == sha256(preimage).digest()


def test_uniqueness_tag_ignores_how_tax_id_and_number_are_written() -> None:
    tag = uniqueness_tag("NL820098395B01", "", "018304/28865", 100, 5)
    assert uniqueness_tag("nl8200.98.395.B.01", "", "018304 / 28865", 100, 5) == tag
    assert uniqueness_tag("ＮＬ820098395B01", "", "０18304/28865", 100, 5) == tag


@given(
    st.tuples(st.text("AB", max_size=3), st.text("01", max_size=3), st.text("01", max_size=3)),
    st.tuples(st.text("AB", max_size=3), st.text("01", max_size=3), st.text("01", max_size=3)),
)
def test_uniqueness_tags_are_equal_only_for_equal_parts(
    one: tuple[str, str, str], two: tuple[str, str, str]
) -> None:
    assert (uniqueness_tag(*one, 1, 1) == uniqueness_tag(*two, 1, 1)) == (one == two)


def test_each_part_matters_to_the_uniqueness_tag() -> None:
    tags = {
        uniqueness_tag("S", "", "1", 1, 1),
        uniqueness_tag("T", "", "1", 1, 1),
        uniqueness_tag("S", "c", "1", 1, 1),
        uniqueness_tag("S", "", "2", 1, 1),
        uniqueness_tag("S", "", "1", 2, 1),
        uniqueness_tag("S", "", "1", 1, 2),
    }
    assert len(tags) == 6


CLAIMS = [path for path in (*own_examples(), *real_examples()) if "creditnote" not in path.name]


@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: path.name)
def test_registration_of_every_readable_example(path: Path) -> None:
    result = registered(path)
    opened = open_document(result.ciphertext, KEY, result.root)
    assert opened.source == path.read_bytes()
    assert opened.fields["payable"] == str(result.total).encode()
    assert opened.fields["seller/tax_id"] == result.seller_tax_id.encode()
    assert result.ciphertext_hash == sha256(result.ciphertext).digest()


def test_registration_fills_the_command() -> None:
    result = registered(OWN / "ubl-tea.xml")
    command = DocumentRegister(
        label=b"tea",
        document_type=result.document_type,
        uniqueness_tag=result.uniqueness_tag,
        root=result.root,
        ciphertext_hash=result.ciphertext_hash,
        creditor=bytes(16),
        debtor=bytes(range(16)),
        parties=(),
        currency=result.currency,
        total=result.total,
        delivery_day=result.delivery_day,
    )
    assert (command.document_type, command.currency) == (DocumentType.INVOICE, "EUR")
    assert (command.total, command.delivery_day) == (100700, 20878)
    assert (result.seller_tax_id, result.buyer_tax_id) == ("SE 990011.2233-01", "00042042")
    assert result.payee is not None
    assert encode(command)


def test_same_file_salt_and_key_give_the_same_registration() -> None:
    one, two, other = registered(TEA), registered(TEA), registered(TEA, salt=bytes(32))
    assert (one.root, one.ciphertext) == (two.root, two.ciphertext)
    assert other.root != one.root
    assert other.uniqueness_tag == one.uniqueness_tag


def test_copies_of_one_invoice_in_two_formats_have_one_tag() -> None:
    pairs = [("ubl/ubl-tc434-example1.xml", "cii/CII_example1.xml")]
    real = {f"{path.parent.name}/{path.name}": path for path in real_examples()}
    for ubl, cii in pairs:
        if ubl in real and cii in real:
            assert registered(real[ubl]).uniqueness_tag == registered(real[cii]).uniqueness_tag


def test_field_map_is_sorted_complete_and_states_absence() -> None:
    fields = invoice_fields(read_invoice((OWN / "cii-plain.xml").read_bytes()))
    names = [path for path, _ in fields]
    assert names == sorted(names) == [
        "buyer/country", "buyer/name", "buyer/tax_id", "code", "currency", "delivery_day",
        "due_day", "format", "gross_total", "issue_day", "line_count", "lines/00001/description",
        "lines/00001/net_amount", "lines/00001/quantity", "lines/00001/unit", "net_total",
        "number", "order_reference", "payable", "payee/country", "payee/name", "payee/tax_id",
        "prepaid", "seller/country", "seller/name", "seller/tax_id", "source_sha256", "tax_total",
    ]  # fmt: skip
    values = dict(fields)
    assert (values["payable"], values["due_day"], values["payee/name"]) == (b"1", b"", b"")


def test_a_bank_gets_product_line_delivery_day_and_total_and_nothing_else() -> None:
    result = registered(OWN / "ubl-tea.xml")
    sent = encode(result.sealed.disclose(["payable", "delivery_day", "lines/00001/description"]))
    received = decode_disclosure(sent)
    assert verify_disclosure(result.root, received)
    assert {field.path: field.value for field in received.fields} == {
        "payable": b"100700",
        "delivery_day": b"20878",
        "lines/00001/description": b"Sencha, first flush",
    }
    assert b"Green Leaf" not in sent
    assert not verify_disclosure(registered(TEA).root, received)


def test_ciphertext_length_shows_only_a_power_of_two() -> None:
    overhead = 12 + 16
    assert len(encrypt_document(b"", KEY)) == 4096 + overhead
    assert len(encrypt_document(bytes(4092), KEY)) == 4096 + overhead
    assert len(encrypt_document(bytes(4093), KEY)) == 8192 + overhead
    assert len(encrypt_document(bytes(CLASS_BYTES_MAX - 4), KEY)) == CLASS_BYTES_MAX + overhead


def refused_code(call: object) -> str:
    with pytest.raises(DocumentError) as error:
        call()  # type: ignore[operator]
    return error.value.code


def test_refusals() -> None:
    data = TEA.read_bytes()
    invoice = read_invoice(data)
    good = registered(TEA)
    assert refused_code(lambda: encrypt_document(bytes(CLASS_BYTES_MAX - 3), KEY)) == (
        "DOCUMENT_TOO_LARGE"
    )
    assert refused_code(lambda: encrypt_document(b"", KEY[:16])) == "DOCUMENT_KEY_INVALID"
    assert refused_code(lambda: registered(TEA, salt=b"")) == "DOCUMENT_SALT_INVALID"
    assert refused_code(lambda: registered(TEA, key=b"")) == "DOCUMENT_KEY_INVALID"
    assert refused_code(
        lambda: registration_fields(invoice, data + b" ", document_salt=SALT, document_key=KEY)
    ) == ("DOCUMENT_SOURCE_MISMATCH")
    assert refused_code(lambda: open_document(good.ciphertext, b"", good.root)) == (
        "DOCUMENT_KEY_INVALID"
    )
    assert refused_code(lambda: open_document(good.ciphertext, SALT, good.root)) == (
        "DOCUMENT_CIPHERTEXT_INVALID"
    )
    assert refused_code(lambda: open_document(good.ciphertext, KEY, bytes(32))) == (
        "DOCUMENT_ROOT_MISMATCH"
    )
    assert refused_code(lambda: open_document(bytes(CLASS_BYTES_MAX + 65), KEY, good.root)) == (
        "DOCUMENT_TOO_LARGE"
    )


@given(st.binary(max_size=200))
def test_a_ciphertext_of_anything_else_is_refused(plaintext: bytes) -> None:
    for ciphertext in (plaintext, encrypt_document(plaintext, KEY)):
        assert refused_code(lambda data=ciphertext: open_document(data, KEY, bytes(32))) == (
            "DOCUMENT_CIPHERTEXT_INVALID"
        )


def test_a_lying_ciphertext_is_found_out() -> None:
    """Right encryption of other fields, of fields twice, of another file: never the root."""
    good = registered(TEA)
    fields = list(good.sealed.fields.items())
    source = TEA.read_bytes()
    changed = [(path, b"1" if path == "payable" else value) for path, value in fields]

    def sealed_as(fields: list[tuple[str, bytes]], source: bytes) -> bytes:
        return encrypt_document(encode((SALT, tuple(fields), source)), KEY)

    root = good.root
    assert open_document(sealed_as(fields, source), KEY, root).fields == dict(fields)
    assert refused_code(lambda: open_document(sealed_as(changed, source), KEY, root)) == (
        "DOCUMENT_ROOT_MISMATCH"
    )
    assert refused_code(lambda: open_document(sealed_as(fields, b"other"), KEY, root)) == (
        "DOCUMENT_ROOT_MISMATCH"
    )
    twice = [*fields, ("payable", b"1")]
    assert refused_code(lambda: open_document(sealed_as(twice, source), KEY, root)) == (
        "DOCUMENT_CIPHERTEXT_INVALID"
    )
    without = [(path, value) for path, value in fields if path != "source_sha256"]
    assert refused_code(
        lambda: open_document(sealed_as(without, source), KEY, seal(without, SALT).root)
    ) == ("DOCUMENT_ROOT_MISMATCH")


@given(st.integers(min_value=0), st.integers(1, 255))
def test_any_changed_byte_of_the_ciphertext_is_refused(at: int, change: int) -> None:
    data = bytearray(GOOD.ciphertext)
    data[at % len(data)] ^= change
    assert refused_code(lambda: open_document(bytes(data), KEY, GOOD.root)) == (
        "DOCUMENT_CIPHERTEXT_INVALID"
    )
