"""Who validates: governance.validator.add and .remove (voucher law §8.1, protocol §5.8)."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.ledger.execute import wants_block
from node.ledger.membership import READY_BLOCKS_MAX, next_epoch
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import encode
from tallynet.hashing import signed_bytes
from tallynet.messages import WINDOW_MAX
from tallynet.signatures import KIND_COMMIT, KIND_READY
from tests.rules.law_world import World, public_of

LENGTH = 40
QUORUM = ("bank-1", "bank-2", "bank-3")


def node_key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(b"node " + name.encode()).digest())


def public(name: str) -> bytes:
    return node_key(name).public_key().public_bytes_raw()


def addition(
    world: World,
    organisation: str,
    key: str,
    *,
    height: int | None = None,
    kind: bytes = KIND_READY,
    name: str | None = None,
) -> c.ValidatorAdd:
    at = world.height if height is None else height
    body = encode(c.ReadyBody(world.ids[organisation], at, world.root))
    signature = node_key(key).sign(signed_bytes(kind, world.hash, body))
    return c.ValidatorAdd(
        b"add", world.ids[organisation], name or organisation, public(key),
        c.Ready(at, world.root, signature),
    )  # fmt: skip


@pytest.fixture
def world() -> World:
    """Four validators' banks and a fifth bank."""
    world = World(epoch_length=LENGTH)
    world.admit("bank-5", r.OrganisationKind.BANK)
    return world


def network(world: World) -> r.Network:
    found: r.Network = world.get(r.Network, r.NETWORK_ID)
    return found


def names(world: World) -> list[str]:
    return sorted(validator.name for validator in network(world).validators)


def go_to(world: World, height: int) -> None:
    while world.height < height:
        world.block()


def refused_last(world: World, code: str, command: c.ValidatorAdd | c.ValidatorRemove) -> None:
    """The third bank's consent meets the preconditions."""
    before = network(world)
    world.ok("bank-1", command)
    world.ok("bank-2", command)
    world.refused(code, "bank-3", command)
    assert network(world).validators == before.validators
    assert network(world).next == before.next


def test_validator_add_takes_effect_at_the_next_epoch_that_every_voter_knows_of(
    world: World,
) -> None:
    world.jointly(addition(world, "bank-5", "new"), *QUORUM)
    decided = world.height
    following = network(world).next
    assert following is not None
    assert following.epoch == 1
    assert decided + WINDOW_MAX <= LENGTH
    go_to(world, LENGTH)
    assert names(world) == ["bank-1", "bank-2", "bank-3", "bank-4"]
    assert network(world).next == following
    result = world.block()
    assert names(world) == ["bank-1", "bank-2", "bank-3", "bank-4", "bank-5"]
    assert network(world).validators == following.validators
    assert network(world).next is None
    assert any(b"system.validators.change" in event for event in result.events)


def test_the_set_is_sorted_by_public_key_INV_16(world: World) -> None:
    world.jointly(addition(world, "bank-5", "new"), *QUORUM)
    following = network(world).next
    assert following is not None
    keys = [validator.public_key for validator in following.validators]
    assert keys == sorted(keys)
    assert public("new") in keys


@pytest.mark.parametrize(
    ("height", "epoch"),
    [(1, 1), (LENGTH - WINDOW_MAX, 1), (LENGTH - WINDOW_MAX + 1, 2), (LENGTH, 2), (LENGTH + 1, 2)],
)
def test_a_change_never_names_an_epoch_end_that_a_proposer_may_not_know_INV_7(
    height: int, epoch: int
) -> None:
    assert next_epoch(height, LENGTH) == epoch
    assert epoch * LENGTH - WINDOW_MAX >= height


def test_validator_remove_leaves_four_or_is_refused_VALIDATOR_SET_SIZE(world: World) -> None:
    removal = c.ValidatorRemove(b"out", world.ids["bank-4"])
    refused_last(world, "VALIDATOR_SET_SIZE", removal)
    world.jointly(addition(world, "bank-5", "new"), *QUORUM)
    go_to(world, LENGTH + 1)
    # Of five banks four have to consent: the fifth counts from now on, and two have consented before.
    again = c.ValidatorRemove(b"out", world.ids["bank-4"])
    assert world.ok("bank-3", again).result == (3, 4)
    assert not world.ok("bank-5", again).result
    following = network(world).next
    assert following is not None
    assert following.epoch == 2
    go_to(world, 2 * LENGTH + 1)
    assert names(world) == ["bank-1", "bank-2", "bank-3", "bank-5"]
    assert world.get(r.Organisation, world.ids["bank-4"]).status is r.OrganisationStatus.ACTIVE


