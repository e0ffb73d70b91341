"""Validator sets come and go under whole machines on real stores (decision 0042)."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from node.handovers import keep_handovers, life_of
from node.ledger.joint import hash_of
from node.machine import NoMember, prepare_store
from tallynet import commands as c
from tallynet import records as r
from tallynet.codec import Wire, decode, encode
from tallynet.envelope import Envelope
from tallynet.hashing import record_id, signed_bytes
from tallynet.messages import (
    EvidenceKind,
    EvidencePage,
    NodeState,
    NodeStatus,
    QueryEvidence,
    QueryStatus,
    Refused,
)
from tallynet.signatures import KIND_READY
from tallynet.validators import Handover, Succession
from tests.rules.law_world import PEOPLE
from tests.unit.node.machines import ClientEnd, Net, Validator, new_key

LENGTH = 20
FIFTH = 4
"""Number of the node that joins."""


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    net = Net(tmp_path, epoch_length=LENGTH, spares=2)
    yield net
    net.close()


def alive(net: Net) -> list[Validator]:
    return [node for node in net.nodes if not node.machine.replica.ended]


def submit(net: Net, envelope: Envelope, node: int = 0) -> None:
    """Until somebody's client has the receipt."""
    client = net.nodes[node].submit(envelope)
    assert net.run(20_000, until=lambda: bool(client.codes(envelope)))
    assert client.codes(envelope) == ["OK"]
    assert [[result.code for result in r] for r in client.results(envelope)] == [["OK"]]


def jointly(net: Net, command: Wire, *banks: str) -> None:
    for bank in banks:
        submit(net, net.world.envelope(bank, command))


def admit_fifth_bank(net: Net) -> None:
    world = net.world
    tag = sha256(b"bank-5").digest()
    keys = tuple(world.new_key("bank-5", person, roles) for person, roles in PEOPLE.items())
    command = c.OrganisationAdmit(
        b"admit", (r.OrganisationKind.BANK,), "finance", "home", tag, tag, tag, keys
    )
    jointly(net, command, "bank-1", "bank-2", "bank-3")
    world.ids["bank-5"] = record_id(r.Kind.ORGANISATION, hash_of(command), b"")
    world.people["bank-5"] = tuple(PEOPLE)


def addition(net: Net, organisation: str, key: int) -> c.ValidatorAdd:
    """The node with this key is ready at the newest block."""
    if net.nodes[0].height == 0:
        submit(net, new_key(net, "first"))
    head = net.nodes[0].machine.executor.head
    id = net.world.ids[organisation]
    body = encode(c.ReadyBody(id, head.height, head.state_root))
    signature = net.keys[key].sign(signed_bytes(KIND_READY, net.world.hash, body))
    public = net.keys[key].public_key().public_bytes_raw()
    ready = c.Ready(head.height, head.state_root, signature)
    return c.ValidatorAdd(b"add", id, organisation, public, ready)


def removal(net: Net, organisation: str) -> c.ValidatorRemove:
    return c.ValidatorRemove(b"out", net.world.ids[organisation])


def changed(net: Net, sets: int, *, among: list[Validator] | None = None) -> bool:
    """Until everybody that goes on lives in the set of this number, counted from 0, and has a block there."""

    def done() -> bool:
        nodes = alive(net) if among is None else among
        return all(
            len(handovers_of(node)) == sets
            and node.machine.life.voters.since * LENGTH < node.height
            and node.machine.life.voters.since == since_of(node)
            for node in nodes
        )

    return net.run(60_000, until=done)


def since_of(node: Validator) -> int:
    return node.machine._succession.newest.since


def handovers_of(node: Validator) -> list[Handover]:
    with node.store.reader() as reader:
        return [decode(Handover, raw) for _, raw in reader.handovers()]


def start_fifth(net: Net, *, learned_from: int = 0, number: int = FIFTH) -> Validator:
    """A new process with the genesis file, and the hand-overs that a client of its would learn."""
    node = Validator.__new__(Validator)

    def prepare() -> None:
        node.index, node.net = number, net
        node.directory = net.directory / str(number)
        node.open()
        prepare_store(node.store, net.world.genesis, net.world.hash)
        keep_handovers(node.store, handovers_of(net.nodes[learned_from]))
        node.store.close()

    prepare()
    node.__init__(net, number, node.directory)  # type: ignore[misc]  # made anew in place, as a restart does
    net.nodes.append(node)
    return node


