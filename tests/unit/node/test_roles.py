"""Validators become observers, and observers validators, under whole machines (decision 0110)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consensus.config import OBSERVER as NO_INDEX
from node.config import ConfigError, PeerAddress
from node.handovers import Standing, life_of
from node.links import FOLLOWED_MAX, fitting, links_of
from tallynet.messages import NodeState, PeerRole, Refused
from tallynet.validators import Handover, Succession
from tests.unit.node.machines import Net, new_key
from tests.unit.node.observers import OBSERVER, Observer
from tests.unit.node.test_membership import (
    LENGTH,
    addition,
    handovers_of,
    jointly,
    submit,
)

# --- as machines --------------------------------------------------------------------------------------


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    net = Net(tmp_path, epoch_length=LENGTH, spares=2)
    yield net
    net.close()


def replaceable(net: Net, number: int) -> Observer:
    """The validator of this number in a process that has others to follow."""
    old = net.nodes[number]
    old.machine.close()
    old.store.close()
    others = [node for node in net.nodes if node is not old]
    node = Observer(net, number, others, Standing.FOLLOWS)
    net.nodes.remove(node)
    net.nodes[number] = node
    return node


def others_have_moved_on(node: Observer) -> None:
    """The process has seen a block above the node's last one; it says so until the node has it too."""
    node.extra["standing"] = Standing.OBSERVES
    node.machine.observe()


def test_a_joiner_observes_and_votes_as_soon_as_its_set_takes_over(net: Net) -> None:
    joiner = Observer(net, OBSERVER, net.nodes[:4], Standing.FOLLOWS)
    submit(net, new_key(net, "first"))
    assert joiner.status.state is NodeState.OBSERVER
    jointly(net, addition(net, "bank-4", OBSERVER), "bank-1", "bank-2", "bank-3")
    assert net.run(60_000, until=lambda: joiner.status.state is NodeState.NORMAL)
    assert "state_adopted" not in joiner.logs, "it has had the state all the time"
    assert "votes_stopped" not in joiner.logs
    net.cut_off(2)  # of four three decide, the joiner among them
    submit(net, new_key(net, "with its vote"))


def test_an_observer_follows_a_change_of_the_set(net: Net) -> None:
    observer = Observer(net, OBSERVER + 1, net.nodes[:2])
    fresh = Observer(net, OBSERVER, net.nodes[:2], Standing.FOLLOWS)
    jointly(net, addition(net, "bank-4", OBSERVER), "bank-1", "bank-2", "bank-3")
    assert net.run(60_000, until=lambda: fresh.status.state is NodeState.NORMAL)
    submit(net, new_key(net, "then"))
    assert net.run(2_000, until=lambda: observer.height == net.nodes[0].height)
    assert observer.status.state is NodeState.OBSERVER
    assert len(handovers_of(observer)) == 1
    observer.restart()
    submit(net, new_key(net, "later"))
    assert net.run(2_000, until=lambda: observer.root == net.nodes[0].root)


def test_a_removed_validator_observes_once_the_others_are_past_its_last_block(net: Net) -> None:
    leaving = replaceable(net, 3)
    fresh = Observer(net, OBSERVER, net.nodes[:2], Standing.FOLLOWS)
    jointly(net, addition(net, "bank-4", OBSERVER), "bank-1", "bank-2", "bank-3")
    assert net.run(60_000, until=lambda: leaving.machine.replica.ended)
    assert leaving.status.state is NodeState.RETIRED, "others may need its last block"
    assert net.run(60_000, until=lambda: fresh.height > leaving.height)
    others_have_moved_on(leaving)
    assert net.run(5_000, until=lambda: leaving.status.state is NodeState.OBSERVER)
    leaving.extra["standing"] = Standing.FOLLOWS
    submit(net, new_key(net, "after"))
    assert net.run(5_000, until=lambda: leaving.root == net.nodes[0].root)
    client = leaving.submit(new_key(net, "through it"))
    assert not [reply for reply in client.replies if isinstance(reply, Refused)]
    leaving.restart()
    assert leaving.status.state is NodeState.OBSERVER
    assert "votes_stopped" not in leaving.logs


def test_one_that_was_down_when_it_was_removed_hears_of_it_and_catches_up(net: Net) -> None:
    asleep = replaceable(net, 3)
    fresh = Observer(net, OBSERVER, net.nodes[:2], Standing.FOLLOWS)
    submit(net, new_key(net, "together"))
    net.cut_off(3)
    for end in asleep.ends:
        end.open = False
    jointly(net, addition(net, "bank-4", OBSERVER), "bank-1", "bank-2", "bank-3")
    assert net.run(60_000, until=lambda: fresh.status.state is NodeState.NORMAL)
    net.heal()
    for end in asleep.ends:
        end.open = True
    net.run(5_000)
    assert asleep.height < LENGTH, "as a validator it finds every door closed"
    asleep.machine.learn(handovers_of(net.nodes[0]))
    assert net.run(10_000, until=lambda: asleep.status.state is NodeState.RETIRED)
    others_have_moved_on(asleep)
    assert net.run(10_000, until=lambda: asleep.root == net.nodes[0].root)
    assert asleep.status.state is NodeState.OBSERVER


