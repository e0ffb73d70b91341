"""Each oracle is fed a wrong history and says so: none of them is a judge that cannot convict.

The histories are those of real runs with one thing changed.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import lmdb
import msgspec
import pytest

from node.state.tables import RECORDS, record_key
from node.store.tables import SEEDS, intact, sealed
from tallynet.blocks import Certificate, Commit, Prepare
from tallynet.client.trust import Receipt
from tallynet.codec import decode, encode
from tallynet.envelope import Envelope
from tallynet.evidence import VotesEvidence
from tallynet.hashing import signed_bytes
from tallynet.merkle import list_root
from tallynet.messages import (
    DOMAINS,
    Complaint,
    ComplaintReason,
    Signed,
    SignedKind,
    ViewChange,
)
from tallynet.records import Kind, Voucher
from tallynet.signatures import KIND_COMMIT
from tallynet.validators import Handover
from tests.sim.plans import calm, every
from tools.simulator.clients import Pending, SimulatedClient
from tools.simulator.disk import CommitFailure, SimulatedDisk
from tools.simulator.node import SimulatedNode, Votes
from tools.simulator.oracles import Committed, Oracle, Violation
from tools.simulator.oracles.agreement import Agreement
from tools.simulator.oracles.agreement import list_root as independent_root
from tools.simulator.oracles.bounds import BoundedResources
from tools.simulator.oracles.clients import LightClients
from tools.simulator.oracles.conduct import HeaderTime, Integrity, Steadfast
from tools.simulator.oracles.evidence import EvidenceSoundness
from tools.simulator.oracles.operations import Authorisation, Durability, ExactlyOnce, RealTimeOrder
from tools.simulator.oracles.state import Money, StateRoots
from tools.simulator.oracles.votes import Amnesia, Grounds, NoDoubleVote
from tools.simulator.run import Run


class Record(Oracle):
    """Remembers what the oracles are told."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.blocks: list[tuple[SimulatedNode, Committed]] = []
        self.envelopes: list[tuple[SimulatedClient, Envelope]] = []
        self.receipts: list[tuple[SimulatedClient, Pending, Receipt]] = []

    def committed(self, node: SimulatedNode, block: Committed) -> None:
        self.blocks.append((node, block))

    def submitted(self, client: SimulatedClient, envelope: Envelope) -> None:
        self.envelopes.append((client, envelope))

    def acknowledged(self, client: SimulatedClient, pending: Pending, receipt: Receipt) -> None:
        self.receipts.append((client, pending, receipt))


def finished(**changes: Any) -> tuple[Run, Record]:
    """A run that kept every promise, and what happened in it."""
    run = Run(calm(**{"requests": every(100, 1_000), **changes}))
    record = Record(run)
    run.oracles.append(record)
    outcome = run.go()
    assert outcome.violations == []
    assert len(record.blocks) > 20
    assert len(record.receipts) > 10
    return run, record


@pytest.fixture(scope="module")
def history() -> tuple[Run, Record]:
    """One that no test changes."""
    return finished()


def signed(run: Run, index: int, kind: SignedKind, body: Any) -> Signed:
    """Signed with the key of a validator, past every guard."""
    raw = encode(body)
    message = signed_bytes(DOMAINS[kind], run.town.hash, raw)
    return Signed(kind, raw, index, run.town.validators[index].sign(message))


def prepare(view: int, height: int, block: bytes) -> Prepare:
    return Prepare(0, view, height, block * 32)


# --- blocks -------------------------------------------------------------------------------------


def recertified(run: Run, block: Committed, vote: Commit, signers: tuple[int, ...]) -> Committed:
    """The same block under another certificate."""
    raw = encode(vote)
    message = signed_bytes(KIND_COMMIT, run.town.hash, raw)
    signatures = tuple(run.town.validators[i].sign(message) for i in signers)
    return replace(block, certificate=Certificate(raw, signers, signatures), commit=vote)


def test_agreement_keeps_still_about_what_happened(history: tuple[Run, Record]) -> None:
    run, record = history
    oracle = Agreement(run)
    for node, block in record.blocks:
        oracle.committed(node, block)


def test_agreement_sees_a_fork(history: tuple[Run, Record]) -> None:
    run, record = history
    oracle = Agreement(run)
    node, block = record.blocks[0]
    oracle.committed(node, block)
    other = next(n for n in run.nodes if n is not node)
    with pytest.raises(Violation, match="agreement: fork at height 1"):
        oracle.committed(other, replace(block, block=bytes(32)))


