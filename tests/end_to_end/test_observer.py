"""Observers as real processes with TLS, TCP and disks: they follow, fall behind, die, catch up and serve, and
what happens to them does not reach the validators (design §2)."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import trio

from net import ClientHandler, Listener, NodeIdentity, PeerInbox
from tallynet import commands as c
from tallynet.blocks import Certificate, Commit
from tallynet.client import Client
from tallynet.codec import decode, encode
from tallynet.errors import TallynetError
from tallynet.genesis import genesis_hash
from tallynet.hashing import signed_bytes
from tallynet.keyfile import load_key_file
from tallynet.messages import (
    Blocks,
    CertifiedBlock,
    FetchBlocks,
    Newest,
    NodeState,
    NodeStatus,
    ObserverRequest,
)
from tallynet.records import NETWORK_ID, Kind, Network
from tallynet.signatures import KIND_COMMIT
from tools import testnet_processes
from tools.audit import stopped_store
from tools.audit_nodes import run_audit
from tools.cli import main
from tools.connect import connect, genesis_of
from tools.participant import Participant
from tools.ports import free_ports
from tools.testnet_files import Plan, init, load_network

EPOCH = 40
FAR = 16
"""Blocks missing from which on the second observer fetches the state."""
WAIT_SECONDS = 60
BANKS = ("bank-1", "bank-2", "bank-3", "bank-4")
FIRST, SECOND = "observer-1", "observer-2"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Four validators and one observer run; the second observer has not been started."""
    directory = tmp_path / "network"
    now = int(time.time())
    plan = Plan(
        directory, 4, ("127.0.0.1",), free_ports(6), "observers", now * 1000,
        (now + 8 * 3600) // 86_400, 86_400, 4, epoch_length=EPOCH, observers=2,
    )  # fmt: skip
    init(plan)
    config = directory / SECOND / "node.toml"
    config.write_text(f"state_sync_blocks = {FAR}\n" + config.read_text())
    try:
        started = {
            name: testnet_processes.start(directory, name) for name in (*BANKS, FIRST)
        }  # together, or the first ones complain of the leader
        for name, process in started.items():
            testnet_processes.wait_until_listening(directory / name, process, 0)
        yield directory
    finally:
        testnet_processes.stop_all(directory)


async def status_of(directory: Path, name: str) -> NodeStatus:
    async with connect(directory, only=name) as client:
        return await client.status()


async def caught_up(directory: Path, name: str, height: int) -> NodeStatus:
    with trio.fail_after(WAIT_SECONDS):
        while True:
            try:
                status = await status_of(directory, name)
                if status.committed >= height:
                    return status
            except TallynetError:
                pass  # it does not listen yet, or has just changed its state or its role
            await trio.sleep(0.1)


async def blocks(client: Client, bank: Participant, count: int, tag: str) -> int:
    """So many blocks of one envelope each, of which the law refuses some: receipts all the same. Returns the
    height of the last one."""
    height = 0
    for i in range(count):
        label = f"{tag}-{i}".encode()
        command = c.AccountBind(label, bank.wallet.id, sha256(label).digest(), "CNY")
        height = (await client.submit(bank.envelope([command]))).height
    return height


async def work(
    directory: Path, count: int, tag: str, only: str | None = None, by: str = "bank-1"
) -> int:
    async with connect(directory, only=only) as client:
        bank = Participant(directory, by, client, genesis_of(directory)[1])
        return await blocks(client, bank, count, tag)


async def restart(directory: Path, name: str) -> None:
    await trio.to_thread.run_sync(testnet_processes.restart, directory, name)


def logged(directory: Path, name: str) -> list[str]:
    lines = (directory / name / "node.log").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines if line.startswith("{")]


def follow_only(directory: Path, name: str, other: str) -> None:
    """This observer lists one other node, and does not say in its file that it is one."""
    config = directory / name / "node.toml"
    head, _, _ = config.read_text().replace('role = "observer"\n', "").partition("[[peers]]")
    node = next(node for node in load_network(directory).nodes if node.name == other)
    config.write_text(
        f'{head}[[peers]]\npublic_key = "{node.public_key}"\n'
        f'host = "{node.host}"\nport = {node.port}\n'
    )


async def answer_to_hangup(directory: Path, name: str, told: int) -> str:
    """The first event about the configuration after so many lines of the log."""
    with trio.fail_after(WAIT_SECONDS):
        while True:
            for event in logged(directory, name)[told:]:
                if event.startswith("configuration"):
                    return event
            await trio.sleep(0.05)