def test_validator_remove_names_a_validator_RECORD_NOT_FOUND(world: World) -> None:
    refused_last(world, "RECORD_NOT_FOUND", c.ValidatorRemove(b"out", world.ids["bank-5"]))


def test_one_change_at_a_time_STATE_CONFLICT(world: World) -> None:
    world.jointly(addition(world, "bank-5", "new"), *QUORUM)
    refused_last(world, "STATE_CONFLICT", addition(world, "bank-4", "other"))
    refused_last(world, "STATE_CONFLICT", c.ValidatorRemove(b"out", world.ids["bank-4"]))


def test_validator_add_replaces_the_key_of_a_bank_that_validates(world: World) -> None:
    world.jointly(addition(world, "bank-4", "fresh"), *QUORUM)
    go_to(world, LENGTH + 1)
    assert names(world) == ["bank-1", "bank-2", "bank-3", "bank-4"]
    fourth = next(v for v in network(world).validators if v.name == "bank-4")
    assert fourth.public_key == public("fresh")


def test_only_an_active_bank_validates(world: World) -> None:
    world.admit("factor", r.OrganisationKind.FACTOR)
    refused_last(world, "NOT_AUTHORISED", addition(world, "factor", "new"))
    world.admit("inspector", r.OrganisationKind.REGULATOR)
    world.ok("inspector", c.OrganisationSuspend(world.label, world.ids["bank-5"]))
    refused_last(world, "ORGANISATION_INACTIVE", addition(world, "bank-5", "new"))
    unknown = msgspec.structs.replace(addition(world, "bank-5", "new"), organisation=bytes(16))
    refused_last(world, "RECORD_NOT_FOUND", unknown)


def test_the_key_of_a_validator_is_sound_and_nobody_elses_C1(world: World) -> None:
    good = addition(world, "bank-5", "new")
    weak = msgspec.structs.replace(good, public_key=b"\x01" + bytes(31))
    refused_last(world, "KEY_WEAK", weak)
    persons = msgspec.structs.replace(good, public_key=public_of("bank-1", "maker"))
    refused_last(world, "ID_IN_USE", persons)
    another = network(world).validators[0].public_key
    refused_last(world, "ID_IN_USE", msgspec.structs.replace(good, public_key=another))


def test_the_new_key_signed_that_it_is_ready(world: World) -> None:
    refused_last(world, "SIGNATURE_INVALID", addition(world, "bank-5", "new", kind=KIND_COMMIT))
    good = addition(world, "bank-5", "new")
    other_root = msgspec.structs.replace(good.ready, state_root=bytes(32))
    refused_last(world, "SIGNATURE_INVALID", msgspec.structs.replace(good, ready=other_root))
    # Made for another organisation.
    moved = msgspec.structs.replace(good, organisation=world.ids["bank-4"], name="bank-4")
    refused_last(world, "SIGNATURE_INVALID", moved)


def test_a_proof_of_readiness_is_of_a_recent_block(world: World) -> None:
    refused_last(world, "STATE_CONFLICT", addition(world, "bank-5", "new", height=0))
    ahead = addition(world, "bank-5", "new", height=world.height + 100)
    refused_last(world, "STATE_CONFLICT", ahead)
    old = addition(world, "bank-5", "new")
    go_to(world, old.ready.height + READY_BLOCKS_MAX)
    refused_last(world, "STATE_CONFLICT", old)


def test_validators_have_distinct_names(world: World) -> None:
    refused_last(world, "STATE_CONFLICT", addition(world, "bank-5", "new", name="bank-1"))


def test_a_decided_change_does_not_wait_for_traffic(world: World) -> None:
    assert not wants_block(world.state, world.time)
    world.jointly(addition(world, "bank-5", "new"), *QUORUM)
    go_to(world, LENGTH)
    assert wants_block(world.state, world.time)
    world.block()
    assert not wants_block(world.state, world.time)


def test_only_validators_banks_decide_NOT_AUTHORISED(world: World) -> None:
    world.refused("NOT_AUTHORISED", "bank-5", addition(world, "bank-5", "new"))
