"""Real processes: a fifth bank's node becomes a validator, one of the first four leaves and observes, work goes on, and a
client that has the genesis file alone follows (protocol §5.8, decision 0042)."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import trio

from tallynet import commands as c
from tallynet.client import Client
from tallynet.errors import TallynetError
from tallynet.messages import NodeState, NodeStatus
from tallynet.records import NETWORK_ID, Kind, Network
from tools import testnet_processes
from tools.audit_nodes import run_audit
from tools.cli import main
from tools.connect import connect, genesis_of
from tools.participant import Participant
from tools.ports import free_ports
from tools.testnet_files import Plan, init

EPOCH = 40
FIRST_QUORUM = ("bank-1", "bank-2", "bank-3")
WAIT_SECONDS = 60


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "network"
    now = int(time.time())
    plan = Plan(
        directory, 4, ("127.0.0.1",), free_ports(5), "members", now * 1000,
        (now + 8 * 3600) // 86_400, 86_400, 4, epoch_length=EPOCH,
    )  # fmt: skip
    init(plan)
    testnet_processes.start_all(directory)
    try:
        yield directory
    finally:
        testnet_processes.stop_all(directory)


def tally(directory: Path, *words: str) -> None:
    assert main([*words, "--network", str(directory)]) == 0


def until(directory: Path, name: str, holds: Callable[[NodeStatus], bool]) -> NodeStatus:
    """Ask this node until what it says of itself is so."""

    async def ask() -> NodeStatus:
        with trio.fail_after(WAIT_SECONDS):
            while True:
                try:
                    async with connect(directory, only=name) as client:
                        status = await client.status()
                        if holds(status):
                            return status
                except TallynetError:
                    pass  # it does not listen yet, or its set has just changed
                await trio.sleep(0.1)

    return trio.run(ask)


def with_client(
    directory: Path, act: Callable[[Client], Awaitable[None]], only: str | None = None
) -> None:
    async def run() -> None:
        async with connect(directory, only=only) as client:
            await act(client)

    trio.run(run)


def work(directory: Path, tag: bytes) -> None:
    """A bank binds accounts; each receipt is proven."""

    async def bind(client: Client) -> None:
        bank = Participant(directory, "bank-1", client, genesis_of(directory)[1])
        for i in range(3):
            label = b"%s-%d" % (tag, i)
            command = c.AccountBind(label, bank.wallet.id, sha256(label).digest(), "CNY")
            assert (await client.submit(bank.envelope([command]))).ok

    with_client(directory, bind)


def test_a_validator_joins_and_another_leaves(directory: Path, tmp_path: Path) -> None:
    work(directory, b"before")
    for bank in FIRST_QUORUM:
        kinds = ("--kinds", "bank") if bank == "bank-1" else ()
        tally(directory, "organisation", "admit", "--as", bank, "--name", "bank-5", *kinds)
    tally(directory, "testnet", "join", "bank-5", "--port", str(free_ports(1)))
    testnet_processes.start(directory, "bank-5")
    ready = str(tmp_path / "bank-5.ready")
    tally(directory, "node", "ready", str(directory / "bank-5"), ready, "--organisation", "bank-5")
    for bank in FIRST_QUORUM:
        tally(directory, "validator", "add", "--as", bank, "--ready", ready)
    until(directory, "bank-5", lambda status: status.state is NodeState.NORMAL)
    work(directory, b"five")

    for bank in (*FIRST_QUORUM, "bank-5"):
        tally(directory, "validator", "remove", "--as", bank, "--organisation", "bank-4")
    left = until(directory, "bank-4", lambda status: status.state is NodeState.OBSERVER)
    assert left.committed >= EPOCH
    # Of the four, three decide: with another one away, the new one's vote is needed.
    testnet_processes.kill(directory, "bank-3", signal.SIGKILL)
    work(directory, b"four")

    async def follow(client: Client) -> None:
        """It knows no more than the genesis file."""
        record = await client.read(Kind.NETWORK, NETWORK_ID)
        assert isinstance(record, Network)
        names = sorted(validator.name for validator in record.validators)
        assert names == ["bank-1", "bank-2", "bank-3", "bank-5"]
        assert client.trust.validators == tuple(v.public_key for v in record.validators)

    with_client(directory, follow, only="bank-1")
    testnet_processes.restart(directory, "bank-3")
    testnet_processes.stop(directory, ["bank-5"])
    testnet_processes.restart(directory, "bank-5")
    work(directory, b"again")
    newest = until(directory, "bank-1", lambda status: True).committed
    for bank in (*FIRST_QUORUM, "bank-4", "bank-5"):
        until(directory, bank, lambda status: status.committed >= newest)
    testnet_processes.stop_all(directory)
    assert run_audit([directory]) == 0
