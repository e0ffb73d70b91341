"""Every kind of liar lies, is noticed where that is possible, and does no harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from tallynet.client.trust import Receipt
from tools.simulator.byzantine import BEHAVIOURS
from tools.simulator.byzantine.base import LIES_PER_SECOND_MAX
from tools.simulator.clients import Pending, SimulatedClient
from tools.simulator.lying import draw_forensic, draw_lying
from tools.simulator.options import CALM, Fault, FaultKind, Liar, Plan, Request, Strategy
from tools.simulator.oracles import Oracle
from tools.simulator.run import Run

FIRST_LEADER: Final = 0
NEXT_LEADER: Final = 1
LEADER_DIES: Final = Fault(FaultKind.CRASH, 1_000, FIRST_LEADER, 2_000, 1)
ONE_FALLS_BEHIND: Final = Fault(FaultKind.CRASH, 500, 2, 2_000, 1)


def plan(behaviour: str, liar: int, *faults: Fault) -> Plan:
    """Four validators in good weather, one of which lies."""
    epoch_length = 5 if behaviour == "false heir" else 1000
    return Plan(
        seed=11, n=4, window=4, epoch_length=epoch_length, day_seconds=2, real_signatures=False,
        strategy=Strategy.UNIFORM, weather=CALM, liars=(Liar(liar, behaviour),), charged=(),
        faults=faults, requests=tuple(Request(80 * i, i % 8, i) for i in range(40)),
        length_ms=4_000, dead=(), opening=False,
    )  # fmt: skip


def evidence(run: Run) -> int:
    """Proofs that correct validators hold."""
    machines = [node.machine for node in run.nodes if node.machine and not node.faulty]
    return sum(machine.replica.statistics().evidence for machine in machines)


def refused(run: Run) -> int:
    """Messages of the liar that correct validators refused."""
    machines = [node.machine for node in run.nodes if node.machine and not node.faulty]
    return run.refused_messages + sum(m.replica.statistics().refused for m in machines)


def view_changes(run: Run) -> int:
    """Views that correct validators left."""
    machines = [node.machine for node in run.nodes if node.machine and not node.faulty]
    return max(machine.replica.statistics().view for machine in machines)


def false_replies(run: Run) -> int:
    """Replies that clients did not believe."""
    return run.lies_refused


def lies(run: Run) -> int:
    """What cannot be told from bad luck is only counted where it is done."""
    return run.lies


CASES: Final[dict[str, tuple[int, tuple[Fault, ...], Callable[[Run], int]]]] = {
    "silent": (FIRST_LEADER, (), view_changes),
    "selective": (FIRST_LEADER, (), lies),
    "twin": (FIRST_LEADER, (), evidence),
    "amnesiac": (FIRST_LEADER, (), lies),
    "mutator": (FIRST_LEADER, (), refused),
    "equivocator": (FIRST_LEADER, (), evidence),
    "delayer": (FIRST_LEADER, (), lies),
    "censor": (FIRST_LEADER, (), view_changes),
    "withholder": (FIRST_LEADER, (), view_changes),
    "invalid leader": (FIRST_LEADER, (), view_changes),
    "stale new view": (NEXT_LEADER, (LEADER_DIES,), refused),
    "schemer": (FIRST_LEADER, (), evidence),
    "spammer": (NEXT_LEADER, (), refused),
    "grumbler": (NEXT_LEADER, (), refused),
    "hider": (2, (LEADER_DIES,), lies),
    "kingmaker": (2, (LEADER_DIES,), lies),
    "gone silent": (NEXT_LEADER, (), lies),
    "sync liar": (NEXT_LEADER, (ONE_FALLS_BEHIND,), refused),
    "gossip liar": (NEXT_LEADER, (), lies),
    "future flooder": (NEXT_LEADER, (), evidence),
    "replayer": (NEXT_LEADER, (LEADER_DIES,), refused),
    "clock liar": (FIRST_LEADER, (), view_changes),
    "reply liar": (NEXT_LEADER, (), false_replies),
    "framer": (NEXT_LEADER, (), refused),
    "whisperer": (NEXT_LEADER, (), lies),
    "mixed": (FIRST_LEADER, (), lies),
    "false heir": (FIRST_LEADER, (), lies),
    "usurper": (NEXT_LEADER, (LEADER_DIES,), lies),
}
"""Behaviour -> who lies, what happens besides, and how it shows."""
SEEDS: Final = 8
"""A liar draws what it does: in one run of so many it must show."""


def test_every_behaviour_has_a_case() -> None:
    assert list(CASES) == list(BEHAVIOURS)


@pytest.mark.parametrize("behaviour", CASES)
def test_a_liar_lies_and_does_no_harm(behaviour: str) -> None:
    liar, faults, sign = CASES[behaviour]
    for seed in range(SEEDS):
        run = Run(replace(plan(behaviour, liar, *faults), seed=seed))
        outcome = run.go()
        assert not outcome.violations
        assert outcome.acknowledged > 10
        if outcome.faults["Byzantine messages"] and sign(run):
            return
    pytest.fail(f"{SEEDS} seeds without a sign of a lie")


class Waits(Oracle):
    """How long clients waited for receipts, in milliseconds."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.longest_ms = 0

    def acknowledged(self, client: SimulatedClient, pending: Pending, receipt: Receipt) -> None:
        waited = (self.run.scheduler.now_us - pending.submitted_us) // 1000
        self.longest_ms = max(self.longest_ms, waited)


