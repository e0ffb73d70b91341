"""B13: under load a fifth bank's node becomes a validator, and one of the first four leaves."""

from __future__ import annotations

from typing import Final

import trio

from tallynet import commands as c
from tallynet import records as r
from tallynet.messages import NodeState, NodeStatus
from tools.connect import connect
from tools.membership_cli import readiness
from tools.ports import free_ports
from tools.scenarios.network_stage import Network, NetworkStage, on_validators
from tools.scenarios.probe import probing
from tools.scenarios.stage import BANKS, ScenarioFailed, Stage
from tools.scenarios.traffic import Traffic
from tools.testnet_files import add_node

SEED: Final = 4
NETWORK: Final = Network(epoch_length=40)
"""A set changes at the end of an epoch."""
CHANGE_SECONDS: Final = 900.0
"""Patience for that: two epochs of full blocks on a small machine that is busy with everything at once."""
NEW, LEAVING = "bank-5", "bank-4"
AWAY: Final = "bank-3"
"""With it down, the new validator's vote is needed."""


async def run(stage: Stage, commands: int) -> None:
    """About `commands` commands, as fast as they are taken; then until both have happened."""
    network = on_validators(stage)
    traffic = Traffic(stage, SEED, commands)
    await traffic.open()
    async with probing(stage) as probe:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_change, network)
            stage.facts.note("commands", await traffic.play())
        stage.facts.note(
            "longest wait for a receipt while both joined and left, s", probe.take_longest()
        )
        network.kill(AWAY)
        stage.facts.note("then killed", AWAY)
        stage.facts.require("ranges as foretold", await traffic.check() > 0, True)
        await probe.another()
        network.start(AWAY)
        await network.until_level(AWAY)
    stage.facts.require("validators", await _believed(network), "bank-1 bank-2 bank-3 bank-5")


async def _change(stage: NetworkStage) -> None:
    await stage.admit(NEW, r.OrganisationKind.BANK)
    add_node(stage.directory, NEW, "127.0.0.1", free_ports(1))
    stage.start(NEW)
    ready = await readiness(stage.directory / NEW, stage.id(NEW))
    await stage.jointly(ready, *BANKS[:3])
    joined = await stage.until_status(
        NEW,
        lambda status: status.state is NodeState.NORMAL and status.committed > 0,
        CHANGE_SECONDS,
    )
    stage.facts.note("joined, and at height", joined.committed)
    remove = c.ValidatorRemove(stage.label(), stage.id(LEAVING))
    await stage.jointly(remove, *BANKS[:3], NEW)
    left = await stage.until_status(LEAVING, _has_left, CHANGE_SECONDS)
    stage.facts.note("left, and observes at height", left.committed)


def _has_left(status: NodeStatus) -> bool:
    """It has seen that the others are past its last block, and follows them without a vote."""
    return status.state is NodeState.OBSERVER


async def _believed(stage: NetworkStage) -> str:
    """The validators by a client that knows no more than the genesis file, and believes proofs."""
    async with connect(stage.directory, only="bank-1") as client:
        record = await client.read(r.Kind.NETWORK, r.NETWORK_ID)
        if not isinstance(record, r.Network):
            raise ScenarioFailed("RECORD_MISSING", "the network's own record")
        if client.trust.validators != tuple(v.public_key for v in record.validators):
            raise ScenarioFailed(
                "WRONG", "the client believes other validators than the record names"
            )
        return " ".join(sorted(validator.name for validator in record.validators))
