"""What a node keeps against others: written with the step that found it, shown to whoever asks, and there
again after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallynet.blocks import Commit, Prepare
from tallynet.codec import Wire, decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.evidence import Divergence, Rule, VotesEvidence, culprit
from tallynet.hashing import signed_bytes
from tallynet.messages import (
    DOMAINS,
    EvidenceKind,
    EvidencePage,
    NewView,
    NodeState,
    QueryEvidence,
    Signed,
    SignedKind,
)
from tallynet.validators import Succession
from tests.unit.node.machines import ClientEnd, Net, Validator, new_key

A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    net = Net(tmp_path)
    net.run(20)
    yield net
    net.close()


def said_by(net: Net, index: int, kind: SignedKind, body: Wire) -> Signed:
    raw = encode(body)
    message = signed_bytes(DOMAINS[kind], net.world.hash, raw)
    return Signed(kind, raw, index, net.keys[index].sign(message))


def page(node: Validator, kind: EvidenceKind, after: bytes = b"") -> EvidencePage:
    client = ClientEnd()
    node.machine.service.handle(client, (QueryEvidence(7, kind, after),))
    (reply,) = client.replies
    assert isinstance(reply, EvidencePage)
    assert reply.request == 7
    return reply


def vote_twice(net: Net, node: Validator, view: int = 0) -> None:
    for block in (A, B):
        vote = said_by(net, 2, SignedKind.PREPARE, Prepare(0, view, 1, block))
        net.inject(3, node.index, vote)


def test_a_proof_is_stored_shown_and_logged_with_the_culprits_name(net: Net) -> None:
    node = net.nodes[1]
    vote_twice(net, node)
    (entry,) = page(node, EvidenceKind.PROOFS).entries
    found = culprit(entry.data, Succession.of(net.world.genesis))
    assert (found.signer, found.rule, found.key) == (2, Rule.VOTES, entry.key)
    (line,) = [fields for event, fields in node.told if event == "misbehaviour"]
    assert line["validator"] == net.world.genesis.validators[2].name
    assert node.machine.describe(0).evidence == 1


def test_it_is_there_after_a_restart_and_not_kept_twice(net: Net) -> None:
    node = net.nodes[1]
    vote_twice(net, node)
    before = page(node, EvidenceKind.PROOFS)
    node.restart()
    net.run(20)
    vote_twice(net, node)
    assert page(node, EvidenceKind.PROOFS) == before
    assert node.machine.describe(0).evidence == 1


def test_it_is_in_the_same_transaction_as_the_step(net: Net) -> None:
    """Before the batch is committed there is nothing, not even in a log that survives."""
    node = net.nodes[1]
    for block in (A, B):
        vote = said_by(net, 2, SignedKind.PREPARE, Prepare(0, 0, 1, block))
        node.receive(3, vote)
    while node.inbox:
        node.machine.shell.step(node.inbox.popleft())
    assert page(node, EvidenceKind.PROOFS).entries == ()
    node.work()
    assert len(page(node, EvidenceKind.PROOFS).entries) == 1


def test_pages_continue_after_a_key(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.service.EVIDENCE_PER_PAGE", 2)
    node = net.nodes[1]
    batch = node.store.batch()
    proofs = {b"key %d" % i * 4: b"proof %d" % i * 20_000 for i in range(5)}
    for key, proof in proofs.items():
        batch.evidence(key, proof)
    node.store.commit(batch)
    shown: dict[bytes, bytes] = {}
    after, more = b"", True
    while more:
        answer = page(node, EvidenceKind.PROOFS, after)
        assert len(answer.entries) <= 2
        shown |= {entry.key: entry.data for entry in answer.entries}
        after, more = answer.entries[-1].key, answer.more
    assert shown == proofs


def test_every_node_archives_the_new_view_that_opened_its_view(net: Net) -> None:
    net.cut_off(0)
    net.nodes[1].submit(new_key(net))
    assert net.run(4_000, lambda: all(node.height == 1 for node in net.nodes[1:]))
    for node in net.nodes[1:]:
        (entry,) = page(node, EvidenceKind.NEW_VIEWS).entries
        assert decode(NewView, decode(Signed, entry.data).body).view == 1
    assert page(net.nodes[0], EvidenceKind.NEW_VIEWS).entries == ()


def test_a_diverged_node_says_so_and_still_does_after_a_restart(net: Net) -> None:
    """f+1 others sign other roots for the block that it executed (protocol §5.4.5)."""
    node = net.nodes[1]
    net.passes = lambda _source, to, message: to != 1 or not is_commit(message)
    net.nodes[0].submit(new_key(net))
    net.run(100)
    (execution,) = node.machine.replica._s.executions.values()
    for index in (2, 3):
        commit = Commit(0, 0, 1, execution.content.block, A, B)
        net.inject(index, 1, said_by(net, index, SignedKind.COMMIT, commit))
    for _ in range(2):
        status = node.machine.describe(0)
        assert (status.state, status.waiting_code) == (NodeState.DIVERGED, "DIVERGED")
        assert status.waiting_height == 1
        found = decode(Divergence, page(node, EvidenceKind.PROOFS).divergence)
        assert (found.state_root, found.receipts_root) == execution.roots
        assert len(found.others) == 2
        node.restart()
        net.run(300)
    assert node.height == 0


def is_commit(message: object) -> bool:
    return isinstance(message, Signed) and message.kind is SignedKind.COMMIT


def test_status_names_whom_it_waits_for(net: Net) -> None:
    net.passes = lambda source, to, message: source not in (2, 3)
    net.nodes[1].submit(new_key(net))
    net.run(100)
    status = net.nodes[1].machine.describe(0)
    names = tuple(net.world.genesis.validators[i].name for i in (2, 3))
    assert (status.waiting_code, status.waiting_for) == ("PREPARES", names)
    assert status.waiting == f"waiting for Prepare votes: {names[0]}, {names[1]}"
    net.run(2_000)
    told = [fields for event, fields in net.nodes[1].told if event == "no_block"]
    assert told
    assert told[0]["code"] == "PREPARES"
    assert told[0]["validators"] == names


def test_a_forged_proof_is_nobodys(net: Net) -> None:
    """What is in the table was checked; what is not in it can only be refused."""
    vote = said_by(net, 2, SignedKind.PREPARE, Prepare(0, 0, 1, A))
    forged = Signed(vote.kind, encode(Prepare(0, 0, 1, B)), 2, vote.signature)
    net.inject(3, 1, vote, forged)
    assert page(net.nodes[1], EvidenceKind.PROOFS).entries == ()
    proof = encode(VotesEvidence(encode(vote), encode(forged)))
    with pytest.raises(RemoteProtocolError, match="signature"):
        culprit(proof, Succession.of(net.world.genesis))
