"""A node that cannot run says why on its last log line, with a stable code, and exits 5 (6: disk)."""

from __future__ import annotations

import json
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.ports import free_ports
from tools.testnet_files import Plan, init
from tools.testnet_processes import ROOT

NODE = "bank-1"


def make(directory: Path, name: str = "refusals") -> Path:
    now = int(time.time())
    init(Plan(directory, 4, ("127.0.0.1",), free_ports(4), name, now * 1000, 20_000, 86_400, 4))
    return directory / NODE


@pytest.fixture
def node(tmp_path: Path) -> Path:
    return make(tmp_path / "network")


def run(node: Path, *, seconds: float = 20, file_bytes_max: int = 0) -> tuple[int, dict[str, str]]:
    """Exit code and last log line of a node that is expected to end by itself."""

    def limit() -> None:
        if file_bytes_max:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

    done = subprocess.run(
        [sys.executable, "-m", "node.run", str(node)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
        preexec_fn=limit,
    )
    return done.returncode, json.loads(done.stdout.strip().splitlines()[-1])


def started_once(node: Path) -> None:
    """Let the node make its data directory."""
    with subprocess.Popen(
        [sys.executable, "-m", "node.run", str(node)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is None:
            raise AssertionError
        for line in process.stdout:
            if "node listening" in line:
                process.terminate()
        assert process.wait() == 0


def test_an_unknown_key_in_the_configuration(node: Path) -> None:
    text = (node / "node.toml").read_text()
    (node / "node.toml").write_text("colour = 'blue'\n" + text)
    code, last = run(node)
    assert (code, last["code"]) == (5, "CONFIG_INVALID")
    assert "colour" in last["message"]


def test_a_port_already_in_use(node: Path) -> None:
    port = next(
        int(line.split("=")[1])
        for line in (node / "node.toml").read_text().splitlines()
        if line.startswith("listen_port")
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        code, last = run(node)
    assert (code, last["code"]) == (5, "PORT_IN_USE")
    assert str(port) in last["message"]


def test_web_pages_for_other_machines(node: Path) -> None:
    text = (node / "node.toml").read_text()
    (node / "node.toml").write_text(re.sub('listen = ".*"', 'listen = "0.0.0.0:7132"', text))
    code, last = run(node)
    assert (code, last["code"]) == (5, "WEB_NOT_LOOPBACK")
    assert "[web] listen" in last["message"]


def test_web_pages_on_a_port_already_in_use(node: Path) -> None:
    (port,) = re.findall('listen = "127.0.0.1:(.*)"', (node / "node.toml").read_text())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(port)))
        taken.listen()
        code, last = run(node)
    assert (code, last["code"]) == (5, "PORT_IN_USE")
    assert "[web] listen" in last["message"]


def test_a_data_directory_of_another_key(node: Path) -> None:
    started_once(node)
    other = node.parent / "bank-2"
    shutil.copytree(node / "data", other / "data")
    code, last = run(other)
    assert (code, last["code"]) == (5, "STORE_OTHER_KEY")


def test_a_data_directory_of_another_network(node: Path, tmp_path: Path) -> None:
    started_once(node)
    foreign = make(tmp_path / "other", "another")
    shutil.copytree(node / "data", foreign / "data")
    code, last = run(foreign)
    assert (code, last["code"]) == (5, "STORE_OTHER_NETWORK")


def test_a_key_file_that_others_can_read(node: Path) -> None:
    (node / "node.key").chmod(0o644)
    code, last = run(node)
    assert code == 5
    assert last["code"].startswith("KEY_FILE")
    assert "chmod" in last["message"]


def test_a_missing_genesis(node: Path) -> None:
    (node / "genesis.json").unlink()
    code, last = run(node)
    assert (code, last["code"]) == (5, "GENESIS_MISSING")


def test_a_key_that_is_no_validator(node: Path, tmp_path: Path) -> None:
    foreign = make(tmp_path / "other", "another")
    shutil.copy(foreign / "node.key", node / "node.key")
    code, last = run(node)
    assert (code, last["code"]) == (5, "KEY_NOT_VALIDATOR")


def test_a_full_disk_stops_the_node_cleanly(node: Path) -> None:
    """No file may grow beyond 32 KiB: the genesis state does not fit."""
    code, last = run(node, file_bytes_max=32 * 1024)
    assert code in (5, 6)
    assert last["code"].startswith("STORE_")
    assert last["level"] == "critical"