async def test_whom_it_follows_cannot_be_reloaded_away(directory: Path) -> None:
    config = directory / FIRST / "node.toml"
    head, _, peers = config.read_text().partition("[[peers]]")
    for text, answer in (
        (f"peers = []\n{head}", "configuration not reloaded"),
        (f"{head}[[peers]]{peers}", "configuration reloaded"),
    ):
        config.write_text(text)
        told = len(logged(directory, FIRST))
        testnet_processes.kill(directory, FIRST, signal.SIGHUP)
        assert await answer_to_hangup(directory, FIRST, told) == answer
    assert '"code": "NOTHING_TO_FOLLOW"' in (directory / FIRST / "node.log").read_text()


async def test_it_follows_serves_dies_and_catches_up(directory: Path) -> None:
    await caught_up(directory, FIRST, await work(directory, 3, "before"))
    async with connect(directory, only=FIRST) as client:
        shown = await client.status()
        assert (shown.state, shown.behind) == (NodeState.OBSERVER, 0)
        record = await client.read(Kind.NETWORK, NETWORK_ID)
        assert isinstance(record, Network), "with a proof that the client has checked"
        bank = Participant(directory, "bank-1", client, genesis_of(directory)[1])
        own = await blocks(client, bank, 2, "through the observer")
    assert (await status_of(directory, "bank-2")).observers == 1

    testnet_processes.kill(directory, FIRST, signal.SIGKILL)
    newest = await work(directory, 10, "while it is dead")
    assert newest > own
    await restart(directory, FIRST)
    assert (await caught_up(directory, FIRST, newest)).state is NodeState.OBSERVER

    follow_only(directory, SECOND, FIRST)
    process = testnet_processes.start(directory, SECOND, arguments=("--role", "observer"))
    await caught_up(directory, SECOND, newest)
    await caught_up(directory, SECOND, await work(directory, 2, "down the tree"))
    deepest = await work(directory, 2, "up the tree", only=SECOND)
    assert (await caught_up(directory, FIRST, deepest)).observers == 1
    assert (await status_of(directory, SECOND)).peers == 1
    assert process.poll() is None
    testnet_processes.stop_all(directory)
    assert run_audit([directory]) == 0


def trouble(directory: Path, name: str) -> int:
    """How often this validator found a leader wanting."""
    events = logged(directory, name)
    return events.count("complained") + events.count("view_change")


async def test_one_that_starts_late_disturbs_nobody_under_load(directory: Path) -> None:
    """It is far enough behind for a fetched state, and the network commits meanwhile."""
    for bank in BANKS[:2]:
        await work(directory, EPOCH, "early", by=bank)
    before = [await status_of(directory, name) for name in BANKS]
    troubles = [trouble(directory, name) for name in BANKS]
    results: list[int] = []

    async def load(bank: str) -> None:
        results.append(await work(directory, 60, "load", by=bank))

    async with trio.open_nursery() as nursery:
        for bank in BANKS[2:]:
            nursery.start_soon(load, bank)
        await restart(directory, SECOND)
        await caught_up(directory, SECOND, before[0].committed)
    newest = max(results)
    for name in (FIRST, SECOND):
        await caught_up(directory, name, newest)
    for name, status in zip(BANKS, before, strict=True):
        assert (await caught_up(directory, name, newest)).view == status.view == 0
    assert [trouble(directory, name) for name in BANKS] == troubles, "no validator complained"
    roots = {(await status_of(directory, name)).state_root for name in (*BANKS, FIRST, SECOND)}
    assert len(roots) == 1
    testnet_processes.stop_all(directory)
    assert run_audit([directory]) == 0


def tally(directory: Path, *words: str) -> None:
    assert main([*words, "--network", str(directory)]) == 0


def test_roles_change_with_the_validator_set(directory: Path, tmp_path: Path) -> None:
    """Bank 4's node is down while its bank gets a new key: the new node observes until it votes, the old one
    comes back to find itself removed, and observes from then on."""
    trio.run(work, directory, 2, "before")
    testnet_processes.stop(directory, ["bank-4"])
    tally(directory, "testnet", "join", "fresh", "--port", str(free_ports(1)))
    testnet_processes.restart(directory, "fresh")
    observing = trio.run(caught_up, directory, "fresh", 1)
    assert observing.state is NodeState.OBSERVER
    ready = str(tmp_path / "fresh.ready")
    tally(directory, "node", "ready", str(directory / "fresh"), ready, "--organisation", "bank-4")
    for bank in BANKS[:3]:
        tally(directory, "validator", "add", "--as", bank, "--ready", ready)
    trio.run(becomes, directory, "fresh", NodeState.NORMAL)
    assert "state_adopted" not in logged(directory, "fresh")

    testnet_processes.restart(directory, "bank-4")
    trio.run(becomes, directory, "bank-4", NodeState.OBSERVER)
    testnet_processes.kill(directory, "bank-3", signal.SIGKILL)  # the new key's vote is needed
    newest = trio.run(work, directory, 3, "after", "bank-1")
    for name in (FIRST, "bank-4", "fresh"):
        trio.run(caught_up, directory, name, newest)
    testnet_processes.stop(directory, ["bank-4"])
    testnet_processes.restart(directory, "bank-4")
    trio.run(becomes, directory, "bank-4", NodeState.OBSERVER)
    testnet_processes.stop_all(directory)
    assert run_audit([directory / name for name in (*BANKS, FIRST, "fresh")]) == 0


