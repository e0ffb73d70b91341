"""The voucher law as a function: (state, header, envelopes) -> receipts and events.

Nothing here or below reads a clock, a file or a random number. A command that is refused changes
nothing but its receipt; an envelope that should never have been ordered gets one receipt and is not
remembered (voucher law §5).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from node.ledger import families, joint, prologue, remembered
from node.ledger.authority import Acting, Verify, authorise, check_signatures, resolve
from node.ledger.context import Context, refuse
from node.ledger.parameters import value, value_on
from node.ledger.prologue import wants_block
from node.ledger.rulebook import RULES, Joint, Rule
from node.state.view import StateView, TransactionalView
from tallynet.blocks import Header
from tallynet.codec import Wire, encode
from tallynet.envelope import ENVELOPE_VERSION, Envelope, EnvelopeBody, Mode
from tallynet.errors import LedgerError, invariant
from tallynet.merkle import ListTree
from tallynet.receipts import (
    CommandReceipt,
    EnvelopeReceipt,
    Event,
    PrologueReceipt,
    events_digest,
)
from tallynet.records import NETWORK_ID, Kind, Network, Organisation
from tallynet.signatures import verify_kind

__all__ = ["BlockResult", "admit", "dry_run", "execute_block", "wants_block"]

_FAMILIES: Final = families.ALL
_NO_EVENTS: Final = events_digest(())
LIFETIME: Final = "envelope_lifetime_seconds"
_PLACE: Final = struct.Struct(">IQQ")
_REFUSED_RESULT: Final[tuple[int, ...]] = ()


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What executing a block gave, apart from the state."""

    prologue: bytes
    """Encoded `PrologueReceipt`, leaf 0 of the receipts tree."""
    receipts: tuple[bytes, ...]
    """Encoded `EnvelopeReceipt`s, leaves 1 onwards."""
    events: tuple[bytes, ...]
    """All encoded events in order: prologue, then envelope by envelope."""
    log: dict[bytes, bytes]
    """Where the block's events of vouchers are: voucher ‖ sequence (8) -> position in `events` (4) ‖
    start (8) ‖ end (8)."""
    admitted: tuple[int, ...]
    """Positions of the envelopes that were admitted."""
    tree: ListTree
    receipts_root: bytes


def execute_block(
    state: TransactionalView,
    genesis: bytes,
    header: Header,
    envelopes: Sequence[Envelope],
    *,
    verify: Verify = verify_kind,
) -> BlockResult:
    """Run a block on a fresh overlay."""
    opening, acts, backlog = prologue.run(state, genesis, header)
    # Neither changes before the next day roll: new values of a parameter begin on a later day.
    today, lifetime = opening.today, value(opening, LIFETIME)
    events = list(opening.events)
    encoded = list(opening.encoded_events)
    first = PrologueReceipt(opening.time, today, acts, backlog, events_digest(encoded))
    receipts: list[bytes] = []
    admitted: list[int] = []
    for index, envelope in enumerate(envelopes):
        try:
            acting = _admit(state, genesis, envelope, opening.time, lifetime, verify)
        except LedgerError as error:
            receipts.append(encode(_inadmissible(envelope, error)))
            continue
        admitted.append(index)
        remembered.remember(state, envelope)
        own = _run(state, opening, today, envelope.transaction, envelope.body, acting)
        events.extend(own.events)
        encoded.extend(own.encoded_events)
        digest = events_digest(own.encoded_events) if own.events else _NO_EVENTS
        receipts.append(encode(EnvelopeReceipt(envelope.transaction, "OK", own.commands, digest)))
    remembered.commit(state, header.height, [envelopes[index] for index in admitted])
    prologue_bytes = encode(first)
    tree = ListTree([prologue_bytes, *receipts])
    return BlockResult(
        prologue_bytes,
        tuple(receipts),
        tuple(encoded),
        _log(events),
        tuple(admitted),
        tree,
        tree.root,
    )


def _log(events: Sequence[Event]) -> dict[bytes, bytes]:
    return {
        event.subject + event.sequence.to_bytes(8, "big"): _PLACE.pack(at, event.start, event.end)
        for at, event in enumerate(events)
        if event.kind == Kind.VOUCHER
    }


def _inadmissible(envelope: Envelope, error: LedgerError) -> EnvelopeReceipt:
    return EnvelopeReceipt(envelope.transaction, error.code, (), _NO_EVENTS)


# --- admission ------------------------------------------------------------------------------------


def admit(
    state: StateView,
    genesis: bytes,
    envelope: Envelope,
    now: int,
    *,
    verify: Verify = verify_kind,
    skew: int = 0,
) -> None:
    """The checks at a node's door, the same that a block makes, also by a clock that is `skew` seconds
    behind: a leader with such a clock would drop what is valid for too long, and be blamed for it.

    Raises:
        LedgerError: ENVELOPE_MALFORMED, NETWORK_MISMATCH, EXPIRED, VALIDITY_TOO_LONG,
            DUPLICATE_TRANSACTION, KEY_UNKNOWN, KEY_REVOKED, SIGNATURE_INVALID.
    """
    network = cast("Network", state.get(Kind.NETWORK, NETWORK_ID))
    lifetime = value_on(state, LIFETIME, network.business_date)
    _admit(state, genesis, envelope, now, lifetime, verify, skew)