def add_fifth(net: Net) -> Validator:
    admit_fifth_bank(net)
    jointly(net, addition(net, "bank-5", FIFTH), "bank-1", "bank-2", "bank-3")
    assert changed(net, 1)
    node = start_fifth(net)
    assert net.run(60_000, until=lambda: not node.machine.replica._s.joining)
    return node


def status(node: Validator) -> NodeStatus:
    client = ClientEnd()
    node.machine.service.handle(client, (QueryStatus(1),))
    (reply,) = client.replies
    assert isinstance(reply, NodeStatus)
    return reply


def test_a_fifth_validator_joins_with_the_state_and_votes(net: Net) -> None:
    fifth = add_fifth(net)
    assert len(fifth.machine.life.voters.keys) == 5
    assert status(fifth).state is NodeState.NORMAL
    # Four of five decide: with one of the old ones away, the new one's vote is needed.
    away = net.nodes[3]
    net.cut_off(3)
    submit(net, new_key(net))
    assert net.run(20_000, until=lambda: fifth.height == net.nodes[0].height)
    net.heal()
    assert net.run(20_000, until=lambda: away.height == net.nodes[0].height)
    assert net.agree()


def test_a_removed_validator_signs_nothing_more_and_says_so(net: Net) -> None:
    add_fifth(net)
    jointly(net, removal(net, "bank-4"), "bank-1", "bank-2", "bank-3", "bank-5")
    leaving = net.nodes[3]
    going_on = [node for node in net.nodes if node is not leaving]
    assert changed(net, 2, among=going_on)
    assert net.run(20_000, until=lambda: leaving.machine.replica.ended)
    shown = status(leaving)
    assert (shown.state, shown.waiting_code) == (NodeState.RETIRED, "RETIRED")
    last = leaving.height
    assert last % LENGTH == 0
    submit(net, new_key(net))
    assert leaving.height == last
    assert net.nodes[0].height > last
    # It takes no transactions, and goes on showing what it has.
    client = leaving.submit(new_key(net, "other"))
    assert [reply.code for reply in client.replies if isinstance(reply, Refused)] == [
        "NODE_RETIRED"
    ]
    leaving.restart()
    assert status(leaving).state is NodeState.RETIRED
    assert "votes_stopped" not in leaving.logs


def test_a_validator_says_that_it_is_retired_once_its_last_block_is_durable(net: Net) -> None:
    add_fifth(net)
    jointly(net, removal(net, "bank-4"), "bank-1", "bank-2", "bank-3", "bank-5")
    leaving = net.nodes[3]
    ending: list[tuple[NodeState, str]] = []

    def look(_batch: object) -> str:
        """Before the batch is written."""
        replica = leaving.machine.replica
        if replica.ended and leaving.height < replica.committed:
            shown = status(leaving)
            ending.append((shown.state, shown.waiting_code))
        return ""

    leaving.fate = look
    assert net.run(60_000, until=lambda: status(leaving).state is NodeState.RETIRED)
    assert ending == [(NodeState.NORMAL, "DISK")]


def test_a_removed_validator_helps_the_others_to_its_last_block(net: Net) -> None:
    """It alone has the last block; the others learn of it from its Status and fetch it."""
    add_fifth(net)
    jointly(net, removal(net, "bank-4"), "bank-1", "bank-2", "bank-3", "bank-5")
    leaving = net.nodes[3]
    end = net.nodes[0].machine.life.voters.since * LENGTH + LENGTH

    def passes(source: int, to: int, message: object) -> bool:
        kept = getattr(message, "kind", None)
        vote_of_last = kept is not None and kept.name == "COMMIT" and to != 3
        return not (
            vote_of_last and leaving.height >= end - 1 and not leaving.machine.replica.ended
        )

    net.passes = passes
    assert net.run(60_000, until=lambda: leaving.machine.replica.ended)
    net.heal()
    going_on = [node for node in net.nodes if node is not leaving]
    assert changed(net, 2, among=going_on)


def test_a_bank_gets_a_new_key(net: Net) -> None:
    jointly(net, addition(net, "bank-4", FIFTH), "bank-1", "bank-2", "bank-3")
    assert changed(net, 1)
    fresh = start_fifth(net)
    assert net.run(60_000, until=lambda: not fresh.machine.replica._s.joining)
    assert net.nodes[3].machine.replica.ended
    net.cut_off(2)  # of four three decide, the fresh key among them
    submit(net, new_key(net))
    net.heal()
    assert net.run(20_000, until=lambda: len({node.height for node in alive(net)}) == 1)


