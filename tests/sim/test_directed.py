"""Single situations, one a test, on the whole simulated network."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from consensus.constants import LOOKAHEAD_WINDOWS, T_TRANSACTION_COMPLAIN_MS
from tallynet.messages import Blocks, FetchVotes, Signed, SignedKind
from tests.sim.driven import DrivenRun
from tests.sim.plans import calm, every
from tests.unit.node.machines import resigned
from tools.simulator.node import SimulatedNode
from tools.simulator.options import CALM, Fault, FaultKind, Plan, Weather
from tools.simulator.oracles import Oracle
from tools.simulator.run import Run


def kept(plan: Plan) -> Run:
    """The run of a plan that keeps every promise."""
    run = Run(plan)
    outcome = run.go()
    assert outcome.violations == [], "\n".join([*outcome.last, *outcome.violations])
    return run


def views(run: Run) -> set[int]:
    return {node.machine.replica.statistics().view for node in run.core if node.machine is not None}


def for_ever(kind: FaultKind, node: int, at_ms: int = 300) -> Fault:
    """A fault that outlasts the storm of any plan here."""
    return Fault(kind, at_ms, node, 1_000_000, 0)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
@pytest.mark.parametrize("window", [1, 4])
def test_a_killed_leader_costs_one_view_change(n: int, window: int) -> None:
    run = kept(
        calm(
            n=n,
            window=window,
            requests=every(100, 2_500),
            length_ms=2_500,
            faults=(for_ever(FaultKind.CRASH, 0),),
            dead=(0,),
        )
    )
    assert views(run) == {1}
    assert run.core[0].height > 15, "blocks before the leader died and after it"


def test_all_validators_lose_their_memory_again_and_again() -> None:
    """Oracle 6 judges: what anybody was told stays."""
    crashes = tuple(
        Fault(FaultKind.CRASH_ALL, at, -1, 30, detail)
        for detail, at in enumerate(range(100, 2_500, 300))
    )
    run = kept(calm(requests=every(70, 2_500), length_ms=2_500, faults=crashes))
    assert run.faults.injected[FaultKind.CRASH_ALL.value] == len(crashes)
    assert {node.starts for node in run.nodes} == {1 + len(crashes)}


def test_B1_a_single_validator_tells_nobody_what_it_may_forget() -> None:
    """Nobody else has the block: oracle 6 judges. A slow disk leaves much time to die in."""
    slow = Fault(FaultKind.SLOW_DISK, 50, 0, 2_500, 0)
    crashes = tuple(Fault(FaultKind.CRASH, at, 0, 30, at) for at in range(100, 2_500, 300))
    run = kept(calm(n=1, requests=every(40, 2_500), length_ms=2_500, faults=(slow, *crashes)))
    assert run.nodes[0].starts == 1 + len(crashes)
    assert run.core[0].height > 0


def test_A11_after_two_minutes_without_a_link_all_is_decided_in_time() -> None:
    """The run itself judges the time: 30 s and two caps of the back-off."""
    outage = Fault(FaultKind.OUTAGE, 500, -1, 119_500, 0)
    run = kept(calm(requests=every(1_000, 10_000), length_ms=120_000, faults=(outage,)))
    assert len(views(run)) == 1


def test_one_validator_cut_off_for_long_catches_up_over_epochs() -> None:
    """Its own links are cut before the first block; the others go through several epochs."""
    plan = calm(n=4, epoch_length=5, requests=every(60, 4_000), length_ms=4_000, opening=False)
    run = Run(plan)
    run.network.part([[0, 1, 2], [3]])
    run.storm()
    assert [node.height for node in run.nodes[:3]] > [20, 20, 20]
    assert run.nodes[3].height == 0
    run.heal()
    run.decide(5_000)
    assert run.nodes[3].height == run.nodes[0].height
    assert {node.machine.replica.statistics().epoch for node in run.core if node.machine} == {
        run.core[0].height // plan.epoch_length
    }
    assert run.core[0].height > 4 * plan.epoch_length


def test_a_validator_that_computes_other_results_stops_alone() -> None:
    plan = calm(
        charged=(2,),
        requests=every(100, 3_000),
        length_ms=3_000,
        faults=(Fault(FaultKind.MISCOMPUTE, 500, 2, 100, 0),),
    )
    run = kept(plan)
    wrong = run.nodes[2]
    assert wrong.machine is not None
    assert wrong.machine.replica.statistics().status.name == "DIVERGED"
    assert wrong.height < run.core[0].height
    assert views(run) == {0}, "the others need no view change for it"


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("window", [1, 4])
def test_copies_of_one_transaction_take_effect_once_and_nobody_is_blamed_for_the_others(
    n: int, window: int
) -> None:
    """C2, INV-14: clients hand copies under other signatures to several validators, and messages get
    lost; when the network has healed they send all of them again."""
    lossy = Weather(loss=100, duplicate=100, delay_us=50_000, tail=0, flip=0, fifo=False)
    run = DrivenRun(n=n, window=window, weather=lossy)
    documents = run.documents(40)
    machine_of = {party.id: party.keys["machine"] for party in run.town.clients}
    copies = [
        [
            resigned(document, machine_of[document.body.organisation], nonce)
            for document in documents
        ]
        for nonce in range(3)
    ]
    for i in range(len(documents)):
        for nonce, signed_anew in enumerate(copies):
            run.submit(run.nodes[(i + nonce) % n], signed_anew[i : i + 1])
        run.let_pass(40)
    run.heal()
    for node, signed_anew in zip(run.nodes, copies, strict=False):
        run.submit(node, signed_anew)
    run.decide(run.decide_ms())
    views = run.views()
    run.let_pass(2 * T_TRANSACTION_COMPLAIN_MS)
    assert run.views() == views
    assert {run.replica(index).statistics().pool for index in range(n)} == {0}
    effects = Counter(
        receipt.transaction for _, _, receipt in run.history() if receipt.code == "OK"
    )
    assert [effects[document.transaction] for document in documents] == [1] * len(documents)
    for oracle in run.oracles:
        oracle.at_end()


def test_a_block_of_a_new_view_beyond_the_window_waits_for_the_blocks_below_it() -> None:
    """INV-7: one validator has fallen far behind and takes part in a view change. What the new view
    proposes again is placed there when the blocks below have been fetched."""
    run = DrivenRun(window=1, weather=replace(CALM, fifo=False))
    run.network.part([[0, 1, 2], [3]])
    for document in run.documents(8):
        run.submit(run.nodes[0], [document])
        run.let_pass(50)
    base = run.nodes[0].height
    assert base > LOOKAHEAD_WINDOWS * run.plan.window

    def without_commits_and_blocks(_source: int, raw: bytes) -> int:
        message = run.decoded(raw)
        is_commit = isinstance(message, Signed) and message.kind is SignedKind.COMMIT
        return 60_000_000 if is_commit or isinstance(message, Blocks) else 0

    run.network.detour = without_commits_and_blocks
    run.submit(run.nodes[0], run.documents(1))
    run.let_pass(50)
    run.nodes[0].crash()
    run.network.cut = {}
    run.let_pass(1_500)
    assert run.views() == [1, 1, 1]
    assert [node.height for node in run.nodes[1:]] == [base, base, 0]
    run.network.detour = None
    run.let_pass(2_000)
    assert [node.height for node in run.nodes[1:]] == [base + 1] * 3
    assert run.views() == [1, 1, 1]


class Kinds(Oracle):
    """Counts what is sent."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.sent_kinds: Counter[str] = Counter()

    def sent(self, node: SimulatedNode, message: bytes) -> None:
        del node
        value = self.run.decoded(message)
        self.sent_kinds[value.kind.name if isinstance(value, Signed) else type(value).__name__] += 1


def test_an_idle_network_sends_only_status() -> None:
    run = Run(calm(opening=False, length_ms=30_000))
    kinds = Kinds(run)
    run.oracles.append(kinds)
    run.storm()
    assert set(kinds.sent_kinds) == {SignedKind.STATUS.name, FetchVotes.__name__}
    assert kinds.sent_kinds[FetchVotes.__name__] == run.plan.n, "once at each start"
    assert {node.height for node in run.nodes} == {0}


def test_a_commit_resets_the_back_off() -> None:
    """View changes pile up, then the network works again: the next dead leader is left after one
    patience, not after the last one."""
    crashes = tuple(
        Fault(FaultKind.CRASH_LEADER, at, 0, 4_000, 0) for at in range(500, 12_000, 4_100)
    )
    run = kept(calm(requests=every(300, 12_000), length_ms=12_000, faults=crashes, aftershock=True))
    assert len(run.core) == 3
