"""What an operator does with a network of real processes: watch it, examine it, change its settings, pack a bundle."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.web.metrics import METRICS
from tools import testnet_processes
from tools.cli import main
from tools.ports import free_ports
from tools.testnet_files import Plan, init, load_network

WAIT_SECONDS = 60
STORY = ["received", "ordered", "answered", "committed"]
"""Of a transaction, where its client is; a block may be executed before or after it is accepted."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Four banks that have made a block."""
    directory = tmp_path_factory.mktemp("operations") / "network"
    now = int(time.time())
    plan = Plan(
        directory, 4, ("127.0.0.1",), free_ports(4), "operations", now * 1000,
        (now + 8 * 3600) // 86_400, 86_400, 4,
    )  # fmt: skip
    init(plan)
    try:
        testnet_processes.start_all(directory)
        words = ("--as", "bank-1", "--name", "harbour-tours", "--kind", "core", "--size", "large")
        assert main(["organisation", "register", "--network", str(directory), *words]) == 0
        yield directory
    finally:
        testnet_processes.stop_all(directory)


def get(network: Path, name: str, path: str) -> tuple[int, str]:
    """Status and body of a node's answer over HTTP."""
    [web] = [node.web for node in load_network(network).nodes if node.name == name]
    connection = http.client.HTTPConnection(web, timeout=WAIT_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def ready(network: Path, name: str) -> dict[str, Any]:
    status, body = get(network, name, "/readyz")
    found: dict[str, Any] = json.loads(body)
    assert (status == 200) is found["ready"]
    return found


def until_ready(network: Path, name: str, wanted: bool) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := ready(network, name))["ready"] is not wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def metrics(network: Path, name: str) -> dict[str, Any]:
    """Families by name, as Prometheus reads them."""
    status, body = get(network, name, "/metrics")
    assert status == 200
    return {family.name: family for family in text_string_to_metric_families(body)}


def value(network: Path, name: str, metric: str) -> float:
    [sample] = metrics(network, name)[metric].samples
    return float(sample.value)


def test_every_metric_is_exported_and_no_other(network: Path) -> None:
    exported = {name for name in metrics(network, "bank-1") if name.startswith("tallynet_")}
    assert exported == {name.removesuffix("_total") for name in METRICS}


def test_metrics_tell_what_happened(network: Path) -> None:
    assert value(network, "bank-2", "tallynet_consensus_height") >= 1
    assert value(network, "bank-2", "tallynet_consensus_blocks") >= 1
    assert value(network, "bank-2", "tallynet_peers_connected") == 3
    assert value(network, "bank-2", "tallynet_store_used_bytes") > 0
    assert value(network, "bank-2", "process_open_fds") > 0
    assert len(metrics(network, "bank-2")["tallynet_loop_lag_seconds"].samples) > 2


