"""Bank accounts: bind, verify, and who is paid into them (voucher law §8.2)."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from law_world import World

from node.ledger.accounts import ACCOUNTS_MAX
from tallynet import commands as c
from tallynet import records as r
from tallynet.hashing import record_id


@pytest.fixture
def world() -> World:
    made = World()
    made.core_and_suppliers()
    return made


def binding(world: World, label: bytes, number: str, bank: str = "bank-1") -> c.AccountBind:
    return c.AccountBind(label, world.ids[bank], sha256(number.encode()).digest(), "CNY")


def accounts(world: World) -> list[r.AccountStatus]:
    return [
        world.get(r.Account, record_id(r.Kind.ACCOUNT, world.ids["devices"], label)).status
        for label in (b"main", b"second")
        if world.state.get(r.Kind.ACCOUNT, record_id(r.Kind.ACCOUNT, world.ids["devices"], label))
    ]


def test_account_bind_the_same_account_twice_ACCOUNT_DUPLICATE(world: World) -> None:
    """`join` has bound and verified the account `devices` at bank-1."""
    world.refused("ACCOUNT_DUPLICATE", "devices", binding(world, b"second", "devices"))
    assert accounts(world) == [r.AccountStatus.VERIFIED]
    world.ok("devices", binding(world, b"second", "devices", "bank-2"))
    assert accounts(world) == [r.AccountStatus.VERIFIED, r.AccountStatus.BOUND]


def test_account_bind_with_a_bank_only_NOT_LICENSED(world: World) -> None:
    world.refused("NOT_LICENSED", "devices", binding(world, b"second", "x", "shop"))
    assert accounts(world) == [r.AccountStatus.VERIFIED]


def test_account_bind_so_many_BATCH_LIMIT(world: World) -> None:
    for number in range(ACCOUNTS_MAX - 1):
        world.ok("devices", binding(world, b"n%d" % number, str(number)))
    world.refused("BATCH_LIMIT", "devices", binding(world, b"second", "one more"))


def test_account_verify_by_its_bank_once(world: World) -> None:
    id = world.ok("devices", binding(world, b"second", "x")).created[0].id
    world.refused("NOT_AUTHORISED", "bank-2", c.AccountVerify(world.label, id))
    world.ok("bank-1", c.AccountVerify(world.label, id))
    world.refused("STATE_CONFLICT", "bank-1", c.AccountVerify(world.label, id))


def test_nobody_is_paid_into_an_account_that_its_bank_has_not_verified_ACCOUNT_UNVERIFIED(
    world: World,
) -> None:
    voucher, offer = world.voucher(1_000), world.offer()
    id = world.ok("devices", binding(world, b"second", "x")).created[0].id
    draw = c.FinancingDraw(world.label, offer, voucher, 0, 500, id, r.Purpose.PAYROLL)
    world.refused("ACCOUNT_UNVERIFIED", "devices", draw)
    world.ok("bank-1", c.AccountVerify(world.label, id))
    world.ok("devices", draw)
