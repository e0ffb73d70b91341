"""Keys wrapped for readers: only the reader opens its own, and it can prove that it was given one."""

from __future__ import annotations

from hashlib import sha256

import pytest

from tallynet.documents import (
    Access,
    DocumentError,
    ReadingPrivateKey,
    find_access,
    hint_secret,
    unwrap,
    wrap,
)
from tallynet.hashing import reader_hint, record_id
from tallynet.records import Kind

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
