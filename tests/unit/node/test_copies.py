"""Copies of one transaction under other signatures: whatever a faulty validator hands out, every
correct one executes the same bytes, and the genuine envelope takes effect once (C2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from consensus.config import ReplicaConfig
from consensus.proposals import build_content
from node.unchecked import STRANGERS_BYTES_MAX
from tallynet import commands as c
from tallynet.blocks import Prepare
from tallynet.codec import decode, encode
from tallynet.envelope import Envelope, open_envelope, seal_envelope
from tallynet.genesis import validators_hash
from tallynet.hashing import signed_bytes
from tallynet.messages import (
    Blocks,
    Bodies,
    FetchBlocks,
    FetchBodies,
    PeerMessage,
    PrePrepare,
    QueryTransaction,
    Refused,
    Signed,
    SignedKind,
    TransactionPhase,
    TransactionState,
)
from tallynet.receipts import EnvelopeReceipt
from tallynet.records import Role
from tallynet.signatures import KIND_PREPARE
from tests.rules.law_world import key_id, key_of
from tests.unit.node.machines import ClientEnd, Net, mutilated, new_key, offer, resigned

LEADER = 0
VICTIM = 2
LIAR = 3
MAKER = key_of("bank-1", "maker")


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path)
    yield made
    made.close()


def codes_in_chain(net: Net, envelope: Envelope) -> list[str]:
    """Codes of all receipts of this transaction, in block order, as one validator stored them."""
    found: list[str] = []
    node = net.nodes[LEADER]
    with node.store.reader() as reader:
        for height in range(1, node.height + 1):
            given = reader.receipts(height)
            assert given is not None
            receipts = [decode(EnvelopeReceipt, leaf) for leaf in given.receipts[1:]]
            found += [r.code for r in receipts if r.transaction == envelope.transaction]
    return found


def propose(net: Net, *envelopes: Envelope) -> PrePrepare:
    """What the leader of view 0 says when it is faulty: a block of these on top of the newest one."""
    node = net.nodes[LEADER]
    genesis = net.world.genesis
    config = ReplicaConfig(
        genesis=net.world.hash,
        genesis_time_ms=genesis.time_ms,
        validators=tuple(v.public_key for v in genesis.validators),
        validators_hash=validators_hash(genesis.validators),
        index=LEADER,
    )
    head = node.machine.executor.head
    content = build_content(
        config,
        height=head.height + 1,
        parent=head.block,
        time_ms=net.wall_ms,
        envelopes=tuple(e.hash for e in envelopes),
    )
    body = encode(Prepare(0, 0, head.height + 1, content.block))
    signature = net.keys[LEADER].sign(signed_bytes(KIND_PREPARE, net.world.hash, body))
    prepare = Signed(SignedKind.PREPARE, body, LEADER, signature)
    return PrePrepare(content.header_bytes, content.envelopes, encode(prepare))


# --- the attacks: another copy than everybody else's in the hands of one replica ------------------


def test_gossip_of_a_mutilated_copy_under_a_key_that_is_not_known_yet(net: Net) -> None:
    """The victim has not seen the block that registers the key, so it cannot check the copy."""
    net.cut_off(VICTIM)
    net.nodes[LEADER].submit(new_key(net))
    assert net.run(1_000, until=lambda: net.nodes[LEADER].height == 1)
    genuine = offer(net, maker="new")
    net.inject(LIAR, VICTIM, Bodies((mutilated(genuine).raw,)))
    client = net.nodes[LEADER].submit(genuine)
    assert net.run(1_000, until=lambda: net.nodes[LEADER].height == 2)
    net.heal()
    assert net.run(5_000, until=net.agree)
    assert client.codes(genuine) == ["OK"]


def test_mutilated_copies_inside_blocks(net: Net) -> None:
    """The victim lags; the liar answers with the genuine chain and copies in place of the bodies."""
    net.cut_off(VICTIM)
    for _ in range(3):
        net.nodes[LEADER].submit(offer(net))
        net.run(100)
    answer = net.nodes[LEADER].machine._sync.blocks(FetchBlocks(1)).message
    assert answer is not None
    blocks = decode(Blocks, answer).blocks
    lies = tuple(
        msgspec.structs.replace(
            block, bodies=tuple(mutilated(open_envelope(raw)).raw for raw in block.bodies)
        )
        for block in blocks
    )
    net.inject(LIAR, VICTIM, Blocks(lies))
    assert net.nodes[VICTIM].invalid == 3
    assert net.nodes[VICTIM].height == 0
    net.heal()
    assert net.run(5_000, until=net.agree)
    assert net.nodes[VICTIM].height == 3


def test_mutilated_copies_in_answer_to_a_request_for_bodies(net: Net) -> None:
    """The victim misses a body and asks; the liar answers first, with a copy of it."""
    genuine = offer(net)
    asked: list[int] = []

    def passes(source: int, to: int, message: PeerMessage) -> bool:
        if isinstance(message, FetchBodies):
            asked.append(to)
        return not (to == VICTIM and isinstance(message, Bodies))

    net.passes = passes
    client = net.nodes[LEADER].submit(genuine)
    assert net.run(1_000, until=lambda: bool(asked))
    net.inject(LIAR, VICTIM, Bodies((mutilated(genuine).raw,)))
    assert net.nodes[VICTIM].invalid == 1
    net.heal()
    assert net.run(5_000, until=net.agree)
    assert client.codes(genuine) == codes_in_chain(net, genuine) == ["OK"]


# --- a faulty leader ------------------------------------------------------------------------------


def test_a_leader_that_orders_a_mutilated_copy_wastes_a_slot(net: Net) -> None:
    """Bodies are held because a block names them, so everybody votes and executes alike. The genuine
    envelope is neither hidden nor burnt, and its client waits for the right receipt."""
    genuine = offer(net)
    copy = mutilated(genuine)
    net.cut_off(LEADER)
    client = net.nodes[VICTIM].submit(genuine)
    lie = propose(net, copy)
    for to in (1, VICTIM, LIAR):
        net.inject(LEADER, to, lie)
    net.run(20)  # now they ask for the body
    for to in (1, VICTIM, LIAR):
        net.inject(LEADER, to, Bodies((copy.raw,)))
    assert net.run(1_000, until=lambda: net.nodes[VICTIM].height == 1)
    assert [node.invalid for node in net.nodes] == [0, 0, 0, 0], "it was asked for"
    assert client.replies == []
    net.nodes[VICTIM].submit(genuine, client=client)
    net.heal()
    assert net.run(10_000, until=lambda: net.agree() and bool(client.codes(genuine)))
    assert codes_in_chain(net, genuine) == ["SIGNATURE_INVALID", "OK"]
    assert client.codes(genuine) == ["OK"]


def test_a_prepared_mutilated_copy_does_not_keep_the_next_view_from_opening(net: Net) -> None:
    """The new leader has to propose again what it would never have taken in at its door."""
    copy = mutilated(offer(net))
    net.passes = lambda _source, to, message: to != LEADER and not _is_commit(message)
    lie = propose(net, copy)
    for to in (VICTIM, LIAR):
        net.inject(LEADER, to, lie)
    net.run(20)
    for to in (VICTIM, LIAR):
        net.inject(LEADER, to, Bodies((copy.raw,)))
    assert net.nodes[VICTIM].machine.replica._s.prepared, "the leader, the victim and the liar"
    net.passes = lambda source, to, _message: LEADER not in (source, to)
    everybody = [node for node in net.nodes if node.index != LEADER]
    assert net.run(10_000, until=lambda: all(node.height == 1 for node in everybody))
    assert len({node.root for node in everybody}) == 1


def _is_commit(message: PeerMessage) -> bool:
    return isinstance(message, Signed) and message.kind is SignedKind.COMMIT


# --- the pool -------------------------------------------------------------------------------------


def test_an_envelope_under_a_new_key_is_proposed_as_soon_as_its_key_is_known(net: Net) -> None:
    """The leader hears of it before the block that registers the key; nobody sends it again."""
    net.cut_off(LEADER)
    registration, genuine = new_key(net), offer(net, maker="new")
    net.inject(1, LEADER, Bodies((genuine.raw,)))
    assert len(net.nodes[LEADER].machine._pool) == 0
    net.heal()
    net.nodes[LEADER].submit(registration)
    assert net.run(1_000, until=lambda: net.nodes[LEADER].height == 2)
    assert codes_in_chain(net, genuine) == ["OK"]


def test_mutilated_copies_neither_displace_the_genuine_one_nor_fill_the_pool(net: Net) -> None:
    net.cut_off(LEADER)
    registration, genuine = new_key(net), offer(net, maker="new")
    net.inject(1, LEADER, Bodies((genuine.raw,)))
    many = 2 * STRANGERS_BYTES_MAX // len(genuine.raw)
    fakes = [mutilated(genuine, i).raw for i in range(many % 256)]
    net.inject(LIAR, LEADER, Bodies(tuple(fakes)))
    machine = net.nodes[LEADER].machine
    assert len(machine._pool) == 0
    kept = machine._unchecked.strangers.all()
    assert genuine.hash in {e.hash for e in kept}
    assert sum(len(e.raw) for e in kept) <= STRANGERS_BYTES_MAX + len(genuine.raw)
    net.heal()
    net.nodes[LEADER].submit(registration)
    assert net.run(1_000, until=lambda: net.nodes[LEADER].height == 2)
    assert codes_in_chain(net, genuine) == ["OK"]
    assert machine._unchecked.strangers.all() == []


def test_a_mutilated_copy_under_a_known_key_is_a_strike(net: Net) -> None:
    net.inject(LIAR, VICTIM, Bodies((mutilated(offer(net)).raw,)))
    assert net.nodes[VICTIM].invalid == 1
    assert len(net.nodes[VICTIM].machine._pool) == 0


# --- clients --------------------------------------------------------------------------------------


def test_a_transaction_signed_anew_is_the_same_transaction(net: Net) -> None:
    """Other valid signatures, sent to other validators at once: one effect, a receipt for everybody,
    and nobody is blamed for the copies that were not proposed."""
    genuine = offer(net)
    copies = [genuine, *(resigned(genuine, MAKER, i) for i in range(1, 4))]
    assert len({copy.hash for copy in copies}) == 4
    clients = [node.submit(copy) for node, copy in zip(net.nodes, copies, strict=True)]
    assert net.run(2_000, until=lambda: all(client.codes(genuine) for client in clients))
    assert all(client.codes(genuine) == ["OK"] for client in clients)
    net.run(7_000)
    assert net.agree()
    assert codes_in_chain(net, genuine) == ["OK"]
    assert [len(node.machine._pool) for node in net.nodes] == [0, 0, 0, 0]
    assert {node.machine.replica.statistics().view for node in net.nodes} == {0}


def test_a_second_copy_is_answered_without_disturbing_the_first(net: Net) -> None:
    net.passes = lambda _source, _to, message: not isinstance(message, PrePrepare)
    genuine = offer(net)
    first = net.nodes[VICTIM].submit(genuine)
    second = net.nodes[VICTIM].submit(resigned(genuine, MAKER, 1))
    third = net.nodes[VICTIM].submit(mutilated(genuine))
    pool = net.nodes[VICTIM].machine._pool
    assert len(pool) == 1
    assert pool.copy_of(genuine.transaction) is not None
    asking = ClientEnd()
    question = QueryTransaction(7, genuine.transaction)
    net.nodes[VICTIM].machine.service.handle(asking, (question,))
    assert asking.replies == [
        TransactionState(7, genuine.transaction, TransactionPhase.PENDING),
    ]
    net.heal()
    assert net.run(5_000, until=lambda: bool(asking.codes(genuine)))
    assert [c.codes(genuine) for c in (first, second, third, asking)] == [["OK"]] * 4
    late = net.nodes[VICTIM].submit(resigned(genuine, MAKER, 2))
    assert late.codes(genuine) == ["OK"], "the receipt of the copy that was executed"


def test_who_sends_an_executed_envelope_again_gets_its_receipt_also_when_it_has_expired(
    net: Net,
) -> None:
    genuine = offer(net)
    net.nodes[LEADER].submit(genuine)
    assert net.run(5_000, until=net.agree)
    for later_ms in (0, 2 * 3_600_000):
        net.now_ms += later_ms
        again = net.nodes[VICTIM].submit(genuine)
        assert again.codes(genuine) == ["OK"]
    assert genuine.body.valid_until < net.wall_ms // 1000


def test_signatures_in_another_order_are_refused_at_the_door(net: Net) -> None:
    """The order of the signers is signed: other signatures in it fit nobody."""
    genuine = offer(net)
    client = net.nodes[VICTIM].submit(seal_envelope(genuine.body, genuine.signatures[::-1]))
    (refused,) = client.replies
    assert isinstance(refused, Refused)
    assert refused.code == "SIGNATURE_INVALID"
    net.nodes[VICTIM].submit(genuine, client=client)
    assert net.run(1_000, until=lambda: client.codes(genuine) == ["OK"])


def test_who_waits_for_an_envelope_that_was_not_admitted_in_its_block_is_refused(net: Net) -> None:
    """A key of its signers is revoked in the same block, before it."""
    world = net.world
    revocation = world.envelope("bank-1", c.KeyRevoke(world.label, key_id("bank-1", "approver")))
    signers = [("maker", Role.MAKER), ("checker", Role.CHECKER), ("approver", Role.APPROVER)]
    doomed = world.envelope("bank-1", offer(net).body.commands[0], signers=signers)
    client = net.nodes[LEADER].submit(revocation, doomed)
    assert net.run(1_000, until=lambda: net.nodes[LEADER].height == 1)
    assert client.codes(revocation) == ["OK"]
    (refused,) = [reply for reply in client.replies if isinstance(reply, Refused)]
    assert (refused.transaction, refused.code) == (doomed.transaction, "KEY_REVOKED")
    assert codes_in_chain(net, doomed) == ["KEY_REVOKED"]


def test_bodies_in_flight_are_there_after_a_restart(net: Net) -> None:
    """A body that only the block vouches for is read back from the store and executed again."""
    copy = mutilated(offer(net))
    net.passes = lambda _source, to, message: to != LEADER and not _is_commit(message)
    lie = propose(net, copy)
    for to in (1, VICTIM, LIAR):
        net.inject(LEADER, to, lie)
    net.run(20)
    for to in (1, VICTIM, LIAR):
        net.inject(LEADER, to, Bodies((copy.raw,)))
    net.nodes[VICTIM].restart()
    assert len(net.nodes[VICTIM].machine._pool) == 0
    net.passes = lambda source, to, _message: LEADER not in (source, to)
    everybody = [node for node in net.nodes if node.index != LEADER]
    assert net.run(10_000, until=lambda: all(node.height == 1 for node in everybody))
    assert len({node.root for node in everybody}) == 1
