"""A validator that was down for long comes back with a fetched state, on real processes with real disks: it
keeps its port, votes again, and its files agree with everybody's (design §7, protocol §5.7)."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tallynet import commands as c
from tallynet.client import Client, Receipt, RequestFailed
from tallynet.errors import TallynetError
from tools import testnet_processes
from tools.audit import audit_node
from tools.audit_nodes import run_audit
from tools.connect import connect, genesis_of
from tools.participant import Participant
from tools.ports import free_ports
from tools.testnet_files import NetworkFile, Plan, init

FAR = 16
"""Blocks missing from which on the state is fetched."""
MISSED = 60
EPOCH = 40


class Gate:
    """Between a validator and the others it dials. While it is closed it hears where they are, because they
    dial it, but cannot ask them for anything; so what it will ask for is certain."""

    def __init__(self) -> None:
        self.open = False

    async def serve(
        self, target: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Forward connections to this port of the loopback; started with the port of its own."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listener.socket.getsockname()[1])

        async def forward(ours: trio.SocketStream) -> None:
            if not self.open:
                return
            try:
                theirs = await trio.open_tcp_stream("127.0.0.1", target)
            except OSError:
                return  # that node is down
            async with ours, theirs, trio.open_nursery() as both:
                both.start_soon(_pump, ours, theirs)
                both.start_soon(_pump, theirs, ours)

        await trio.serve_listeners(forward, [listener])


async def _pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[Path, NetworkFile]]:
    directory = tmp_path / "network"
    now = int(time.time())
    plan = Plan(
        directory, 4, ("127.0.0.1",), free_ports(4), "sync", now * 1000,
        (now + 8 * 3600) // 86_400, 86_400, 4, epoch_length=EPOCH,
    )  # fmt: skip
    file = init(plan)
    for node in file.nodes:
        config = directory / node.name / "node.toml"
        config.write_text(f"state_sync_blocks = {FAR}\n" + config.read_text())
    testnet_processes.start_all(directory)
    try:
        yield directory, file
    finally:
        testnet_processes.stop_all(directory)


async def blocks(bank: Participant, client: Client, count: int, tag: str) -> list[Receipt]:
    """So many blocks, one envelope each."""
    receipts = []
    for i in range(count):
        bind = c.AccountBind(b"%s-%d" % (tag.encode(), i), bank.wallet.id, bytes(31) + b"x", "CNY")
        receipts.append(await client.submit(bank.envelope([bind])))
    return receipts


def logged(directory: Path, event: str) -> list[dict[str, object]]:
    lines = (directory / "node.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == event]


async def caught_up(directory: Path, name: str, height: int) -> None:
    with trio.fail_after(60):
        while True:
            try:
                async with connect(directory, only=name) as client:
                    if (await client.status()).committed >= height:
                        return
            except TallynetError:
                pass  # it says goodbye to clients when its state has changed
            await trio.sleep(0.05)


async def wants_a_state(directory: Path, name: str) -> None:
    with trio.fail_after(60):
        async with connect(directory, only=name) as client:
            while "certified state" not in (await client.status()).waiting:  # noqa: ASYNC110
                await trio.sleep(0.02)


async def test_a_validator_that_was_down_comes_back_with_a_fetched_state(
    network: tuple[Path, NetworkFile], nursery: trio.Nursery
) -> None:
    directory, file = network
    victim, other = file.nodes[3].name, file.nodes[2].name
    others = [node.name for node in file.nodes if node.name != victim]
    gate = Gate()
    config = directory / victim / "node.toml"
    for node in file.nodes[:3]:
        port = await nursery.start(gate.serve, node.port)
        config.write_text(config.read_text().replace(f"port = {node.port}", f"port = {port}"))
    async with connect(directory, only=others[0]) as client:
        bank = Participant(directory, "bank-1", client, genesis_of(directory)[1])
        await blocks(bank, client, 3, "before")
        testnet_processes.kill(directory, victim, signal.SIGKILL)
        missed = await blocks(bank, client, MISSED, "missed")
        newest = (await client.status()).committed
        process = await trio.to_thread.run_sync(testnet_processes.restart, directory, victim)
        await wants_a_state(directory, victim)
        gate.open = True
        await caught_up(directory, victim, newest)
        (adopted,) = logged(directory / victim, "state_adopted")
        skipped = next(r for r in missed if r.height == int(str(adopted["height"])) - 1)
        assert process.poll() is None, "the process is the same, and so is its port"
        assert int(str(adopted["height"])) // EPOCH > 0, "an epoch that it did not see begin"

        testnet_processes.kill(directory, other, signal.SIGKILL)
        await blocks(bank, client, 5, "after")
        newest = (await client.status()).committed
        await caught_up(directory, victim, newest)
    async with connect(directory, only=victim) as client:
        with pytest.raises(RequestFailed, match="HISTORY_GONE"):
            await client.outcome(skipped.transaction)
    async with connect(directory) as client:
        found = await client.outcome(skipped.transaction)
        assert isinstance(found, Receipt) and found.receipt == skipped.receipt

    testnet_processes.stop_all(directory)
    assert run_audit([directory]) == 0
    report = audit_node(directory / victim)
    assert not report.executed and report.first_block > MISSED
    process = await trio.to_thread.run_sync(testnet_processes.restart, directory, victim)
    assert logged(directory / victim, "database scanned"), "and it starts from what it has"
