"""The published vectors hold, checked with nothing but hashlib, cbor2 and OpenSSL's Ed25519."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.unit.wire.vectors import vectors

FILE = Path(__file__).parents[3] / "docs" / "reference" / "test-vectors.json"
PUBLISHED: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def test_the_file_is_what_the_code_computes() -> None:
    assert vectors() == PUBLISHED, (
        "run: python -m tests.unit.wire.vectors > docs/reference/test-vectors.json"
    )


def test_encodings_are_plain_cbor_arrays() -> None:
    for name, vector in PUBLISHED["encodings"].items():
        encoded = unhex(vector["encoding"])
        assert cbor2.dumps(cbor2.loads(encoded), canonical=True) == encoded, name


def test_signatures_verify_without_our_code() -> None:
    key = Ed25519PublicKey.from_public_bytes(unhex(PUBLISHED["public_key"]))
    for vector in PUBLISHED["signatures"]:
        covered = b"tallynet/1" + vector["kind"].encode() + b"\x47" * 32 + unhex(vector["body"])
        assert covered == unhex(vector["signed_bytes"])
        key.verify(unhex(vector["signature"]), covered)


def test_hashes_follow_the_reference() -> None:
    block = PUBLISHED["block_hash"]
    assert sha256(b"\x02" + unhex(block["header"])).hexdigest() == block["hash"]
    transaction = PUBLISHED["transaction_id"]
    assert sha256(unhex(transaction["body"])).hexdigest() == transaction["id"]
    envelope = PUBLISHED["envelope_hash"]
    preimage = b"tallynet/envelope" + unhex(envelope["envelope"])
    assert sha256(preimage).hexdigest() == envelope["hash"]
    record = PUBLISHED["record_id"]
    preimage = (
        b"tallynet/id/1" + record["kind"].to_bytes(2, "big") + (16).to_bytes(2, "big")
        + unhex(record["organisation"]) + unhex(record["label"])
    )  # fmt: skip
    assert sha256(preimage).hexdigest()[:32] == record["id"]


def test_the_list_tree_follows_the_reference() -> None:
    a, b, c = (sha256(b"\0" + unhex(x)).digest() for x in PUBLISHED["list_tree"]["leaves"])
    tree = sha256(b"\1" + sha256(b"\1" + a + b).digest() + c).digest()
    assert (
        sha256(b"\2" + (3).to_bytes(4, "big") + tree).hexdigest() == PUBLISHED["list_tree"]["root"]
    )


def test_the_state_tree_follows_the_reference() -> None:
    state = PUBLISHED["state_tree_of_one_record"]
    kind = bytes((state["kind"],))
    key = sha256(kind + unhex(state["id"])).digest()
    value = sha256(b"\x40" + kind + unhex(state["record"])).digest()
    assert (key + value).hex() == state["bucket"]
    bucket = sha256(b"\x42" + key + value).digest()
    assert sha256(b"\x44" + (1).to_bytes(8, "big") + bucket).hexdigest() == state["root"]


def test_the_parts_of_a_fetched_state_follow_the_reference() -> None:
    """Root, node, bucket and entities, each against the hash above it."""
    fetched = PUBLISHED["fetched_state"]
    node, bucket, entities = (
        cbor2.loads(unhex(part["encoding"]))[2][0] for part in fetched["parts"]
    )
    count = fetched["entities"].to_bytes(8, "big")
    assert sha256(b"\x44" + count + unhex(fetched["tree"])).hexdigest() == fetched["state_root"]
    level = [node[2][at : at + 32] for at in range(0, 512, 32)]
    while len(level) > 1:
        pairs = [level[i] + level[i + 1] for i in range(0, len(level), 2)]
        level = [
            bytes(32) if pair == bytes(64) else sha256(b"\x43" + pair).digest() for pair in pairs
        ]
    assert level[0].hex() == fetched["tree"]
    step = bucket[1][0]
    names = [bucket[2][at : at + 17] for at in range(0, len(bucket[2]), 17)]
    values = [bucket[3][at : at + 32] for at in range(0, len(bucket[3]), 32)]
    keys = [sha256(name).digest() for name in names]
    entries = b"".join(key + value for key, value in zip(keys, values, strict=True))
    assert sha256(b"\x42" + entries).digest() == node[2][step * 32 : (step + 1) * 32]
    assert [name for name, _, _ in entities[2]] == names
    assert [
        sha256(b"\x40" + name[:1] + record).digest() for name, record, _ in entities[2]
    ] == values


def test_a_frame_is_a_length_and_a_message() -> None:
    message = unhex(PUBLISHED["frame"]["message"])
    assert len(message).to_bytes(4, "big") + message == unhex(PUBLISHED["frame"]["frame"])
