"""Webhooks: every event once at least, in order, signed, whatever the receiver does."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from node.config import ConfigError
from node.light import webhooks
from node.light.config import TokenError, Webhook, load_light
from node.light.copy import Copy
from node.light.database import open_for
from node.light.event_log import Place, SeenEvent
from node.light.event_pages import EventPages
from node.light.following import Follower
from node.light.sent import SentCommands
from node.light.webhooks import Webhooks, headers_of, read_secret
from tallynet.receipts import Event
from tests.unit.client.serving import GENESIS, GENESIS_HASH, ORGANISATION
from tests.unit.net.samples import STRANGER

DOCUMENTED = Path(__file__).resolve().parents[3] / "docs" / "integrate" / "erp-api.md"
SECONDS_MAX = 20
SECRET = bytes(range(32))
Behaviour = Callable[[BaseHTTPRequestHandler, int], None]


def answer(status: int, **headers: str) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler, _count: int) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behave


class Receiver:
    """Answers the first requests as it is told, the others with 204; keeps every body."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.taken: list[str] = []
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.bodies.append(body)
                receiver.paths.append(self.path)
                count = len(receiver.bodies)
                if count <= len(behaviours):
                    behaviours[count - 1](self, count)
                    return
                receiver.taken += [each["id"] for each in body["events"]]
                answer(204)(self, count)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@contextmanager
def receiving(*behaviours: Behaviour) -> Iterator[Receiver]:
    receiver = Receiver(*behaviours)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


class Light:
    """The parts of a light node that bring events, and nothing else."""

    def __init__(self, directory: Path, *hooks: Webhook) -> None:
        secret = directory / "secret"
        secret.touch(0o600)
        secret.write_text("whsec_" + base64.b64encode(SECRET).decode())
        self.copy = Copy(directory / "copy.sqlite", GENESIS_HASH, ORGANISATION)
        self.base = open_for(directory / "commands.sqlite", GENESIS_HASH, ORGANISATION, b"1")
        self.follower = Follower(self.copy, [], GENESIS, STRANGER, directory / "trust")
        pages = EventPages(self.follower, SentCommands(self.base), lambda code: f"do {code}")
        self.webhooks = Webhooks(self.base, pages, hooks, directory)

    def happen(self, height: int, *types: str) -> None:
        """A block of these events."""
        events = [
            Event(each, 9, b"r" * 16, 0, 0, 0, ORGANISATION, None, 0, b"", None) for each in types
        ]
        seen = [SeenEvent(Place(height, index), event, 1_000) for index, event in enumerate(events)]
        self.copy.apply((), place=Place(height + 1), seen=seen)
        self.follower.news.tell()

    def close(self) -> None:
        self.copy.close()
        self.base.close()