def test_metrics_compare_the_clocks(network: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    family = "tallynet_consensus_clock_skew_seconds"
    while len(found := metrics(network, "bank-1")[family].samples) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {sample.labels["peer"] for sample in found} == {"bank-2", "bank-3", "bank-4"}
    # One machine has one clock; what is left is the way here.
    assert all(-WAIT_SECONDS < sample.value <= 0.1 for sample in found)


def test_a_node_without_a_quorum_is_alive_and_not_ready(network: Path) -> None:
    until_ready(network, "bank-1", True)
    testnet_processes.stop(network, ["bank-3", "bank-4"])
    try:
        found = until_ready(network, "bank-1", False)
        assert [reason["code"] for reason in found["reasons"]] == ["NO_QUORUM"]
        assert get(network, "bank-1", "/livez") == (200, "alive\n")
    finally:
        told: list[tuple[str, str]] = []
        testnet_processes.start_all(network, report=lambda name, state: told.append((name, state)))
    until_ready(network, "bank-1", True)
    assert [state for name, state in told if name == "bank-3"] == ["starting", "listening"]
    assert [state for name, state in told if name == "bank-1"] == ["runs already"]


def test_the_doctor_examines_nodes_that_run(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    until_ready(network, "bank-1", True)
    assert main(["doctor", "--network", str(network), "--output", "json"]) == 0
    for findings in json.loads(capsys.readouterr().out)["nodes"].values():
        said = {finding["check"]: finding["message"] for finding in findings}
        assert "this node runs" in said["port"]
        assert said["peers"].startswith("3 of 3 answer; 4 of 4 validators")
        assert "readable, height" in said["database"]


def log_lines(network: Path, name: str, offset: int = 0) -> list[dict[str, Any]]:
    text = testnet_processes.log_since(network / name, offset)
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def reload(network: Path, name: str, config: str) -> dict[str, Any]:
    """Write a node's settings, send SIGHUP, and return the log line that answers it."""
    log = network / name / "node.log"
    offset = log.stat().st_size
    (network / name / "node.toml").write_text(config)
    testnet_processes.kill(network, name, signal.SIGHUP)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        for line in log_lines(network, name, offset):
            if line["event"].startswith("configuration"):
                return line
        assert time.monotonic() < deadline, "no answer to SIGHUP"
        time.sleep(0.05)


def test_settings_are_reloaded_and_the_log_then_tells_the_story_of_a_transaction(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["bank-1", "bank-2", "bank-3", "bank-4"]
    for name in names:
        config = (network / name / "node.toml").read_text()
        debug = config.replace('log_level = "info"', 'log_level = "debug"')
        assert debug != config
        assert reload(network, name, debug)["event"] == "configuration reloaded"
    words = ("--as", "bank-1", "--name", "gate-devices", "--kind", "supplier", "--size", "small")
    options = ("--network", str(network), "--output", "json")
    capsys.readouterr()
    assert main(["organisation", "register", *options, *words]) == 0
    transaction = json.loads(capsys.readouterr().out)["transaction"]
    stories = {name: until_committed(network, name, transaction) for name in names}
    for told in stories.values():
        # In order; one that was late may have got the block as a whole.
        assert told == [event for event in STORY if event in told]
    assert STORY in stories.values()


def until_committed(network: Path, name: str, transaction: str) -> list[str]:
    """What a node tells of a transaction, each event where it came first: a client in a hurry sends again."""
    deadline = time.monotonic() + WAIT_SECONDS
    while "committed" not in (told := story(network, name, transaction)):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    assert "executed" in told
    return [event for event in dict.fromkeys(told) if event != "executed"]


def story(network: Path, name: str, transaction: str) -> list[str]:
    """What `grep` finds of a transaction in a node's log."""
    lines = log_lines(network, name)
    return [line["event"] for line in lines if transaction in line.get("transactions", ())]


def test_what_cannot_change_is_named_and_nothing_is_taken_over(network: Path) -> None:
    good = (network / "bank-2" / "node.toml").read_text()
    try:
        other = good.replace('name = "bank-2"', 'name = "other"').replace("debug", "info")
        refused = reload(network, "bank-2", other)
        assert (refused["code"], refused["settings"]) == ("RESTART_NEEDED", ["name"])
        spoiled = reload(network, "bank-2", "name = 1\n")
        assert spoiled["code"] == "CONFIG_INVALID"
        assert testnet_processes.find(network / "bank-2") is not None
    finally:
        assert reload(network, "bank-2", good)["event"] == "configuration reloaded"


def test_a_supervised_node_says_that_it_is_ready_alive_and_stopping(
    network: Path, tmp_path: Path
) -> None:
    testnet_processes.stop(network, ["bank-4"])
    told = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.bind(str(tmp_path / "notify"))
        held.settimeout(WAIT_SECONDS)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        testnet_processes.start(network, "bank-4", environment=environment)
        assert held.recv(4096) == b"READY=1"
        assert ready(network, "bank-4")["height"] >= 1
        for _ in range(3):
            assert held.recv(4096).startswith(b"WATCHDOG=1\nSTATUS=height ")
        testnet_processes.stop(network, ["bank-4"])
        while told != b"STOPPING=1":
            told = held.recv(4096)
    testnet_processes.start_all(network)


def test_a_bundle_of_a_running_node_has_its_own_words(network: Path, tmp_path: Path) -> None:
    config, out = network / "bank-1" / "node.toml", tmp_path / "bundle.tar.gz"
    assert main(["debug", "bundle", "--config", str(config), "--out", str(out)]) == 0
    with tarfile.open(out) as archive:

        def read(name: str) -> str:
            member = archive.extractfile(f"bundle/bank-1/{name}")
            assert member is not None
            return member.read().decode()

        assert json.loads(read("status.json"))["committed"] >= 1
        assert json.loads(read("store.json"))["height"] >= 1
        assert "tallynet_consensus_height" in read("metrics.txt")
        assert '"node listening"' in read("node.log")
