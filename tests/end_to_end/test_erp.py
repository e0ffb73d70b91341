"""The ERP of a core enterprise beside its light node: a file of fifty vouchers, each event once, kills on both sides."""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from node.light.config import LIGHT_FILE, load_light, read_token
from tests.end_to_end.light_nodes import (
    LINE,
    SECONDS_MAX,
    maturity,
    prepare,
    private_network,
    running,
    tally,
    until,
)
from tools.cli import main
from tools.light_cli import LightError, ask
from tools.output import Exit
from tools.ports import free_ports

ROWS = 50
SECRET = bytes(range(32))
FAILS_FIRST = 2


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Path]:
    with private_network(tmp_path / "network") as directory:
        yield directory


class Receiver:
    """A program of the ERP that takes webhooks in, and fails at first."""

    def __init__(self) -> None:
        self.refused = 0
        self.events: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.take(dict(self.headers), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        named = {name.lower(): value for name, value in headers.items()}
        signed = f"{named['webhook-id']}.{named['webhook-timestamp']}.".encode() + body
        wanted = b"v1," + base64.b64encode(hmac.digest(SECRET, signed, "sha256"))
        if not hmac.compare_digest(named["webhook-signature"].encode(), wanted):
            return 401
        if self.refused < FAILS_FIRST:
            self.refused += 1
            return 500
        self.events += json.loads(body)["events"]
        return 204

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/events"


class Reader(threading.Thread):
    """A program of the ERP that follows events, and keeps its cursor with what it made of them."""

    def __init__(self, light: Path, cursor: str) -> None:
        super().__init__(daemon=True)
        self.cursor = cursor
        self.events: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self._light = light

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                self._read()
            except (OSError, http.client.HTTPException):
                self.ended.wait(0.1)

    def _read(self) -> None:
        config = load_light(self._light)
        line = http.client.HTTPConnection(config.http_host, config.http_port, timeout=30)
        headers = {
            "Authorization": f"Bearer {read_token(self._light)}",
            "Accept": "text/event-stream",
            "Last-Event-ID": self.cursor,
        }
        try:
            line.request("GET", "/events", headers=headers)
            answer = line.getresponse()
            if answer.status != http.client.OK:
                raise http.client.HTTPException(answer.read())
            while not self.ended.is_set():
                text = answer.readline()
                if not text:
                    return
                if text.startswith(b"data: "):
                    event = json.loads(text.removeprefix(b"data: "))
                    self.events.append(event)
                    self.cursor = event["id"]
        finally:
            line.close()

    def stop(self) -> None:
        self.ended.set()
        self.join(SECONDS_MAX)


def rows_of_vouchers(directory: Path) -> Path:
    """Fifty vouchers of 10,000.00 each, as a spreadsheet writes them."""
    columns = (
        "id", "command", "payee", "face", "maturity", "documents", "programme", "issue_line", "clearing_bank",
        "promise",
    )  # fmt: skip
    lines = [",".join(columns)] + [
        f"v-{number},voucher issue,devices,10000.00,{maturity()},devices/inv:10000.00,tours/season,{LINE},bank-1,"
        f"letter {number}"
        for number in range(ROWS)
    ]
    lines.append("v-bad,voucher issue,nobody,1.00,2027-01-01,x:1.00,x,x,bank-1,=1+1")
    file = directory / "vouchers.csv"
    file.write_text("\r\n".join(lines) + "\r\n", encoding="gb18030")
    return file


def every_event(light: Path) -> list[dict[str, Any]]:
    """Page by page, from the oldest that is kept."""
    found: list[dict[str, Any]] = []
    page = ask(light, "/events?limit=7")
    while page["events"]:
        found += page["events"]
        page = ask(light, f"/events?limit=7&after={page['cursor']}")
    return found


def counts(light: Path, upload: str) -> dict[str, int]:
    try:
        return dict(ask(light, f"/bulk/{upload}?limit=1&wait=1")["counts"])
    except LightError:
        return {}


def test_fifty_rows_and_each_event_once_through_kills_on_both_sides(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    light, receiver = tmp_path / "light", Receiver()
    register = ("organisation", "register", "--kind")
    tally(network, *register, "core", "--size", "large", "--as", "bank-1", "--name", "tours")
    tally(network, *register, "supplier", "--size", "small", "--as", "bank-2", "--name", "devices")
    port = str(free_ports(1))
    tally(network, "light", "init", str(light), "--as", "tours", "--port", port, "--commands")
    secret = light / "hook.secret"
    secret.write_text("whsec_" + base64.b64encode(SECRET).decode())
    secret.chmod(0o600)
    hook = f'\n[[webhooks]]\nurl = "{receiver.url}"\nsecret_file = "hook.secret"\n'
    (light / LIGHT_FILE).write_text((light / LIGHT_FILE).read_text() + hook)
    file = rows_of_vouchers(tmp_path)
    with running(light) as process:
        assert main(["light", "status", str(light), "--wait", "60"]) == Exit.OK
        first = Reader(light, ask(light, "/status")["events"]["first"])
        first.start()
        prepare(network)
        checked = ask(light, "/bulk?check=1", file.read_bytes(), "text/csv")
        assert checked["counts"] == {"CHECKED": ROWS, "NOT_SENT": 1}, checked
        assert ask(light, "/commands")["commands"] == [], "a check signs nothing"
        upload = ask(light, "/bulk", file.read_bytes(), "text/csv; charset=gb18030")
        until(lambda: counts(light, upload["id"]).get("DONE", 0) > 0)
        process.send_signal(signal.SIGKILL)
        process.wait(SECONDS_MAX)
    first.stop()

    with running(light):
        second = Reader(light, first.cursor)
        second.start()
        until(lambda: counts(light, upload["id"]) == {"DONE": ROWS, "NOT_SENT": 1})
        capsys.readouterr()
        again = main(["light", "upload", str(light), str(file), "--output", "table"])
        printed = capsys.readouterr().out
        assert again == Exit.REFUSED and f"{ROWS} DONE, 1 NOT_SENT" in printed
        assert "v-bad" in printed and "CELL_FORMULA" in printed
        assert len(ask(light, "/commands")["commands"]) == ROWS

        events = every_event(light)
        until(lambda: len(first.events + second.events) >= len(events))
        second.stop()
        assert first.events + second.events == events, "each once, in order"
        issued = [each["command"] for each in events if each["type"] == "voucher.issue"]
        assert sorted(issued) == sorted(f"v-{number}" for number in range(ROWS))

        until(lambda: ask(light, "/status")["webhooks"][0]["behind"] == 0)
        assert receiver.refused == FAILS_FIRST
        brought = [each["id"] for each in receiver.events]
        assert list(dict.fromkeys(brought)) == [each["id"] for each in events], "at least once"
        (state,) = ask(light, "/status")["webhooks"]
        assert (state["failures"], state["last_error"]) == (0, "")
    receiver.server.shutdown()
    receiver.server.server_close()
