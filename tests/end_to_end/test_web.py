"""The pages of a real node: each in both languages, valid, the same as JSON, and what that says is proven."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any

import html5lib
import pytest
import trio

from node.config import CONFIG_FILE
from node.web.guard import HEADERS
from node.web.pages import PAGES
from node.web.plain import plain
from tallynet.client.trust import ProvenRecord
from tallynet.commands import LineSuspend
from tallynet.records import Kind, Voucher
from tests.end_to_end.conftest import Story
from tools import testnet_processes
from tools.connect import connect, genesis_of
from tools.participant import Participant, new_label

WAIT_SECONDS = 30.0
HOSTILE = "<script>alert(1)</script>\"'&"


def get(
    story: Story, path: str, *, node: str = "bank-1", **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    host, _, port = story.node(node).web.rpartition(":")
    line = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        line.request(
            "GET", path, headers={name.replace("_", "-"): v for name, v in headers.items()}
        )
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        line.close()


def get_json(story: Story, path: str, *, node: str = "bank-1") -> Any:
    status, _, body = get(story, path, node=node)
    assert status == 200, body
    return json.loads(body)


def first_of(story: Story, command: str) -> str:
    """The first transaction with this command."""
    for height in range(1, get_json(story, "/network.json")["height"] + 1):
        for row in get_json(story, f"/blocks/{height}.json")["transactions"]:
            if row["commands"] == [command]:
                return str(row["transaction"])
    raise LookupError(command)


def addresses(story: Story) -> list[str]:
    """Every page, of something that is there."""
    values = {
        "/blocks/{height}": "/blocks/7",
        "/transactions/{id}": f"/transactions/{first_of(story, 'lot.transfer')}",
        "/vouchers/{id}": f"/vouchers/{story.voucher.hex()}",
        "/organisations/{id}": f"/organisations/{story.organisation('gate-devices').hex()}",
        "/banks/{id}": f"/banks/{story.organisation('bank-3').hex()}",
        "/search": "/search?q=bank",
    }
    return [values.get(page.path, page.path) for page in PAGES if page.template]


async def proven(story: Story, kind: Kind, id: bytes) -> ProvenRecord:
    async with connect(story.directory) as client:
        return await client.read_proven(kind, id)


def test_every_page_is_valid_in_both_languages(story: Story) -> None:
    parser = html5lib.HTMLParser(strict=True)
    for path in addresses(story):
        for accept, language in (("zh-CN,en;q=0.5", "zh-CN"), ("en-GB", "en"), ("fr", "en")):
            status, headers, body = get(story, path, Accept_Language=accept)
            assert (status, headers.get_content_type()) == (200, "text/html"), path
            assert f'<html lang="{language}">' in body, path
            parser.parse(body)


def test_every_page_forbids_what_it_does_not_serve_itself(story: Story) -> None:
    for path in (*addresses(story), "/nowhere", "/network.json", "/vouchers/zz"):
        _, headers, body = get(story, path)
        for name, value in HEADERS:
            assert headers[name.decode()] == value.decode(), path
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", body), path
        assert not re.search(r"""(?:src|href|action)=["'](?![/#?])""", body), path


def test_what_a_page_loads_is_there_and_kept(story: Story) -> None:
    loaded = {
        address
        for path in addresses(story)
        for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', get(story, path)[2])
    }
    assert len(loaded) >= 8
    for address in loaded:
        status, headers, _ = get(story, address)
        assert status == 200
        assert "immutable" in headers["Cache-Control"]
    assert get(story, "/static/0000000000000000/app.js")[0] == 404


def test_the_json_of_a_voucher_is_what_the_client_proves(story: Story) -> None:
    shown = get_json(story, f"/vouchers/{story.voucher.hex()}.json")
    record = trio.run(proven, story, Kind.VOUCHER, story.voucher)
    assert isinstance(record.record, Voucher)
    assert record.lots is not None
    assert shown["voucher"] == plain(record.record)
    assert shown["lots"] == plain(record.lots)
    assert shown["height"] == record.block.height
    assert shown["hidden"] == 0


def test_the_json_of_an_organisation_is_what_the_client_proves(story: Story) -> None:
    id = story.organisation("bank-3")
    shown = get_json(story, f"/organisations/{id.hex()}.json")
    assert shown["organisation"] == plain(trio.run(proven, story, Kind.ORGANISATION, id).record)
    kinds = {
        "lines_granted": Kind.CREDIT_LINE, "financings": Kind.FINANCING, "offers": Kind.OFFER,
    }  # fmt: skip
    for name, kind in kinds.items():
        assert shown[name]["rows"], name
        for row in shown[name]["rows"]:
            record = trio.run(proven, story, kind, bytes.fromhex(row["id"])).record
            assert row["record"] == plain(record), name