def test_agreement_sees_a_gap_and_a_repetition(history: tuple[Run, Record]) -> None:
    run, record = history
    own = [block for node, block in record.blocks if node is run.nodes[0]]
    for order in ((own[0], own[2]), (own[0], own[0])):
        oracle = Agreement(run)
        oracle.committed(run.nodes[0], order[0])
        with pytest.raises(Violation, match="goes from height"):
            oracle.committed(run.nodes[0], order[1])


def test_agreement_sees_a_broken_chain(history: tuple[Run, Record]) -> None:
    run, record = history
    first, second = [block for node, block in record.blocks if node is run.nodes[0]][:2]
    oracle = Agreement(run)
    oracle.committed(run.nodes[0], first)
    header = msgspec.structs.replace(second.header, parent=bytes(32))
    with pytest.raises(Violation, match="does not follow"):
        oracle.committed(run.nodes[0], replace(second, header=header))
    with pytest.raises(Violation, match="not the hash of its header"):
        Agreement(run).committed(run.nodes[0], replace(first, header_bytes=b"other"))


def test_agreement_sees_content_and_a_time_that_do_not_fit(history: tuple[Run, Record]) -> None:
    run, record = history
    first, second = [block for node, block in record.blocks if node is run.nodes[0]][:2]
    with pytest.raises(Violation, match="not the content of its header"):
        Agreement(run).committed(run.nodes[0], replace(first, names=(*first.names, bytes(32))))
    oracle = Agreement(run)
    oracle.committed(run.nodes[0], first)
    header = msgspec.structs.replace(second.header, time_ms=first.header.time_ms)
    with pytest.raises(Violation, match="not younger"):
        oracle.committed(run.nodes[0], replace(second, header=header))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 255, 257])
def test_the_oracle_s_root_over_a_list_is_the_product_s(count: int) -> None:
    """Written twice, so that each is checked by the other (C6)."""
    leaves = [bytes([number % 256]) * 32 for number in range(count)]
    assert independent_root(leaves) == list_root(leaves)


def test_agreement_counts_and_checks_signatures(history: tuple[Run, Record]) -> None:
    run, record = history
    node, block = record.blocks[0]
    with pytest.raises(Violation, match="too few signers"):
        Agreement(run).committed(node, recertified(run, block, block.commit, (0, 1)))
    with pytest.raises(Violation, match="too few signers"):
        Agreement(run).committed(node, recertified(run, block, block.commit, (0, 1, 1)))
    forged = msgspec.structs.replace(
        block.certificate, signatures=(bytes(64),) * 3, signers=(0, 1, 2)
    )
    with pytest.raises(Violation, match="forged signature of 0"):
        Agreement(run).committed(node, replace(block, certificate=forged))
    vote = msgspec.structs.replace(block.commit, height=2)
    with pytest.raises(Violation, match="is another's"):
        Agreement(run).committed(node, recertified(run, block, vote, (0, 1, 2)))


def test_agreement_sees_a_process_that_starts_below_what_it_had(
    history: tuple[Run, Record],
) -> None:
    run, record = history
    oracle = Agreement(run)
    own = [block for node, block in record.blocks if node is run.nodes[0]]
    for block in own:
        oracle.committed(run.nodes[0], block)
    oracle.started(run.nodes[0])
    oracle._newest[run.nodes[0].number] += 1
    with pytest.raises(Violation, match="forgot blocks"):
        oracle.started(run.nodes[0])


def test_other_roots_at_one_height(history: tuple[Run, Record]) -> None:
    run, record = history
    oracle = StateRoots(run)
    node, block = record.blocks[0]
    oracle.committed(node, block)
    vote = msgspec.structs.replace(block.commit, state_root=bytes(32))
    with pytest.raises(Violation, match=r"state roots: .* other roots at height 1"):
        oracle.committed(run.nodes[1], recertified(run, block, vote, (0, 1, 2)))


def test_a_header_from_the_future(history: tuple[Run, Record]) -> None:
    run, record = history
    node, block = record.blocks[0]
    HeaderTime(run).committed(node, block)
    late = msgspec.structs.replace(block.header, time_ms=run.true_wall_ms() + 60_000)
    with pytest.raises(Violation, match=r"header time: .* 60000 ms ahead"):
        HeaderTime(run).committed(node, replace(block, header=late))


