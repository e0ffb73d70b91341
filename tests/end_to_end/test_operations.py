"""What an operator does with a network of real processes: watch it, examine it, change its settings, pack a bundle."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.web.metrics import METRICS
from tools import testnet_processes
from tools.cli import main
from tools.demo import free_ports
from tools.testnet_files import Plan, init, load_network

WAIT_SECONDS = 60


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


def test_a_node_without_a_quorum_is_alive_and_not_ready(network: Path) -> None:
    until_ready(network, "bank-1", True)
    testnet_processes.stop(network, ["bank-3", "bank-4"])
    try:
        found = until_ready(network, "bank-1", False)
        assert [reason["code"] for reason in found["reasons"]] == ["NO_QUORUM"]
        assert get(network, "bank-1", "/livez") == (200, "alive\n")
    finally:
        testnet_processes.start_all(network)
    until_ready(network, "bank-1", True)


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
