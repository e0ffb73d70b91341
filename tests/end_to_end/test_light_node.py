"""The light node of a supplier beside four banks whose nodes show each organisation what concerns it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.light.config import COPY_FILE, read_token
from tallynet.records import Kind
from tests.end_to_end.light_nodes import (
    SECONDS_MAX,
    ask_over_http,
    issue,
    private_network,
    running,
    tally,
    until,
)
from tools import testnet_processes
from tools.light_cli import LightError, ask
from tools.ports import free_ports
from tools.records_by_name import AddressBook
from tools.wallet import load_wallet


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Path]:
    with private_network(tmp_path / "network") as directory:
        yield directory


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
        sent = ask_over_http(light, "/commands/erp-1", read_token(light))
    (light / COPY_FILE).unlink()
    with running(light):
        until(lambda: bool(held(light)) and ask(light, "/status")["proven_at"] is not None)
        assert {what: everything(light, what) for what in before} == before, "a wiped copy"
        assert ask_over_http(light, "/commands/erp-1", read_token(light)) == sent


def transfer_of(network: Path, amount: int) -> dict[str, Any]:
    pieces = [
        {"receiver": load_wallet(network, "parts").organisation, "amount": amount, "document": None}
    ]
    voucher = AddressBook(network).record(Kind.VOUCHER, "tours/v").hex()
    options = {"voucher": voucher, "start": 0, "pieces": pieces}
    return {"command": "lot.transfer", "options": options}


def a_program_passes_on_3_000_000(network: Path, light: Path) -> None:
    token, wanted = read_token(light), transfer_of(network, 3_000_000)
    status, first = ask_over_http(light, "/commands/erp-1?wait=30", token, wanted)
    assert (status, first["state"], first["code"]) == (200, "DONE", "OK"), first
    assert ask_over_http(light, "/commands/erp-1", token, wanted) == (200, first), (
        "once, however often it is asked for"
    )
    assert ask_over_http(light, "/commands/erp-1", token) == (200, first)
    status, answer = ask_over_http(light, "/commands/erp-1", token, transfer_of(network, 4_000_000))
    assert (status, answer["code"]) == (409, "COMMAND_ID_USED")
    assert answer["what_to_do"].startswith("Another command was sent under this id.")
    wrong = wanted | {"options": {"voucher": "x"}}
    assert ask_over_http(light, "/commands/erp-2", token, wrong)[1]["code"] == "COMMAND_INVALID"
    assert ask_over_http(light, "/commands/erp-2", token)[0] == 404
    assert ask_over_http(light, "/commands/erp-2", "x", wanted)[0] == 401
    status, refused = ask_over_http(
        light, "/commands/erp-3?wait=30", token, transfer_of(network, 10**12)
    )
    assert (status, refused["state"]) == (200, "REFUSED") and refused["what_to_do"]


def a_command_waits_for_the_network(network: Path, light: Path) -> None:
    token, wanted = read_token(light), transfer_of(network, 1_000_000)
    status, answer = ask_over_http(light, "/commands/erp-4", token, wanted)
    assert (status, answer["state"]) == (202, "PENDING")
    listed = ask_over_http(light, "/commands?state=PENDING", token)[1]
    assert [each["id"] for each in listed["commands"]] == ["erp-4"]
    testnet_processes.start_all(network)
    assert ask_over_http(light, "/commands/erp-4?wait=30", token)[1]["state"] == "DONE"
    assert ask_over_http(light, "/commands/erp-4", token, wanted)[1]["code"] == "OK", (
        "sent again unasked"
    )
    until(lambda: held(light) == [(0, 44_000_000), (48_500_000, 50_000_000)])
    words = {
        "command": "lot transfer",
        "options": {"voucher": "tours/v", "pieces": "parts:5000.00"},
    }
    status, answer = ask_over_http(light, "/commands/erp-5?wait=30", token, words)
    assert (status, answer["code"]) == (200, "OK"), answer
    until(lambda: held(light) == [(0, 43_500_000), (48_500_000, 50_000_000)])


def answers_for_the_owner_of_the_token_alone(light: Path) -> None:
    token = read_token(light)
    for path in ("/holdings", "/status", "/nothing"):
        for wrong in ("", "x", token[:-1], token + "0"):
            status, answer = ask_over_http(light, path, wrong)
            assert (status, answer["code"]) == (401, "TOKEN_WRONG")
    status, answer = ask_over_http(light, "/vouchers", token)
    (voucher,) = answer["vouchers"]
    status, one = ask_over_http(light, f"/vouchers/{voucher['id']}", token)
    assert status == 200 and len(one["voucher"]["lots"]) == 2, "others' lots are not shown"
    assert ask_over_http(light, "/documents", token)[1]["documents"][0]["total"] == 50_000_000
    assert ask_over_http(light, "/holdings?limit=1", token)[1]["after"] is not None
    for path, wanted in (("/holdings?limit=0", 400), ("/vouchers/" + "0" * 32, 404), ("/x", 404)):
        status, answer = ask_over_http(light, path, token)
        assert status == wanted and set(answer) == {"code", "message", "what_to_do"}


def report_how_fast(light: Path) -> None:
    times = []
    for _ in range(50):
        started = time.perf_counter()
        ask_over_http(light, "/holdings", read_token(light))
        times.append(time.perf_counter() - started)
    print(f"holdings without network: {1_000 * sorted(times)[25]:.1f} ms at the median")
