"""Changed proof files: what a verifier must refuse, made from files that it accepts.

Bytes are changed, deleted, inserted and exchanged wherever they stand. Fields are changed by decoding the
file, encoded values inside it too, and encoding it again: the result is canonical, so that what refuses it is
a hash, a signature or a rule.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

import cbor2
from rich.progress import Progress

from tallynet.genesis import Genesis
from tallynet.plain import from_plain
from tallynet.proofs import ProofRefused, check_proof
from tools.output import ERRORS

VECTORS: Final = (
    Path(__file__).resolve().parent.parent / "docs" / "reference" / "proof-vectors.json"
)
SPAN_BYTES_MAX: Final = 40
"""Deleted, inserted or exchanged at once: a hash and its length."""
ATOMS: Final[tuple[Any, ...]] = (None, True, False, 0, 1, 2**63 - 1, 2**63, b"", bytes(32), "", [])
"""Put in the place of any field."""


class Inner(list[Any]):
    """An encoded array that stood there as a byte string."""


# --- bytes -----------------------------------------------------------------------------------------------


def each_byte(data: bytes, random: Random) -> Iterator[bytes]:
    """Every byte changed to another value, one at a time."""
    for place in range(len(data)):
        yield _put(data, place, data[place] ^ random.randint(1, 255))


def _put(data: bytes, place: int, value: int) -> bytes:
    return data[:place] + bytes((value,)) + data[place + 1 :]


def _flip_bit(data: bytes, random: Random) -> bytes:
    place = random.randrange(len(data))
    return _put(data, place, data[place] ^ 1 << random.randrange(8))


def _delete(data: bytes, random: Random) -> bytes:
    place, length = random.randrange(len(data)), random.randint(1, SPAN_BYTES_MAX)
    return data[:place] + data[place + length :]


def _insert(data: bytes, random: Random) -> bytes:
    place, length = random.randrange(len(data) + 1), random.randint(1, SPAN_BYTES_MAX)
    return data[:place] + random.randbytes(length) + data[place:]


def _exchange(data: bytes, random: Random) -> bytes:
    """Two spans of one length change places."""
    length = random.randint(1, min(SPAN_BYTES_MAX, len(data) // 2))
    first, second = sorted(random.randrange(len(data) - length + 1) for _ in range(2))
    if second < first + length:
        return data
    one, other = data[first : first + length], data[second : second + length]
    return data[:first] + other + data[first + length : second] + one + data[second + length :]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


# --- fields ----------------------------------------------------------------------------------------------


def opened(data: bytes) -> list[Any]:
    """The file as nested lists, encoded values inside it as `Inner`."""
    found = cbor2.loads(data)
    return [_opened(item) for item in found]


def _opened(value: Any) -> Any:
    if isinstance(value, list):
        return [_opened(item) for item in value]
    if isinstance(value, bytes) and len(value) > 1:
        try:
            inner = cbor2.loads(value)
        except (cbor2.CBORDecodeError, ValueError, OverflowError):
            return value
        if isinstance(inner, list) and cbor2.dumps(inner) == value:
            return Inner(_opened(item) for item in inner)
    return value


def closed(value: Any) -> Any:
    """The other way."""
    if isinstance(value, Inner):
        return cbor2.dumps([closed(item) for item in value])
    return [closed(item) for item in value] if isinstance(value, list) else value


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return type(value)(_copied(item) for item in value)
    return value


def _places(value: list[Any]) -> Iterator[tuple[list[Any], int]]:
    for index, item in enumerate(value):
        yield value, index
        if isinstance(item, list):
            yield from _places(item)


def change_field(data: bytes, random: Random) -> bytes:
    """One field replaced, left out, doubled, moved, or exchanged with another one."""
    tree = opened(data)
    places = list(_places(tree))
    holder, index = random.choice(places)
    kind = random.randrange(6)
    if kind == 0:
        holder[index] = random.choice(ATOMS)
    elif kind == 1:
        del holder[index]
    elif kind == 2:
        holder.insert(index, _copied(holder[index]))
    elif kind == 3:
        holder[index] = _near(holder[index], random)
    elif kind == 4:
        other, place = random.choice(places)
        holder[index] = _copied(other[place])
    else:
        place = random.randrange(len(holder))
        holder[index], holder[place] = holder[place], holder[index]
    return cbor2.dumps([closed(item) for item in tree])


def _near(value: Any, random: Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return max(0, value + random.choice((-1, 1, 255, 1000)))
    if isinstance(value, str):
        return value + "x" if random.random() < 0.5 else value[:-1]
    if isinstance(value, bytes) and value:
        return _flip_bit(value, random)
    if isinstance(value, list) and value:
        return type(value)(reversed(value)) if random.random() < 0.5 else type(value)(value[:-1])
    return random.choice(ATOMS)


# --- all together -----------------------------------------------------------------------------------------

KINDS: Final[tuple[Callable[[bytes, Random], bytes], ...]] = (
    _flip_bit, _delete, _insert, _exchange, _cut, change_field, change_field, change_field,
)  # fmt: skip


def mutations(data: bytes, random: Random) -> Iterator[bytes]:
    """Without end, none equal to `data`: first every byte once, then everything by lot."""
    yield from each_byte(data, random)
    while True:
        changed = random.choice(KINDS)(data, random)
        if changed != data:
            yield changed


@dataclass(frozen=True, slots=True)
class Original:
    """A file that the verifier accepts."""

    name: str
    data: bytes


@dataclass(slots=True)
class Outcome:
    """What became of the mutations."""

    mutations: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """By code."""
    accepted: list[tuple[str, bytes]] = field(default_factory=list)
    """Name of the original, and the changed file; the first one of each original."""
    cpu_seconds: float = 0.0


def published() -> tuple[Genesis, list[Original]]:
    """The examples of every kind that are published with the reference, across a change of the validators.

    Raises:
        OSError: this is no release folder.
    """
    vectors = json.loads(VECTORS.read_bytes())
    files = [Original(v["name"], bytes.fromhex(v["file"])) for v in vectors["accepted"]]
    return from_plain(Genesis, vectors["genesis"]["file"]), files


def mutate(files: Sequence[Original], genesis: Genesis, count: int, seed: int) -> Outcome:
    """Try `count` mutations in all, as many of each file; a file of which one is accepted is left.

    Raises:
        ProofRefused: one of the files is refused as it is.
    """
    outcome = Outcome()
    started = time.process_time()
    with Progress(console=ERRORS, transient=True) as progress:
        for number, original in enumerate(files):
            check_proof(original.data, genesis)
            share = count // len(files) + (number < count % len(files))
            changed = islice(mutations(original.data, Random(seed + number)), share)
            for mutation in progress.track(changed, total=share, description=original.name):
                outcome.mutations += 1
                try:
                    check_proof(mutation, genesis)
                except ProofRefused as refused:
                    outcome.refused[refused.code] = outcome.refused.get(refused.code, 0) + 1
                else:
                    outcome.accepted.append((original.name, mutation))
                    break
    outcome.cpu_seconds = round(time.process_time() - started, 1)
    return outcome
