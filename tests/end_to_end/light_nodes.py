"""A network of four banks, an enterprise on it, and its light node as a process."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node.light.config import load_light
from tools import testnet_processes
from tools.cli import main
from tools.output import Exit
from tools.ports import free_ports
from tools.testnet_files import Plan, init

ROOT = Path(__file__).resolve().parent.parent.parent
INVOICE = ROOT / "tests" / "data" / "invoices" / "einvoice-tea.xml"
LINE = "issue:bank-1:tours"
SECONDS_MAX = 60.0


@contextmanager
def private_network(directory: Path) -> Iterator[Path]:
    """Four banks whose nodes show each organisation what concerns it."""
    now = int(time.time())
    day = (now + 8 * 3600) // 86_400
    plan = Plan(directory, 4, ("127.0.0.1",), free_ports(4), "light", now * 1000, day, 86_400, 4)
    for node in init(plan).nodes:
        path = directory / node.name / "node.toml"
        path.write_text(path.read_text().replace('answers = "everybody"\n', ""))
    testnet_processes.start_all(directory)
    try:
        yield directory
    finally:
        testnet_processes.stop_all(directory)


def tally(network: Path, *words: str) -> None:
    assert main([*words, "--network", str(network)]) == Exit.OK, words


def prepare(network: Path) -> None:
    """What tours needs to issue for devices: a programme, a line, an invoice over 500,000.00, an account."""
    days = ("--valid-from", "2020-01-01", "--valid-to", "2090-01-01")
    tally(network, "programme", "create", "--as", "tours", "--label", "season")
    grant = ("line", "grant", "--as", "bank-1", "--kind", "issue", "--obligor", "tours")
    tally(network, *grant, "--granted", "5000000.00", *days)
    register = ("document", "register", "--as", "devices", "--label", "inv", "--file", str(INVOICE))
    tally(network, *register, "--creditor", "devices", "--debtor", "tours")
    bind = ("account", "bind", "--as", "devices", "--label", "main", "--bank", "bank-2")
    tally(network, *bind, "--account-commitment", "account 7")
    tally(network, "account", "verify", "--as", "bank-2", "--account", "devices/main")


def maturity() -> str:
    """In sixty days."""
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + 60 * 86_400))


def issue(network: Path) -> None:
    """500,000.00 of tours for devices, claimed."""
    prepare(network)
    tally(
        network, "voucher", "issue", "--as", "tours", "--label", "v", "--payee", "devices",
        "--face", "500000.00", "--maturity", maturity(), "--documents", "devices/inv:500000.00",
        "--programme", "tours/season", "--issue-line", LINE, "--clearing-bank", "bank-1",
        "--promise", "letter 1",
    )  # fmt: skip
    tally(network, "voucher", "claim", "--as", "devices", "--voucher", "tours/v")


@contextmanager
def running(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = (sys.executable, "-m", "tools.cli", "light", "run", str(directory))
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            assert process.wait(SECONDS_MAX) == 0, (directory / "log").read_text()


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask_over_http(
    directory: Path, path: str, token: str, body: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """GET, or PUT of a body: status and answer."""
    config = load_light(directory)
    line = http.client.HTTPConnection(config.http_host, config.http_port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    method, raw = ("GET", None) if body is None else ("PUT", json.dumps(body))
    line.request(method, path, raw, headers)
    response = line.getresponse()
    answer = json.loads(response.read())
    line.close()
    return response.status, answer
