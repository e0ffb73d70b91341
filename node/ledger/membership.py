"""Who validates: changes of the validator set by the bank quorum (voucher law §8.1, protocol §5.8).

A change executed at height h takes effect with the epoch behind the first epoch end E >= h + WINDOW_MAX.
Whoever proposes E, or votes on it, has executed every block up to E - WINDOW_MAX (INV-7), so all of them
know from their own state which set the header of E must name. One change at a time, so that two sets that
follow each other differ in one member: whatever intersection the change of two members could cost is
never put to the test.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

import msgspec

from node.ledger.context import Context, refuse
from node.ledger.organisations import has_kind, require_active
from node.ledger.rulebook import Joint, Signers, rule
from node.state.view import StateView
from tallynet.blocks import VALIDATORS_MAX
from tallynet.codec import encode
from tallynet.commands import ReadyBody, ValidatorAdd, ValidatorRemove
from tallynet.hashing import record_id
from tallynet.messages import WINDOW_MAX
from tallynet.records import (
    NETWORK_ID,
    CommandClass,
    Key,
    Kind,
    Network,
    NextValidators,
    OrganisationKind,
    Validator,
)
from tallynet.signatures import KIND_READY, key_is_sound, verify_kind

VALIDATORS_MIN: Final = 4
"""Fewer tolerate no fault."""
READY_BLOCKS_MAX: Final = 1_000
"""Age of a proof of readiness: an epoch at the usual length, some minutes under load, in which the banks
consent one after the other."""


def next_epoch(height: int, epoch_length: int) -> int:
    """First epoch of a set that was decided on at this height."""
    return -(-(height + WINDOW_MAX) // epoch_length)


def validators_of(state: StateView, epoch: int) -> tuple[Validator, ...]:
    """Who validates this epoch, the state's own or the one after it."""
    network = state.get(Kind.NETWORK, NETWORK_ID)
    if not isinstance(network, Network):
        raise LookupError("the network's own record is missing")
    if network.next is not None and network.next.epoch <= epoch:
        return network.next.validators
    return network.validators


def _decide(context: Context, validators: list[Validator]) -> int:
    """Let this be the next set; returns its first epoch. Raises STATE_CONFLICT, VALIDATOR_SET_SIZE."""
    network = context.network
    if network.next is not None:
        raise refuse(
            "STATE_CONFLICT",
            f"a change is under way; it takes effect in epoch {network.next.epoch}",
        )
    if not VALIDATORS_MIN <= len(validators) <= VALIDATORS_MAX:
        raise refuse(
            "VALIDATOR_SET_SIZE",
            f"{len(validators)} validators; a network has {VALIDATORS_MIN} to {VALIDATORS_MAX}",
        )
    epoch = next_epoch(network.height, network.epoch_length)
    following = NextValidators(tuple(validators), epoch)
    context.put(NETWORK_ID, msgspec.structs.replace(network, next=following))
    return epoch


@rule(
    ValidatorAdd,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.BANK_QUORUM,
    sentence="Makes a bank's node a validator, in place of the bank's node before it.",
    errors=("VALIDATOR_SET_SIZE", "KEY_WEAK"),
)
def validator_add(context: Context, command: ValidatorAdd) -> None:
    """governance.validator.add (voucher law §8.1)."""
    bank = require_active(context, command.organisation)
    if not has_kind(bank, OrganisationKind.BANK):
        raise refuse("NOT_AUTHORISED", "only a bank's node can validate")
    _check_key(context, command)
    _check_ready(context, command)
    others = [v for v in context.network.validators if v.organisation != command.organisation]
    if any(v.name == command.name for v in others):
        raise refuse("STATE_CONFLICT", f"another validator is called {command.name}")
    added = Validator(command.organisation, command.public_key, command.name)
    insort(others, added, key=lambda validator: validator.public_key)
    epoch = _decide(context, others)
    context.emit(
        "governance.validator.add", Kind.NETWORK, NETWORK_ID, target=command.organisation,
        amount=epoch, reference=command.public_key,
    )  # fmt: skip


def _check_key(context: Context, command: ValidatorAdd) -> None:
    """Raises LedgerError KEY_WEAK, ID_IN_USE."""
    key = command.public_key
    if not key_is_sound(key):
        raise refuse("KEY_WEAK", "the public key is not canonical or of small order")
    taken = any(validator.public_key == key for validator in context.network.validators)
    if taken or context.find(Key, record_id(Kind.KEY, b"", key)) is not None:
        raise refuse("ID_IN_USE", "a validator or a person has this key; make a new one")


def _check_ready(context: Context, command: ValidatorAdd) -> None:
    """Whether the root is the chain's is for the banks to compare before they sign: the state does not
    remember older ones. Raises LedgerError STATE_CONFLICT, SIGNATURE_INVALID."""
    ready, height = command.ready, context.network.height
    if not height - READY_BLOCKS_MAX <= ready.height < height or ready.height == 0:
        raise refuse(
            "STATE_CONFLICT",
            f"ready at height {ready.height}, and this is {height}; at most {READY_BLOCKS_MAX}"
            " blocks may lie between",
        )
    body = encode(ReadyBody(command.organisation, ready.height, ready.state_root))
    if not verify_kind(KIND_READY, context.genesis, body, command.public_key, ready.signature):
        raise refuse("SIGNATURE_INVALID", "the new key did not sign that it is ready")


@rule(
    ValidatorRemove,
    CommandClass.GOVERNANCE,
    Signers.MC,
    joint=Joint.BANK_QUORUM,
    sentence="Ends a bank's part in the validator set; all its other records stay.",
    errors=("VALIDATOR_SET_SIZE",),
)
def validator_remove(context: Context, command: ValidatorRemove) -> None:
    """governance.validator.remove (voucher law §8.1)."""
    validators = context.network.validators
    others = [v for v in validators if v.organisation != command.organisation]
    if len(others) == len(validators):
        raise refuse("RECORD_NOT_FOUND", "this organisation has no validator")
    epoch = _decide(context, others)
    context.emit(
        "governance.validator.remove", Kind.NETWORK, NETWORK_ID, source=command.organisation,
        amount=epoch,
    )  # fmt: skip
