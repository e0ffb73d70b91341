"""Liars, crashes and clients where the validator set changes."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tallynet.client.trust import Trust
from tallynet.codec import decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.messages import Signed, SignedKind, ViewChange
from tests.sim.plans import calm, every
from tools.simulator.byzantine.false_handovers import WAYS
from tools.simulator.node import SimulatedNode
from tools.simulator.options import Fault, FaultKind, Liar, Plan
from tools.simulator.oracles import Oracle
from tools.simulator.run import Run

LENGTH_MS: Final = 6_000
MOVED: Final = 3
"""A founder with another index in a later set: a spare's key sorts before its own."""
FIRST_LEADER: Final = 3
"""Detail of a fault that is drawn for the first leader of the next set."""


def changing(**changes: Any) -> Plan:
    """Four validators whose banks add nodes while people act."""
    given = {"spares": 2, "epoch_length": 5, "requests": every(60, LENGTH_MS)}
    return calm(**{**given, "length_ms": LENGTH_MS, **changes})


def kept(run: Run) -> Run:
    """It keeps every promise, and the set changes in it."""
    outcome = run.go()
    assert outcome.violations == [], "\n".join([*outcome.last, *outcome.violations])
    assert run.handovers
    return run


@pytest.mark.parametrize("behaviour", ["equivocator", "schemer", "mutator", "sync liar"])
def test_a_liar_knows_its_place_in_each_set(behaviour: str) -> None:
    # In which run it is still in the set at the end, at another place, follows from what people happen to do.
    for seed in range(1, 9):
        run = kept(Run(changing(seed=seed, liars=(Liar(MOVED, behaviour),))))
        numbers = [run.town.number_of(key) for key in run.succession.newest.keys]
        if MOVED in numbers and numbers.index(MOVED) != MOVED:
            break
    liar = run.nodes[MOVED].behaviour
    assert liar is not None
    assert liar.index == numbers.index(MOVED) != MOVED
    assert liar.allies == [liar.index]
    assert sorted([*liar.victims, liar.index]) == list(range(len(numbers)))
    assert run.lies


def test_a_liar_may_join_a_set() -> None:
    run = kept(Run(changing(liars=(Liar(4, "equivocator"),))))
    assert run.town.validators[4].public_key().public_bytes_raw() in run.succession.keys
    assert run.lies


class ViewsLeft(Oracle):
    """In which epochs correct validators changed the view."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.epochs: set[int] = set()

    def sent(self, node: SimulatedNode, message: bytes) -> None:
        del node
        value = self.run.decoded(message)
        if isinstance(value, Signed) and value.kind is SignedKind.VIEW_CHANGE:
            self.epochs.add(decode(ViewChange, value.body).epoch)


def test_the_first_leader_of_a_new_set_dies_as_it_begins() -> None:
    """The others leave its view, and all that they have is a certificate by the set before."""
    fault = Fault(FaultKind.CRASH_HEIR, 100, -1, 3_000, FIRST_LEADER)
    run = Run(changing(faults=(fault,)))
    views = ViewsLeft(run)
    run.oracles.append(views)
    kept(run)
    first = min(views.epochs)
    assert run.succession.set_of(first).since == first > 0


def test_clients_follow_each_change_whatever_one_validator_tells_them() -> None:
    run = kept(Run(changing(liars=(Liar(2, "reply liar"),))))
    followed = max(client.trust.succession.newest.since for client in run.clients)
    assert followed == run.succession.newest.since
    assert run.lies_refused


def test_a_client_refuses_each_false_handover() -> None:
    run = kept(Run(changing(liars=(Liar(2, "reply liar"),))))
    liar = run.nodes[2].behaviour
    assert liar is not None
    true = tuple(run.handovers)
    assert len(true) > 1
    for way in WAYS:
        trust = Trust(run.town.genesis, check=run.check)
        with pytest.raises(RemoteProtocolError):
            trust.learn(map(encode, way(liar, true)))
        assert trust.handovers == [encode(handover) for handover in true[: len(trust.handovers)]]
