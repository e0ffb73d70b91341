"""When two processes do the same from here on: everything in their memory and on their disks, but for a list of exceptions.

The walk takes every attribute of every part of a replica, so that a new one counts from the day it is written. What is
left out is named below with its reason. Certificates count by their vote and messages by what they mean (`meaning`): who
signed a certificate changes nothing that anybody does, only the bytes that go out. `signers` tells those apart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final

from consensus.ballots import Ballots
from consensus.catch_up import Fetches
from consensus.journal import ViewRecord, read_journal
from consensus.pool import Pool
from consensus.proposing import Proposer
from consensus.replica import Replica
from consensus.slots import Certified, Content, Slot
from consensus.state import State
from consensus.view_change import OpenViewChange
from consensus.views import Views
from consensus.votes import Tally
from tallynet.blocks import Certificate
from tallynet.codec import Wire
from tallynet.messages import PrePrepare, Signed
from tools.explorer.meaning import REMEMBERED, meaning, opening, raw_meaning, signed_meaning
from tools.explorer.process import Disk, Process

Form = object
"""Nested tuples of numbers, text, bytes and None; equal forms have equal `repr`."""

CLOCK: Final = "the explorer lets every timer fire as early as it can"
ASKING: Final = "what is asked for is always on offer here"
CACHE: Final = "can be computed again"
CONSTANT: Final = "stays the same"
COUNTER: Final = "only counted, compared or logged"
STATELESS: Final = "holds nothing of its own"
ELSEWHERE: Final = "walked elsewhere"
ONCE: Final = "read in the first step only"
TALLIED: Final = "see `_votes_that_count`"

LEFT_OUT: Final[dict[type, dict[str, str]]] = {
    Replica: {
        "_deadline_ms": CLOCK, "_deadline_of": CLOCK, "_refused": COUNTER, "_fresh": ONCE,
        "_stale": ONCE, "_catch_up": ASKING, "_status": ASKING, "_normal": STATELESS,
        "_waits": COUNTER, "_invariants": COUNTER,
    },
    State: {
        "config": CONSTANT, "ledger": ELSEWHERE, "verifier": CACHE, "effects": ELSEWHERE,
        "turn": COUNTER, "durable_turn": COUNTER, "_written_turn": COUNTER,
        "_undurable_since_ms": CLOCK, "now_ms": CLOCK, "wall_ms": CLOCK, "view_since_ms": CLOCK,
        "failed_views": CLOCK, "pace": CLOCK, "_sign": CONSTANT, "accused": COUNTER,
    },
    Pool: {"_soonest_expiry_s": CLOCK, "_heads": CLOCK, "refused": COUNTER},
    Views: {
        "_s": ELSEWHERE, "_fetches": ELSEWHERE, "_catch_up": ASKING, "_on_enter": CONSTANT,
        "_complaints": TALLIED,
    },
    Ballots: {"_s": ELSEWHERE, "_complain": CONSTANT},
    Fetches: {"_s": ELSEWHERE},
    Proposer: {
        "_s": ELSEWHERE, "_fetches": ELSEWHERE, "_ballots": ELSEWHERE, "_normal": STATELESS,
    },
    Slot: {"since_ms": CLOCK, "prepares": TALLIED, "commits": TALLIED},
}  # fmt: skip
"""Class -> attribute -> why two processes that differ in it act alike."""


def kind_of(process: Process) -> tuple[bytes, bytes]:
    """(everything but counted votes, those votes): equal for processes that do the same from here on."""
    return _digest((form(process.replica), _disk(process.disk))), _digest(
        _votes_that_count(process)
    )


def signers(process: Process) -> bytes:
    """What processes of one kind may still differ in: who signed what they hold. With it, they say the same bytes."""
    state, views = process.replica._s, process.replica._views
    certificates = [prepared.certificate for _, prepared in sorted(state.prepared.items())]
    certificates += [certified.certificate for _, certified in sorted(state.certified.items())]
    if state.tip_certificate is not None:
        certificates.append(state.tip_certificate)
    return _digest(
        (
            [(certificate.vote, certificate.signers) for certificate in certificates],
            [(i, change.signed.body) for i, change in sorted(state.changes.items())],
            state.view_change,
            state.new_view,
            [(h, _votes(s.prepares), _votes(s.commits)) for h, s in sorted(state.slots.items())],
            [(i, views._complaints[i][0]) for i in sorted(views._complaints)],
        )
    )


def _digest(value: Form) -> bytes:
    return blake2b(repr(value).encode(), digest_size=16).digest()


# --- counted votes ------------------------------------------------------------------------------


def _votes_that_count(process: Process) -> Form:
    """Without what decides nothing any more: Prepares under a certificate, Commits of a certified height, complaints about
    passed views."""
    state, complaints = process.replica._s, process.replica._views._complaints
    votes = []
    for height, slot in sorted(state.slots.items()):
        prepares = _votes(slot.prepares) if slot.certificate is None else ()
        commits = _votes(slot.commits) if height not in state.certified else ()
        votes.append((height, prepares, commits))
    voted = state.voted_view
    return votes, [(i, complaints[i][0]) for i in sorted(complaints) if complaints[i][0] >= voted]


def _votes(tally: Tally) -> Form:
    return [(i, tally._by_signer[i].body) for i in sorted(tally._by_signer)]


# --- the walk -------------------------------------------------------------------------------------

Walk = Callable[[Any], Form]


def form(value: Any) -> Form:
    """The form of anything a replica may hold. Raises TypeError for a type it does not know."""
    kind = type(value)
    walk = _WALKS.get(kind)
    if walk is None:
        walk = _WALKS[kind] = _walk_of(kind)
    return walk(value)


def _walk_of(kind: type) -> Walk:
    if issubclass(kind, Enum):
        return attrgetter("value")
    left_out = LEFT_OUT.get(kind)
    if left_out is None and not issubclass(kind, Wire) and not is_dataclass(kind):
        raise TypeError(f"the explorer does not know how to compare a {kind.__name__}")
    names = _names(kind, frozenset(left_out or ()))

    def walk(value: Any) -> Form:
        parts = []
        for name in names(value):
            special = _SPECIAL.get((kind, name))
            part = getattr(value, name)
            parts.append(form(part) if special is None else special(value, part))
        return tuple(parts)

    return walk


def _names(kind: type, left_out: frozenset[str]) -> Callable[[Any], list[str]]:
    """Which attributes of a value count: those of its slots, or those it has."""
    slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    if issubclass(kind, Wire):
        slots = list(kind.__struct_fields__)
    if slots:
        fixed = [name for name in slots if name not in left_out]
        return lambda _value: fixed
    return lambda value: [name for name in vars(value) if name not in left_out]


def _sequence(value: Any) -> Form:
    return tuple([form(part) for part in value])


def _mapping(value: dict[Any, Any]) -> Form:
    """By key: the core may not depend on the order of insertion, except where `_SPECIAL` says so."""
    return tuple([(key, form(value[key])) for key in sorted(value)])


_WALKS: Final[dict[type, Walk]] = {
    **dict.fromkeys((int, str, bytes, bool, type(None)), lambda value: value),
    **dict.fromkeys((tuple, list), _sequence),
    frozenset: lambda value: tuple(sorted(value)),
    dict: _mapping,
    OrderedDict: lambda value: _sequence(list(value.items())),
    Content: attrgetter("block"),
    Certificate: attrgetter("vote"),
    Certified: attrgetter("block"),
    Signed: signed_meaning,
    PrePrepare: meaning,
}


def _disk(disk: Disk) -> Form:
    """The journal's records and the newest block; what is below it follows from it."""
    records = [_record(key, disk.journal[key]) for key in sorted(disk.journal)]
    return records, len(disk.chain), disk.chain[-1].header if disk.chain else b""