def test_a_page_says_what_its_json_says(story: Story) -> None:
    path = f"/vouchers/{story.voucher.hex()}"
    shown, page = get_json(story, path + ".json"), get(story, path, Accept_Language="en")[2]
    assert "500,000.00" in page
    assert len(shown["lots"]) == 6
    for lot in shown["lots"]:
        assert f"/organisations/{lot['holder']}" in page
        assert f"{(lot['end'] - lot['start']) / 100:,.2f}" in page


def test_the_provenance_leads_from_the_debtor_to_the_banks(story: Story) -> None:
    shown = get_json(story, f"/vouchers/{story.voucher.hex()}.json")["provenance"]
    names = {
        story.organisation(name).hex(): name
        for name in ("vista-guide", "gate-devices", "beacon-sensors", "corner-parts", "bank-2", "bank-3")
    }  # fmt: skip
    edges = {
        (names[e["source"]], e["passage"], names[e["target"]]): e["amount"] for e in shown["edges"]
    }
    assert shown["complete"]
    assert edges == {
        ("vista-guide", "ISSUE", "gate-devices"): 50_000_000,
        ("gate-devices", "TRANSFER", "beacon-sensors"): 25_000_000,
        ("beacon-sensors", "TRANSFER", "corner-parts"): 10_000,
        ("corner-parts", "SALE", "bank-2"): 100,
        ("beacon-sensors", "LOAN", "bank-3"): 12_500_000,
        ("gate-devices", "LOAN", "bank-3"): 5_000_000,
    }


def test_a_bank_sees_what_debtors_owe_it(story: Story) -> None:
    shown = get_json(story, f"/banks/{story.organisation('bank-3').hex()}.json")
    (exposure,) = shown["exposure"]
    assert exposure["debtor"] == story.organisation("vista-guide").hex()
    assert (exposure["held"], exposure["lent"], exposure["overdue"]) == (0, 12_000_000, 0)
    assert exposure["granted"] == 500_000_000
    assert shown["alarms"] == []


def test_a_transaction_shows_its_commands_and_what_they_changed(story: Story) -> None:
    transaction = first_of(story, "lot.transfer")
    shown = get_json(story, f"/transactions/{transaction}.json")
    assert shown["code"] == "OK"
    assert [command["name"] for command in shown["envelope"]["commands"]] == ["lot.transfer"]
    assert [event["type"] for event in shown["events"]] == ["lot.transfer"]
    page = get(story, f"/transactions/{transaction}", Accept_Language="en")[2]
    assert "250,000.00" in page


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "NO_SUCH_PAGE"),
        ("/vouchers/zz", 400, "ID_UNREADABLE"),
        ("/vouchers/" + "0" * 32, 404, "RECORD_NOT_FOUND"),
        ("/transactions/" + "0" * 64, 404, "RECORD_NOT_FOUND"),
        ("/blocks/999999", 404, "NO_SUCH_BLOCK"),
        ("/blocks/x", 400, "QUERY_INVALID"),
        ("/organisations/" + "A" * 32, 400, "ID_UNREADABLE"),
    ],
)
def test_errors_are_pages_that_say_what_was_looked_for(
    story: Story, path: str, status: int, code: str
) -> None:
    for language in ("zh", "en"):
        answered, _, page = get(story, path, Accept_Language=language)
        assert answered == status
        assert code in page
        assert path.rpartition("/")[2] in page
        html5lib.HTMLParser(strict=True).parse(page)
    answered, headers, body = get(story, path + ".json")
    assert (answered, headers.get_content_type()) == (status, "application/json")
    assert json.loads(body)["code"] == code


def test_other_methods_are_refused(story: Story) -> None:
    host, _, port = story.node("bank-1").web.rpartition(":")
    for method in ("POST", "PUT", "DELETE"):
        line = http.client.HTTPConnection(host, int(port), timeout=30)
        line.request(method, "/network", body=b"x" * 1000)
        assert line.getresponse().status == 405
        line.close()


def test_a_foreign_host_is_not_answered(story: Story) -> None:
    assert get(story, "/network.json", Host="rebound.example")[0] == 421


def test_no_link_of_a_page_leads_elsewhere(story: Story) -> None:
    """Also when a link elsewhere named an address that browsers would take for one of another host."""
    for path in ("//evil.example/", "/%5Cevil.example/", "/network?q=//evil.example"):
        status, _, page = get(story, path)
        assert status in (200, 404)
        assert not re.search(r"""(?:src|href|action)=["'](?://|/\\|[^"'/#?])""", page), path


