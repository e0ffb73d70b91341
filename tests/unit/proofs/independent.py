"""A second verifier of proof files, written from docs/reference/proofs.md with hashlib, cbor2 and OpenSSL's
Ed25519 alone: what it takes to do so in another language. It checks what the page asks for where forgeries
would hide, and reads of records, receipts and events only the fields that it needs. That a file has the shape of
`proof-file`, the published schema says, read by the reader that the tests of the wire use.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.unit.wire.cddl_reader import Schema

CDDL = Path(__file__).parents[3] / "docs" / "reference" / "tallynet.cddl"
SCHEMA = Schema(CDDL.read_text(encoding="utf-8"))
VOUCHER, LOT, DOCUMENT = 9, 10, 8
FACE, EVENT_COUNT, ACCUMULATOR = 4, 39, 40
"""Places in the encoded voucher record, its tag at 0."""
DOCUMENT_ROOT = 4


class Refused(Exception):
    """The file proves nothing."""


def require(condition: bool, why: str) -> None:
    if not condition:
        raise Refused(why)


def H(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def big(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def read(data: bytes) -> list[Any]:
    """An array in its one encoding."""
    try:
        value = cbor2.loads(data)
        canonical = cbor2.dumps(value)
    except Exception as error:
        raise Refused("no CBOR") from error
    require(isinstance(value, list) and canonical == data, "not canonical")
    return value


class Network:
    def __init__(self, genesis: bytes) -> None:
        """`genesis` is the canonical encoding."""
        fields = read(genesis)
        self.hash = H(b"tallynet/genesis", genesis)
        self.epoch_length = fields[6]
        self.sets = [(0, fields[7])]

    def set_of(self, epoch: int) -> list[Any]:
        return [found for since, found in self.sets if since <= epoch][-1]

    def vote(self, certificate: list[Any]) -> list[Any]:
        body, signers, signatures = certificate
        vote = read(body)
        require(len(vote) == 6, "no commit")
        epoch, _, height = vote[:3]
        require(height >= 1 and epoch == (height - 1) // self.epoch_length, "epoch and height")
        validators = self.set_of(epoch)
        n = len(validators)
        q = (n + (n - 1) // 3 + 2) // 2
        require(signers == sorted(set(signers)) and signers[-1:] < [n], "signers")
        require(len(signers) == len(signatures) == q, "not exactly a quorum")
        for signer, signature in zip(signers, signatures, strict=True):
            key = Ed25519PublicKey.from_public_bytes(validators[signer][1])
            try:
                key.verify(signature, b"tallynet/1commit--" + self.hash + body)
            except InvalidSignature:
                raise Refused("signature") from None
        return vote

    def follow(self, handover: list[Any]) -> None:
        header_bytes, certificate, validators = handover
        header = read(header_bytes)
        since = header[2] + 1
        require(since > self.sets[-1][0], "no new epoch")
        require(header[0] == self.hash and header[3] == since * self.epoch_length, "header")
        vote = self.vote(certificate)
        require(vote[3] == H(b"\x02", header_bytes), "another block")
        require((vote[0], vote[2]) == (header[2], header[3]), "height or epoch")
        require(header[8] == validators_hash(validators), "another set")
        require(validators != self.sets[-1][1], "nothing changes")
        keys = [validator[1] for validator in validators]
        require(keys == sorted(set(keys)) and (len(keys) == 1 or len(keys) >= 4), "no set")
        self.sets.append((since, validators))

    def final(self, block: list[Any]) -> tuple[list[Any], list[Any]]:
        """Header and vote."""
        header_bytes, certificate = block
        header = read(header_bytes)
        require(header[0] == self.hash, "another network")
        if header[3] % self.epoch_length:
            require(header[8] == validators_hash(self.set_of(header[2])), "a hand-over is missing")
        vote = self.vote(certificate)
        require(vote[3] == H(b"\x02", header_bytes), "another block")
        require((vote[0], vote[2]) == (header[2], header[3]), "height or epoch")
        return header, vote


def validators_hash(validators: list[Any]) -> bytes:
    return H(b"tallynet/validators", cbor2.dumps(validators))


# --- the state --------------------------------------------------------------------------------------


def entity_value(root: bytes, name: bytes, proof: list[Any]) -> bytes | None:
    count, depth, present, siblings, bucket = proof[:5]
    key = H(name)
    require(len(bucket) % 64 == 0, "bucket")
    entries = [(bucket[i : i + 32], bucket[i + 32 : i + 64]) for i in range(0, len(bucket), 64)]
    keys = [entry[0] for entry in entries]
    require(keys == sorted(set(keys)), "order of the bucket")
    steps = 4 * depth
    require(len(present) == (steps + 7) // 8, "bitmap")
    bits = int.from_bytes(present, "little")
    require(bits >> steps == 0 and len(siblings) == 32 * bits.bit_count(), "siblings")
    if depth and not bucket:
        require(bits & 15 != 0, "below an empty subtree")
    listed = iter([siblings[i : i + 32] for i in range(0, len(siblings), 32)])
    zero = bytes(32)
    digest = H(b"\x42", bucket) if bucket else zero
    place = int.from_bytes(key, "big")
    for step in range(steps):
        sibling = next(listed) if bits >> step & 1 else zero
        require(not bits >> step & 1 or sibling != zero, "an empty sibling is listed")
        if digest != zero or sibling != zero:
            right = place >> (256 - steps + step) & 1
            digest = H(b"\x43", sibling, digest) if right else H(b"\x43", digest, sibling)
    require(H(b"\x44", big(count, 8), digest) == root, "state root")
    return dict(entries).get(key)


def record(root: bytes, kind: int, id: bytes, proof: list[Any]) -> bytes | None:
    record, voucher_hash, rows, lots = proof[5:]
    if kind == LOT:
        return lot(root, id, proof)
    value = entity_value(root, bytes([kind]) + id, proof)
    require(voucher_hash is None, "a voucher's hash")
    if kind == VOUCHER:
        require(not (rows and lots), "rows and lots")
        rows = rows or b"".join(big(read(one)[1], 8) + H(one) for one in lots)
    else:
        require(not rows and not lots, "lots without a voucher")
    if value is None:
        require(record is None and not rows, "record without an entry")
        return None
    require(record is not None and len(rows) % 40 == 0, "entry without a record")
    if kind == VOUCHER:
        require(value == H(b"\x41", H(record), big(len(rows) // 40, 8), rows), "voucher")
    else:
        require(value == H(b"\x40", bytes([kind]), record), "value")
    read(record)
    return bytes(record)


def lot(root: bytes, id: bytes, proof: list[Any]) -> bytes | None:
    record, voucher_hash, rows, lots = proof[5:]
    require(len(id) == 24 and not lots, "lot")
    value = entity_value(root, bytes([VOUCHER]) + id[:16], proof)
    if value is None:
        require(record is None and voucher_hash is None and not rows, "no voucher")
        return None
    require(voucher_hash is not None and len(rows) % 40 == 0, "rows")
    require(value == H(b"\x41", voucher_hash, big(len(rows) // 40, 8), rows), "rows")
    found = {rows[i : i + 8]: rows[i + 8 : i + 40] for i in range(0, len(rows), 40)}
    digest = found.get(id[16:])
    require((record is None) == (digest is None), "lot and row")
    if record is None:
        return None
    require(H(record) == digest, "lot")
    return bytes(record)


# --- lists ------------------------------------------------------------------------------------------


def list_root(leaves: list[bytes]) -> bytes:
    level = [H(b"\x00", leaf) for leaf in leaves]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [H(b"\x01", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return H(b"\x02", big(len(leaves), 4), *level)


def in_list(root: bytes, leaf: bytes, proof: list[Any]) -> bool:
    index, count, siblings = proof
    require(0 <= index < count, "index")
    digest, size, rest = H(b"\x00", leaf), count, list(siblings)
    place = index
    while size > 1:
        if place ^ 1 < size:
            require(bool(rest), "siblings")
            sibling = rest.pop(0)
            digest = H(b"\x01", sibling, digest) if place & 1 else H(b"\x01", digest, sibling)
        place, size = place // 2, (size + 1) // 2
    return not rest and H(b"\x02", big(count, 4), digest) == root


# --- statements -------------------------------------------------------------------------------------


def whole_voucher(root: bytes, id: bytes, proof: list[Any]) -> list[Any]:
    require(proof[7] == b"", "lots are left out")
    found = record(root, VOUCHER, id, proof)
    if found is None:
        raise Refused("no voucher")
    voucher = read(found)
    edge = 0
    for one in proof[8]:
        start, end = read(one)[1:3]
        require(start == edge, "a gap")
        edge = end
    require(edge == voucher[FACE], "a gap at the end")
    return voucher


def verify(file: bytes, genesis: bytes) -> int:
    """The height as of which the file is true. Raises Refused."""
    try:
        return _verify(file, genesis)
    except Refused:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise Refused("not of the right form") from error


def _verify(file: bytes, genesis: bytes) -> int:
    tag, version, network_hash, handovers, statement = read(file)
    require(SCHEMA.accepts("proof-file", file), "not of the published shape")
    network = Network(genesis)
    require((tag, version, network_hash) == ("tallynet.proof", 1, network.hash), "file")
    for handover in handovers:
        network.follow(handover)
    if statement[0] == "events":
        _, first, last, blocks = statement
        header = _events(network, first, last, blocks)
    else:
        header, vote = network.final(statement[1])
        _STATEMENTS[statement[0]](header, vote, *statement[2:])
    require(network.sets[-1][0] <= header[2], "a later hand-over")
    return int(header[3])


def _record(_: list[Any], vote: list[Any], kind: int, id: bytes, proof: list[Any]) -> None:
    found = record(vote[4], kind, id, proof)
    require(kind != VOUCHER and found is not None, "no such record, or a voucher without its lots")


def _absence(
    _: list[Any], vote: list[Any], kind: int, id: bytes, asked: bytes, proof: list[Any]
) -> None:
    require(record(vote[4], kind, id, proof) is None, "there is such a record")
    require(asked == H(bytes([kind]), id), "another record was asked for")


def _voucher(_: list[Any], vote: list[Any], id: bytes, proof: list[Any]) -> None:
    whole_voucher(vote[4], id, proof)


def _history(
    _: list[Any], vote: list[Any], id: bytes, proof: list[Any], events: list[bytes]
) -> None:
    voucher = whole_voucher(vote[4], id, proof)
    digest = bytes(32)
    for event in events:
        read(event)
        digest = H(digest, event)
    require((len(events), digest) == (voucher[EVENT_COUNT], voucher[ACCUMULATOR]), "events")


def _receipt(_: list[Any], vote: list[Any], receipt: bytes, proof: list[Any]) -> None:
    require(in_list(vote[5], receipt, proof) and proof[0] > 0, "receipt")
    read(receipt)


def _act(
    header: list[Any], vote: list[Any], receipt: bytes, proof: list[Any], envelope: bytes,
    place: list[Any],
) -> None:  # fmt: skip
    _receipt(header, vote, receipt, proof)
    require(in_list(header[5], H(b"tallynet/envelope", envelope), place), "envelope")
    require(place[:2] == [proof[0] - 1, proof[1] - 1], "another envelope")
    body, _signatures = read(envelope)
    require(read(receipt)[0] == H(body), "another transaction")


def _events(network: Network, first: int, last: int, blocks: list[Any]) -> list[Any]:
    before = None
    for height, (block, receipts) in enumerate(blocks, first):
        header, vote = network.final(block)
        require(header[3] == height, "heights")
        require(before is None or header[4] == before, "parent")
        before = H(b"\x02", block[0])
        require(list_root([receipt for receipt, _ in receipts]) == vote[5], "receipts")
        for receipt, events in receipts:
            for event in events:
                read(event)
            require(H(*(H(event) for event in events)) == read(receipt)[-1], "events")
    require(height == last, "the last height")
    return header


def _document(
    _: list[Any], vote: list[Any], id: bytes, proof: list[Any], count: int, disclosure: list[Any]
) -> None:
    found = record(vote[4], DOCUMENT, id, proof)
    if found is None:
        raise Refused("no document")
    root = read(found)[DOCUMENT_ROOT]
    (fields,) = disclosure
    paths = [field[0].encode() for field in fields]
    require(paths == sorted(set(paths)) and len(fields) == count, "fields")
    require(len({len(field[4]) for field in fields}) == 1, "depth")
    for path, salt, value, index, siblings in fields:
        text = path.encode()
        require(0 <= index < 1 << len(siblings) and len(salt) == 32, "index")
        digest = H(b"\x00", big(len(text), 4), text, salt, big(len(value), 4), value)
        for height, sibling in enumerate(siblings):
            right = index >> height & 1
            digest = H(b"\x01", sibling, digest) if right else H(b"\x01", digest, sibling)
        require(digest == root, "field")


_STATEMENTS: dict[str, Any] = {
    "record": _record,
    "absence": _absence,
    "voucher": _voucher,
    "history": _history,
    "receipt": _receipt,
    "act": _act,
    "document": _document,
}