async def becomes(directory: Path, name: str, state: NodeState) -> None:
    with trio.fail_after(WAIT_SECONDS):
        while True:
            try:
                if (await status_of(directory, name)).state is state:
                    return
            except TallynetError:
                pass  # its role is just changing
            await trio.sleep(0.1)


async def test_a_block_with_a_wrong_root_is_refused_and_kept(
    directory: Path, nursery: trio.Nursery
) -> None:
    """The one node that the observer follows hands out a block under a certificate, signed by a quorum, for a
    state that it does not lead to."""
    seen = await caught_up(directory, FIRST, await work(directory, 2, "before"))
    testnet_processes.stop(directory, [FIRST])
    await work(directory, 1, "next")
    testnet_processes.stop_all(directory)
    forged = forge(directory, seen.committed + 1)

    key = load_key_file(directory / "bank-1" / "node.key", None)
    liar = Listener(
        NodeIdentity(genesis=genesis_hash(genesis_of(directory)[0]), key=key, validators=()),
        "127.0.0.1",
        0,
        peers=PeerInbox(lambda _source, _messages: None, lambda: False, trio.lowlevel.checkpoint),
        clients=ClientHandler(lambda _session, _requests: None, lambda _session: None),
        observers=ClientHandler(
            lambda session, requests: [session.send(m) for r in requests for m in lie(r, forged)],
            lambda _session: None,
            ObserverRequest,
        ),
        committed_height=lambda: seen.committed + 1,
    )
    port = await nursery.start(liar.run)
    config = directory / FIRST / "node.toml"
    head, _, _ = config.read_text().partition("[[peers]]")
    public = key.public_key().public_bytes_raw().hex()
    config.write_text(
        f'{head}[[peers]]\npublic_key = "{public}"\nhost = "127.0.0.1"\nport = {port}\n'
    )
    await restart(directory, FIRST)
    await becomes(directory, FIRST, NodeState.DIVERGED)
    shown = await status_of(directory, FIRST)
    assert (shown.committed, shown.state_root) == (seen.committed, seen.state_root)
    assert "diverged" in logged(directory, FIRST)
    testnet_processes.kill(directory, FIRST, signal.SIGKILL)
    await restart(directory, FIRST)
    assert (await status_of(directory, FIRST)).state is NodeState.DIVERGED, "it is kept"


def lie(request: object, forged: CertifiedBlock) -> list[bytes]:
    """What the liar answers."""
    if isinstance(request, FetchBlocks):
        return [encode(Blocks((forged,)))]
    if isinstance(request, Newest):
        return [encode(Newest(request.height + 1))]
    return []


def forge(directory: Path, height: int) -> CertifiedBlock:
    """The committed block of this height, certified by three stolen keys for another state."""
    for bank in BANKS:  # the slowest had not committed it yet
        with stopped_store(directory / bank / "data") as stored:
            row = stored.block(height)
            bodies = None if row is None else stored.envelopes(height, row.block)
        if row is not None:
            break
    assert row is not None and bodies is not None
    genesis = genesis_of(directory)[0]
    keys = {
        bytes.fromhex(node.public_key): load_key_file(directory / node.name / "node.key", None)
        for node in load_network(directory).nodes
        if not node.observer
    }
    vote = encode(
        msgspec.structs.replace(decode(Commit, row.certificate.vote), state_root=b"x" * 32)
    )
    message = signed_bytes(KIND_COMMIT, genesis_hash(genesis), vote)
    signers = genesis.validators[:3]
    signatures = tuple(keys[validator.public_key].sign(message) for validator in signers)
    certificate = Certificate(vote, (0, 1, 2), signatures)
    return CertifiedBlock(row.header, row.envelopes, certificate, tuple(bodies))


def test_a_validators_key_cannot_observe(
    directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    testnet_processes.stop(directory, ["bank-4"])
    process = testnet_processes.start(directory, "bank-4", arguments=("--role", "observer"))
    assert process.wait(30) == 5
    assert '"KEY_VALIDATES"' in (directory / "bank-4" / "node.log").read_text()