def test_a_lost_disk_follows_without_a_vote_until_its_bank_has_a_new_key(net: Net) -> None:
    """B12: in its set it is mute; out of it, an observer like any other."""
    submit(net, new_key(net, "before"))
    victim = replaceable(net, 3)
    victim.store.vote_bar = "the disk was lost"
    victim.machine.close()
    victim.build()
    assert victim.status.state is NodeState.MUTE
    submit(net, new_key(net, "meanwhile"))
    assert net.run(5_000, until=lambda: victim.height == net.nodes[0].height)
    fresh = Observer(net, OBSERVER, net.nodes[:2], Standing.FOLLOWS)
    jointly(net, addition(net, "bank-4", OBSERVER), "bank-1", "bank-2", "bank-3")
    assert net.run(60_000, until=lambda: victim.machine.replica.ended and fresh.height > LENGTH)
    others_have_moved_on(victim)
    submit(net, new_key(net, "after"))
    assert net.run(10_000, until=lambda: victim.root == net.nodes[0].root)
    assert victim.status.state is NodeState.OBSERVER


# --- as tables ----------------------------------------------------------------------------------------


def two_sets(net: Net) -> Succession:
    """Bank 4 has another key from epoch 1 on."""
    submit(net, new_key(net, "first"))
    jointly(net, addition(net, "bank-4", OBSERVER), "bank-1", "bank-2", "bank-3")
    first = net.nodes[0]
    assert net.run(60_000, until=lambda: len(handovers_of(first)) == 1)
    succession = Succession.of(net.world.genesis)
    for handover in handovers_of(first):
        assert isinstance(handover, Handover)
        succession.add(handover)
    return succession


def test_where_a_key_lives(net: Net) -> None:
    succession = two_sets(net)
    end = succession.newest.since * LENGTH
    stays, removed, added, stranger = (
        net.keys[i].public_key().public_bytes_raw() for i in (0, 3, 4, 5)
    )
    votes, follows, observes = Standing.VOTES, Standing.FOLLOWS, Standing.OBSERVES
    told = {
        (key, height, standing): (None if life is None else (life.voters.since, life.observes))
        for key in (stays, removed, added, stranger)
        for height in (end - 1, end, end + 1)
        for standing in (votes, follows, observes)
        for life in [life_of(succession, height, key, standing)]
    }
    since = succession.newest.since
    for height, of in ((end - 1, 0), (end, since), (end + 1, since)):
        for key in (stays, removed, added, stranger):
            assert told[key, height, observes] == (of, True)
        assert told[stays, height, follows] == told[stays, height, votes] == (of, False)
        assert told[added, height, follows] == (since, False), "below its epoch: with a state only"
        assert told[stranger, height, follows] == (of, True)
        assert told[stranger, height, votes] is None
    assert told[removed, end - 1, votes] == (0, False)
    assert told[removed, end - 1, follows] == (0, True), "nobody in that set listens to it"
    assert told[removed, end, follows] == (0, False), "its last block may be wanted"
    assert told[removed, end + 1, follows] == (since, True)


def test_the_key_must_fit_the_role(net: Net) -> None:
    succession = two_sets(net)
    stays, removed, stranger = (net.keys[i].public_key().public_bytes_raw() for i in (0, 3, 5))

    def begin(key: bytes, height: int, *, role: Standing, join: bool = False) -> str:
        life = life_of(succession, height, key, role)
        only = role is Standing.OBSERVES
        try:
            found = fitting(life, succession, key, only_observes=only, join=join)
        except ConfigError as error:
            return error.code
        return "observes" if found.observes else "votes"

    far = 3 * LENGTH
    assert begin(stays, far, role=Standing.FOLLOWS) == "votes"
    assert begin(stays, far, role=Standing.OBSERVES) == "KEY_VALIDATES"
    assert begin(removed, far, role=Standing.FOLLOWS) == "observes"
    assert begin(removed, 1, role=Standing.OBSERVES) == "KEY_VALIDATES", "in the set of its height"
    assert begin(removed, far, role=Standing.OBSERVES) == "observes"
    assert begin(stranger, far, role=Standing.FOLLOWS) == "KEY_NOT_VALIDATOR"
    assert begin(stranger, far, role=Standing.VOTES) == "KEY_NOT_VALIDATOR"
    assert begin(stranger, far, role=Standing.FOLLOWS, join=True) == "observes"
    assert begin(stranger, far, role=Standing.OBSERVES) == "observes"


def test_an_observer_dials_as_one_and_lets_nobody_in_as_a_validator(net: Net) -> None:
    succession = Succession.of(net.world.genesis)
    own = net.keys[5]
    life = life_of(succession, 0, own.public_key().public_bytes_raw(), Standing.OBSERVES)
    assert life is not None and life.index == NO_INDEX
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    validator = net.keys[0].public_key().public_bytes_raw().hex()
    peers = [
        PeerAddress(public_key=own.public_key().public_bytes_raw().hex(), host="self", port=1),
        PeerAddress(public_key=validator, host="bank", port=2),
        PeerAddress(public_key=stranger, host="h" * 100, port=3),
    ]
    links = links_of(life, genesis=net.world.hash, key=own, peers=peers, names=succession)
    assert links.dialler.role is PeerRole.OBSERVER
    assert links.listener.validators == ()
    assert links.addresses == {0: ("bank", 2), 1: ("h" * 100, 3)}
    assert links.followed == ("bank-1", "h" * 64)
    with pytest.raises(ConfigError, match="at least one"):
        links_of(life, genesis=net.world.hash, key=own, peers=peers[:1], names=succession)
    weak = PeerAddress(public_key="01" + "00" * 31, host="bank", port=2)
    with pytest.raises(ConfigError, match="weak"):
        links_of(life, genesis=net.world.hash, key=own, peers=[weak], names=succession)
    many = [
        PeerAddress(
            public_key=Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex(),
            host="many", port=i + 1,
        )
        for i in range(FOLLOWED_MAX + 1)
    ]  # fmt: skip
    full = links_of(life, genesis=net.world.hash, key=own, peers=many, names=succession)
    assert len(full.followed) == FOLLOWED_MAX
