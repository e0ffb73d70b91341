"""What is answered over HTTP: the token, the errors, pages of events and streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from node.light import event_stream
from node.light.answers import Answers
from node.light.api import Api
from node.light.copy import Copy
from node.light.database import open_for
from node.light.event_log import Place, SeenEvent
from node.light.event_pages import EventPages
from node.light.following import Follower
from node.light.http import application
from node.light.sent import SentCommands
from node.light.submitting import Submitter
from node.light.uploads import Uploads
from node.light.webhooks import Webhooks
from node.web.address import WebAddress
from node.web.listener import WebListener
from node.web.texts import Language
from tallynet.receipts import Event
from tests.unit.client.serving import GENESIS, GENESIS_HASH, ORGANISATION
from tests.unit.light.test_submitting import by_words, sign
from tests.unit.net.samples import STRANGER
from tools.ports import free_ports

TOKEN = "t" * 64
SECONDS_MAX = 20
STREAM = {"Accept": "text/event-stream"}


class Light:
    """A light node without a network."""

    def __init__(self, directory: Path) -> None:
        self.copy = Copy(directory / "copy.sqlite", GENESIS_HASH, ORGANISATION)
        self.base = open_for(directory / "commands.sqlite", GENESIS_HASH, ORGANISATION, b"1")
        self.follower = Follower(self.copy, [], GENESIS, STRANGER, directory / "trust")
        submitter = Submitter(SentCommands(self.base), self.follower, sign, by_words)
        uploads = Uploads(self.base, submitter, self.follower)
        pages = EventPages(self.follower, submitter.kept, self.explain)
        webhooks = Webhooks(self.base, pages, (), directory)
        answers = Answers(self.follower, submitter.kept, webhooks, self.explain)
        api = Api(answers, submitter, uploads, pages, self.explain)
        self.app = application(api, TOKEN, self.explain)

    @staticmethod
    def explain(code: str, language: Language = Language.EN) -> str:
        return f"do {code} in {language}"

    def happen(self, *cursors: str) -> None:
        """Events at these places, taken in."""
        seen = []
        for cursor in cursors:
            height, index = map(int, cursor.split("."))
            event = Event("lot.transfer", 9, b"r" * 16, 0, 0, 0, ORGANISATION, None, 0, b"", None)
            seen.append(SeenEvent(Place(height, index), event, 1_000))
        self.copy.apply((), place=Place(seen[-1].place.height + 1), seen=seen)
        self.follower.news.tell()


@asynccontextmanager
async def serving_http(directory: Path) -> AsyncIterator[tuple[Light, httpx.AsyncClient]]:
    light = Light(directory)
    listener = WebListener(WebAddress("127.0.0.1", free_ports(1)), "http_port")
    client = httpx.AsyncClient(
        base_url=f"http://{listener.address}", headers={"Authorization": f"Bearer {TOKEN}"},
        trust_env=False, timeout=SECONDS_MAX,
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run, light.app)
        async with client:
            with trio.fail_after(SECONDS_MAX):
                yield light, client
        nursery.cancel_scope.cancel()
    listener.close()
    light.copy.close()
    light.base.close()


async def read(client: httpx.AsyncClient, **headers: str) -> list[str]:
    """The ids of the events of a stream, until it ends."""
    answer = await client.get("/events", headers=STREAM | headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = [part.split("\n") for part in answer.text.split("\n\n") if part.startswith("id: ")]
    for id, data in parts:
        assert json.loads(data.removeprefix("data: "))["id"] == id.removeprefix("id: ")
    return [id.removeprefix("id: ") for id, _ in parts]


def code_of(answer: httpx.Response) -> tuple[int, str]:
    body: dict[str, Any] = answer.json()
    assert body["what_to_do"] == f"do {body['code']} in en" and body["message"]
    return answer.status_code, body["code"]


async def test_errors_say_what_to_do(tmp_path: Path) -> None:
    async with serving_http(tmp_path) as (_, client):
        assert code_of(await client.get("/holdings")) == (503, "COPY_EMPTY")
        assert (await client.get("/events")).headers["retry-after"] == "5"
        assert code_of(await client.get("/nothing")) == (404, "NO_SUCH_PATH")
        assert code_of(await client.get("/status?limit=1")) == (400, "QUERY_INVALID")
        assert code_of(await client.get("/commands?limit=1&limit=1")) == (400, "QUERY_INVALID")
        wrong = await client.delete("/commands/a")
        assert code_of(wrong) == (405, "METHOD_NOT_ALLOWED")
        assert {"GET", "PUT"} <= set(wrong.headers["allow"].split(", "))
        assert code_of(await client.get("/commands/a")) == (404, "RECORD_NOT_FOUND")
        long = await client.put("/commands/a", content=b"x" * 70_000)
        assert code_of(long) == (413, "BODY_TOO_LARGE")
        unauthorised = await client.get("/nothing", headers={"Authorization": "Bearer x"})
        assert code_of(unauthorised) == (401, "TOKEN_WRONG")


async def test_a_command_that_waits_is_202_with_where_to_ask(tmp_path: Path) -> None:
    wanted = {"command": "lot decline", "options": {"start": 7}}
    async with serving_http(tmp_path) as (_, client):
        first = await client.put("/commands/erp:1?wait=0", json=wanted)
        assert (first.status_code, first.headers["location"]) == (202, "/commands/erp:1")
        assert first.json()["state"] == "PENDING"
        again = await client.put("/commands/erp:1", json=wanted)
        assert (again.status_code, again.json()) == (202, first.json())
        assert (await client.get(first.headers["location"])).json() == first.json()
        listed = (await client.get("/commands?state=PENDING")).json()
        assert listed == {"commands": [first.json()], "after": None}
        assert (await client.get("/commands?after=1")).json()["commands"] == []


async def test_events_come_page_by_page_and_when_they_happen(tmp_path: Path) -> None:
    async with serving_http(tmp_path) as (light, client):
        light.copy.apply((), place=Place(3))
        empty = (await client.get("/events")).json()
        assert empty == {"events": [], "cursor": "2", "more": False}
        light.happen("3.0", "3.4", "5.1")
        page = (await client.get("/events?limit=2")).json()
        assert [each["id"] for each in page["events"]] == ["3.0", "3.4"]
        assert (page["cursor"], page["more"]) == ("3.4", True)
        page = (await client.get("/events?after=3.4")).json()
        assert ([each["id"] for each in page["events"]], page["more"]) == (["5.1"], False)
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                waited = (await client.get(f"/events?after={page['cursor']}&wait=15")).json()
                assert [each["id"] for each in waited["events"]] == ["6.0"]

            nursery.start_soon(wait)
            light.happen("6.0")
        assert code_of(await client.get("/events?after=1.7")) == (410, "CURSOR_TOO_OLD")
        assert code_of(await client.get("/events?after=x")) == (400, "QUERY_INVALID")


async def test_a_stream_goes_on_behind_the_last_event_that_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "STREAM_SECONDS", 0.5)
    async with serving_http(tmp_path) as (light, client):
        light.copy.apply((), place=Place(3))
        light.happen("3.0", "3.4", "5.1")
        assert await read(client) == ["3.0", "3.4", "5.1"]
        async with trio.open_nursery() as nursery:

            async def go_on() -> None:
                assert await read(client, **{"Last-Event-ID": "3.4"}) == ["5.1", "7.0"]

            nursery.start_soon(go_on)
            light.happen("7.0")
        old = await client.get("/events", headers=STREAM | {"Last-Event-ID": "1"})
        assert code_of(old) == (410, "CURSOR_TOO_OLD")


async def test_a_silent_stream_says_that_it_is_there_and_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(event_stream, "STREAM_SECONDS", 0.5)
    async with serving_http(tmp_path) as (light, client):
        light.copy.apply((), place=Place(3))
        answer = await client.get("/events", headers=STREAM)
        assert answer.text.startswith("retry: 2000\n\n") and ": still here\n\n" in answer.text


async def test_streams_beyond_the_bound_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.light.api.STREAMS_MAX", 1)
    async with serving_http(tmp_path) as (light, client):
        light.copy.apply((), place=Place(3))
        async with client.stream("GET", "/events", headers=STREAM) as first:
            assert first.status_code == 200
            assert code_of(await client.get("/events", headers=STREAM)) == (503, "BUSY")
