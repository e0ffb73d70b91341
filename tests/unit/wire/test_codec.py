"""The strict profile (reliability §8): one value, one encoding; everything else is refused (C4)."""

from __future__ import annotations

import time
from base64 import b64encode
from enum import IntEnum
from typing import Annotated, Any, get_args, get_type_hints

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from tallynet.blocks import Header, Prepare
from tallynet.codec import DEPTH_MAX, Wire, decode, encode
from tallynet.commands import Command
from tallynet.envelope import EnvelopeBody, SignedEnvelope
from tallynet.errors import RemoteProtocolError
from tallynet.genesis import Genesis
from tallynet.messages import (
    Challenge,
    ClientReply,
    ClientRequest,
    Hello,
    HelloBody,
    NewView,
    PeerMessage,
    Signed,
    ViewChange,
    Welcome,
)
from tallynet.proofs import ProofFile
from tallynet.receipts import EnvelopeReceipt, PrologueReceipt
from tallynet.records import Record
from tallynet.state_proof import StateProof
from tests.unit.wire.strategies import structs

MESSAGES = tuple(
    dict.fromkeys((*get_args(PeerMessage), *get_args(ClientRequest), *get_args(ClientReply)))
)
OTHERS = (
    Challenge, Hello, HelloBody, Welcome, Header, Prepare, ViewChange, NewView, EnvelopeBody,
    SignedEnvelope, Genesis, EnvelopeReceipt, PrologueReceipt, StateProof, ProofFile,
)  # fmt: skip
UNIONS = (PeerMessage, ClientRequest, ClientReply, Command, Record)
EVERYTHING = (*MESSAGES, *OTHERS, *get_args(Command), *get_args(Record))


class Colour(IntEnum):
    RED = 1
    BLUE = 2


class Probe(Wire):
    number: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    data: bytes
    text: Annotated[str, Meta(max_length=1024)]
    flag: bool
    maybe: bytes | None
    many: tuple[bytes, ...]
    colour: Colour


GOOD = Probe(1, b"d", "t", True, None, (b"x",), Colour.RED)
PARTS = [b"\x01", b"\x41d", b"\x61t", b"\xf5", b"\xf6", b"\x81\x41x", b"\x01"]
NUMBER, DATA, TEXT, FLAG, MAYBE, MANY, COLOUR = range(7)


def probe(changes: dict[int, bytes] | None = None, *, head: bytes = b"\x87") -> bytes:
    parts = list(PARTS)
    for place, part in (changes or {}).items():
        parts[place] = part
    return head + b"".join(parts)


