"""The command line as a light client of running nodes that show each organisation what concerns it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import testnet_processes
from tools.cli import main
from tools.connect import TRUST_DIRECTORY
from tools.output import Exit
from tools.ports import free_ports
from tools.testnet_files import NetworkFile, Plan, init

CONFIG = "node.toml"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[Path, NetworkFile]]:
    """Four banks; their nodes answer parties only, as they do unless told otherwise."""
    directory = tmp_path / "network"
    now = int(time.time())
    day = (now + 8 * 3600) // 86_400
    plan = Plan(directory, 4, ("127.0.0.1",), free_ports(4), "light", now * 1000, day, 86_400, 4)
    file = init(plan)
    for node in file.nodes:
        path = directory / node.name / CONFIG
        open_door = 'answers = "everybody"\n'
        assert open_door in path.read_text()
        path.write_text(path.read_text().replace(open_door, ""))
    testnet_processes.start_all(directory)
    try:
        yield directory, file
    finally:
        testnet_processes.stop_all(directory)


def test_a_party_follows_its_log_compares_heads_and_survives_a_dead_node(
    network: tuple[Path, NetworkFile], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, file = network

    def run(*words: str) -> tuple[int, str]:
        code = main([*words, "--network", str(directory)])
        return code, capsys.readouterr().out

    def events(*words: str) -> list[dict[str, object]]:
        code, text = run("events", "--output", "json", *words)
        assert code == Exit.OK, text
        return [json.loads(line) for line in text.splitlines()]

    register = ("organisation", "register", "--size", "large", "--kind")
    assert run(*register, "core", "--as", "bank-1", "--name", "tours")[0] == Exit.OK
    assert run(*register, "supplier", "--as", "bank-2", "--name", "devices")[0] == Exit.OK
    first = events("--as", "tours", "--cursor", "books")
    assert [event["type"] for event in first].count("organisation.register") == 2

    grant = ("line", "grant", "--as", "bank-2", "--kind", "debtor-exposure", "--obligor", "tours")
    days = ("--valid-from", "2020-01-01", "--valid-to", "2090-01-01")
    assert run(*grant, "--granted", "100.00", *days)[0] == Exit.OK
    line = "debtor-exposure:bank-2:tours"
    assert run("show", "line", line, "--as", "tours")[0] == Exit.OK
    assert run("show", "line", line, "--as", "devices")[0] != Exit.OK
    assert run("show", "line", line)[0] != Exit.OK
    assert run("show", "organisation", "devices")[0] == Exit.OK, "everybody may see who is there"

    testnet_processes.kill(directory, file.nodes[0].name, signal.SIGKILL)
    code, text = run("heads", "--output", "json")
    heads = json.loads(text)
    assert code == Exit.OK and (heads["organisations"], heads["needed"]) == (3, 2)
    assert heads["newest"] >= 3
    (grant_event,) = events("--as", "tours", "--cursor", "books")
    assert grant_event["type"] == "line.grant"
    assert events("--as", "tours", "--cursor", "books") == []
    (hidden,) = events("--as", "devices", "--from", str(heads["newest"]))
    assert hidden["hidden"] is True, "it is there, and not theirs to see"

    kept = directory / TRUST_DIRECTORY / "trust"
    kept.write_bytes(kept.read_bytes() + b"x")
    assert run("status")[0] == Exit.ENVIRONMENT
