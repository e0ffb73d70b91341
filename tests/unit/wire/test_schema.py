"""The published schema: what the types say, read by somebody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import cbor2
import msgspec
import pycddl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallynet.codec import Wire, decode, encode
from tallynet.commands import Command
from tallynet.errors import RemoteProtocolError
from tallynet.messages import ClientReply, ClientRequest, PeerMessage
from tallynet.proofs import Statement
from tallynet.records import Record
from tallynet.schema import cddl, rule_name
from tests.unit.wire.cddl_reader import Schema
from tests.unit.wire.strategies import structs
from tests.unit.wire.test_codec import EVERYTHING

FILE = Path(__file__).parents[3] / "docs" / "reference" / "tallynet.cddl"
TEXT = FILE.read_text(encoding="utf-8")
SCHEMA = Schema(TEXT)


def test_the_published_file_is_what_the_types_say() -> None:
    assert cddl() == TEXT, "run: python -m tallynet.schema > docs/reference/tallynet.cddl"


def test_the_published_file_is_cddl() -> None:
    pycddl.Schema(TEXT)
    with pytest.raises(ValueError, match="error"):
        pycddl.Schema(TEXT.replace("= [", "= {[", 1))


def test_every_rule_is_reachable_and_every_name_defined() -> None:
    for name, check in SCHEMA.rules.items():
        assert name == name.lower()
        for probe in ([], 1, "x", b"", None, ["x"]):
            check(probe)


@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: kind.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_every_message_fits_the_schema_and_no_mutation_divides_schema_and_decoder(
    kind: type[Wire], data: st.DataObject
) -> None:
    value = data.draw(structs(kind))
    encoded = encode(value)
    assert SCHEMA.accepts(rule_name(kind), encoded)
    mutated = cbor2.dumps(_mutated(cbor2.loads(encoded), data))
    assert SCHEMA.accepts(rule_name(kind), mutated) == _decodes(kind, mutated)


def _decodes(kind: Any, data: bytes) -> bool:
    try:
        decode(kind, data)
    except RemoteProtocolError:
        return False
    return True


def _mutated(plain: Any, data: st.DataObject) -> Any:
    """One place of a value replaced, dropped or doubled."""
    if not isinstance(plain, list) or (plain and data.draw(st.booleans())):
        index = data.draw(st.integers(0, len(plain) - 1)) if isinstance(plain, list) else None
        if index is not None and isinstance(plain[index], list):
            return [*plain[:index], _mutated(plain[index], data), *plain[index + 1 :]]
        if index is not None:
            return [*plain[:index], data.draw(_ATOMS), *plain[index + 1 :]]
        return data.draw(_ATOMS)
    place = data.draw(st.integers(0, len(plain)))
    if data.draw(st.booleans()):
        return [*plain[:place], data.draw(_ATOMS), *plain[place:]]
    return [*plain[: max(0, place - 1)], *plain[place:]]


# Text of at most 32 characters: beyond that the schema's limit, in bytes, is the wider one.
_ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(0, 2**63 - 1), st.sampled_from([0, 1, 2, 65_535, 65_536]),
    st.binary(max_size=70), st.sampled_from([bytes(16), bytes(32), bytes(64)]),
    st.text(max_size=8), st.sampled_from(["CNY", "cny", "goodbye"]), st.just([]),
)  # fmt: skip


@pytest.mark.parametrize(
    "union", [PeerMessage, ClientRequest, ClientReply, Command, Record, Statement]
)
def test_unions_of_the_schema_are_those_of_the_decoder(union: Any) -> None:
    names = {
        PeerMessage: "peer-message", ClientRequest: "client-request", ClientReply: "client-reply",
        Command: "command", Record: "record", Statement: "statement",
    }  # fmt: skip
    members = {rule_name(kind) for kind in get_args(union)}
    head = TEXT.split(f"\n{names[union]} =\n", 1)[1].split("\n\n", 1)[0]
    assert set(head.replace("/", " ").split()) == members


# pycddl 0.6 judges choices between an array and null, and choices inside nested arrays, wrongly: it
# refuses null, and takes a certificate with text among its signers. Types without them are shown to it.
_FLAT = tuple(
    kind
    for kind in EVERYTHING
    if "null" not in (rule := TEXT.split(f"\n{rule_name(kind)} = [\n", 1)[1].split("\n]\n", 1)[0])
    and not any(
        name in SCHEMA.rules
        for line in rule.splitlines()
        for name in line.strip(" ,").replace(" / ", ": ").split(": ")[1:]
    )
    and "[" not in rule
)


def test_most_types_are_flat() -> None:
    assert len(_FLAT) > 40


@pytest.mark.parametrize("kind", _FLAT, ids=lambda kind: kind.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_pycddl_agrees_about_flat_types(kind: type[Wire], data: st.DataObject) -> None:
    encoded = encode(data.draw(structs(kind)))
    schema = _pycddl(kind)
    schema.validate_cbor(encoded)
    plain = cbor2.loads(encoded)
    for wrong in ([*plain, 0], plain[:-1], [*plain[:-1], 1.5]):
        with pytest.raises(pycddl.ValidationError):
            schema.validate_cbor(cbor2.dumps(wrong))


_SCHEMAS: dict[type[Wire], pycddl.Schema] = {}


def _pycddl(kind: type[Wire]) -> pycddl.Schema:
    if kind not in _SCHEMAS:
        body = TEXT.split(f"\n{rule_name(kind)} = [\n", 1)[1].split("\n]\n", 1)[0]
        _SCHEMAS[kind] = pycddl.Schema(f"root = [\n{body}\n]\n")
    return _SCHEMAS[kind]


def test_the_reader_used_here_can_say_no() -> None:
    schema = Schema('a = ["x", n: 0..9, [1*2 b], c / null]\nb = bstr .size 2\nc = 1 / 2 ; two\n')
    good: list[Any] = ["x", 9, [b"ab"], None]
    assert schema.accepts("a", cbor2.dumps(good))
    for place, wrong in (
        (0, "y"), (1, 10), (1, True), (2, []), (2, [b"ab"] * 3), (2, [b"a"]), (2, b"ab"), (3, 3), (3, False),
    ):  # fmt: skip
        bad = [*good[:place], wrong, *good[place + 1 :]]
        assert not schema.accepts("a", cbor2.dumps(bad))
    assert not schema.accepts("a", cbor2.dumps(good[:3]))
    for text in ("a = {", "a = [", "a = 1\na = 2"):
        with pytest.raises((SyntaxError, IndexError)):
            Schema(text)


def test_rule_names() -> None:
    assert rule_name(msgspec.defstruct("FetchBlocks", [])) == "fetch-blocks"