def _admit(
    state: StateView,
    genesis: bytes,
    envelope: Envelope,
    time: int,
    lifetime: int,
    verify: Verify,
    skew: int = 0,
) -> Acting:
    body = envelope.body
    if body.version != ENVELOPE_VERSION:
        raise refuse("ENVELOPE_MALFORMED", f"envelope version {body.version} is unknown")
    if body.genesis != genesis:
        raise refuse("NETWORK_MISMATCH", "signed for another network")
    if time >= body.valid_until:
        raise refuse("EXPIRED", f"valid until {body.valid_until}, now {time}; sign anew")
    if body.valid_until > time - skew + lifetime:
        raise refuse("VALIDITY_TOO_LONG", f"valid_until is more than {lifetime} s ahead")
    if remembered.is_remembered(state, envelope.transaction, body.valid_until):
        raise refuse("DUPLICATE_TRANSACTION", "this transaction was executed already")
    acting = resolve(state, envelope, time)
    check_signatures(envelope, acting, genesis, verify)
    return acting


def _reading(state: StateView, genesis: bytes, time: int) -> Context:
    return Context(state, genesis=genesis, time=time, transaction=None, acting=prologue.SYSTEM)


# --- commands -------------------------------------------------------------------------------------


class _Ran(NamedTuple):
    commands: tuple[CommandReceipt, ...]
    events: list[Event]
    encoded_events: list[bytes]
    reasons: tuple[str, ...]


def _run(
    state: TransactionalView,
    opening: Context,
    today: int,
    transaction: bytes,
    body: EnvelopeBody,
    acting: Acting,
) -> _Ran:
    """The commands of an admitted envelope, all or each for itself, after the prologue of its block."""
    receipts: list[CommandReceipt] = []
    events: list[Event] = []
    encoded: list[bytes] = []
    reasons: list[str] = []
    atomic = body.mode is Mode.ATOMIC and len(body.commands) > 1
    if atomic:
        state.begin()
    for index, command in enumerate(body.commands):
        context = Context(
            state, genesis=opening.genesis, time=opening.time, transaction=transaction,
            acting=body.organisation, today=today,
        )  # fmt: skip
        try:
            _command(state, context, acting, command)
        except LedgerError as error:
            if atomic:
                state.rollback()
                return _aborted(index, len(body.commands), error)
            receipts.append(CommandReceipt(error.code, (), 0, _REFUSED_RESULT))
            reasons.append(error.message)
            continue
        receipts.append(
            CommandReceipt("OK", tuple(context.created), len(context.events), context.result)
        )
        reasons.append("")
        events.extend(context.events)
        encoded.extend(context.encoded_events)
    if atomic:
        state.accept()
    return _Ran(tuple(receipts), events, encoded, tuple(reasons))


def _aborted(failing: int, count: int, error: LedgerError) -> _Ran:
    """ATOMIC: none of the commands took effect; the others name the failing one."""
    other = CommandReceipt("ATOMIC_ABORTED", (), 0, (failing,))
    receipts = [other] * count
    receipts[failing] = CommandReceipt(error.code, (), 0, _REFUSED_RESULT)
    reasons = [f"command {failing} failed"] * count
    reasons[failing] = error.message
    return _Ran(tuple(receipts), [], [], tuple(reasons))


def _command(state: TransactionalView, context: Context, acting: Acting, command: Wire) -> None:
    """One command on a scratch layer of its own: authority, then its rule."""
    rule = RULES.get(type(command))
    if rule is None:
        raise refuse("UNKNOWN_COMMAND", "no rule for this command in this release")
    organisation = context.find(Organisation, context.acting)
    if organisation is None:
        raise refuse("RECORD_NOT_FOUND", "the acting organisation does not exist")
    authorise(context, organisation, acting, rule, command)
    state.begin()
    try:
        _apply(context, rule, command)
    except LedgerError:
        state.rollback()
        raise
    state.accept()


def _apply(context: Context, rule: Rule, command: Wire) -> None:
    if rule.joint is Joint.NO:
        rule.function(context, command)
    else:
        joint.consent(context, rule, command)


# --- dry run --------------------------------------------------------------------------------------


def dry_run(
    state: TransactionalView, genesis: bytes, body: EnvelopeBody, time: int
) -> tuple[EnvelopeReceipt, tuple[str, ...]]:
    """What the envelope would give now, on a scratch layer that is dropped. Signatures are not
    needed: the listed signers are believed (voucher law §5)."""
    probe = Envelope(b"", b"", body, (b"",) * len(body.signers))
    probe.signatures_verified = True
    state.begin()
    try:
        opening = _reading(state, genesis, time)
        acting = _admit(state, genesis, probe, time, value(opening, LIFETIME), _never)
        ran = _run(state, opening, opening.today, bytes(32), body, acting)
        receipt = EnvelopeReceipt(bytes(32), "OK", ran.commands, _NO_EVENTS)
        return receipt, ran.reasons
    except LedgerError as error:
        return EnvelopeReceipt(bytes(32), error.code, (), _NO_EVENTS), (error.message,)
    finally:
        state.rollback()


def _never(*_arguments: bytes) -> bool:
    invariant(False, "LEDGER_DRY_RUN verified a signature")
    return False
