"""A bank pays by files: four real validators, and at the other end a bank of another make, on loopback.

The network is that of docs/operate/bank-files.md, by its own command blocks.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mockbank.server import Config, make_server

from tools.output import Exit
from tools.ports import free_ports
from tools.testnet_processes import stop_all

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "operate" / "bank-files.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UP = "./tally testnet up network\n"
STRICT = """sed -i 's/answers = "everybody"/answers = "parties"/' network/bank-*/node.toml
grep -q 'answers = "parties"' network/bank-1/node.toml
"""
"""The nodes answer parties only, as in earnest."""
DRAW = (
    "./tally financing draw --as gate-devices --label {label} --offer bank-2/quick"
    " --voucher harbour-tours/v1 --amount {amount} --payee gate-devices/main --purpose rent"
)
PAY = "./tally bank payments --as bank-2 --debit CNY:0000000098 --output json --out "
READ = "./tally bank receipts --as bank-2 --output json "
RECONCILE = "./tally bank reconcile --as bank-2 --output json "
NOSTRO = {
    "id": "NOSTRO",
    "name": "bank-2",
    "iban": "NL41MOCK0000000098",
    "currency": "CNY",
    "balance": 10**10,
    "account_number": "0000000098",
}


class PaymentSystem:
    """The other bank, over HTTP."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self._base + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def pay(self, file: Path) -> dict[str, Any]:
        answer: dict[str, Any] = self.call("POST", "/payments", file.read_bytes())
        return answer

    def collect(self, kind: str, place: Path, about: str = "") -> Path:
        """Its one message of this kind, as a file."""
        found = [each["body"] for each in self.call("GET", f"/_mock/mailbox?type={kind}")]
        [body] = [body for body in found if about in body]
        place.write_text(body)
        return place


@pytest.fixture(scope="module")
def system() -> Iterator[PaymentSystem]:
    server = make_server(Config(port=0, quiet=True, clock="2027-03-15T09:00"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        bank = PaymentSystem(server.server_address[1])
        bank.call("POST", "/_mock/accounts", json.dumps(NOSTRO).encode())
        yield bank
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Place:
    """A directory with a running network."""

    def __init__(self, path: Path, port: int) -> None:
        self.path = path
        self._port = port

    def run(self, text: str, code: int = 0) -> Any:
        """What a command prints as JSON, if it does."""
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", text],
            cwd=self.path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TALLY_BASE_PORT": str(self._port)},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == code, text + done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else None

    def results(self, file: Path, code: int = 0, more: str = "") -> list[str]:
        return [row["result"] for row in self.run(f"{READ}{file}{more}", code)["rows"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path, port = tmp_path_factory.mktemp("bank"), free_ports(8)
    front = path / "tally"
    front.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tools.cli "$@"\n')
    front.chmod(0o755)
    (path / "tests").symlink_to(ROOT / "tests")
    here = Place(path, port)
    try:
        for block in BLOCK.findall(PAGE.read_text(encoding="utf-8"))[:2]:
            here.run(block.replace(UP, STRICT + UP))
        here.run(DRAW.format(label="d2", amount="12000.00"))
        yield here
    finally:
        if (path / "network" / "network.json").exists():
            stop_all(path / "network")


def test_from_a_draw_to_its_confirmation_and_the_statement(
    place: Place, system: PaymentSystem
) -> None:
    first = place.path / "first.xml"
    told = place.run(f"{PAY}{first}")
    assert sorted(each["amount"] for each in told["payments"]) == [1_191_300, 2_382_600]
    assert told["held"] == []
    nothing = place.run(f"{PAY}{place.path / 'none.xml'}")
    assert (nothing["file"], nothing["payments"]) == (None, [])
    again = place.run(f"{PAY}{place.path / 'again.xml'} --again --dry-run")
    assert again["payments"] == told["payments"]

    assert system.pay(first)["status"] == "ACCP"
    assert place.results(system.collect("pain.002", place.path / "p2.xml")) == ["on its way"] * 2

    notice = system.collect("camt.054", place.path / "c54.xml")
    short = place.path / "short.xml"
    short.write_text(notice.read_text().replace("23826.00", "23825.00"))
    assert place.results(short, Exit.DIFFERENCE, " --dry-run").count("amount differs") == 1
    results = place.results(short, Exit.DIFFERENCE)
    assert sorted(results) == ["amount differs", "confirmed"]
    assert sorted(place.results(notice)) == ["already confirmed", "confirmed"]
    assert place.results(notice) == ["already confirmed"] * 2
    assert place.run("./tally instruction list --as bank-2 --output json") == []

    system.call("POST", "/_mock/advance?days=1")
    statement = system.collect("camt.053", place.path / "c53.xml", "NL41MOCK0000000098")
    found = place.run(f"{RECONCILE}{statement}")
    assert found == {"matched": 2, "foreign": 0, "differences": []}
    statement.write_text(statement.read_text().replace("MB-PMT-1<", "MB-PMT-9<"))
    found = place.run(f"{RECONCILE}{statement}", Exit.DIFFERENCE)
    told = sorted((each["difference"], each["reference"]) for each in found["differences"])
    assert told == [("NOT_BOOKED", "MB-PMT-1"), ("NOT_CONFIRMED", "MB-PMT-9")]
    assert found["matched"] == 1


def test_a_rejected_payment_undoes_its_draw(place: Place, system: PaymentSystem) -> None:
    place.run(DRAW.format(label="d3", amount="3000.00"))
    system.call("PATCH", "/_mock/accounts/NOSTRO", json.dumps({"balance": 1}).encode())
    behaviour = json.dumps({"behaviour": "insufficient-funds"}).encode()
    system.call("PATCH", "/_mock/accounts/NOSTRO", behaviour)
    second = place.path / "second.xml"
    assert len(place.run(f"{PAY}{second}")["payments"]) == 1
    assert system.pay(second)["status"] == "RJCT"
    report = system.collect("pain.002", place.path / "rejected.xml")
    assert place.results(report) == ["reported as failed"]
    assert place.run("./tally instruction list --as bank-2 --output json") == []
    assert place.results(report) == ["reported as failed"]
