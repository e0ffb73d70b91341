"""A failing plan becomes small: only what the failure needs is left."""

from __future__ import annotations

from dataclasses import replace

from tools.simulator.judge import judge
from tools.simulator.options import CALM, FaultKind, Plan, Strategy
from tools.simulator.plan_files import parse_plan, plan_json
from tools.simulator.seeds import plan_of
from tools.simulator.shrink import shrink
from tools.simulator.variants import seeds_of


def stormy() -> Plan:
    """A plan with something of everything."""
    for seed in seeds_of("mixed", 0, 1_000):
        plan = plan_of(seed)
        if len(plan.faults) > 5 and plan.liars and plan.weather != CALM and plan.length_ms > 5_000:
            return plan
    raise AssertionError("no such seed")


def test_what_the_failure_does_not_need_is_left_out() -> None:
    """The failure needs one certain fault and two certain requests."""
    plan = stormy()
    fault = plan.faults[3]
    requests = {plan.requests[1], plan.requests[-1]}

    def breaks(tried: Plan) -> str:
        needed = fault in tried.faults and requests <= set(tried.requests)
        return "agreement" if needed else ""

    small = shrink(plan, "agreement", breaks).plan
    assert small.faults == (fault,)
    assert set(small.requests) == requests
    assert (small.liars, small.charged, small.dead) == ((), (), ())
    assert small.weather == CALM
    assert small.strategy is Strategy.UNIFORM
    last = max(fault.at_ms, *(request.at_ms for request in requests))
    assert small.length_ms <= max(2 * last, 200)


def test_damage_goes_with_the_disks_that_are_charged_for_it() -> None:
    plan = next(p for p in map(plan_of, seeds_of("disks", 0, 50)) if p.charged)
    small = shrink(plan, "x", lambda tried: "" if tried.liars else "x").plan
    assert small.charged == ()
    assert small.faults == ()


def test_another_failure_is_not_taken_for_the_same() -> None:
    """Without its faults this plan fails as well, but in another way."""

    def breaks(tried: Plan) -> str:
        return "agreement" if tried.faults else "liveness"

    assert len(shrink(stormy(), "agreement", breaks).plan.faults) == 1


def test_tries_are_bounded() -> None:
    tried: list[Plan] = []

    def breaks(plan: Plan) -> str:
        tried.append(plan)
        return ""

    result = shrink(stormy(), "agreement", breaks, tries_max=7)
    assert len(tried) == result.tries == 7


def test_a_run_that_never_decides_shrinks_to_its_cause() -> None:
    """A real run: more validators than f dead for ever, so that nothing can be decided."""
    seed = next(iter(seeds_of("small", 0, 1)))
    plan = replace(plan_of(seed), liars=(), charged=(), dead=(0, 1), aftershock=False)
    assert judge(plan).oracle == "liveness"
    small = shrink(plan, "liveness", lambda tried: judge(tried).oracle, tries_max=25).plan
    assert small.faults == ()
    assert small.dead == (0, 1)
    assert judge(small).oracle == "liveness"


def test_a_plan_survives_its_file() -> None:
    plan = stormy()
    assert {f.kind for f in plan.faults} <= set(FaultKind)
    assert parse_plan(plan_json(plan), "here") == plan
