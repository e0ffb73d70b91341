"""The light node of a supplier beside four banks whose nodes show each organisation what concerns it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from node.light.config import COPY_FILE, load_light, read_token
from tallynet.records import Kind
from tools import testnet_processes
from tools.cli import main
from tools.demo import free_ports
from tools.light_cli import LightError, ask
from tools.output import Exit
from tools.records_by_name import AddressBook
from tools.testnet_files import Plan, init
from tools.wallet import load_wallet

ROOT = Path(__file__).resolve().parent.parent.parent
INVOICE = ROOT / "tests" / "data" / "invoices" / "einvoice-tea.xml"
SECONDS_MAX = 60.0


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "network"
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


def issue(network: Path) -> None:
    """500,000.00 of tours for devices, claimed."""
    days = ("--valid-from", "2020-01-01", "--valid-to", "2090-01-01")
    line = "issue:bank-1:tours"
    tally(network, "programme", "create", "--as", "tours", "--label", "season")
    grant = ("line", "grant", "--as", "bank-1", "--kind", "issue", "--obligor", "tours")
    tally(network, *grant, "--granted", "5000000.00", *days)
    register = ("document", "register", "--as", "devices", "--label", "inv", "--file", str(INVOICE))
    tally(network, *register, "--creditor", "devices", "--debtor", "tours")
    bind = ("account", "bind", "--as", "devices", "--label", "main", "--bank", "bank-2")
    tally(network, *bind, "--account-commitment", "account 7")
    tally(network, "account", "verify", "--as", "bank-2", "--account", "devices/main")
    maturity = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 60 * 86_400))
    tally(
        network, "voucher", "issue", "--as", "tours", "--label", "v", "--payee", "devices",
        "--face", "500000.00", "--maturity", maturity, "--documents", "devices/inv:500000.00",
        "--programme", "tours/season", "--issue-line", line, "--clearing-bank", "bank-1",
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


def held(directory: Path) -> list[tuple[int, int]]:
    """Fen that the light node says its organisation holds; nothing while it does not answer."""
    try:
        found = ask(directory, "/holdings")["holdings"]
    except LightError:
        return []
    return [(lot["start"], lot["end"]) for lot in found]


def everything(directory: Path, what: str) -> list[dict[str, Any]]:
    """What it answers, but for where each was read."""
    found = ask(directory, f"/{what}")[what]
    return [
        {name: value for name, value in one.items() if name != "read_at_height"} for one in found
    ]


def get(
    directory: Path, path: str, token: str, body: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """GET, or PUT of a body."""
    config = load_light(directory)
    line = http.client.HTTPConnection(config.http_host, config.http_port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    method, raw = ("GET", None) if body is None else ("PUT", json.dumps(body))
    line.request(method, path, raw, headers)
    response = line.getresponse()
    answer = json.loads(response.read())
    line.close()
    return response.status, answer


def test_an_enterprise_sees_what_it_holds_with_and_without_the_network(
    network: Path, tmp_path: Path
) -> None:
    light = tmp_path / "light"
    register = ("organisation", "register", "--kind")
    tally(network, *register, "core", "--size", "large", "--as", "bank-1", "--name", "tours")
    tally(network, *register, "supplier", "--size", "small", "--as", "bank-2", "--name", "devices")
    tally(network, *register, "supplier", "--size", "small", "--as", "bank-3", "--name", "parts")
    port = str(free_ports(1))
    tally(network, "light", "init", str(light), "--as", "devices", "--port", port, "--commands")
    with running(light) as process:
        issue(network)
        until(lambda: held(light) == [(0, 50_000_000)])
        pieces = ("--voucher", "tours/v", "--pieces")
        transfer = ("lot", "transfer", "--as", "devices", *pieces)
        a_program_passes_on_3_000_000(network, light)
        until(lambda: held(light) == [(0, 47_000_000)])
        back = ("lot", "transfer", "--as", "parts", "--start", "47000000", *pieces)
        tally(network, *back, "devices:10000.00")
        until(lambda: held(light) == [(0, 47_000_000), (49_000_000, 50_000_000)])
        process.send_signal(signal.SIGKILL)
        process.wait(SECONDS_MAX)

    tally(network, *transfer, "parts:20000.00")
    again = ("lot", "transfer", "--as", "parts", "--start", "45000000", *pieces)
    tally(network, *again, "devices:5000.00")
    with running(light):
        until(lambda: held(light) == [(0, 45_000_000), (48_500_000, 50_000_000)])
        answers_for_the_owner_of_the_token_alone(light)
        testnet_processes.stop_all(network)
        until(lambda: ask(light, "/status")["why"] is not None)
        status = ask(light, "/status")
        assert status["connected"] == [] and status["proven_at"] is not None
        assert len(held(light)) == 2
        report_how_fast(light)
        a_command_waits_for_the_network(network, light)
        before = {what: everything(light, what) for what in ("holdings", "vouchers", "documents")}
        sent = get(light, "/commands/erp-1", read_token(light))
    (light / COPY_FILE).unlink()
    with running(light):
        until(lambda: bool(held(light)) and ask(light, "/status")["proven_at"] is not None)
        assert {what: everything(light, what) for what in before} == before, "a wiped copy"
        assert get(light, "/commands/erp-1", read_token(light)) == sent


def transfer_of(network: Path, amount: int) -> dict[str, Any]:
    pieces = [
        {"receiver": load_wallet(network, "parts").organisation, "amount": amount, "document": None}
    ]
    voucher = AddressBook(network).record(Kind.VOUCHER, "tours/v").hex()
    options = {"voucher": voucher, "start": 0, "pieces": pieces}
    return {"command": "lot.transfer", "options": options}


def a_program_passes_on_3_000_000(network: Path, light: Path) -> None:
    token, wanted = read_token(light), transfer_of(network, 3_000_000)
    status, first = get(light, "/commands/erp-1?wait=30", token, wanted)
    assert (status, first["state"], first["code"]) == (200, "DONE", "OK"), first
    assert get(light, "/commands/erp-1", token, wanted) == (200, first), (
        "once, however often it is asked for"
    )
    assert get(light, "/commands/erp-1", token) == (200, first)
    status, answer = get(light, "/commands/erp-1", token, transfer_of(network, 4_000_000))
    assert (status, answer["code"]) == (409, "COMMAND_ID_USED")
    assert answer["what_to_do"].startswith("Another command was sent under this id.")
    wrong = wanted | {"options": {"voucher": "x"}}
    assert get(light, "/commands/erp-2", token, wrong)[1]["code"] == "COMMAND_INVALID"
    assert get(light, "/commands/erp-2", token)[0] == 404
    assert get(light, "/commands/erp-2", "x", wanted)[0] == 401
    status, refused = get(light, "/commands/erp-3?wait=30", token, transfer_of(network, 10**12))
    assert (status, refused["state"]) == (200, "REFUSED") and refused["what_to_do"]


def a_command_waits_for_the_network(network: Path, light: Path) -> None:
    token, wanted = read_token(light), transfer_of(network, 1_000_000)
    status, answer = get(light, "/commands/erp-4", token, wanted)
    assert (status, answer["state"]) == (202, "PENDING")
    listed = get(light, "/commands?state=PENDING", token)[1]
    assert [each["id"] for each in listed["commands"]] == ["erp-4"]
    testnet_processes.start_all(network)
    assert get(light, "/commands/erp-4?wait=30", token)[1]["state"] == "DONE"
    assert get(light, "/commands/erp-4", token, wanted)[1]["code"] == "OK", "sent again unasked"
    until(lambda: held(light) == [(0, 44_000_000), (48_500_000, 50_000_000)])
    words = {"command": "lot transfer", "options": {"voucher": "tours/v", "pieces": "parts:5000.00"}}
    status, answer = get(light, "/commands/erp-5?wait=30", token, words)
    assert (status, answer["code"]) == (200, "OK"), answer
    until(lambda: held(light) == [(0, 43_500_000), (48_500_000, 50_000_000)])


def answers_for_the_owner_of_the_token_alone(light: Path) -> None:
    token = read_token(light)
    for path in ("/holdings", "/status", "/nothing"):
        for wrong in ("", "x", token[:-1], token + "0"):
            status, answer = get(light, path, wrong)
            assert (status, answer["code"]) == (401, "TOKEN_WRONG")
    status, answer = get(light, "/vouchers", token)
    (voucher,) = answer["vouchers"]
    status, one = get(light, f"/vouchers/{voucher['id']}", token)
    assert status == 200 and len(one["voucher"]["lots"]) == 2, "others' lots are not shown"
    assert get(light, "/documents", token)[1]["documents"][0]["total"] == 50_000_000
    assert get(light, "/holdings?limit=1", token)[1]["after"] is not None
    for path, wanted in (("/holdings?limit=0", 400), ("/vouchers/" + "0" * 32, 404), ("/x", 404)):
        status, answer = get(light, path, token)
        assert status == wanted and set(answer) == {"code", "message", "what_to_do"}


def report_how_fast(light: Path) -> None:
    times = []
    for _ in range(50):
        started = time.perf_counter()
        get(light, "/holdings", read_token(light))
        times.append(time.perf_counter() - started)
    print(f"holdings without network: {1_000 * sorted(times)[25]:.1f} ms at the median")