async def bring(light: Light, enough: Callable[[], bool]) -> None:
    """Let it work until there is enough."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(light.webhooks.run)
        with trio.fail_after(SECONDS_MAX):
            while not enough():  # noqa: ASYNC110 - the receiver is a thread
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


def hook(receiver: Receiver, *events: str) -> Webhook:
    return Webhook(url=receiver.url, secret_file="secret", events=events)


def behind(light: Light) -> int:
    return light.webhooks.status()[0].behind


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(webhooks, "ANSWER_SECONDS", 0.5)


def silent(_handler: BaseHTTPRequestHandler, _count: int) -> None:
    threading.Event().wait(1.0)


def closing(handler: BaseHTTPRequestHandler, _count: int) -> None:
    handler.connection.close()


@pytest.mark.parametrize(
    "behaviour",
    [answer(500), answer(404), answer(302, Location="/elsewhere"), silent, closing],
    ids=["500", "404", "redirect", "silence", "closed"],
)
async def test_whatever_is_no_2xx_is_tried_again_and_nothing_overtakes(
    tmp_path: Path, behaviour: Behaviour
) -> None:
    with receiving(behaviour, behaviour) as receiver:
        light = Light(tmp_path, hook(receiver))
        light.copy.apply((), place=Place(1))
        light.happen(1, "a", "b")
        await bring(light, lambda: behind(light) == 0)
        (state,) = light.webhooks.status()
        light.close()
        assert receiver.taken == ["1.0", "1.1"] and set(receiver.paths) == {"/hook"}
        assert len(receiver.bodies) == 3 and receiver.bodies[0] == receiver.bodies[2]
        assert (state.failures, state.last_error, state.cursor) == (0, "", "1.1")


async def test_https_is_believed_with_a_certificate_of_the_systems_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with receiving() as receiver:
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        hook = Webhook(
            url=receiver.url.replace("http://", "https://"), secret_file="secret", events=()
        )
        light = Light(tmp_path, hook)
        light.copy.apply((), place=Place(1))
        light.happen(1, "a")
        await bring(light, lambda: light.webhooks.status()[0].failures > 0)
        assert "CERTIFICATE_VERIFY_FAILED" in light.webhooks.status()[0].last_error
        assert not receiver.bodies
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        await bring(light, lambda: behind(light) == 0)
        light.close()
        assert receiver.taken == ["1.0"]


async def test_a_receiver_that_fails_is_named_in_the_status(tmp_path: Path) -> None:
    with receiving(*[answer(503)] * 100) as receiver:
        light = Light(tmp_path, hook(receiver))
        light.copy.apply((), place=Place(1))
        light.happen(1, "a")
        await bring(light, lambda: light.webhooks.status()[0].failures >= 3)
        (state,) = light.webhooks.status()
        light.close()
        assert (state.behind, state.last_error, state.delivered_at) == (1, "HTTP 503", None)


async def test_it_goes_on_where_it_stopped_and_brings_what_happens_meanwhile(
    tmp_path: Path,
) -> None:
    with receiving() as receiver:
        light = Light(tmp_path, hook(receiver))
        light.copy.apply((), place=Place(1))
        light.happen(1, "a")
        await bring(light, lambda: behind(light) == 0)
        light.happen(2, "b")
        light.close()
        light = Light(tmp_path, hook(receiver))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bring, light, lambda: receiver.taken == ["1.0", "2.0", "3.0"])
            light.happen(3, "c")
        light.close()


async def test_types_that_were_not_asked_for_are_passed_over(tmp_path: Path) -> None:
    with receiving() as receiver:
        light = Light(tmp_path, hook(receiver, "b"))
        light.copy.apply((), place=Place(1))
        light.happen(1, "a", "b", "c")
        light.happen(2, "a")
        await bring(light, lambda: behind(light) == 0)
        light.close()
        assert receiver.taken == ["1.1"]


async def test_a_receiver_is_told_that_the_copy_was_filled_anew(tmp_path: Path) -> None:
    with receiving() as receiver:
        light = Light(tmp_path, hook(receiver))
        light.copy.apply((), place=Place(1))
        light.happen(1, "a")
        await bring(light, lambda: behind(light) == 0)
        light.close()
        (tmp_path / "copy.sqlite").unlink()
        light = Light(tmp_path, hook(receiver))
        light.copy.apply((), place=Place(9))
        light.happen(9, "b")
        await bring(light, lambda: receiver.taken == ["1.0", "9.0"])
        light.close()
        gap = receiver.bodies[1]["gap"]
        assert (gap["code"], gap["what_to_do"]) == ("CURSOR_TOO_OLD", "do CURSOR_TOO_OLD")


def test_the_signature_is_that_of_the_worked_example() -> None:
    body = b'{"events":[],"cursor":"1042.3","more":false}'
    headers = headers_of(SECRET, "1042-3", 1_800_000_000, body)
    text = DOCUMENTED.read_text(encoding="utf-8")
    assert body.decode() in text and base64.b64encode(SECRET).decode() in text
    for value in ("1042-3", "1800000000", headers["webhook-signature"]):
        assert value in text


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("whsec_" + base64.b64encode(SECRET).decode(), 0o644),
        ("whsec_" + base64.b64encode(SECRET[:8]).decode(), 0o600),
        (base64.b64encode(SECRET).decode(), 0o600),
        ("whsec_not base64", 0o600),
    ],
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(TokenError) as refused:
        read_secret(path)
    assert refused.value.code == "SECRET_UNUSABLE"


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://erp.example/hook?a=b", True),
        ("http://127.0.0.1:8000/hook", True),
        ("http://[::1]:8000/hook", True),
        ("http://localhost/hook", True),
        ("http://erp.example/hook", False),
        ("http://127.0.0.1.example/hook", False),
        ("https://user:secret@erp.example/", False),
        ("https:///hook", False),
        ("https://erp.example:x/", False),
        ("file:///etc/passwd", False),
    ],
)
def test_hooks_are_called_encrypted_or_on_this_machine(
    tmp_path: Path, url: str, allowed: bool
) -> None:
    key = "ab" * 32
    (tmp_path / "light.toml").write_text(
        f'name = "x"\norganisation = "{"0" * 32}"\nwallet = "w"\n'
        f'[[nodes]]\npublic_key = "{key}"\nhost = "h"\nport = 1\n'
        f'[[webhooks]]\nurl = "{url}"\nsecret_file = "secret"\n'
    )
    if allowed:
        assert load_light(tmp_path).webhooks[0].url == url
        return
    with pytest.raises(ConfigError) as refused:
        load_light(tmp_path)
    assert refused.value.code == "CONFIG_INVALID"
