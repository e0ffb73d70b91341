"""The pages of a light node: the same, from its copy, to people with an account and programs with its token."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import html5lib
import pytest
import trio

from node.desk.accounts import Duty
from node.light.config import load_light, read_token
from node.web.address import WebAddress, parse_address
from node.web.guard import HEADERS
from node.web.plain import plain
from tallynet.client.trust import ProvenRecord
from tallynet.records import Kind
from tests.end_to_end.conftest import Story
from tests.unit.desk.people import PASSWORD, account, write
from tools.cli import main
from tools.connect import connect
from tools.output import Exit
from tools.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
OWNER = "gate-devices"
SECONDS_MAX = 60.0
LOOKER = account("looker", Duty.VIEWER)


@dataclass(frozen=True)
class Light:
    address: WebAddress
    token: str

    def ask(
        self, path: str, body: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, str]:
        line = http.client.HTTPConnection(self.address.host, self.address.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            if body is None:
                line.request("GET", path, headers=named)
            else:
                line.request("POST", path, urlencode(body), named)
            answer = line.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            line.close()

    def session(self) -> str:
        """The cookie of somebody who may look."""
        said = {"name": LOOKER.name, "password": PASSWORD, "next": "/network"}
        status, headers, _ = self.ask("/sign-in", said)
        assert (status, headers["Location"]) == (303, "/network")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        return str(cookie.partition(";")[0])

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def json(self, path: str) -> Any:
        status, _, body = self.ask(path, **self.bearer)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture(scope="module")
def light(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Light]:
    directory = tmp_path_factory.mktemp("light") / "light"
    words = ("light", "init", str(directory), "--as", OWNER, "--port", str(free_ports(1)))
    assert main([*words, "--network", str(story.directory)]) == Exit.OK
    write(directory, LOOKER)
    web = load_light(directory).web
    assert web is not None
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = (sys.executable, "-m", "tools.cli", "light", "run", str(directory))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(run, env=environment, stdout=log, stderr=log)
    try:
        found = Light(parse_address(web.listen), read_token(directory))
        deadline = time.monotonic() + SECONDS_MAX
        while not _is_proven(found):
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        assert process.wait(SECONDS_MAX) == 0, (directory / "log").read_text()


def _is_proven(light: Light) -> bool:
    try:
        return light.json("/network.json")["light"]["proven_at"] is not None
    except OSError:
        return False


def test_nothing_is_shown_without_an_account_or_the_token(light: Light, story: Story) -> None:
    own = story.organisation(OWNER).hex()
    for path in (
        "/",
        "/network",
        "/network.json",
        "/network/stream",
        f"/organisations/{own}",
        "/x",
    ):
        for headers in (
            {},
            {"Authorization": "Bearer no"},
            {"Cookie": f"session-{light.address.port}=no"},
        ):
            status, answered, page = light.ask(path, **headers)
            assert status == 401, path
            assert own not in page.replace(path, "")  # the link to the other language
            html5lib.HTMLParser(strict=True).parse(page)
            for name, value in HEADERS:
                assert answered[name.decode()] == value.decode()
    assert light.ask("/sign-in", {"name": "looker", "password": "0" * 64})[0] == 401
    assert light.ask("/sign-in", {"name": "looker", "password": "0" * 10_000})[0] == 413
    assert light.ask("/network", Host="rebound.example")[0] == 421


def test_its_pages_are_valid_in_both_languages(light: Light, story: Story) -> None:
    cookie = light.session()
    own = story.organisation(OWNER).hex()
    for path in (
        "/network",
        f"/organisations/{own}",
        f"/vouchers/{story.voucher.hex()}",
        "/search?q=bank",
    ):
        for language in ("zh-CN", "en"):
            status, _, page = light.ask(path, Cookie=cookie, Accept_Language=language)
            assert status == 200, path
            assert f'<html lang="{language}">' in page
            html5lib.HTMLParser(strict=True).parse(page)
    for known, home in (({"Cookie": cookie}, "/desk"), (light.bearer, f"/organisations/{own}")):
        status, headers, _ = light.ask("/", **known)
        assert (status, headers["Location"]) == (303, home)


def test_the_token_is_for_programs_that_look(light: Light) -> None:
    for path in ("/desk", "/acts/issue", "/people"):
        status, _, page = light.ask(path, **light.bearer)
        assert (status, "SIGN_IN_NEEDED" in page) == (403, True)
    assert light.ask("/acts/issue", {"promise": "x"}, **light.bearer)[0] == 403


def test_it_has_no_pages_of_a_chain_that_it_does_not_hold(light: Light, story: Story) -> None:
    cookie = light.session()
    bank = story.organisation("bank-1").hex()
    for path in ("/blocks", "/blocks/1", "/validators", "/organisations", f"/banks/{bank}"):
        assert light.ask(path, Cookie=cookie)[0] == 404


def test_what_it_shows_is_what_the_client_proves(light: Light, story: Story) -> None:
    async def proven() -> ProvenRecord:
        async with connect(story.directory) as client:
            return await client.read_proven(Kind.VOUCHER, story.voucher)

    record = trio.run(proven)
    shown = light.json(f"/vouchers/{story.voucher.hex()}.json")
    assert shown["voucher"] == plain(record.record)
    assert shown["lots"] == plain(record.lots)
    held = light.json(f"/organisations/{story.organisation(OWNER).hex()}.json")["holdings"]
    assert sorted((h["lot"]["start"], h["lot"]["end"]) for h in held["rows"]) == [
        (0, 20_000_000), (20_000_000, 25_000_000),
    ]  # fmt: skip


def test_of_others_it_shows_nothing(light: Light, story: Story) -> None:
    other = story.organisation("beacon-sensors").hex()
    shown = light.json(f"/organisations/{other}.json")
    assert not shown["shown"]
    assert "holdings" not in shown
    status, _, body = light.ask("/vouchers/" + "0" * 32, Authorization=f"Bearer {light.token}")
    assert status == 404
    assert "RECORD_NOT_FOUND" in body
