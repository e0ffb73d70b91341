"""A node without a vote follows others, believes certificates alone, and serves (design §2, §8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from node.pool import in_messages
from tallynet.blocks import Certificate, Commit
from tallynet.codec import decode, encode
from tallynet.evidence import Divergence
from tallynet.hashing import signed_bytes
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    EvidenceKind,
    EvidencePage,
    FetchBlocks,
    Newest,
    NodeState,
    QueryEvidence,
)
from tallynet.signatures import KIND_COMMIT
from tests.unit.node.machines import ClientEnd, Net, mutilated, new_key
from tests.unit.node.observers import OBSERVER, Observer


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    net = Net(tmp_path, spares=2)
    yield net
    net.close()


def commit_some(net: Net, count: int, tag: str = "p") -> None:
    for i in range(count):
        envelope = new_key(net, f"{tag}-{i}")
        client = net.nodes[0].submit(envelope)
        assert net.run(20_000, until=lambda e=envelope, c=client: bool(c.codes(e)))


def abreast(net: Net, node: Observer) -> bool:
    first = net.nodes[0]
    return (node.height, node.root) == (first.height, first.root)


def test_it_follows_executes_and_says_what_it_is(net: Net) -> None:
    observer = Observer(net, OBSERVER, net.nodes[:4])
    heard: set[int] = set()
    net.passes = lambda source, _to, _message: heard.add(source) is None
    commit_some(net, 5)
    assert net.run(1_000, until=lambda: abreast(net, observer))
    shown = observer.status
    assert (shown.state, shown.index, shown.behind) == (NodeState.OBSERVER, 4, 0)
    assert (shown.waiting_code, shown.peers, shown.organisation) == ("NOTHING_TO_DO", 4, bytes(16))
    assert observer.machine.shell.replica.statistics().view == 0
    assert heard == {0, 1, 2, 3}, "validators hear validators alone"
    client = ClientEnd()
    net.nodes[0].machine.service.handle(client, ())
    assert net.nodes[0].machine.followers.count == 1


def test_a_block_is_there_a_moment_after_it_was_committed(net: Net) -> None:
    observer = Observer(net, OBSERVER, net.nodes[:4])
    commit_some(net, 3)
    assert net.run(100, until=lambda: abreast(net, observer)), "it is told, and asks at once"


def test_it_falls_behind_and_catches_up_by_blocks(net: Net) -> None:
    observer = Observer(net, OBSERVER, net.nodes[:4])
    commit_some(net, 2)
    assert net.run(1_000, until=lambda: abreast(net, observer))
    for end in observer.ends:
        end.open = False
    commit_some(net, 40, "missed")
    shown = observer.status
    assert (shown.waiting_code, shown.committed) == ("UNREACHED", 2)
    for end in observer.ends:
        end.open = True
    assert net.run(20_000, until=lambda: abreast(net, observer))
    assert "state_adopted" not in observer.logs


def test_one_that_is_far_behind_fetches_the_state(tmp_path: Path) -> None:
    net = Net(tmp_path, epoch_length=20, spares=1, state_sync_blocks=16)
    commit_some(net, 50)
    observer = Observer(net, OBSERVER, net.nodes[:1])  # one node to follow will do
    observer.ends[0].loses = (FetchBlocks,)  # or all of them would be here before the next tick
    assert net.run(30_000, until=lambda: "state_adopted" in observer.logs)
    observer.ends[0].loses = ()
    assert net.run(30_000, until=lambda: abreast(net, observer))
    commit_some(net, 3, "after")
    assert net.run(1_000, until=lambda: abreast(net, observer))
    observer.restart()
    commit_some(net, 1, "again")
    assert net.run(5_000, until=lambda: abreast(net, observer))
    assert "votes_stopped" not in observer.logs
    net.close()


def test_what_its_clients_submit_goes_on_to_the_validators(net: Net) -> None:
    observer = Observer(net, OBSERVER, net.nodes[1:3])
    envelope = new_key(net)
    client = observer.submit(envelope)
    assert net.run(20_000, until=lambda: bool(client.codes(envelope)))
    assert client.codes(envelope) == ["OK"], "the receipt comes with the block"
    again = observer.submit(envelope)
    assert again.codes(envelope) == ["OK"]


def test_what_was_submitted_while_nobody_was_reached_goes_on_later(net: Net) -> None:
    observer = Observer(net, OBSERVER, net.nodes[:1])
    observer.ends[0].open = False
    envelope = new_key(net)
    client = observer.submit(envelope)
    net.run(2_000)
    assert client.codes(envelope) == []
    observer.ends[0].open = True
    observer.machine.pass_on_again(0)
    assert net.run(20_000, until=lambda: client.codes(envelope) == ["OK"])


def test_a_mutilated_envelope_is_a_strike_for_the_observer_that_passes_it_on(net: Net) -> None:
    observer = Observer(net, OBSERVER, net.nodes[:1])
    bad = mutilated(new_key(net))
    for message in in_messages((bad.raw,)):
        observer.ends[0].ask(message)
    assert observer.ends[0].strikes == 1
    assert bad.hash not in net.nodes[0].machine._pool


def test_observers_follow_observers(net: Net) -> None:
    """Two that follow each other too: an envelope does not go round, and blocks come down the tree."""
    first = Observer(net, OBSERVER, net.nodes[:1])
    second = Observer(net, OBSERVER + 1, [first])
    commit_some(net, 3)
    assert net.run(2_000, until=lambda: abreast(net, second))
    envelope = new_key(net, "deep")
    client = second.submit(envelope)
    assert net.run(20_000, until=lambda: client.codes(envelope) == ["OK"])


def test_an_envelope_does_not_go_round_between_observers(net: Net) -> None:
    first = Observer(net, OBSERVER, net.nodes[:1])
    second = Observer(net, OBSERVER + 1, [first])
    first.ends[0].server = second  # nobody here reaches a validator
    envelope = new_key(net)
    second.submit(envelope)
    net.run(3_000)
    passed = (*first.ends, *second.ends)
    assert [sum(type(a).__name__ == "Bodies" for a in end.asked) for end in passed] == [1, 1]


# --- what it does not believe -------------------------------------------------------------------------


def next_block(net: Net, observer: Observer) -> CertifiedBlock:
    """The block that the observer lacks, as a validator hands it out."""
    answer = net.nodes[0].machine._sync.blocks(FetchBlocks(observer.height + 1)).message
    assert answer is not None
    blocks = decode(Blocks, answer)
    return blocks.blocks[0]


def with_another_root(net: Net, block: CertifiedBlock, signers: int) -> CertifiedBlock:
    """The same block under a certificate of so many validators for a state that it does not lead to."""
    vote = msgspec.structs.replace(decode(Commit, block.certificate.vote), state_root=b"x" * 32)
    body = encode(vote)
    message = signed_bytes(KIND_COMMIT, net.world.hash, body)
    signatures = tuple(net.keys[i].sign(message) for i in range(signers))
    certificate = Certificate(body, tuple(range(signers)), signatures)
    return msgspec.structs.replace(block, certificate=certificate)


def one_block_behind(net: Net) -> tuple[Observer, CertifiedBlock]:
    observer = Observer(net, OBSERVER, net.nodes[:2])
    commit_some(net, 2)
    assert net.run(1_000, until=lambda: abreast(net, observer))
    for end in observer.ends:
        end.open = False
    commit_some(net, 1, "next")
    return observer, next_block(net, observer)


def give(net: Net, observer: Observer, block: CertifiedBlock) -> None:
    observer.ends[0].open = True
    observer.ends[0].send(encode(Blocks((block,))))
    observer.ends[0].open = False
    net.run(200)


def test_a_certified_block_with_another_root_stops_it_and_is_kept(net: Net) -> None:
    """Such a certificate takes a quorum of liars, or a fault of our own: nobody goes on by himself."""
    observer, block = one_block_behind(net)
    wrong = with_another_root(net, block, 3)
    give(net, observer, wrong)
    assert observer.height == 2, "it is not executed into the state"
    shown = observer.status
    assert (shown.state, shown.waiting_code) == (NodeState.DIVERGED, "DIVERGED")
    assert "diverged" in observer.logs
    observer.restart()
    client = ClientEnd()
    observer.machine.service.handle(client, (QueryEvidence(1, EvidenceKind.PROOFS, b""),))
    (page,) = client.replies
    assert isinstance(page, EvidencePage)
    kept = decode(Divergence, page.divergence)
    assert kept.certificate == wrong.certificate
    give(net, observer, block)
    assert (observer.height, observer.status.state) == (2, NodeState.DIVERGED)


def test_a_certificate_of_too_few_changes_nothing_and_the_next_node_is_asked(net: Net) -> None:
    observer, block = one_block_behind(net)
    give(net, observer, with_another_root(net, block, 2))
    assert (observer.height, observer.status.state) == (2, NodeState.OBSERVER)
    assert "refused" in observer.logs
    observer.ends[1].open = True
    assert net.run(5_000, until=lambda: abreast(net, observer))


def test_a_node_that_boasts_and_gives_nothing_costs_time_only(net: Net) -> None:
    observer = Observer(net, OBSERVER, net.nodes[:2])
    liar, honest = observer.ends
    commit_some(net, 3)
    liar.open = False
    observer.arrived.append((liar.number, Newest(2**40)))
    assert net.run(60_000, until=lambda: abreast(net, observer))
    commit_some(net, 1, "more")
    assert net.run(60_000, until=lambda: abreast(net, observer))
    assert honest.strikes == 0
