"""The wire schema as CDDL (RFC 8610), written from the types, for clients in other languages.

    python -m tallynet.schema > docs/reference/tallynet.cddl

A test keeps the published file equal to this output, and checks messages against the file.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from msgspec import Meta

from tallynet import (
    blocks,
    commands,
    envelope,
    evidence,
    genesis,
    messages,
    receipts,
    records,
    state_proof,
    validators,
)
from tallynet.codec import Wire
from tallynet.merkle import ListProof

__all__ = ["cddl", "rule_name"]

_HEAD: Final = """\
; Tallynet, wire schema version {version}. Written by `python -m tallynet.schema`; do not edit.
;
; Every value is one array in the strict profile of docs/reference/wire.md: definite lengths, shortest
; integers, no maps, tags, floats, negative numbers or trailing bytes. Names before colons are for
; readers; positions count. Text sizes are in bytes of UTF-8: the limit is on characters, of which the
; size allows four bytes each. A message inside another is a byte string that holds its encoding.
"""

_UNIONS: Final[dict[str, object]] = {
    "handshake": (messages.Challenge, messages.Hello, messages.Welcome, messages.Goodbye),
    "peer-message": get_args(messages.PeerMessage),
    "observer-request": get_args(messages.ObserverRequest),
    "observer-reply": get_args(messages.ObserverReply),
    "client-request": get_args(messages.ClientRequest),
    "client-reply": get_args(messages.ClientReply),
    "command": get_args(commands.Command),
    "record": get_args(records.Record),
    "evidence": get_args(evidence.Evidence),
}
_SECTIONS: Final[tuple[tuple[str, tuple[type[Wire], ...]], ...]] = (
    (
        "Handshake",
        (messages.Challenge, messages.Hello, messages.HelloBody, messages.Welcome, messages.Goodbye),
    ),
    ("Between validators", tuple(get_args(messages.PeerMessage))),
    (
        "Between an observer and the node that it follows",
        (*get_args(messages.ObserverRequest), *get_args(messages.ObserverReply)),
    ),
    (
        "Signed bodies between validators",
        (
            blocks.Prepare, blocks.Commit, messages.Complaint, messages.ViewChange,
            messages.NewView, messages.Status,
        ),
    ),
    ("Client to node", tuple(get_args(messages.ClientRequest))),
    ("Node to client", tuple(get_args(messages.ClientReply))),
    (
        "Blocks and proofs",
        (
            blocks.Header, blocks.Certificate, validators.Handover, ListProof, state_proof.StateProof,
        ),
    ),
    (
        "Receipts and events",
        (receipts.PrologueReceipt, receipts.EnvelopeReceipt, receipts.Event),
    ),
    ("Envelopes", (envelope.SignedEnvelope, envelope.EnvelopeBody)),
    ("Commands", (*commands.COMMAND_TYPES, commands.ReadyBody)),
    ("Records", tuple(get_args(records.Record))),
    ("Evidence", (*get_args(evidence.Evidence), evidence.Divergence)),
    ("Genesis", (genesis.Genesis,)),
)  # fmt: skip


def rule_name(kind: type) -> str:
    """The CDDL rule of a type: `FetchBlocks` is `fetch-blocks`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind.__name__).lower()


def cddl() -> str:
    """The whole schema."""
    writer = _Writer()
    parts = [_HEAD.format(version=blocks.PROTOCOL_VERSION)]
    for name, members in _UNIONS.items():
        parts.append(_union(name, [rule_name(kind) for kind in members]))  # type: ignore[attr-defined]
    for title, kinds in _SECTIONS:
        parts.append(f"; --- {title} " + "-" * (90 - len(title)) + "\n")
        parts.extend(writer.rules(kinds))
    return "\n".join(parts)


def _union(name: str, members: list[str]) -> str:
    return f"{name} =\n    " + "\n  / ".join(members) + "\n"


class _Writer:
    """Writes each type once, where it first appears."""

    def __init__(self) -> None:
        self._written: Final[dict[str, type]] = {}
        self._pending: Final[list[type]] = []

    def rules(self, kinds: Iterable[type]) -> list[str]:
        """Rules for `kinds` and all they use that is not written yet."""
        found: list[str] = []
        for kind in kinds:
            self._pending.append(kind)
            while self._pending:
                found.extend(self._rule(self._pending.pop(0)))
        return found

    def _rule(self, kind: type) -> list[str]:
        name = rule_name(kind)
        known_before = name in self._written
        known = self._written.setdefault(name, kind)
        if known is not kind:
            raise ValueError(f"{kind} and {known} would both be {name!r}")
        if known_before:
            return []
        return [self._enum(kind) if issubclass(kind, IntEnum) else self._struct(kind)]

    def _enum(self, kind: type[IntEnum]) -> str:
        lines = [f"  / {member.value} ; {member.name}" for member in kind]
        return f"{rule_name(kind)} =\n  " + "\n".join(lines).replace("  / ", "  ", 1) + "\n"

    def _struct(self, kind: type) -> str:
        hints = get_type_hints(kind, include_extras=True)
        tag = kind.__struct_config__.tag  # type: ignore[attr-defined]
        lines = [f'  "{tag}",'] if tag else []
        lines.extend(
            f"  {name.replace('_', '-')}: {self._type(hints[name])},"
            for name in kind.__struct_fields__  # type: ignore[attr-defined]
        )
        return f"{rule_name(kind)} = [\n" + "\n".join(lines) + "\n]\n"

    def _type(self, kind: Any, *metas: Meta) -> str:
        origin = get_origin(kind)
        if origin is Annotated:
            inner, *more = get_args(kind)
            return self._type(inner, *metas, *(m for m in more if isinstance(m, Meta)))
        if origin in (Union, types.UnionType):
            return self._choice(get_args(kind))
        if origin is tuple:
            low, high = _bounds(metas)
            item = self._type(get_args(kind)[0])
            # A bare range behind an occurrence is not read by every parser.
            return f"[{low or ''}*{'' if high is None else high} {f'({item})' if '..' in item else item}]"
        if isinstance(kind, type) and issubclass(kind, Wire | IntEnum):
            self._pending.append(kind)
            return rule_name(kind)
        return _scalar(kind, metas)

    def _choice(self, options: tuple[Any, ...]) -> str:
        if set(options) == set(get_args(commands.Command)):
            return "command"
        return " / ".join("null" if o is types.NoneType else self._type(o) for o in options)


def _bounds(metas: tuple[Meta, ...]) -> tuple[int, int | None]:
    low = max((m.min_length for m in metas if m.min_length is not None), default=0)
    high = min((m.max_length for m in metas if m.max_length is not None), default=None)
    return low, high


def _scalar(kind: Any, metas: tuple[Meta, ...]) -> str:
    if kind is bool:
        return "bool"
    if kind is int:
        low = max(int(m.ge) for m in metas if m.ge is not None)
        high = min(int(m.le) for m in metas if m.le is not None)
        return f"{low}..{high}"
    patterns = [m.pattern for m in metas if m.pattern]
    if patterns:
        return f'tstr .regexp "{patterns[0].strip("^$")}"'
    name, unit = {bytes: ("bstr", 1), str: ("tstr", 4)}[kind]
    shortest, longest = _bounds(metas)
    if longest is None:
        return name
    if shortest == longest * unit:
        return f"{name} .size {shortest}"
    return f"{name} .size ({shortest}..{longest * unit})"


if __name__ == "__main__":
    sys.stdout.write(cddl())
