"""What the doctor says of a node's files and machine while nothing runs."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from net import NodeIdentity
from net.connection import wrap
from node.machine import prepare_store
from node.store import Store, open_store
from tallynet.codec import encode
from tallynet.frames import frame
from tallynet.genesis import genesis_hash
from tallynet.keyfile import load_key_file
from tallynet.messages import Goodbye, PeerRole
from tools.cli import main
from tools.doctor.findings import Finding, Verdict
from tools.doctor.machine import newest_block, open_files
from tools.doctor.network import Shown, probe
from tools.doctor.report import examine
from tools.ports import free_ports
from tools.testnet_files import Plan, init, load_genesis


@pytest.fixture
def network(tmp_path: Path) -> Path:
    plan = Plan(
        tmp_path / "network", 4, ("127.0.0.1",), free_ports(5), "ward", 1_700_000_000_000,
        19_700, 86_400, 4, observers=1,
    )  # fmt: skip
    init(plan)
    return plan.directory


@pytest.fixture
def node(network: Path) -> Path:
    return network / "bank-1"


def of(findings: list[Finding], check: str) -> Finding:
    found = [finding for finding in findings if finding.check == check]
    assert len(found) == 1, findings
    return found[0]


def opened(node: Path, data: str = "data") -> Store:
    """The store of a node, as the node itself opens it."""
    genesis = load_genesis(node / "genesis.json")
    key = load_key_file(node / "node.key").public_key().public_bytes_raw()
    hash = genesis_hash(genesis)
    place = {"genesis": hash, "node_key": key, "key_mark": node / "node.mark"}
    store = open_store(node / data, **place)  # type: ignore[arg-type]
    prepare_store(store, genesis, hash)
    return store


def vote(node: Path, data: str = "data") -> None:
    """A start in which the key votes: the mark is raised."""
    store = opened(node, data)
    batch = store.batch()
    batch.journal(b"slot", b"vote")
    store.commit(batch)
    store.close()


def test_a_new_node_has_no_fault(node: Path) -> None:
    findings = examine(node)
    assert [f for f in findings if f.verdict is Verdict.FAULT] == []
    assert "in the validator set" in of(findings, "key").message
    assert "does not run" in of(findings, "port").message


def test_a_node_that_voted_is_read_and_its_mark_compared(node: Path) -> None:
    vote(node)
    findings = examine(node)
    assert "readable, height 0" in of(findings, "database").message
    assert "fits the database" in of(findings, "key mark").message


def test_an_open_database_is_read_without_disturbing_it(node: Path) -> None:
    store = opened(node)
    assert of(examine(node), "database").verdict is Verdict.OK
    store.commit(store.batch())
    store.close()


def test_an_older_copy_of_the_database_is_a_fault(node: Path) -> None:
    vote(node)
    shutil.copytree(node / "data", node / "old")
    vote(node)
    vote(node)
    shutil.rmtree(node / "data")
    (node / "old").rename(node / "data")
    found = of(examine(node), "key mark")
    assert found.verdict is Verdict.FAULT
    assert "older copy" in found.message


def test_a_lost_database_is_a_fault(node: Path) -> None:
    vote(node)
    shutil.rmtree(node / "data")
    assert of(examine(node), "key mark").verdict is Verdict.FAULT


def test_a_lost_mark_is_a_warning(node: Path) -> None:
    vote(node)
    (node / "node.mark").unlink()
    assert of(examine(node), "key mark").verdict is Verdict.WARNING


def test_a_damaged_database_is_a_fault(node: Path) -> None:
    vote(node)
    data = node / "data" / "data.mdb"
    content = bytearray(data.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    data.write_bytes(content)
    found = of(examine(node), "database")
    assert found.verdict is Verdict.FAULT
    assert found.message.startswith("STORE_")


def test_a_key_that_others_can_read_is_a_fault(node: Path) -> None:
    (node / "node.key").chmod(0o644)
    found = of(examine(node), "key")
    assert found.verdict is Verdict.FAULT
    assert "chmod 600" in found.message


def test_the_key_of_another_node_is_a_fault(node: Path, network: Path) -> None:
    vote(node)
    (node / "node.key").unlink()
    shutil.copy(network / "observer-1" / "node.key", node / "node.key")
    assert of(examine(node), "key").verdict is Verdict.FAULT


def test_an_observer_with_a_validators_key_is_a_fault(node: Path, network: Path) -> None:
    observer = network / "observer-1"
    (observer / "node.key").unlink()
    shutil.copy(node / "node.key", observer / "node.key")
    assert of(examine(observer), "key").verdict is Verdict.FAULT


def test_the_genesis_of_another_network_is_a_fault(node: Path) -> None:
    vote(node)
    path = node / "genesis.json"
    path.write_text(path.read_text().replace('"ward"', '"other"'))
    assert of(examine(node), "genesis").verdict is Verdict.FAULT


def test_a_validator_without_an_address_of_another_is_a_fault(node: Path) -> None:
    config = node / "node.toml"
    config.write_text(config.read_text().rpartition("[[peers]]")[0])
    assert of(examine(node), "peers listed").verdict is Verdict.FAULT


def test_a_spoiled_configuration_is_all_that_is_said(node: Path) -> None:
    (node / "node.toml").write_text("name = 1\n")
    assert {finding.check for finding in examine(node)} == {"config"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('host = "127.0.0.1"', f'host = "{"a" * 70}.example"'),
        ('public_key = "', f'public_key = "{bytes(32).hex()}" # '),
    ],
    ids=["no name of a host", "a weak key"],
)
def test_a_peer_that_cannot_be_dialled_is_a_warning(node: Path, old: str, new: str) -> None:
    config = node / "node.toml"
    config.write_text(config.read_text().replace(old, new, 1))
    found = [f for f in examine(node) if f.check.startswith("peer ")]
    assert len(found) == 3
    assert {f.verdict for f in found} == {Verdict.WARNING}


def test_what_a_stranger_says_steers_no_terminal() -> None:
    """Its words come before anything proves who it is."""
    said = "\x1b]0;owned\x07\x9b2J\n"

    async def ask() -> Shown:
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        identity = NodeIdentity(
            genesis=bytes(32), key=key, validators=(public,), role=PeerRole.VALIDATOR
        )

        async def answer(transport: trio.SocketStream) -> None:
            stream = wrap(transport, identity.server_context, server_side=True)
            await stream.do_handshake()
            await stream.send_all(frame(encode(Goodbye("BUSY", said))))
            with suppress(trio.BrokenResourceError):
                await stream.receive_some(1)

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            shown = await probe("127.0.0.1", port, public, bytes(32))
            nursery.cancel_scope.cancel()
        return shown

    trouble = trio.run(ask).trouble
    assert "owned" in trouble
    assert trouble.isprintable()


def test_a_clock_that_is_slow_is_a_fault() -> None:
    now_ms = int(time.time() * 1000)
    assert newest_block([now_ms - 60_000, now_ms + 60_000]).verdict is Verdict.FAULT
    assert newest_block([now_ms - 60_000]).verdict is Verdict.OK
    assert newest_block([]).verdict is Verdict.OK


def test_too_few_open_files_are_a_warning() -> None:
    assert open_files(256, "a shell's").verdict is Verdict.WARNING
    assert open_files(65_536, "a service's").verdict is Verdict.OK


def test_the_command_leaves_with_1_when_there_is_a_fault(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["doctor", "--network", str(network), "--output", "json"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["faults"] == 0
    assert set(report["nodes"]) == {"bank-1", "bank-2", "bank-3", "bank-4", "observer-1"}
    (network / "bank-2" / "genesis.json").unlink()
    assert main(words) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["faults"] == 1


def test_every_fault_says_what_to_do(network: Path) -> None:
    (network / "bank-2" / "node.key").chmod(0o604)
    for finding in examine(network / "bank-2"):
        assert (finding.remedy == "") is (finding.verdict is Verdict.OK)