@lru_cache(maxsize=REMEMBERED)
def _record(key: bytes, value: bytes) -> Form:
    return key, form(read_journal({key: value}))


def _open_slots(_state: State, slots: dict[int, Slot]) -> Form:
    """A slot that holds nothing but counted votes is as good as none."""
    found = [(height, form(slots[height])) for height in sorted(slots)]
    return tuple([part for part in found if part[1] != _blank(part[0])])


@lru_cache(maxsize=REMEMBERED)
def _blank(height: int) -> Form:
    return form(Slot(height, 0))


def _current_changes(state: State, changes: dict[int, OpenViewChange]) -> Form:
    """ViewChanges for passed views move nobody; what is in one matters to the leader of its view alone."""
    found: list[Form] = []
    for i in sorted(changes):
        view = changes[i].to_view
        if view >= state.voted_view:
            leads = state.leader_of(view) == state.index
            found.append(signed_meaning(changes[i].signed) if leads else (i, view))
    return tuple(found)


def _standing_change(where: State | ViewRecord, raw: bytes) -> Form:
    """The own ViewChange is repeated until its view has been entered."""
    return raw_meaning(raw) if where.voted_view > where.view else ()


_SPECIAL: Final[dict[tuple[type, str], Callable[[Any, Any], Form]]] = {
    (State, "slots"): _open_slots,
    (State, "contents"): lambda _state, contents: tuple(sorted(contents)),
    (State, "changes"): _current_changes,
    (State, "view_change"): _standing_change,
    (State, "new_view"): lambda _state, raw: opening(raw),
    (State, "tip_certificate"): lambda _state, certificate: certificate is not None,
    (ViewRecord, "view_change"): _standing_change,
    (ViewRecord, "new_view"): lambda _record, raw: opening(raw),
    (Pool, "_entries"): lambda _pool, entries: tuple(entries),
    (Pool, "_queues"): lambda _pool, queues: tuple(tuple(queue) for queue in queues.values()),
    (Fetches, "_contents"): lambda _fetches, wants: tuple(sorted(wants)),
    (Fetches, "_bodies"): lambda _fetches, wants: tuple(sorted(wants)),
}
"""Attributes compared otherwise than by their plain value."""
