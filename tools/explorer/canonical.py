"""When two processes are the same: everything in their memory and on their disks, but for a list of exceptions.

The walk takes every attribute of every part of a replica, so that a new one counts from the day it is written. What is
left out is named below with its reason. Of a certificate only the vote counts, of a signed message what it means.
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
COUNTER: Final = "only counted"
STATELESS: Final = "holds nothing of its own"
ELSEWHERE: Final = "walked elsewhere"
ONCE: Final = "read in the first step only"
TALLIED: Final = "see `tallies`"

LEFT_OUT: Final[dict[type, dict[str, str]]] = {
    Replica: {
        "_deadline_ms": CLOCK, "_deadline_of": CLOCK, "_refused": COUNTER, "_fresh": ONCE,
        "_stale": ONCE, "_catch_up": ASKING, "_status": ASKING, "_normal": STATELESS,
    },
    State: {
        "config": CONSTANT, "ledger": ELSEWHERE, "verifier": CACHE, "effects": ELSEWHERE,
        "turn": COUNTER, "durable_turn": COUNTER, "now_ms": CLOCK, "wall_ms": CLOCK,
        "view_since_ms": CLOCK, "failed_views": CLOCK, "_sign": CONSTANT,
    },
    Pool: {"_soonest_expiry_s": CLOCK, "_heads": CLOCK, "batch_since_ms": CLOCK, "refused": COUNTER},
    Views: {
        "_s": ELSEWHERE, "_fetches": ELSEWHERE, "_catch_up": ASKING, "_on_enter": CONSTANT,
        "_complaints": TALLIED,
    },
    Ballots: {"_s": ELSEWHERE, "_complain": CONSTANT, "evidence_count": COUNTER},
    Fetches: {"_s": ELSEWHERE},
    Proposer: {
        "_s": ELSEWHERE, "_fetches": ELSEWHERE, "_ballots": ELSEWHERE, "_normal": STATELESS,
    },
    Slot: {"since_ms": CLOCK, "prepares": TALLIED, "commits": TALLIED},
}  # fmt: skip
"""Class -> attribute -> why two processes that differ in it act alike."""


def fingerprint(process: Process, *, liars: bool) -> tuple[bytes, bytes]:
    """(everything but counted votes, those votes): equal for processes that act alike from here on. With `liars` there
    are validators that vote twice, so that every vote counted may be held against its signer."""
    core = (form(process.replica), _disk(process.disk))
    return _digest(core), _digest(tallies(process.replica, liars=liars))


def _digest(value: Form) -> bytes:
    return blake2b(repr(value).encode(), digest_size=16).digest()


def tallies(replica: Replica, *, liars: bool) -> Form:
    """Votes and complaints counted so far, without complaints about passed views: they count no more. Nor do, unless
    there are liars, Prepares under a certificate and Commits of a certified height."""
    state, complaints = replica._s, replica._views._complaints
    votes = []
    for height, slot in sorted(state.slots.items()):
        prepares = _votes(slot.prepares) if liars or slot.certificate is None else ()
        commits = _votes(slot.commits) if liars or height not in state.certified else ()
        votes.append((height, prepares, commits))
    voted = state.voted_view
    return votes, [(i, complaints[i][0]) for i in sorted(complaints) if complaints[i][0] >= voted]


def _votes(tally: Tally) -> Form:
    return [(i, tally._by_signer[i].body) for i in sorted(tally._by_signer)]


def _disk(disk: Disk) -> Form:
    """The journal's records and the newest block; what is below it follows from it."""
    records = [_record(key, disk.journal[key]) for key in sorted(disk.journal)]
    return records, len(disk.chain), disk.chain[-1].header if disk.chain else b""


@lru_cache(maxsize=REMEMBERED)
def _record(key: bytes, value: bytes) -> Form:
    return key, form(read_journal({key: value}))


# --- the walk -------------------------------------------------------------------------------------


def form(value: Any) -> Form:
    """The form of anything a replica may hold. Raises TypeError for a type it does not know."""
    kind = type(value)
    walk = _WALKS.get(kind)
    if walk is None:
        walk = _WALKS[kind] = _walk_of(kind)
    return walk(value)


def _walk_of(kind: type) -> Callable[[Any], Form]:
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


def _itself(value: Any) -> Form:
    return value


def _sequence(value: Any) -> Form:
    return tuple([form(part) for part in value])


def _mapping(value: dict[Any, Any]) -> Form:
    """By key: the core may not depend on the order of insertion, except where `_SPECIAL` says so."""
    return tuple([(key, form(value[key])) for key in sorted(value)])


def _in_order(value: OrderedDict[Any, Any]) -> Form:
    return tuple([(key, form(part)) for key, part in value.items()])


_WALKS: Final[dict[type, Callable[[Any], Form]]] = {
    **dict.fromkeys((int, str, bytes, bool, type(None)), _itself),
    **dict.fromkeys((tuple, list), _sequence),
    frozenset: lambda value: tuple(sorted(value)),
    dict: _mapping,
    OrderedDict: _in_order,
    Content: attrgetter("block"),
    Certificate: attrgetter("vote"),
    Certified: attrgetter("block"),
    Signed: signed_meaning,
    PrePrepare: meaning,
    OpenViewChange: lambda change: signed_meaning(change.signed),
}


def _open_slots(_state: State, slots: dict[int, Slot]) -> Form:
    """A slot that holds nothing but counted votes is as good as none."""
    found = [(height, form(slots[height])) for height in sorted(slots)]
    return tuple([(height, part) for height, part in found if part != form(Slot(height, 0))])


def _current_changes(views: Views, changes: dict[int, OpenViewChange]) -> Form:
    """ViewChanges for passed views move nobody; what is in one matters to the leader of its view alone."""
    state = views._s
    found: list[Form] = []
    for i in sorted(changes):
        view = changes[i].to_view
        if view >= state.voted_view:
            found.append(form(changes[i]) if state.leader_of(view) == state.index else (i, view))
    return tuple(found)


def _standing_change(where: State | ViewRecord, raw: bytes) -> Form:
    """The own ViewChange is repeated until the view has been entered."""
    return raw_meaning(raw) if where.voted_view > where.view else ()


_SPECIAL: Final[dict[tuple[type, str], Callable[[Any, Any], Form]]] = {
    (State, "slots"): _open_slots,
    (State, "contents"): lambda _state, contents: tuple(sorted(contents)),
    (State, "view_change"): _standing_change,
    (State, "new_view"): lambda _state, raw: opening(raw),
    (State, "tip_certificate"): lambda _state, certificate: certificate is not None,
    (ViewRecord, "view_change"): _standing_change,
    (ViewRecord, "new_view"): lambda _record, raw: opening(raw),
    (Views, "_changes"): _current_changes,
    (Pool, "_entries"): lambda _pool, entries: tuple(entries),
    (Pool, "_queues"): lambda _pool, queues: tuple(tuple(queue) for queue in queues.values()),
    (Fetches, "_contents"): lambda _fetches, wants: tuple(sorted(wants)),
    (Fetches, "_bodies"): lambda _fetches, wants: tuple(sorted(wants)),
}
"""Attributes compared otherwise than by their plain value."""