def test_the_probe_is_what_the_other_tests_change() -> None:
    assert encode(GOOD) == probe()
    assert decode(Probe, probe()) == GOOD


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("nothing", b""),
        ("cut short", probe()[:-1]),
        ("a trailing byte", probe() + b"\0"),
        ("a second value behind", probe() + probe()),
        ("an integer longer than needed, 1 byte", probe({NUMBER: b"\x18\x01"})),
        ("an integer longer than needed, 2 bytes", probe({NUMBER: b"\x19\0\x01"})),
        ("an integer longer than needed, 4 bytes", probe({NUMBER: b"\x1a\0\0\0\x01"})),
        ("an integer longer than needed, 8 bytes", probe({NUMBER: b"\x1b" + bytes(7) + b"\x01"})),
        ("a length longer than needed", probe({DATA: b"\x58\x01d"})),
        ("an array length longer than needed", probe(head=b"\x98\x07")),
        ("an enum longer than needed", probe({COLOUR: b"\x18\x01"})),
        ("an indefinite array", b"\x9f" + probe()[1:] + b"\xff"),
        ("an indefinite inner array", probe({MANY: b"\x9f\x41x\xff"})),
        ("indefinite bytes", probe({DATA: b"\x5f\x41d\xff"})),
        ("indefinite text", probe({TEXT: b"\x7f\x61t\xff"})),
        ("a lone break", b"\xff"),
        ("a map", b"\xa1\x61n\x01"),
        ("a map with a key twice", b"\xa2\x01\x01\x01\x02"),
        ("a map for an array", probe({MANY: b"\xa1\0\x41x"})),
        ("a float for an integer", probe({NUMBER: b"\xf9\x3c\x00"})),
        ("a double for an integer", probe({NUMBER: b"\xfb\x3f\xf0" + bytes(6)})),
        ("not a number", probe({NUMBER: b"\xf9\x7e\x00"})),
        ("a float for an enum", probe({COLOUR: b"\xf9\x3c\x00"})),
        ("a negative integer", probe({NUMBER: b"\x20"})),
        ("2^63", probe({NUMBER: b"\x1b\x80" + bytes(7)})),
        ("2^64 - 1", probe({NUMBER: b"\x1b" + b"\xff" * 8})),
        ("a bignum for a small number", probe({NUMBER: b"\xc2\x41\x01"})),
        ("a huge bignum", probe({NUMBER: b"\xc2\x59\x08\x00" + b"\xff" * 2048})),
        ("text for bytes", probe({DATA: b"\x61d"})),
        ("base64 text for bytes", probe({DATA: b"\x64ZA=="})),
        ("bytes for text", probe({TEXT: b"\x41t"})),
        ("text for an integer", probe({NUMBER: b"\x611"})),
        ("true for an integer", probe({NUMBER: b"\xf5"})),
        ("true for an enum", probe({COLOUR: b"\xf5"})),
        ("1 for true", probe({FLAG: b"\x01"})),
        ("null for an integer", probe({NUMBER: b"\xf6"})),
        ("null for an array", probe({MANY: b"\xf6"})),
        ("undefined for null", probe({MAYBE: b"\xf7"})),
        ("a simple value", probe({NUMBER: b"\xe0"})),
        ("a simple value of two bytes", probe({NUMBER: b"\xf8\xff"})),
        ("an unknown enum value", probe({COLOUR: b"\x03"})),
        ("invalid UTF-8", probe({TEXT: b"\x61\xff"})),
        ("overlong UTF-8", probe({TEXT: b"\x62\xc0\x80"})),
        ("a surrogate in UTF-8", probe({TEXT: b"\x63\xed\xa0\x80"})),
        ("text that is too long", probe({TEXT: b"\x79\x04\x01" + b"a" * 1025})),
        ("a field too few", b"\x86" + b"".join(PARTS[:-1])),
        ("a field too many", b"\x88" + b"".join(PARTS) + b"\0"),
        ("a bare value", b"\x01"),
        ("reserved additional information", probe({NUMBER: b"\x1c"})),
        ("a self-described tag", b"\xd9\xd9\xf7" + probe()),
        ("a length beyond the data", probe({DATA: b"\x5b\x7f" + b"\xff" * 7})),
        ("an array length beyond the data", b"\x9b\x7f" + b"\xff" * 7),
        ("depth", b"\x81" * 200_000),
    ],
)  # fmt: skip
def test_refused(why: str, data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(Probe, data)
    assert caught.value.code in ("MALFORMED", "SCHEMA", "NOT_CANONICAL"), why


@pytest.mark.parametrize(
    "tag", [*range(6), *range(21, 40), 100, 256, 258, 260, 261, 1004, 43_000, 55_799, 2**63]
)
def test_every_tag_is_refused_known_or_not(tag: int) -> None:
    tagged = cbor2.dumps(cbor2.CBORTag(tag, "2013-03-21T20:04:00Z"))
    for place in (DATA, TEXT, MAYBE):
        with pytest.raises(RemoteProtocolError) as caught:
            decode(Probe, probe({place: tagged}))
        assert caught.value.code == "MALFORMED"


def test_depth_is_bounded_where_types_would_allow_more() -> None:
    class Nest(Wire):
        inner: tuple[Nest, ...]  # type: ignore[name-defined]

    globals()["Nest"] = Nest
    for depth, fits in ((DEPTH_MAX // 2, True), (DEPTH_MAX // 2 + 1, False)):
        value = Nest(())
        for _ in range(depth - 1):
            value = Nest((value,))
        if fits:
            assert decode(Nest, encode(value)) == value
        else:
            with pytest.raises(RemoteProtocolError, match="MALFORMED"):
                decode(Nest, encode(value))


@pytest.mark.parametrize(
    "data",
    [
        b"\x9a\xff\xff\xff\xff",
        b"\x5b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x84" * 50_000,
        b"\x9f" * 50_000,
        b"\xc1" * 50_000,
        b"\xa1" * 50_000,
        b"\x9a\x00\x0f\xff\xff" + b"\x80" * 60_000,
        b"\xba\x00\x00\xff\xff" + b"\x1b\x00\x00\x00\x00\x00\x00\x00\x01\x00" * 6_000,
    ],
)
def test_bombs_are_refused_fast(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(RemoteProtocolError):
        decode(PeerMessage, data)
    assert time.process_time() - started < 2  # of the processor; a bomb takes minutes


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_message_or_a_refusal_and_nothing_else(data: bytes) -> None:
    for kind in (PeerMessage, ClientRequest, ClientReply, Signed, SignedEnvelope, Header):
        try:
            value = decode(kind, data)
        except RemoteProtocolError:
            continue
        assert encode(value) == data


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(), lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(), x, max_size=3), max_leaves=12))  # fmt: skip
def test_arbitrary_cbor_gives_a_message_or_a_refusal_and_nothing_else(value: object) -> None:
    data = cbor2.dumps(value)
    for kind in (PeerMessage, ClientRequest, ClientReply, Probe):
        try:
            decode(kind, data)
        except RemoteProtocolError:
            continue


@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_type_survives_encoding_and_no_flipped_byte_goes_unnoticed(
    kind: type[Wire], data: st.DataObject
) -> None:
    value = data.draw(structs(kind))
    encoded = encode(value)
    assert decode(kind, encoded) == value
    place = data.draw(st.integers(0, len(encoded) - 1))
    flip = data.draw(st.integers(1, 255))
    mutated = encoded[:place] + bytes((encoded[place] ^ flip,)) + encoded[place + 1 :]
    try:
        other = decode(kind, mutated)
    except RemoteProtocolError:
        return
    assert other != value
    assert encode(other) == mutated


@pytest.mark.parametrize("union", UNIONS)
def test_tags_within_a_union_are_distinct(union: object) -> None:
    tags = [kind.__struct_config__.tag for kind in get_args(union)]
    assert None not in tags
    assert len(set(tags)) == len(tags)


def disguises(item: Any) -> st.SearchStrategy[Any]:
    """What a lax conversion would take for `item`."""
    found: list[Any] = [None, True, False, item, [item], {"0": item}, 2**64, -1]
    match item:
        case bool():
            found += [int(item), float(item)]
        case int():
            found += [float(item), str(item), bool(item)]
        case bytes():
            found += [list(item), item.hex(), b64encode(item).decode()]
        case str():
            found += [item.encode(), item + "\0", item.upper()]
        case list():
            found += [item[:-1], [*item, None], dict(enumerate(item)), {str(x): x for x in item}]
    return st.sampled_from(found)


def replaced(item: Any, path: tuple[int, ...], by: Any) -> Any:
    if not path:
        return by
    at, *rest = path
    return [replaced(x, tuple(rest), by) if i == at else x for i, x in enumerate(item)]


def places(item: Any, path: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], Any]]:
    """Every place of a plain value, and what is there."""
    inner = item if isinstance(item, list) else []
    return [(path, item), *(p for i, x in enumerate(inner) for p in places(x, (*path, i)))]


