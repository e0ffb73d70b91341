"""Nothing acknowledged is ever lost: SIGKILL under load, on real processes with real disks (§1 promise).

The leader is killed in the middle of a stream of envelopes, then, in the next stream, all four
validators at once. Every receipt that a client held must be found again on every node, at the same
height, and the state roots must be equal.
"""

from __future__ import annotations

import json
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tallynet import commands as c
from tallynet import records as r
from tallynet.client import Client, Receipt
from tallynet.errors import TallynetError
from tools import testnet_processes
from tools.connect import connect, genesis_of
from tools.onboarding import new_organisation, registration
from tools.participant import Participant
from tools.ports import free_ports
from tools.testnet_files import NetworkFile, Plan, init

ENVELOPES = 400
RULES = c.ProgrammeRules(
    r.AcceptMode.IMMEDIATE,
    0,
    10,
    200,
    1,
    180,
    3,
    r.DocumentPolicy.CAPPED,
    r.Visibility.TIER1,
    False,
    500,
    (),
    True,
    (),
    r.PriceMode.OPEN,
)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[Path, NetworkFile]]:
    directory = tmp_path / "network"
    now = int(time.time())
    plan = Plan(
        directory, 4, ("127.0.0.1",), free_ports(4), "survival", now * 1000,
        (now + 8 * 3600) // 86_400, 86_400, 4, (), 5_000,
    )  # fmt: skip
    file = init(plan)
    testnet_processes.start_all(directory)
    try:
        yield directory, file
    finally:
        testnet_processes.stop_all(directory)


async def _core(directory: Path, client: Client) -> Participant:
    genesis = genesis_of(directory)[1]
    bank = Participant(directory, "bank-1", client, genesis)
    kind, size = r.OrganisationKind.CORE, r.Size.LARGE
    wallet = new_organisation(directory, bank.wallet, "core", kind, size)
    await bank.act(registration(directory, genesis, wallet, kind, size))
    return Participant(directory, "core", client, genesis)


async def _stream(core: Participant, client: Client, name: str) -> list[Receipt]:
    """Submit envelopes and return the receipts that arrived; the rest stays unknown."""
    envelopes = [
        core.envelope([c.ProgrammeCreate(b"%s-%d" % (name.encode(), i), r.ProgrammeKind.RECEIVABLE, "CNY", RULES)])
        for i in range(ENVELOPES)
    ]  # fmt: skip
    outcomes = await client.submit_many(envelopes, in_flight=50, seconds=30)
    return [outcome for outcome in outcomes if isinstance(outcome, Receipt)]


async def _everywhere(directory: Path, file: NetworkFile, receipts: list[Receipt]) -> None:
    """Each receipt is on each node at its height, and the nodes agree on the state."""
    newest = max(receipt.height for receipt in receipts)
    roots = {}
    for node in file.nodes:
        async with connect(directory, only=node.name) as client:
            with trio.fail_after(30):
                while (status := await client.status()).committed < newest:  # noqa: ASYNC110 - another process
                    await trio.sleep(0.05)
            for receipt in receipts:
                again = await client.outcome(receipt.transaction)
                assert isinstance(again, Receipt), f"{node.name} lost an acknowledged receipt"
                assert again.height == receipt.height
                assert again.receipt == receipt.receipt
            roots.setdefault(status.committed, set()).add(status.state_root)
    assert all(len(at_height) == 1 for at_height in roots.values())


async def test_a_killed_leader_and_a_killed_network_lose_nothing(
    network: tuple[Path, NetworkFile],
) -> None:
    directory, file = network
    acknowledged: list[Receipt] = []
    async with connect(directory) as client:
        core = await _core(directory, client)
        leader = file.nodes[(await client.status()).leader].name
        async with trio.open_nursery() as nursery:

            async def load() -> None:
                acknowledged.extend(await _stream(core, client, "a"))

            nursery.start_soon(load)
            await _committed_beyond(client, 5)
            testnet_processes.kill(directory, leader, signal.SIGKILL)
        assert len(acknowledged) == ENVELOPES, "the other three go on and answer everything"
        await trio.to_thread.run_sync(testnet_processes.restart, directory, leader)
    await _everywhere(directory, file, acknowledged)

    async with connect(directory) as client:
        core = Participant(directory, "core", client, genesis_of(directory)[1])
        height = (await client.status()).committed
        async with trio.open_nursery() as nursery:

            async def more() -> None:
                acknowledged.extend(await _stream(core, client, "b"))

            nursery.start_soon(more)
            await _committed_beyond(client, height + 3)
            for node in file.nodes:
                testnet_processes.kill(directory, node.name, signal.SIGKILL)
            await trio.to_thread.run_sync(testnet_processes.start_all, directory)
    assert len(acknowledged) > ENVELOPES
    await _everywhere(directory, file, acknowledged)


async def test_a_full_disk_stops_one_node_and_the_others_go_on(
    network: tuple[Path, NetworkFile],
) -> None:
    """The disk of one validator may not grow any more: it halts with its own exit code, the others
    answer everything, and with room again it restarts and catches up."""
    directory, file = network
    victim = file.nodes[1].name
    pid = testnet_processes.find(directory / victim)
    assert pid is not None
    size = (directory / victim / "data" / "data.mdb").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
    async with connect(directory) as client:
        core = await _core(directory, client)
        receipts = await _stream(core, client, "full")
        assert len(receipts) == ENVELOPES
        with trio.fail_after(30):
            while testnet_processes.find(directory / victim) is not None:  # noqa: ASYNC110
                await trio.sleep(0.05)
    last = json.loads((directory / victim / "node.log").read_text().strip().splitlines()[-1])
    assert (last["event"], last["code"]) == ("store failed", "STORE_FULL")
    await trio.to_thread.run_sync(testnet_processes.restart, directory, victim)
    await _everywhere(directory, file, receipts)


async def _committed_beyond(client: Client, height: int) -> None:
    with trio.fail_after(30):
        while True:
            try:
                if (await client.status()).committed > height:
                    return
            except TallynetError:
                pass  # the node that was asked may just be the one that goes
            await trio.sleep(0.01)
