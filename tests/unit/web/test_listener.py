"""The HTTP server of a node: who is answered, and what a client can take of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from net.errors import ListenError
from node.config import ConfigError
from node.web import guard
from node.web import listener as bounds
from node.web.address import WebAddress, parse_address
from node.web.application import application
from node.web.guard import HEADERS
from node.web.listener import WebListener
from tools.ports import free_ports

GET = "GET /plain HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"


async def plain(_request: Request) -> Response:
    return PlainTextResponse("here")


class Flood(Response):
    """More than the buffers of any socket, for a client that reads nothing."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            piece = {"type": "http.response.body", "body": bytes(1 << 20), "more_body": True}
            await send(piece)


async def flood(_request: Request) -> Response:
    return Flood()


async def slow(_request: Request) -> Response:
    """Made in a thread, as pages are: it cannot be stopped."""
    limit = trio.current_effective_deadline()

    def make() -> Response:
        while trio.from_thread.run_sync(trio.current_time) < limit:
            pass
        return PlainTextResponse("late")

    return await trio.to_thread.run_sync(make)


async def broken(_request: Request) -> Response:
    raise ArithmeticError("a page with a fault")


ROUTES: list[BaseRoute] = [
    Route("/plain", plain),
    Route("/flood", flood),
    Route("/slow", slow),
    Route("/broken", broken),
]


@asynccontextmanager
async def served() -> AsyncIterator[WebListener]:
    web = WebListener(WebAddress("127.0.0.1", free_ports(1)))
    app = application(web.address, ROUTES, {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(web.run, app)
        yield web
        nursery.cancel_scope.cancel()


async def ask(address: WebAddress, request: str) -> str:
    """All that is answered, until the server closes; empty: it answered nothing."""
    answer = b""
    stream = await trio.open_tcp_stream(address.host, address.port)
    async with stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(request.encode())
            async for piece in stream:
                answer += piece
    return answer.decode()


@pytest.mark.parametrize("text", ["127.0.0.1:7132", "[::1]:7132", "127.9.9.9:1"])
def test_addresses_of_this_machine_are_taken(text: str) -> None:
    assert str(parse_address(text)) == text


def test_browsers_leave_out_the_port_of_http() -> None:
    assert parse_address("127.0.0.1:80").names >= {"127.0.0.1", "localhost", "localhost:80"}
    assert parse_address("[::1]:7132").names == {"[::1]:7132", "localhost:7132"}


@pytest.mark.parametrize("text", ["0.0.0.0:7132", "192.0.2.1:7132", "[::]:7132", "[2001:db8::1]:1"])
def test_no_other_machine_may_come(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_address(text)
    assert refused.value.code == "WEB_NOT_LOOPBACK"


@pytest.mark.parametrize(
    "text",
    ["", "7132", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "localhost:1", "::1:7", "1.2.3:4"],
)
def test_what_is_no_address_is_said_so(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_address(text)
    assert refused.value.code == "WEB_LISTEN"


async def test_every_answer_carries_the_policy() -> None:
    async with served() as web:
        for path in ("/plain", "/missing", "/broken"):
            answer = await ask(
                web.address, GET.format(host=str(web.address)).replace("/plain", path)
            )
            for name, value in (*HEADERS, (b"cache-control", b"no-store")):
                assert f"{name.decode()}: {value.decode()}\r\n" in answer


async def test_a_fault_of_a_page_is_its_own() -> None:
    async with served() as web:
        assert (
            await ask(web.address, GET.replace("/plain", "/broken").format(host=web.address))
        ).startswith("HTTP/1.1 500")
        assert (await ask(web.address, GET.format(host=web.address))).startswith("HTTP/1.1 200")


async def test_a_late_answer_is_said_to_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ANSWER_SECONDS_MAX", 0.01)
    async with served() as web:
        answer = await ask(web.address, GET.format(host=web.address).replace("/plain", "/slow"))
        assert answer.startswith("HTTP/1.1 503")
        assert "ANSWER_LATE" in answer


async def test_a_foreign_name_is_not_answered() -> None:
    async with served() as web:
        port = web.address.port
        for host in (f"rebound.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", ""):
            assert (await ask(web.address, GET.format(host=host))).startswith("HTTP/1.1 421")
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
            assert (await ask(web.address, GET.format(host=host))).startswith("HTTP/1.1 200")


@pytest.mark.parametrize(
    ("site", "mode", "destination", "answered"),
    [
        ("cross-site", "no-cors", "empty", 403),
        ("cross-site", "navigate", "iframe", 403),
        ("same-site", "cors", "empty", 403),
        ("cross-site", "navigate", "document", 200),
        ("same-origin", "cors", "empty", 200),
        ("none", "navigate", "document", 200),
    ],
)
async def test_a_foreign_page_may_link_here_and_no_more(
    site: str, mode: str, destination: str, answered: int
) -> None:
    """It reads no answer anyway, but it could have pages made without end; another port is foreign as well."""
    said = (
        f"Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {destination}\r\n\r\n"
    )
    async with served() as web:
        answer = await ask(web.address, GET.format(host=web.address)[:-2] + said)
    assert answer.startswith(f"HTTP/1.1 {answered} ")


async def test_a_request_is_of_bounded_size() -> None:
    async with served() as web:
        much = "X-Long: " + "x" * 10 * bounds.HEADER_BYTES_MAX  # more than is received at once
        answer = await ask(
            web.address,
            GET.format(host=str(web.address)).replace("\r\n\r\n", f"\r\n{much}\r\n\r\n"),
        )
        assert answer == "" or answer.startswith("HTTP/1.1 4")


async def test_connections_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CONNECTIONS_MAX", 2)
    async with served() as web:
        held = [await trio.open_tcp_stream(web.address.host, web.address.port) for _ in range(2)]
        while web.connections < 2:
            await trio.lowlevel.checkpoint()
        assert await ask(web.address, GET.format(host=web.address)) == ""
        for stream in held:
            await stream.aclose()
        while web.connections:
            await trio.lowlevel.checkpoint()
        assert "200" in await ask(web.address, GET.format(host=web.address))


async def test_who_is_gone_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CONNECTIONS_MAX", 1)
    keep = GET.replace("Connection: close\r\n", "")
    async with served() as web:
        for _ in range(3):
            stream = await trio.open_tcp_stream(web.address.host, web.address.port)
            await stream.send_all(keep.format(host=web.address).encode())
            assert (await stream.receive_some(1024)).startswith(b"HTTP/1.1 200")
            await stream.aclose()
            while web.connections:
                await trio.lowlevel.checkpoint()


async def test_who_reads_nothing_does_not_keep_the_node_from_ending() -> None:
    async with served() as web:
        stream = await trio.open_tcp_stream(web.address.host, web.address.port)
        request = GET.format(host=str(web.address)).replace("/plain", "/flood")
        await stream.send_all(request.encode())
        assert await stream.receive_some(16)
    await stream.aclose()


async def test_a_port_in_use_is_said_before_anything_starts() -> None:
    async with served() as web:
        with pytest.raises(ListenError) as refused:
            WebListener(web.address)
        assert refused.value.code == "PORT_IN_USE"