@pytest.mark.parametrize("kind", [*EVERYTHING, *UNIONS], ids=lambda kind: getattr(kind, "__name__", "union"))  # fmt: skip
@settings(max_examples=40)
@given(data=st.data())
def test_what_looks_like_a_value_is_taken_only_as_its_one_encoding(
    kind: Any, data: st.DataObject
) -> None:
    one = kind if isinstance(kind, type) else data.draw(st.sampled_from(get_args(kind)))
    plain = cbor2.loads(encode(data.draw(structs(one))))
    path, item = data.draw(st.sampled_from(places(plain)))
    forged = cbor2.dumps(replaced(plain, path, data.draw(disguises(item))))
    try:
        value = decode(kind, forged)
    except RemoteProtocolError:
        return
    assert encode(value) == forged


def with_its_fields(kind: Any, found: set[type[Wire]]) -> set[type[Wire]]:
    """The wire types that a type is made of, itself too."""
    for inner in get_args(kind):
        with_its_fields(inner, found)
    if isinstance(kind, type) and issubclass(kind, Wire) and kind not in found:
        found.add(kind)
        for hint in get_type_hints(kind).values():
            with_its_fields(hint, found)
    return found


ALL_TYPES = sorted(with_its_fields(tuple[EVERYTHING], set()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", ALL_TYPES, ids=lambda kind: kind.__name__)
def test_no_wire_type_has_defaults_or_takes_unknown_fields(kind: type[Wire]) -> None:
    """Also inside others: `decode` takes for granted that what was read is the whole value."""
    config = kind.__struct_config__
    assert config.frozen
    assert config.array_like
    assert config.forbid_unknown_fields
    assert kind.__struct_defaults__ == ()


def test_a_reply_is_no_request() -> None:
    with pytest.raises(RemoteProtocolError, match="SCHEMA"):
        decode(ClientRequest, encode(Welcome(1)))