# --- state --------------------------------------------------------------------------------------


def test_tables_that_differ_and_money_that_does_not_add_up() -> None:
    """One validator holds another sum than the chain gives; its checksum is right."""
    run, _ = finished()
    key = next(
        k
        for k in run.nodes[0].disk.tables[RECORDS].keys
        if k[0] == Kind.VOUCHER and len(k) == len(record_key(Kind.VOUCHER, bytes(16)))
    )
    StateRoots(run).at_end()
    Money(run).at_end()

    def richer(raw: bytes) -> bytes:
        voucher = decode(Voucher, raw)
        return encode(msgspec.structs.replace(voucher, funds_in=voucher.funds_in + 1))

    run.core[0].disk.change_record(RECORDS, key, richer)
    with pytest.raises(Violation, match="state roots: the tables of n1 and n0 differ"):
        StateRoots(run).at_end()
    with pytest.raises(Violation, match=r"money: .* sums differ"):
        Money(run).at_end()


# --- operations ---------------------------------------------------------------------------------


def test_what_nobody_submitted(history: tuple[Run, Record]) -> None:
    run, record = history
    oracle = Authorisation(run)
    for client, envelope in record.envelopes:
        oracle.submitted(client, envelope)
    oracle.at_end()
    oracle = Authorisation(run)
    for client, envelope in record.envelopes[1:]:
        oracle.submitted(client, envelope)
    with pytest.raises(Violation, match=r"authorisation: height \d+ carries out"):
        oracle.at_end()


def test_a_receipt_that_the_chain_does_not_have(history: tuple[Run, Record]) -> None:
    run, record = history
    oracle = ExactlyOnce(run)
    for client, pending, receipt in record.receipts:
        oracle.acknowledged(client, pending, receipt)
    oracle.at_end()
    transaction = record.receipts[3][2].transaction
    height, digest = oracle._told[transaction]
    oracle._told[transaction] = (height + 1, digest)
    with pytest.raises(Violation, match=r"exactly once: .* where the chain does not have it"):
        oracle.at_end()


def test_a_transaction_that_takes_effect_twice(history: tuple[Run, Record]) -> None:
    run, _ = history
    chain = [entry for entry in run.history() if entry[2].code == "OK"]
    oracle = ExactlyOnce(run)
    doubled = Twice(run, [*chain, (99, chain[0][1], chain[0][2])])
    oracle.run = doubled  # type: ignore[assignment]
    with pytest.raises(Violation, match="took effect twice, again at 99"):
        oracle.at_end()
    expired = msgspec.structs.replace(chain[0][2], code="EXPIRED")
    oracle.run = Twice(run, [(99, chain[0][1], expired)])  # type: ignore[assignment]
    with pytest.raises(Violation, match="height 99 orders what is EXPIRED"):
        oracle.at_end()


class Twice:
    """A run whose chain was something else."""

    def __init__(self, run: Run, chain: list[Any]) -> None:
        self._chain = chain

    def history(self) -> list[Any]:
        return self._chain


def test_an_order_that_clients_could_not_have_seen(history: tuple[Run, Record]) -> None:
    """The second operation was submitted when the first had been acknowledged at a greater height."""
    run, record = history
    client, pending, early = record.receipts[0]
    late = next(r for _, _, r in record.receipts if r.height > early.height)
    oracle = RealTimeOrder(run)
    for envelope in (e for _, e in record.envelopes if e.transaction == late.transaction):
        oracle.submitted(client, envelope)
    oracle.acknowledged(client, pending, late)
    for envelope in (e for _, e in record.envelopes if e.transaction == early.transaction):
        oracle.submitted(client, envelope)
    with pytest.raises(Violation, match="linearizability: an operation stands at height"):
        oracle.acknowledged(client, pending, early)


def test_an_acknowledged_operation_above_the_end_of_a_chain(history: tuple[Run, Record]) -> None:
    run, record = history
    oracle = Durability(run)
    oracle.acknowledged(*record.receipts[-1])
    oracle.at_end()
    oracle._highest = run.core[0].height + 1
    with pytest.raises(Violation, match="durability: n0 ends at"):
        oracle.at_end()


# --- votes --------------------------------------------------------------------------------------


