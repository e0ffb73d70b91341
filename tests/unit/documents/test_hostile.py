"""Whatever the bytes: an `Invoice` whose figures agree, or an `InvoiceError`. Nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.documents import INVOICE_REMEDIES, InvoiceError, read_invoice
from tests.unit.documents.examples import own_examples

EXAMPLES = [path.read_bytes() for path in own_examples()]
PIECES = sorted({piece for data in EXAMPLES for piece in re.findall(rb"<[^<>]*>|[^<>]+", data)})
"""Tags and texts of all examples, to be put where they do not belong."""


def read_or_refused(data: bytes) -> None:
    try:
        invoice = read_invoice(data)
    except InvoiceError as error:
        assert error.code in INVOICE_REMEDIES
        return
    assert invoice.lines
    assert invoice.net_total + invoice.tax_total == invoice.gross_total
    assert invoice.payable > 0
    assert invoice.number and invoice.seller.name and invoice.seller.tax_id and invoice.buyer.name


@given(st.binary(max_size=400))
def test_arbitrary_bytes(data: bytes) -> None:
    read_or_refused(data)


@given(st.text(max_size=200), st.sampled_from(["", "<?xml version='1.0'?>", "<EInvoice>"]))
def test_arbitrary_text(text: str, start: str) -> None:
    read_or_refused((start + text).encode("utf-8", "surrogatepass"))


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_arbitrary_soup_of_tags(pieces: list[bytes]) -> None:
    read_or_refused(b"".join(pieces))


@settings(max_examples=300)
@given(
    st.sampled_from(EXAMPLES),
    st.integers(min_value=0),
    st.integers(0, 40),
    st.one_of(st.binary(max_size=20), st.sampled_from(PIECES)),
)
def test_examples_with_bytes_replaced(data: bytes, at: int, length: int, patch: bytes) -> None:
    start = at % len(data)
    read_or_refused(data[:start] + patch + data[start + length :])


@settings(max_examples=300)
@given(
    st.sampled_from(EXAMPLES),
    st.lists(
        st.tuples(
            st.integers(min_value=0),
            st.one_of(
                st.sampled_from(PIECES),
                st.sampled_from(
                    [b"", b"-1", b"1e9", b"0", b"381", b"99999999999999999", b"\xef\xbc\x91"]
                ),
            ),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_examples_with_pieces_replaced(data: bytes, changes: list[tuple[int, bytes]]) -> None:
    pieces = re.findall(rb"<[^<>]*>|[^<>]+", data)
    for at, patch in changes:
        pieces[at % len(pieces)] = patch
    read_or_refused(b"".join(pieces))


def test_every_prefix_of_every_example_is_refused() -> None:
    for data in EXAMPLES:
        end = data.rstrip()
        for length in range(0, len(end), 7):
            with pytest.raises(InvoiceError) as caught:
                read_invoice(end[:length])
            assert caught.value.code in ("INVOICE_NOT_XML", "INVOICE_ENCODING")
