"""Small-scope mutation of any wire value (ByzzFuzz; reliability §5): one field, one operator.

The schema of `tallynet.messages` says what a field may hold, so one recursive function reaches every
field of every message, also inside the byte strings in which signed messages, headers and envelopes
travel. Every decision is asked of a chooser: a random one in a run, a scripted one in a test that walks
through all of them. Signatures of the liars are made again afterwards, or left as they are, so that
mutations reach the code behind the signature check, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from random import Random
from typing import Any, Final, Protocol

from msgspec.structs import replace

from tallynet.blocks import Certificate, Commit, Header, Prepare
from tallynet.codec import Wire, decode, encode
from tallynet.envelope import EnvelopeBody, SignedEnvelope
from tallynet.errors import RemoteProtocolError
from tallynet.hashing import block_hash
from tallynet.merkle import list_root
from tallynet.messages import (
    Bodies,
    CertifiedBlock,
    Complaint,
    NewView,
    PreparedEntry,
    PrePrepare,
    Proposal,
    ProvenReceipt,
    Receipts,
    Signed,
    SignedKind,
    Status,
    ViewChange,
)
from tallynet.receipts import EnvelopeReceipt

HUGE: Final = 2**62
SEEN_MAX: Final = 8
"""Values remembered per field."""

BODIES: Final[dict[SignedKind, type[Wire]]] = {
    SignedKind.PREPARE: Prepare,
    SignedKind.COMMIT: Commit,
    SignedKind.COMPLAINT: Complaint,
    SignedKind.VIEW_CHANGE: ViewChange,
    SignedKind.NEW_VIEW: NewView,
    SignedKind.STATUS: Status,
}
"""What the body of a `Signed` of each kind holds."""

_NESTED: Final[dict[tuple[type[Wire], str], tuple[type[Wire], ...]]] = {
    (PrePrepare, "header"): (Header,),
    (PrePrepare, "prepare"): (Signed,),
    (Proposal, "header"): (Header,),
    (PreparedEntry, "header"): (Header,),
    (ViewChange, "committed_header"): (Header,),
    (NewView, "view_changes"): (Signed,),
    (NewView, "proposals"): (Header,),
    (NewView, "prepares"): (Signed,),
    (Certificate, "vote"): (Prepare, Commit),
    (Bodies, "bodies"): (SignedEnvelope,),
    (SignedEnvelope, "body"): (EnvelopeBody,),
    (CertifiedBlock, "header"): (Header,),
    (CertifiedBlock, "bodies"): (SignedEnvelope,),
    (Receipts, "header"): (Header,),
    (ProvenReceipt, "receipt"): (EnvelopeReceipt,),
}
"""What the byte strings of a field hold."""

Sign = Callable[[int, SignedKind, bytes], Signed | None]
"""(signer, kind, body) -> signed anew, or None when that key is not held."""


class Chooser(Protocol):
    def choose(self, weights: Sequence[int]) -> int:
        """What to do: an index into the weights."""

    def position(self, count: int) -> int:
        """Where: a number below `count`."""


class RandomChooser:
    def __init__(self, random: Random) -> None:
        self._random: Final = random

    def choose(self, weights: Sequence[int]) -> int:
        return self._random.choices(range(len(weights)), weights)[0]

    def position(self, count: int) -> int:
        return self._random.randrange(count)


class EveryChoice:
    """Every field with every operator, at the first and the last position: `runs` has one item per
    mutation."""

    def __init__(self) -> None:
        self._script: list[list[int]] = []
        """[chosen, number of choices] of each decision of this run."""
        self._at = 0

    def choose(self, weights: Sequence[int]) -> int:
        if self._at == len(self._script):
            self._script.append([0, len(weights)])
        self._at += 1
        return self._script[self._at - 1][0]

    def position(self, count: int) -> int:
        return (0, count - 1)[self.choose((1, 1))] if count > 1 else 0

    def runs(self) -> Iterator[int]:
        """One item per sequence of choices; it is over when all have been made."""
        number = 0
        while True:
            self._at = 0
            yield number
            number += 1
            while self._script and self._script[-1][0] + 1 >= self._script[-1][1]:
                self._script.pop()
            if not self._script:
                return
            self._script[-1][0] += 1


@dataclass(frozen=True, slots=True)
class Mutation:
    """A changed message and what was done to it."""

    value: Wire
    kind: str
    """Of message: a type, or a kind of `Signed`."""
    field: str
    """Path to it, without positions."""
    operator: str

    @property
    def name(self) -> str:
        return f"{self.kind} {self.field} {self.operator}"


def nested(owner: Wire, field: str, raw: bytes) -> Wire | None:
    """The value in the byte string of a field, when it holds one."""
    if isinstance(owner, Signed) and field == "body":
        kinds: tuple[type[Wire], ...] = (BODIES[owner.kind],) if owner.kind in BODIES else ()
    else:
        kinds = _NESTED.get((type(owner), field), ())
    for kind in kinds:
        try:
            return decode(kind, raw)
        except RemoteProtocolError:
            continue
    return None


class Seen:
    """Values that messages had before, by field: what a liar swaps in."""

    def __init__(self) -> None:
        self._values: Final[dict[tuple[str, str], deque[Any]]] = {}

    def learn(self, value: Wire) -> None:
        """Remember every field, and what is inside byte strings."""
        name = type(value).__name__
        for field in value.__struct_fields__:
            held = getattr(value, field)
            for item in held if isinstance(held, tuple) else (held,):
                self._learn(value, name, field, item)

    def _learn(self, owner: Wire, name: str, field: str, item: Any) -> None:
        if isinstance(item, Wire):
            self.learn(item)
        elif isinstance(item, bytes) and (inner := nested(owner, field, item)) is not None:
            self.learn(inner)
        values = self._values.setdefault((name, field), deque(maxlen=SEEN_MAX))
        if item not in values:
            values.append(item)

    def others(self, owner: Wire, field: str, value: Any) -> list[Any]:
        """What the same field held elsewhere, of the same type."""
        values = self._values.get((type(owner).__name__, field), ())
        return [other for other in values if other != value and type(other) is type(value)]


_Option = tuple[str, Callable[[], Any], int]
"""(operator, "" when the name comes from further down; the changed value; weight)."""
INWARD: Final = 4
"""Weight of going into what a field holds, against changing it as a whole."""
_YES_OR_NO: Final = (1, 1)


class Mutator:
    """Changes one thing about a message."""

    def __init__(self, chooser: Chooser, seen: Seen, sign: Sign) -> None:
        self._choose: Final = chooser.choose
        self._position: Final = chooser.position
        self._seen: Final = seen
        self._sign: Final = sign
        self._path: list[str] = []
        self._operator = ""

    def mutate(self, message: Wire) -> Mutation:
        """A message that differs in one field, unless the operator had nothing to change."""
        self._path = []
        self._operator = ""
        kind = message.kind.name if isinstance(message, Signed) else type(message).__name__
        changed = self._struct(message)
        return Mutation(changed, kind, ".".join(self._path), self._operator)

    def _pick(self, options: Sequence[_Option]) -> Any:
        operator, change, _ = options[self._choose([weight for _, _, weight in options])]
        if operator:
            self._operator = operator
        return change()

    # --- structs --------------------------------------------------------------------------------

    def _struct(self, value: Wire) -> Wire:
        options: list[_Option] = [
            ("", lambda field=field: self._field(value, field), 2)  # type: ignore[misc]
            for field in value.__struct_fields__
        ]
        if isinstance(value, Certificate) and len(value.signers) == len(value.signatures) > 0:
            options += self._certificate(value)
        if isinstance(value, Signed):
            options += self._signed(value)
        changed: Wire = self._pick(options)
        return self._repaired(value, changed)

    def _field(self, owner: Wire, field: str) -> Wire:
        self._path.append(field)
        changed = self._value(owner, field, getattr(owner, field))
        return replace(owner, **{field: changed})

    def _repaired(self, before: Wire, changed: Wire) -> Wire:
        """Make signatures and hashes of the liars' own fit again, or leave them."""
        if isinstance(before, Signed) and isinstance(changed, Signed):
            if (before.kind, before.body, before.signer) == (
                changed.kind, changed.body, changed.signer,
            ):  # fmt: skip
                return changed
            known = changed.kind in BODIES
            signed = self._sign(changed.signer, changed.kind, changed.body) if known else None
            if signed is not None and self._choose(_YES_OR_NO):
                self._operator += ", signed"
                return signed
        if isinstance(before, PrePrepare) and isinstance(changed, PrePrepare):
            return self._repaired_proposal(before, changed)
        return changed

    def _repaired_proposal(self, before: PrePrepare, changed: PrePrepare) -> PrePrepare:
        """A proposal whose root, hash and signature fit what was changed."""
        header = nested(changed, "header", changed.header)
        prepare = nested(changed, "prepare", changed.prepare)
        if not isinstance(header, Header) or not isinstance(prepare, Signed):
            return changed
        vote = nested(prepare, "body", prepare.body)
        if before.prepare != changed.prepare or not isinstance(vote, Prepare):
            return changed
        raw = changed.header
        if before.envelopes != changed.envelopes:
            raw = encode(replace(header, envelopes_root=list_root(changed.envelopes)))
        body = encode(replace(vote, block=block_hash(raw)))
        signed = self._sign(prepare.signer, prepare.kind, body)
        if signed is None or not self._choose(_YES_OR_NO):
            return changed
        self._operator += ", bound"
        return PrePrepare(raw, changed.envelopes, encode(signed))

    def _certificate(self, value: Certificate) -> list[_Option]:
        """Entries are a signer and a signature each."""
        at = self._position(len(value.signers))
        signers, signatures = value.signers, value.signatures

        def cut(stop: int, start: int) -> Certificate:
            return Certificate(
                value.vote,
                (*signers[:stop], *signers[start:]),
                (*signatures[:stop], *signatures[start:]),
            )

        def swap() -> Certificate:
            order = list(signers)
            order[at], order[at - 1] = order[at - 1], order[at]
            return Certificate(value.vote, tuple(order), signatures)

        def outsider() -> Certificate:
            given = tuple(s + 1 if i == at else s for i, s in enumerate(signers))
            return Certificate(value.vote, given, signatures)

        return [
            ("entry dropped", lambda: cut(at, at + 1), 1),
            ("entry twice", lambda: cut(at + 1, at), 1),
            ("signers swapped", swap, 1),
            ("another signer", outsider, 1),
            ("half of the entries", lambda: cut(len(signers) // 2, len(signers)), 1),
            ("no entry", lambda: cut(0, len(signers)), 1),
        ]

    def _signed(self, value: Signed) -> list[_Option]:
        others = [kind for kind in SignedKind if kind is not value.kind]

        def transplant(kind: SignedKind) -> Signed:
            return Signed(kind, value.body, value.signer, value.signature)

        return [
            (
                "transplanted to another kind",
                lambda: transplant(others[self._position(len(others))]),
                1,
            ),
            ("of another signer", lambda: replace(value, signer=self._other_signer(value)), 1),
        ]

    def _other_signer(self, value: Signed) -> int:
        return (value.signer + 1 + self._position(3)) % (value.signer + 4)

    # --- values ---------------------------------------------------------------------------------

    def _value(self, owner: Wire, field: str, value: Any) -> Any:
        others = self._seen.others(owner, field, value)
        options: list[_Option] = []
        if others:
            options.append(("seen elsewhere", lambda: others[self._position(len(others))], 1))
        if isinstance(value, bool):
            options.append(("the opposite", lambda: not value, 1))
        elif isinstance(value, IntEnum):
            members = [member for member in type(value) if member is not value]
            if members:
                options.append(("another member", lambda: members[self._position(len(members))], 1))
            options.append(("no member", lambda: 200, 1))
        elif isinstance(value, int):
            options += _integers(value)
        elif isinstance(value, bytes):
            options += self._bytes(owner, field, value)
        elif isinstance(value, str):
            options += [("empty", str, 1), ("longer", lambda: value + "x", 1)]
        elif isinstance(value, tuple):
            options += self._tuple(owner, field, value)
        elif isinstance(value, Wire):
            options.append(("", lambda: self._struct(value), INWARD))
            options.append(("nothing", lambda: None, 1))
        else:
            options.append(("zero", lambda: 0, 1))
        return self._pick(options)

    def _bytes(self, owner: Wire, field: str, value: bytes) -> list[_Option]:
        inner = nested(owner, field, value)
        options: list[_Option] = [
            ("shorter", lambda: value[:-1], 1),
            ("longer", lambda: value + b"\x00", 1),
            ("empty", bytes, 1),
        ]
        if value:
            options.append(
                ("a bit flipped", lambda: _flipped(value, self._position(8 * len(value))), 1)
            )
        if inner is not None:
            found = inner
            options.append(("", lambda: encode(self._struct(found)), INWARD))
        elif value:
            options.append(("zeros", lambda: bytes(len(value)), 1))
        return options

    def _tuple(self, owner: Wire, field: str, value: tuple[Any, ...]) -> list[_Option]:
        count = len(value)
        if not count:
            return [("zeros added", lambda: (bytes(32),), 1)]

        def inside() -> tuple[Any, ...]:
            at = self._position(count)
            changed = self._value_at(owner, field, value[at])
            return (*value[:at], changed, *value[at + 1 :])

        def drop() -> tuple[Any, ...]:
            at = self._position(count)
            return (*value[:at], *value[at + 1 :])

        def double() -> tuple[Any, ...]:
            at = self._position(count)
            return (*value[: at + 1], *value[at:])

        return [
            ("", inside, INWARD),
            ("one dropped", drop, 1),
            ("one twice", double, 1),
            ("reversed", lambda: value[::-1], 1),
            ("empty", tuple, 1),
            ("truncated", lambda: value[: count // 2], 1),
        ]

    def _value_at(self, owner: Wire, field: str, item: Any) -> Any:
        if isinstance(item, Wire):
            return self._struct(item)
        if isinstance(item, tuple):
            return item[:-1]
        return self._value(owner, field, item)


def _integers(value: int) -> list[_Option]:
    return [
        ("+1", lambda: value + 1, 1),
        ("-1", lambda: max(0, value - 1), 1),
        ("zero", lambda: 0, 1),
        ("2^62", lambda: HUGE, 1),
    ]


def _flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit >> 3] ^= 1 << (bit & 7)
    return bytes(changed)