def test_two_votes_for_one_place(history: tuple[Run, Record]) -> None:
    run, _ = history
    node = run.nodes[2]
    oracle = NoDoubleVote(run)
    first = encode(signed(run, 2, SignedKind.PREPARE, prepare(7, 5_000, b"a")))
    oracle.sent(node, first)
    oracle.sent(node, first)
    oracle.sent(node, encode(signed(run, 2, SignedKind.PREPARE, prepare(7, 5_001, b"b"))))
    with pytest.raises(Violation, match="no double vote: n2 signed two bodies for PREPARE"):
        oracle.sent(node, encode(signed(run, 2, SignedKind.PREPARE, prepare(7, 5_000, b"b"))))


def test_a_vote_in_a_view_that_was_left(history: tuple[Run, Record]) -> None:
    run, _ = history
    node = run.nodes[2]
    oracle = NoDoubleVote(run)
    oracle.sent(node, encode(signed(run, 2, SignedKind.PREPARE, prepare(7, 1, b"a"))))
    change = ViewChange(0, 8, b"", None, ())
    oracle.sent(node, encode(signed(run, 2, SignedKind.VIEW_CHANGE, change)))
    oracle.sent(node, encode(signed(run, 2, SignedKind.PREPARE, prepare(8, 1, b"a"))))
    with pytest.raises(Violation, match="votes in view 7 after it left it"):
        oracle.sent(node, encode(signed(run, 2, SignedKind.PREPARE, prepare(7, 2, b"a"))))


def test_a_view_that_is_left_on_the_word_of_liars(history: tuple[Run, Record]) -> None:
    run, _ = history
    node = run.nodes[2]
    oracle = Grounds(run)
    change = encode(signed(run, 2, SignedKind.VIEW_CHANGE, ViewChange(7, 5, b"", None, ())))
    with pytest.raises(Violation, match="grounds: n2 moves to view 5"):
        oracle.sent(node, change)
    oracle = Grounds(run)
    joined = Complaint(7, 4, ComplaintReason.JOINED)
    with pytest.raises(Violation, match="grounds: n2 joins complaints about view 4"):
        oracle.sent(node, encode(signed(run, 2, SignedKind.COMPLAINT, joined)))
    oracle = Grounds(run)
    first = Complaint(7, 4, ComplaintReason.PROGRESS_TIMEOUT)
    oracle.sent(run.nodes[1], encode(signed(run, 1, SignedKind.COMPLAINT, first)))
    oracle.sent(node, encode(signed(run, 2, SignedKind.COMPLAINT, joined)))
    oracle.sent(node, change)


def test_a_barred_key_that_signs() -> None:
    run, _ = finished()
    node = run.nodes[1]
    oracle = Amnesia(run)
    assert node.voted_life == 1, "it has voted in its first life"
    node.remembers_until(0, Votes(), mark_lost=False)
    oracle.signed(node, SignedKind.STATUS)
    with pytest.raises(Violation, match="amnesia: n1 signs a PREPARE"):
        oracle.signed(node, SignedKind.PREPARE)
    node.remembers_until(0, Votes(), mark_lost=True)
    oracle.signed(node, SignedKind.PREPARE)


def test_a_key_whose_register_is_missing_and_signs() -> None:
    run, _ = finished()
    node = run.nodes[1]
    node.forgets_votes()
    with pytest.raises(Violation, match="amnesia: n1 signs a COMPLAINT"):
        Amnesia(run).signed(node, SignedKind.COMPLAINT)


def test_a_key_that_was_shown_a_forgotten_commit_and_signs() -> None:
    """Its disk was put back: what it has let go, its register does not hold."""
    run, record = finished(charged=(1,))
    certificate = next(b.certificate for _, b in record.blocks if 1 in b.certificate.signers)
    node, oracle = run.nodes[1], Amnesia(run)
    own = signed(run, 1, SignedKind.COMMIT, decode(Commit, certificate.vote))
    oracle.sent(node, encode(own))
    oracle.put_by(node, certificate)
    oracle.signed(node, SignedKind.COMMIT)
    node.remembers_until(0, Votes(), mark_lost=True)
    oracle.put_by(node, certificate)
    with pytest.raises(Violation, match="amnesia: n1 signs a COMMIT"):
        oracle.signed(node, SignedKind.COMMIT)


