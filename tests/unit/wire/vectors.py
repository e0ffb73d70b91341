"""Test vectors for clients in other languages: inputs, encodings, hashes, signatures.

python -m tests.unit.wire.vectors > docs/reference/test-vectors.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.state.tree import ROOT_PATH, children_of, make_subtree
from tallynet.blocks import Certificate, Commit, Header, Prepare
from tallynet.codec import Wire, encode
from tallynet.commands import LotTransfer, Piece
from tallynet.envelope import EnvelopeBody, Mode, SignedEnvelope, Signer
from tallynet.evidence import VotesEvidence
from tallynet.frames import frame
from tallynet.hashing import (
    block_hash,
    envelope_hash,
    record_id,
    signed_bytes,
    transaction_id,
)
from tallynet.merkle import ListTree
from tallynet.messages import (
    Complaint,
    ComplaintReason,
    FetchState,
    Hello,
    HelloBody,
    PeerRole,
    Ping,
    QueryRecord,
    Signed,
    SignedKind,
    StateBucket,
    StateEntities,
    StateEntity,
    StateNode,
    StatePart,
)  # fmt: skip
from tallynet.plain import to_plain
from tallynet.records import Kind, Role
from tallynet.signatures import KIND_COMMIT, KIND_ENVELOPE, KIND_HELLO, KIND_PREPARE
from tallynet.state_proof import bucket_hash, entity_key, leaf_hash, tree_root

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
GENESIS = b"\x47" * 32


def _encoding(value: Wire) -> dict[str, Any]:
    return {"value": to_plain(value), "encoding": encode(value).hex()}


def _signature(kind: bytes, body: bytes) -> dict[str, str]:
    covered = signed_bytes(kind, GENESIS, body)
    return {
        "kind": kind.decode(),
        "body": body.hex(),
        "signed_bytes": covered.hex(),
        "signature": KEY.sign(covered).hex(),
    }


def _fetched_state(commit: Commit) -> dict[str, Any]:
    """The outline of a state of seventeen records, and its parts: one node, and one of its buckets as
    names and as entities."""
    entities = sorted(
        (
            StateEntity(bytes((Kind.REMAINDER,)) + bytes([n]) * 16, encode(Ping(n)), ())
            for n in range(17)
        ),
        key=lambda entity: entity_key(entity.name),
    )
    leaves = [(entity_key(e.name), leaf_hash(Kind.REMAINDER, e.record), e.name) for e in entities]
    tree, rows = make_subtree(ROOT_PATH, list(leaves))
    step = leaves[0][0][0] >> 4
    first = [i for i, leaf in enumerate(leaves) if leaf[0][0] >> 4 == step]
    path = bytes((step,))
    names = b"".join(leaves[i][2] for i in first)
    values = b"".join(leaves[i][1] for i in first)
    parts = (
        StateNode(b"", children_of(rows[ROOT_PATH])),
        StateBucket(path, names, values),
        StateEntities(path, tuple(entities[i] for i in first)),
    )
    return {
        "entities": 17,
        "tree": tree.hex(),
        "state_root": tree_root(17, tree).hex(),
        "parts": [_encoding(StatePart(commit.height, (part,))) for part in parts],
    }


def _signed(prepare: Prepare) -> bytes:
    body = encode(prepare)
    return encode(
        Signed(SignedKind.PREPARE, body, 0, KEY.sign(signed_bytes(KIND_PREPARE, GENESIS, body)))
    )


def vectors() -> dict[str, Any]:
    """Everything is deterministic: Ed25519 signatures too."""
    header = Header(
        GENESIS, 1, 0, 7, b"\x50" * 32, b"\x54" * 32, 1_700_000_000_123, 2, b"\x4e" * 32
    )
    commit = Commit(0, 1, 7, block_hash(encode(header)), b"\x53" * 32, b"\x52" * 32)
    prepare = Prepare(0, 1, 7, block_hash(encode(header)))
    command = LotTransfer(b"pay-1", b"\x56" * 16, 250, (Piece(b"\x57" * 16, 10_000, None),))
    body = EnvelopeBody(
        1, GENESIS, b"\x4f" * 16, Mode.ATOMIC, (command,), 1_700_086_400,
        (Signer(record_id(Kind.KEY, b"", PUBLIC), Role.MAKER),),
    )  # fmt: skip
    hello = HelloBody(PeerRole.CLIENT, PUBLIC, b"\x6e" * 32, PUBLIC, "python=3.11.7")
    signed_body = encode(body)
    envelope_signature = KEY.sign(signed_bytes(KIND_ENVELOPE, GENESIS, signed_body))
    sealed = encode(SignedEnvelope(signed_body, (envelope_signature,)))
    leaves = [b"a", b"bb", b"ccc"]
    tree = ListTree(leaves)
    record = encode(Ping(1))
    key = entity_key(bytes((Kind.PARAMETER,)) + b"rate")
    bucket = key + leaf_hash(Kind.PARAMETER, record)
    return {
        "note": "Private key 000102..1f; genesis hash 47 x 32. All bytes in hex.",
        "public_key": PUBLIC.hex(),
        "encodings": {
            "header": _encoding(header),
            "prepare": _encoding(prepare),
            "commit": _encoding(commit),
            "certificate": _encoding(
                Certificate(
                    encode(commit),
                    (0,),
                    (KEY.sign(signed_bytes(KIND_COMMIT, GENESIS, encode(commit))),),
                )
            ),
            "envelope_body": _encoding(body),
            "signed_envelope": _encoding(SignedEnvelope(signed_body, (envelope_signature,))),
            "hello_body": _encoding(hello),
            "hello": _encoding(
                Hello(encode(hello), KEY.sign(signed_bytes(KIND_HELLO, GENESIS, encode(hello))))
            ),
            "complaint": _encoding(Complaint(0, 1, ComplaintReason.SLOW_LEADER)),
            "evidence": _encoding(
                VotesEvidence(_signed(prepare), _signed(Prepare(0, 1, 7, b"\x42" * 32)))
            ),
            "query_record": _encoding(QueryRecord(3, Kind.VOUCHER, b"\x56" * 16)),
            "fetch_state": _encoding(FetchState(7, True, (b"", b"\x05\x0a"))),
        },
        "frame": {"message": encode(Ping(5)).hex(), "frame": frame(encode(Ping(5))).hex()},
        "block_hash": {"header": encode(header).hex(), "hash": block_hash(encode(header)).hex()},
        "transaction_id": {"body": signed_body.hex(), "id": transaction_id(signed_body).hex()},
        "envelope_hash": {"envelope": sealed.hex(), "hash": envelope_hash(sealed).hex()},
        "record_id": {
            "kind": int(Kind.VOUCHER),
            "organisation": (b"\x4f" * 16).hex(),
            "label": b"invoice-17".hex(),
            "id": record_id(Kind.VOUCHER, b"\x4f" * 16, b"invoice-17").hex(),
        },
        "signatures": [
            _signature(KIND_PREPARE, encode(prepare)),
            _signature(KIND_COMMIT, encode(commit)),
            _signature(KIND_ENVELOPE, signed_body),
            _signature(KIND_HELLO, encode(hello)),
        ],
        "list_tree": {
            "leaves": [leaf.hex() for leaf in leaves],
            "root": tree.root.hex(),
            "proofs": [to_plain(tree.prove(i)) for i in range(3)],
        },
        "fetched_state": _fetched_state(commit),
        "state_tree_of_one_record": {
            "kind": int(Kind.PARAMETER),
            "id": b"rate".hex(),
            "record": record.hex(),
            "entity_key": key.hex(),
            "bucket": bucket.hex(),
            "root": tree_root(1, bucket_hash(bucket)).hex(),
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(vectors(), indent=2) + "\n")