def test_search_finds_ids_heights_names_and_labels(story: Story) -> None:
    voucher = f"/vouchers/{story.voucher.hex()}"
    devices = f"/organisations/{story.organisation('gate-devices').hex()}"
    transaction = first_of(story, "lot.transfer")
    for asked, found in (
        (story.voucher.hex(), voucher),
        ("vista-guide/v1", voucher),
        (story.organisation("vista-guide").hex() + "/v1", voucher),
        ("gate-devices", devices),
        (story.organisation("gate-devices").hex(), devices),
        ("7", "/blocks/7"),
        (transaction, f"/transactions/{transaction}"),
    ):
        status, headers, _ = get(story, f"/search?q={asked}")
        assert (status, headers["Location"]) == (303, found), asked
    assert get_json(story, "/search.json?q=nothing-of-that-name")["hits"] == []


def test_hostile_names_are_text(story: Story) -> None:
    book = story.directory / "names.json"
    before = book.read_text()
    id = story.organisation("gate-devices")
    try:
        book.write_text(json.dumps(json.loads(before) | {id.hex(): HOSTILE}))
        for path in (
            f"/organisations/{id.hex()}",
            f"/vouchers/{story.voucher.hex()}",
            "/search?q=alert",
        ):
            _, _, page = get(story, path)
            assert "<script>alert" not in page
        assert (
            "&lt;script&gt;alert(1)&lt;/script&gt;" in get(story, f"/organisations/{id.hex()}")[2]
        )
        query = "/search?q=%3Cscript%3Ealert(2)%3C/script%3E"
        assert "<script>alert(2)" not in get(story, query)[2]
        assert "<script>alert(3)" not in get(story, "/vouchers/%3Cscript%3Ealert(3)")[2]
    finally:
        book.write_text(before)


def test_the_language_is_remembered(story: Story) -> None:
    _, headers, page = get(story, "/network?lang=zh", Accept_Language="en")
    assert '<html lang="zh-CN">' in page
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert '<html lang="zh-CN">' in get(story, "/blocks", Accept_Language="en", Cookie=cookie)[2]


def test_the_banner_is_sent(story: Story) -> None:
    host, _, port = story.node("bank-1").web.rpartition(":")
    line = http.client.HTTPConnection(host, int(port), timeout=30)
    line.request("GET", "/network/stream", headers={"Accept-Language": "en"})
    answer = line.getresponse()
    assert answer.headers.get_content_type() == "text/event-stream"
    assert answer.readline() == b"event: banner\n"
    said = answer.readline().decode()
    assert said.startswith('data: <p class="banner well">')
    assert "The newest is" in said or "the newest is" in said
    line.close()


def test_the_banner_says_whom_a_stuck_network_waits_for(story: Story) -> None:
    gone = ["bank-3", "bank-4"]
    testnet_processes.stop(story.directory, gone)
    try:
        trio.run(_ask_for_something, story)
        deadline = time.monotonic() + WAIT_SECONDS
        said = _banner(story)
        while not ("No block" in said and any(name in said for name in gone)):
            assert time.monotonic() < deadline, said
            said = _banner(story)
        assert "banner ill" in said
    finally:
        testnet_processes.start_all(story.directory)


def _banner(story: Story) -> str:
    page = get(story, "/search", Accept_Language="en")[2]
    (said,) = re.findall(r'<p class="banner.*?</p>', page)
    return str(said)


async def _ask_for_something(story: Story) -> None:
    async with connect(story.directory, only="bank-1") as client:
        bank = Participant(story.directory, "bank-1", client, genesis_of(story.directory)[1])
        envelope = bank.envelope([LineSuspend(new_label(), b"\0" * 16)])
        with trio.move_on_after(1):
            await bank.submit(envelope)


def test_a_node_that_answers_parties_shows_its_own_bank_what_concerns_it(story: Story) -> None:
    config = story.directory / "bank-4" / CONFIG_FILE
    before = config.read_text()
    testnet_processes.stop(story.directory, ["bank-4"])
    config.write_text(before.replace('answers = "everybody"', 'answers = "parties"'))
    try:
        testnet_processes.restart(story.directory, "bank-4")
        own, other = story.organisation("bank-4").hex(), story.organisation("bank-3").hex()
        assert get_json(story, f"/organisations/{own}.json", node="bank-4")["shown"]
        assert not get_json(story, f"/organisations/{other}.json", node="bank-4")["shown"]
        for path in (f"/vouchers/{story.voucher.hex()}", f"/banks/{other}"):
            status, _, page = get(story, path, node="bank-4", Accept_Language="en")
            assert status == 403
            assert "not shown to this organisation" in page
        transaction = first_of(story, "lot.transfer")
        shown = get_json(story, f"/transactions/{transaction}.json", node="bank-4")
        assert set(shown["envelope"].values()) == {None}  # neither who acts nor what is commanded
        listed = get_json(story, f"/blocks/{shown['block']['height']}.json", node="bank-4")
        assert {row["organisation"] for row in listed["transactions"]} == {None}
        assert shown["events"] == []
        assert shown["events_hidden"] == 1
    finally:
        testnet_processes.stop(story.directory, ["bank-4"])
        config.write_text(before)
        testnet_processes.restart(story.directory, "bank-4")