def test_a_silence_that_was_not_written_down_ends_with_the_process() -> None:
    run, _ = finished()
    node, oracle = run.nodes[1], Amnesia(run)
    oracle.logged(node, "diverged", {})
    oracle.started(node)
    oracle.signed(node, SignedKind.COMMIT)
    oracle.logged(node, "diverged", {})
    node.durable = node.taken = node.taken + 1
    with pytest.raises(Violation, match="amnesia: n1 starts and does not know"):
        oracle.started(node)
    with pytest.raises(Violation, match="amnesia: n1 signs a COMMIT"):
        oracle.signed(node, SignedKind.COMMIT)


@pytest.mark.parametrize("event", ["votes_stopped", "diverged"])
def test_a_key_that_said_that_it_is_silent_and_signs(event: str) -> None:
    run, _ = finished()
    node = run.nodes[1]
    oracle = Amnesia(run)
    oracle.signed(node, SignedKind.COMMIT)
    oracle.logged(node, event, {})
    with pytest.raises(Violation, match="amnesia: n1 signs a COMMIT"):
        oracle.signed(node, SignedKind.COMMIT)


def proof(first: Signed, second: Signed) -> bytes:
    return encode(VotesEvidence(encode(first), encode(second)))


def test_evidence_against_a_correct_validator(history: tuple[Run, Record]) -> None:
    run, _ = history
    votes = [signed(run, 1, SignedKind.PREPARE, prepare(0, 1, b)) for b in (b"a", b"b")]
    with pytest.raises(
        Violation, match="evidence: n0 keeps a proof against the correct validator 1"
    ):
        EvidenceSoundness(run).evidence(run.nodes[0], proof(*votes))
    forged = Signed(votes[1].kind, votes[1].body, 1, votes[0].signature)
    with pytest.raises(Violation, match="proves nothing"):
        EvidenceSoundness(run).evidence(run.nodes[0], proof(votes[0], forged))


def test_statements_that_convict_a_correct_validator(history: tuple[Run, Record]) -> None:
    """Nobody has to notice: two things that it let out are enough."""
    run, _ = history
    oracle = EvidenceSoundness(run)
    for block in (b"a", b"b"):
        oracle.at_end()
        vote = signed(run, 1, SignedKind.PREPARE, prepare(9, 1, block))
        oracle.sent(run.nodes[1], encode(vote))
    with pytest.raises(Violation, match="evidence: what it said convicts a correct validator"):
        oracle.at_end()


def test_evidence_against_a_liar_is_welcome() -> None:
    run = Run(calm(charged=(1,)))
    votes = [signed(run, 1, SignedKind.PREPARE, prepare(0, 1, b)) for b in (b"a", b"b")]
    EvidenceSoundness(run).evidence(run.nodes[0], proof(*votes))


# --- conduct --------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["votes_stopped", "diverged"])
def test_a_correct_validator_that_stops_voting(history: tuple[Run, Record], event: str) -> None:
    run, _ = history
    with pytest.raises(Violation, match=f"conduct: n1, which is correct, says {event}"):
        Steadfast(run).logged(run.nodes[1], event, {})


def test_a_correct_leader_that_is_accused(history: tuple[Run, Record]) -> None:
    run, _ = history
    accusation: dict[str, object] = {"epoch": 0, "view": 6, "reason": "INVALID_PROPOSAL"}
    Steadfast(run).logged(run.nodes[1], "complained", {**accusation, "reason": "LEADER_SILENT"})
    with pytest.raises(Violation, match="conduct: n1 accuses the correct leader 2"):
        Steadfast(run).logged(run.nodes[1], "complained", accusation)


def test_a_process_that_starts_on_a_damaged_disk() -> None:
    run, _ = finished()
    node = run.nodes[3]
    Integrity(run).started(node)
    node.disk.flip(Random(1))
    with pytest.raises(Violation, match="integrity: n3 starts on a damaged disk"):
        Integrity(run).started(node)
    node.disk.wipe()
    Integrity(run).started(node)


