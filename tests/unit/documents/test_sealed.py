"""Sealed documents (voucher law §16.2-4): any field provable alone, no byte changeable."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from tallynet.codec import encode
from tallynet.documents import (
    DisclosedField,
    Disclosure,
    DocumentError,
    decode_disclosure,
    seal,
    verify_disclosure,
)
from tallynet.documents.sealed import DEPTH_MAX, VALUE_BYTES_MAX

SALT = bytes(range(32))
paths = st.from_regex(r"\A[a-z]{1,4}(/[a-z0-9]{1,4})?\Z")
documents = st.dictionaries(paths, st.binary(max_size=20), min_size=1, max_size=20)


def code(error: pytest.ExceptionInfo[DocumentError]) -> str:
    return error.value.code


def test_tree_of_one_field_is_its_leaf_with_the_hkdf_of_the_path_as_salt() -> None:
    salt = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"total").derive(SALT)
    leaf = sha256(b"\x00" + b"\x00\x00\x00\x05total" + salt + b"\x00\x00\x00\x03123").digest()
    sealed = seal([("total", b"123")], SALT)
    assert sealed.root == leaf
    assert sealed.disclose(["total"]) == Disclosure((DisclosedField("total", salt, b"123", 0, ()),))


def test_three_fields_are_padded_to_four_leaves_that_stand_in_the_order_of_their_hashes() -> None:
    def derived(info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(SALT)

    fields = {"a": b"1", "b": b"", "c/d": b"\x00"}
    leaves = [derived(b"\x00padding\x00\x00\x00\x00")]
    for path, value in fields.items():
        leaves.append(
            sha256(
                b"\x00"
                + len(path).to_bytes(4, "big")
                + path.encode()
                + derived(path.encode())
                + len(value).to_bytes(4, "big")
                + value
            ).digest()
        )
    one, two, three, four = sorted(leaves)
    left, right = sha256(b"\x01" + one + two).digest(), sha256(b"\x01" + three + four).digest()
    assert seal(fields.items(), SALT).root == sha256(b"\x01" + left + right).digest()


def test_moving_the_border_between_path_and_value_changes_the_root() -> None:
    assert seal([("ab", b"c")], SALT).root != seal([("a", b"bc")], SALT).root


@given(documents, st.data())
def test_any_subset_verifies_and_shows_nothing_else(
    fields: dict[str, bytes], data: st.DataObject
) -> None:
    sealed = seal(fields.items(), SALT)
    subset = data.draw(st.sets(st.sampled_from(sorted(fields)), min_size=1))
    disclosure = sealed.disclose(subset)
    assert verify_disclosure(sealed.root, disclosure)
    assert {field.path: field.value for field in disclosure.fields} == {
        path: fields[path] for path in subset
    }
    received = encode(disclosure)
    assert decode_disclosure(received) == disclosure
    for path in set(fields) - subset:
        assert sealed.salts[path] not in received


@given(documents, st.data())
def test_any_changed_byte_fails(fields: dict[str, bytes], data: st.DataObject) -> None:
    sealed = seal(fields.items(), SALT)
    subset = data.draw(st.sets(st.sampled_from(sorted(fields)), min_size=1))
    received = bytearray(encode(sealed.disclose(subset)))
    at = data.draw(st.integers(0, len(received) - 1))
    received[at] ^= data.draw(st.integers(1, 255))
    try:
        disclosure = decode_disclosure(bytes(received))
    except DocumentError as error:
        assert error.code == "DOCUMENT_MALFORMED"
    else:
        assert not verify_disclosure(sealed.root, disclosure)


@given(documents, st.integers(0, 255), st.integers(1, 255))
def test_changed_root_fails(fields: dict[str, bytes], at: int, change: int) -> None:
    sealed = seal(fields.items(), SALT)
    root = bytearray(sealed.root)
    root[at % 32] ^= change
    assert not verify_disclosure(bytes(root), sealed.disclose(fields))
    assert not verify_disclosure(sealed.root[:31], sealed.disclose(fields))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_disclosure(data: bytes) -> None:
    with pytest.raises(DocumentError) as error:
        decode_disclosure(data)
    assert code(error) == "DOCUMENT_MALFORMED"


def test_inner_node_cannot_pass_as_leaf_nor_a_shorter_path_as_proof() -> None:
    sealed = seal([(f"f{i}", b"x") for i in range(8)], SALT)
    field = sealed.disclose(["f1"]).fields[0]
    short = msgspec.structs.replace(field, siblings=field.siblings[1:], index=field.index >> 1)
    assert not verify_disclosure(sealed.root, Disclosure((short,)))


def test_verification_is_total_for_values_built_by_hand() -> None:
    sealed = seal([("a", b"1"), ("b", b"2"), ("c", b"3")], SALT)
    good = sealed.disclose(["a"]).fields[0]
    both = sealed.disclose(["a", "b"]).fields
    assert verify_disclosure(sealed.root, Disclosure((good,)))
    wrong: list[dict[str, object]] = [
        {"path": 5},
        {"path": ""},
        {"path": "x" * 257},
        {"path": "\ud800"},
        {"salt": b"short"},
        {"salt": None},
        {"value": "text"},
        {"value": bytes(VALUE_BYTES_MAX + 1)},
        {"index": -1},
        {"index": 4},
        {"index": "0"},
        {"siblings": None},
        {"siblings": (b"short", b"short")},
        {"siblings": (None, None)},
        {"siblings": (bytes(32),) * (DEPTH_MAX + 1)},
    ]
    for change in wrong:
        bad = msgspec.structs.replace(good, **change)
        assert not verify_disclosure(sealed.root, Disclosure((bad,))), change
    assert not verify_disclosure(sealed.root, Disclosure(()))
    assert not verify_disclosure(sealed.root, Disclosure((good, good)))
    assert not verify_disclosure(sealed.root, Disclosure(both[::-1]))
    assert not verify_disclosure(sealed.root, Disclosure(None))  # type: ignore[arg-type]
    assert not verify_disclosure(sealed.root, Disclosure((None,)))  # type: ignore[arg-type]
    assert not verify_disclosure(sealed.root, Disclosure((good, None)))  # type: ignore[arg-type]
    assert not verify_disclosure(sealed.root, None)  # type: ignore[arg-type]
    assert not verify_disclosure(None, Disclosure((good,)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("", b"")],
        [("a", b"1"), ("a", b"1")],
        [("a\x00b", b"")],
        [("\ud800", b"")],
        [("x" * 257, b"")],
        [("茶" * 86, b"")],
        [("a", bytes(VALUE_BYTES_MAX + 1))],
    ],
)
def test_fields_that_cannot_be_sealed(fields: list[tuple[str, bytes]]) -> None:
    with pytest.raises(DocumentError) as error:
        seal(fields, SALT)
    assert code(error) == "DOCUMENT_FIELDS_INVALID"


def test_too_many_fields_by_one() -> None:
    with pytest.raises(DocumentError) as error:
        seal(((str(i), b"") for i in range(65_537)), SALT)
    assert code(error) == "DOCUMENT_FIELDS_INVALID"


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_salt_of_another_length(salt: bytes) -> None:
    with pytest.raises(DocumentError) as error:
        seal([("a", b"")], salt)
    assert code(error) == "DOCUMENT_SALT_INVALID"


@pytest.mark.parametrize("wanted", [[], ["b"], ["a", "a"]])
def test_paths_that_cannot_be_disclosed(wanted: list[str]) -> None:
    with pytest.raises(DocumentError) as error:
        seal([("a", b"")], SALT).disclose(wanted)
    assert code(error) == "DOCUMENT_PATH_UNKNOWN"


def test_another_salt_gives_another_root() -> None:
    assert seal([("a", b"")], SALT).root != seal([("a", b"")], bytes(32)).root
