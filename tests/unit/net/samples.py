"""Validators for network tests: keys, identities, inboxes that write down what arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from net import ClientHandler, ClientSession, Listener, ListenerLimits, NodeIdentity, PeerInbox
from tallynet.codec import encode
from tallynet.messages import ClientRequest, PeerMessage, Ping, Pong, Signed, SignedKind

GENESIS = b"g" * 32
KEYS = tuple(
    sorted(
        (Ed25519PrivateKey.from_private_bytes(bytes([i]) * 32) for i in range(1, 5)),
        key=lambda key: key.public_key().public_bytes_raw(),
    )
)
PUBLIC = tuple(key.public_key().public_bytes_raw() for key in KEYS)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"\xaa" * 32)


def identity(
    index: int, *, genesis: bytes = GENESIS, software: str = "python=3.11.1"
) -> NodeIdentity:
    return NodeIdentity(genesis=genesis, key=KEYS[index], validators=PUBLIC, software=software)


def vote(number: int = 0, size: int = 100) -> bytes:
    """An encoded message that decodes; its signature is nobody's business here."""
    body = number.to_bytes(8, "big") + bytes(size)
    return encode(Signed(SignedKind.PREPARE, body, 0, bytes(64)))


def number_of(message: PeerMessage) -> int:
    if not isinstance(message, Signed):
        raise TypeError(message)
    return int.from_bytes(message.body[:8], "big")


@dataclass
class Node:
    """A listener and everything that arrived at it."""

    index: int
    received: list[tuple[int, PeerMessage]] = field(default_factory=list)
    sessions: list[ClientSession] = field(default_factory=list)
    forgotten: list[ClientSession] = field(default_factory=list)
    requests: list[ClientRequest] = field(default_factory=list)
    full: bool = False
    drained: trio.Event = field(default_factory=trio.Event)
    fail_with: BaseException | None = None
    port: int = 0
    listener: Listener = field(init=False)

    def deliver(self, source: int, messages: list[PeerMessage]) -> None:
        self.received.extend((source, message) for message in messages)

    @property
    def inbox(self) -> PeerInbox:
        return PeerInbox(self.deliver, lambda: self.full, self.wait_for_room)

    @property
    def handler(self) -> ClientHandler:
        return ClientHandler(self.handle, self.forgotten.append)

    async def wait_for_room(self) -> None:
        await self.drained.wait()

    def handle(self, session: ClientSession, requests: list[ClientRequest]) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        if session not in self.sessions:
            self.sessions.append(session)
        self.requests.extend(requests)
        for request in requests:
            if isinstance(request, Ping):
                session.send(encode(Pong(request.request)))

    def numbers(self) -> list[int]:
        return [number_of(message) for _, message in self.received]


@asynccontextmanager
async def listening(
    index: int,
    *,
    limits: ListenerLimits | None = None,
    who: NodeIdentity | None = None,
    port: int = 0,
    admit_client: object = None,
) -> AsyncIterator[Node]:
    """A validator's listener on a free loopback port."""
    node = Node(index)
    options = {} if admit_client is None else {"admit_client": admit_client}
    node.listener = Listener(
        who or identity(index),
        "127.0.0.1",
        port,
        peers=node.inbox,
        clients=node.handler,
        committed_height=lambda: 7,
        limits=limits,
        **options,  # type: ignore[arg-type]
    )
    async with trio.open_nursery() as nursery:
        node.port = await nursery.start(node.listener.run)
        yield node
        nursery.cancel_scope.cancel()


async def until(condition: object, *, seconds: float = 5.0) -> None:
    """Wait until `condition()` is true; the test fails when that takes too long."""
    with trio.fail_after(seconds):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110 - watches objects of all kinds
            await trio.sleep(0.002)
