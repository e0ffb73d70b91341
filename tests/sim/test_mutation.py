"""The mutator reaches every field of every message, and no mutation moves a correct validator off course."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pytest

from tallynet.blocks import Certificate, Commit, Header, Prepare
from tallynet.codec import Wire, encode
from tallynet.commands import LineGrant
from tallynet.hashing import block_hash
from tallynet.merkle import list_root
from tallynet.messages import (
    Blocks,
    Bodies,
    CertifiedBlock,
    Complaint,
    ComplaintReason,
    FetchBlocks,
    FetchBodies,
    FetchProposal,
    FetchVotes,
    NewView,
    PreparedEntry,
    PrePrepare,
    Proposal,
    Signed,
    SignedKind,
    Status,
    ViewChange,
)
from tallynet.records import LineKind, SeasonalWindow
from tools.simulator.byzantine.base import Ring
from tools.simulator.byzantine.mutation import (
    EveryChoice,
    Mutation,
    Mutator,
    Seen,
    nested,
)
from tools.simulator.options import CALM, Liar, Plan, Request, Strategy
from tools.simulator.run import Run

LIAR: Final = 0


def plan(behaviour: str, *, liar: int = LIAR, length_ms: int = 3_000) -> Plan:
    return Plan(
        seed=3, n=4, window=4, epoch_length=1000, day_seconds=86_400, real_signatures=False,
        strategy=Strategy.UNIFORM, weather=CALM, liars=(Liar(liar, behaviour),), charged=(),
        faults=(), requests=tuple(Request(100 * i, i % 8, i) for i in range(25)),
        length_ms=length_ms, dead=(), opening=False,
    )  # fmt: skip


class Messages:
    """One message of every kind, with something in every list; its envelope has expired."""

    def __init__(self, run: Run) -> None:
        self._run = run
        town = run.town
        core = town.party("core")
        windows = (SeasonalWindow(20_880, 20_881, 5),)
        line = LineGrant(b"line", LineKind.ISSUE, core.id, "CNY", 100, 20_878, 20_900, windows)
        envelope = town.envelope(town.banks[0], [line], town.genesis.time_ms // 1000 - 60)
        self._bodies = (envelope.raw, envelope.raw)
        self._hashes = (envelope.hash, envelope.hash)
        header = Header(
            town.hash, 1, 0, 1, town.hash, list_root(self._hashes), town.genesis.time_ms + 1, LIAR,
            bytes(32),
        )  # fmt: skip
        self._header = encode(header)
        self._block = block_hash(self._header)

    def signed(self, kind: SignedKind, body: Wire, signer: int = LIAR) -> Signed:
        return Ring(self._run, ()).sign_as(signer, kind, body, signer)

    def certificate(self, kind: SignedKind, vote: Wire) -> Certificate:
        signatures = tuple(self.signed(kind, vote, i).signature for i in range(3))
        return Certificate(encode(vote), (0, 1, 2), signatures)

    def all(self) -> list[Wire]:
        prepare = Prepare(0, 0, 1, self._block)
        commit = Commit(0, 0, 1, self._block, bytes(32), bytes(32))
        prepared = PreparedEntry(self._header, self.certificate(SignedKind.PREPARE, prepare))
        certified = self.certificate(SignedKind.COMMIT, commit)
        change = ViewChange(0, 1, self._header, certified, (prepared, prepared))
        changes = tuple(encode(self.signed(SignedKind.VIEW_CHANGE, change, i)) for i in range(3))
        again = encode(self.signed(SignedKind.PREPARE, Prepare(0, 1, 1, self._block)))
        new_view = NewView(0, 1, changes, (self._header,) * 2, (again,) * 2)
        block = CertifiedBlock(self._header, self._hashes, certified, self._bodies)
        complaint = Complaint(0, 0, ComplaintReason.PROGRESS_TIMEOUT)
        bodies = (
            (SignedKind.PREPARE, prepare),
            (SignedKind.COMMIT, commit),
            (SignedKind.COMPLAINT, complaint),
            (SignedKind.VIEW_CHANGE, change),
            (SignedKind.NEW_VIEW, new_view),
            (SignedKind.STATUS, Status(0, 0, False, 1, 1)),
        )
        return [
            *(self.signed(kind, body) for kind, body in bodies),
            PrePrepare(self._header, self._hashes, encode(self.signed(*bodies[0]))),
            Proposal(self._header, self._hashes),
            Bodies(self._bodies),
            Blocks((block, block)),
            FetchBlocks(1),
            FetchBodies(1, self._block, self._hashes),
            FetchProposal(1, self._block),
            FetchVotes(0, 0, 1),
        ]


def paths(value: Any, prefix: str = "") -> set[str]:
    """Every field of a value, also inside its byte strings."""
    found: set[str] = set()
    if isinstance(value, Wire):
        for field in value.__struct_fields__:
            path = f"{prefix}.{field}" if prefix else field
            found.add(path)
            held = getattr(value, field)
            for item in held if isinstance(held, tuple) else (held,):
                inner = nested(value, field, item) if isinstance(item, bytes) else item
                found |= paths(inner, path)
    return found


@pytest.fixture(scope="module")
def quiet() -> Run:
    """A run that has ended, its validators still alive."""
    run = Run(plan("silent"))
    outcome = run.go()
    assert not outcome.violations
    return run


def mutations(run: Run, message: Wire) -> list[Mutation]:
    """Every one of one message, with the liar's signatures made anew and without."""
    every = EveryChoice()

    def sign(signer: int, kind: SignedKind, body: bytes) -> Signed | None:
        return run.ring.sign_as(signer, kind, body, signer) if signer == LIAR else None

    mutator = Mutator(every, Seen(), sign)
    return [mutator.mutate(message) for _ in every.runs()]


def test_every_field_of_every_message_is_changed(quiet: Run) -> None:
    """Row "Byzantine mutations" of the release gate: every field times its operators."""
    for message in Messages(quiet).all():
        made = mutations(quiet, message)
        operators: dict[str, Counter[str]] = {}
        for mutation in made:
            operators.setdefault(mutation.field, Counter())[mutation.operator] += 1
        for path in paths(message):
            inside = sum(len(c) for field, c in operators.items() if field.startswith(path))
            assert inside >= 2, f"{made[0].kind}: {path} is changed in {inside} ways"
        assert all(encode(mutation.value) is not None for mutation in made)


def test_no_mutation_of_any_message_does_harm(quiet: Run) -> None:
    """Everything that one liar can send about what was said in a run, with one thing changed, signed
    anew where its key can, at a correct validator: it goes on, and everything is decided."""
    run = quiet
    archive = run.ring.archive
    heard = [max((raw for _, raw, _ in archive.all(kind)), key=len) for kind in archive.kinds()]
    messages = [run.decoded(raw) for raw in heard]
    victim = run.nodes[1]
    count = 0
    for message in (*messages, *Messages(run).all()[6:]):
        for mutation in mutations(run, message):
            victim.receive(LIAR, encode(mutation.value))
            assert victim.alive
            count += 1
    assert count > 1_000
    statistics = victim.machine and victim.machine.replica.statistics()
    assert statistics and statistics.refused + run.refused_messages > count // 5
    for client in run.clients:
        client.act(5)
    run.decide(run.decide_ms())
    for oracle in run.oracles:
        oracle.at_end()


def test_random_mutations_repeat_with_the_seed() -> None:
    counts = []
    for _ in range(2):
        run = Run(plan("mutator", length_ms=1_000))
        assert not run.go().violations
        counts.append(run.mutations)
    assert counts[0] == counts[1]
    assert len(counts[0]) > 10