def test_a_process_that_uses_what_has_changed_or_writes_where_a_commit_failed() -> None:
    disk = SimulatedDisk()
    with disk.begin(write=True) as transaction:
        disk.open_db(b"meta", txn=transaction)
        transaction.put(b"key", sealed(SEEDS["meta"], b"key", b"value"), db="meta")
    disk.flip(Random(1))
    stored = disk.begin().get(b"key", db="meta")
    assert stored is not None
    assert not intact(SEEDS["meta"], b"key", stored) and disk.breach == ""
    assert stored[:-4] and disk.breach == "uses a damaged value"
    disk.breach = ""
    disk.failure = CommitFailure("mdb_txn_commit: Input/output error")
    with pytest.raises(lmdb.Error), disk.begin(write=True) as transaction:
        transaction.put(b"other", b"value", db="meta")
    assert disk.begin().get(b"other", db="meta") is None and disk.breach == ""
    disk.begin_life()
    with disk.begin(write=True) as transaction:
        assert disk.breach == "", "another process may"
    with pytest.raises(lmdb.Error), disk.begin(write=True) as transaction:
        transaction.put(b"other", b"value", db="meta")
    with disk.begin(write=True):
        assert disk.breach == "writes again after a commit has failed"
    run, _ = finished()
    node = run.nodes[2]
    node.disk.breach = disk.breach
    with pytest.raises(Violation, match="integrity: n2 writes again"):
        run.breached(node)


def test_a_commit_that_fails_after_it_has_landed_is_there_at_the_next_start() -> None:
    disk = SimulatedDisk()
    with disk.begin(write=True) as transaction:
        disk.open_db(b"meta", txn=transaction)
    landed = disk.landed
    disk.failure = CommitFailure("mdb_txn_commit: Input/output error", lands=True)
    with pytest.raises(lmdb.Error), disk.begin(write=True) as transaction:
        transaction.put(b"key", b"value", db="meta")
    assert disk.begin().get(b"key", db="meta") == b"value" and disk.landed == landed + 1


def test_more_than_a_bound_is_held() -> None:
    run, _ = finished()
    BoundedResources(run).at_end()
    machine = run.nodes[0].machine
    assert machine is not None
    held = machine.executor._executed
    held[b"left over"] = None  # type: ignore[assignment]
    with pytest.raises(Violation, match="bounded resources: n0 ends with 1 overlays"):
        BoundedResources(run).at_end()
    held.update(dict.fromkeys(map(bytes, range(200))))  # type: ignore[arg-type]
    with pytest.raises(Violation, match="bounded resources: n0 holds 201 of overlays"):
        BoundedResources(run).sample()


def test_a_client_that_believes_another_chain(history: tuple[Run, Record]) -> None:
    run, record = history
    oracle = LightClients(run)
    for node, block in record.blocks:
        oracle.committed(node, block)
    for told in record.receipts:
        oracle.acknowledged(*told)
    oracle.at_end()
    oracle._believed[1] = b"another header"
    with pytest.raises(
        Violation, match="light client: a client believes another block at height 1"
    ):
        oracle.at_end()


def test_a_client_that_believes_in_other_validators(history: tuple[Run, Record]) -> None:
    run, _ = history
    oracle = LightClients(run)
    oracle.at_end()
    tip = run.nodes[0].machine
    assert tip is not None
    header, certificate = tip.executor.head.header_bytes, tip.executor.head.certificate
    assert certificate is not None
    heirs = encode(Handover(header, certificate, run.town.genesis.validators))
    run.clients[0].trust.handovers.append(heirs)
    try:
        with pytest.raises(Violation, match=r"light client: .* validators that nobody decided on"):
            oracle.at_end()
    finally:
        run.clients[0].trust.handovers.remove(heirs)


def test_a_correct_validator_whose_answer_is_refused(history: tuple[Run, Record]) -> None:
    run, _ = history
    with pytest.raises(Violation, match=r"light client: .* refuses an answer of n2: BAD_PROOF"):
        LightClients(run).misled(run.clients[0], run.nodes[2], "BAD_PROOF")


# --- the run itself -------------------------------------------------------------------------------


def test_a_validator_that_falls_over_is_a_violation() -> None:
    """An exception that nobody foresaw would have ended the process."""
    run = Run(calm())

    def falls(*_: object) -> None:
        raise KeyError("no such thing")

    run.scheduler.after(500_000, falls)
    outcome = run.go()
    assert outcome.oracle == "crash"
    assert "KeyError: 'no such thing' in test_oracles.py" in outcome.violations[0]


def test_no_quorum_is_a_violation_of_liveness() -> None:
    outcome = Run(calm(dead=(0, 1), requests=every(200, 1_000))).go()
    assert outcome.oracle == "liveness"
    assert "undecided after 30000 ms" in outcome.violations[0]
