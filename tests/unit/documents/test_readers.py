"""Keys wrapped for readers: only the reader opens its own, and it can prove that it was given one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tallynet.documents import (
    Access,
    DocumentError,
    ReadingPrivateKey,
    Registration,
    find_access,
    find_lie,
    hint_secret,
    read_invoice,
    registration_fields,
    unwrap,
    wrap,
)
from tallynet.hashing import reader_hint, record_id
from tallynet.records import Kind

INVOICES = Path(__file__).parents[2] / "data" / "invoices"
DOCUMENT, OTHER = bytes(15) + b"d", bytes(15) + b"o"
BANK, RIVAL = b"b" * 16, b"r" * 16
HINT_KEY = bytes(range(32))


def private(name: str) -> ReadingPrivateKey:
    return ReadingPrivateKey(sha256(name.encode()).digest())


def granted(
    reader: bytes, key: ReadingPrivateKey, document: bytes = DOCUMENT
) -> tuple[bytes, bytes]:
    """Record id and wrapped key, as a grant puts them into the state."""
    secret = hint_secret(HINT_KEY, reader)
    id = record_id(Kind.DOCUMENT_READER, document, reader_hint(secret, document, reader))
    return id, wrap(Access(b"k" * 32, secret), key.public_bytes, document)


def test_a_reader_finds_its_own_among_others_and_each_sees_its_own_alone() -> None:
    entries = [granted(RIVAL, private("rival")), granted(BANK, private("bank"))]
    found = find_access(entries, [private("old"), private("bank")], DOCUMENT, BANK)
    assert found == Access(b"k" * 32, hint_secret(HINT_KEY, BANK))
    assert unwrap(entries[0][1], [private("bank")], DOCUMENT) is None


def test_whoever_was_granted_nothing_is_NOT_A_READER() -> None:
    with pytest.raises(DocumentError, match="NOT_A_READER"):
        find_access([granted(BANK, private("bank"))], [private("rival")], DOCUMENT, RIVAL)


def test_a_key_under_a_hint_that_its_secret_does_not_make_is_passed_over() -> None:
    id, wrapped = granted(BANK, private("bank"))
    with pytest.raises(DocumentError, match="NOT_A_READER"):
        find_access([(bytes(16), wrapped)], [private("bank")], DOCUMENT, BANK)
    assert find_access([(id, wrapped)], [private("bank")], DOCUMENT, BANK).key == b"k" * 32


def test_a_wrapped_key_is_bound_to_its_document_and_has_the_size_of_all_others() -> None:
    _, wrapped = granted(BANK, private("bank"))
    assert len(wrapped) == 1_200
    assert unwrap(wrapped, [private("bank")], OTHER) is None
    for spoiled in (b"", wrapped[:-1], wrapped[:-1] + bytes([wrapped[-1] ^ 1]), bytes(1_200)):
        assert unwrap(spoiled, [private("bank")], DOCUMENT) is None


def test_the_key_file_makes_the_same_key_on_every_machine() -> None:
    public = private("bank").public_bytes
    assert len(public) == 1_216
    assert sha256(public).hexdigest()[:16] == "dfa84e1c3fb2f747"


@pytest.mark.parametrize("spoiled", [b"\xff" * 1_216, bytes(100)], ids=["no-point", "short"])
def test_an_unusable_public_key_is_READING_KEY_INVALID(spoiled: bytes) -> None:
    with pytest.raises(DocumentError, match="READING_KEY_INVALID"):
        wrap(Access(bytes(32), bytes(32)), spoiled, DOCUMENT)


def test_a_small_order_point_is_READING_KEY_INVALID() -> None:
    public = private("bank").public_bytes[:1_184] + bytes(32)
    with pytest.raises(DocumentError, match="READING_KEY_INVALID"):
        wrap(Access(bytes(32), bytes(32)), public, DOCUMENT)


# --- a ciphertext that lies ---------------------------------------------------------------------------


def registered(number: str) -> tuple[Registration, bytes]:
    """An invoice with this number, and the key of its ciphertext."""
    source = (INVOICES / "einvoice-tea.xml").read_bytes()
    source = source.replace(b"27990000000000000001", number.encode())
    key = sha256(number.encode()).digest()
    made = registration_fields(
        read_invoice(source), source, document_salt=bytes(32), document_key=key
    )
    return made, key


def test_another_documents_ciphertext_is_found_out_with_the_fields_that_it_gives() -> None:
    honest, _ = registered("27990000000000000001")
    other, key = registered("27990000000000000002")
    lie = find_lie(other.ciphertext, key, honest.root)
    assert lie is not None
    assert lie.fields["number"] == b"27990000000000000002"


def test_a_ciphertext_that_nothing_can_be_read_in_is_a_lie_without_fields() -> None:
    honest, key = registered("27990000000000000001")
    assert find_lie(honest.ciphertext[:-1] + b"\x00", key, honest.root) is None


def test_nobody_complains_about_the_registered_document_DOCUMENT_HONEST() -> None:
    honest, key = registered("27990000000000000001")
    with pytest.raises(DocumentError, match="DOCUMENT_HONEST"):
        find_lie(honest.ciphertext, key, honest.root)
    with pytest.raises(DocumentError, match="DOCUMENT_KEY_INVALID"):
        find_lie(honest.ciphertext, b"short", honest.root)