@pytest.mark.parametrize("behaviour", ["censor", "withholder", "delayer", "clock liar"])
def test_E2_nobody_waits_for_ten_seconds_whatever_the_leader_does(behaviour: str) -> None:
    run = Run(plan(behaviour, FIRST_LEADER))
    waits = Waits(run)
    run.oracles.append(waits)
    assert not run.go().violations
    assert 0 < waits.longest_ms < 10_000


@pytest.mark.parametrize("apart_ms", [80, 700, 4_000])
def test_an_envelope_that_one_validator_has_costs_no_leader_its_office(apart_ms: int) -> None:
    """Under load, where blocks pass it over; with pauses, where the leader seems slow; and where nothing
    else happens, so that the progress timer runs."""
    requests = tuple(Request(apart_ms * i, i % 8, i) for i in range(12_000 // apart_ms))
    for seed in range(SEEDS // 4):
        run = Run(
            replace(plan("whisperer", NEXT_LEADER), seed=seed, requests=requests, length_ms=12_000)
        )
        outcome = run.go()
        assert not outcome.violations
        assert outcome.faults["Byzantine messages"]
        assert view_changes(run) == 0


@pytest.mark.parametrize("behaviour", ["future flooder", "replayer"])
def test_the_number_of_lies_is_bounded(behaviour: str) -> None:
    run = Run(plan(behaviour, NEXT_LEADER))
    seconds = run.go().simulated_ms // 1000 + 1
    assert 0 < run.lies <= LIES_PER_SECOND_MAX * seconds


def test_more_liars_than_agreement_can_stand_fork_and_blame_nobody_correct() -> None:
    """2f equivocators: agreement breaks, and still every proof names one of them (INV-26)."""
    forked = 0
    for seed in range(SEEDS):
        drawn = replace(
            plan("equivocator", FIRST_LEADER),
            seed=seed,
            liars=(Liar(FIRST_LEADER, "equivocator"), Liar(NEXT_LEADER, "equivocator")),
        )
        assert drawn.forensic
        outcome = Run(drawn).go()
        assert not outcome.violations
        forked += bool(outcome.forks)
        if forked:
            return
    pytest.fail(f"no fork in {SEEDS} seeds")


def test_drawn_plans_are_full_of_liars() -> None:
    names = tuple(BEHAVIOURS)
    for seed in range(20):
        lying, forensic = draw_lying(seed, names), draw_forensic(seed, names)
        assert len(lying.liars) == lying.f and not lying.forensic
        assert lying.f < len(forensic.liars) <= 2 * forensic.f and forensic.forensic