def test_everybody_restarts_between_the_last_block_of_one_set_and_the_first_of_the_next(
    net: Net,
) -> None:
    jointly(net, addition(net, "bank-4", FIFTH), "bank-1", "bank-2", "bank-3")
    first = net.nodes[0]

    def at_the_end() -> bool:
        return first.height == since_of(first) * LENGTH != 0

    assert net.run(60_000, until=at_the_end)
    for node in net.nodes:
        node.restart()
        assert "votes_stopped" not in node.logs
    assert changed(net, 1)
    submit(net, new_key(net))


def test_dying_around_every_commit_near_the_change_loses_nothing(net: Net) -> None:
    jointly(net, addition(net, "bank-4", FIFTH), "bank-1", "bank-2", "bank-3")
    victim = net.nodes[1]
    count = 0

    def fate(batch: object) -> str:
        nonlocal count
        near = victim.height >= LENGTH - 2
        count += near
        return ("dies before", "dies after")[count % 2] if near and count < 12 else ""

    victim.fate = fate
    assert changed(net, 1)
    assert "votes_stopped" not in victim.logs
    submit(net, new_key(net))
    assert net.run(20_000, until=lambda: victim.height == net.nodes[0].height)


def test_a_validator_that_slept_through_two_changes_comes_back_by_blocks(net: Net) -> None:
    admit_fifth_bank(net)
    net.cut_off(2)
    asleep = net.nodes[2]
    jointly(net, addition(net, "bank-4", FIFTH), "bank-1", "bank-2", "bank-4")
    others = [node for node in net.nodes if node is not asleep]
    going_on = others[:2]
    assert net.run(60_000, until=lambda: all(since_of(node) for node in others))
    fresh = start_fifth(net)
    assert net.run(60_000, until=lambda: not fresh.machine.replica._s.joining)
    assert changed(net, 1, among=[*going_on, fresh])
    jointly(net, addition(net, "bank-5", FIFTH + 1), "bank-1", "bank-2", "bank-4")
    awake = [*going_on, fresh]
    assert net.run(60_000, until=lambda: all(len(handovers_of(node)) == 2 for node in awake))
    last = start_fifth(net, number=FIFTH + 1)
    assert net.run(60_000, until=lambda: not last.machine.replica._s.joining)
    net.heal()
    assert net.run(60_000, until=lambda: asleep.height == net.nodes[0].height)
    assert len(handovers_of(asleep)) == 2
    assert asleep.machine.life.voters == net.nodes[0].machine.life.voters


@pytest.mark.parametrize("changes", [1, 2])
def test_a_validator_that_slept_comes_back_with_the_state(tmp_path: Path, changes: int) -> None:
    """It learns who validates from the hand-overs that come with the state."""
    net = Net(tmp_path, epoch_length=LENGTH, spares=2, state_sync_blocks=16)
    admit_fifth_bank(net)
    net.cut_off(2)
    asleep = net.nodes[2]
    jointly(net, addition(net, "bank-5", FIFTH), "bank-1", "bank-2", "bank-4")
    others = [node for node in net.nodes if node is not asleep]
    assert net.run(60_000, until=lambda: all(since_of(node) for node in others))
    fifth = start_fifth(net)
    assert net.run(60_000, until=lambda: not fifth.machine.replica._s.joining)
    if changes == 2:
        jointly(net, removal(net, "bank-5"), "bank-1", "bank-2", "bank-4", "bank-5")
        assert changed(net, 2, among=others)
    net.heal()
    assert net.run(90_000, until=lambda: asleep.height == net.nodes[0].height)
    assert "state_adopted" in asleep.logs
    assert len(handovers_of(asleep)) == changes
    asleep.restart()
    submit(net, new_key(net), node=2)
    net.close()


def test_a_key_that_no_set_knows_has_no_machine(net: Net) -> None:
    with pytest.raises(NoMember):
        start_fifth(net)


def test_a_client_is_shown_the_hand_overs(net: Net) -> None:
    add_fifth(net)
    client = ClientEnd()
    query = QueryEvidence(1, EvidenceKind.HANDOVERS, b"")
    net.nodes[0].machine.service.handle(client, (query,))
    (page,) = client.replies
    assert isinstance(page, EvidencePage)
    succession = Succession.of(net.world.genesis)
    for entry in page.entries:
        succession.add(decode(Handover, entry.data))
    assert succession.newest == net.nodes[0].machine.life.voters
    public = net.keys[FIFTH].public_key().public_bytes_raw()
    assert life_of(succession, 0, public) is not None
