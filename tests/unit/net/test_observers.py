"""An observer's mesh and the listener of the node that it follows, over real TLS on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from net import (
    Answers,
    ClientHandler,
    ClientSession,
    Listener,
    ListenerLimits,
    Mesh,
    NodeIdentity,
    PeerInbox,
)
from net.limits import MESSAGE_BYTES_MAX
from tallynet.blocks import Certificate
from tallynet.codec import encode
from tallynet.messages import (
    Blocks,
    BlocksGone,
    Bodies,
    CertifiedBlock,
    FetchBlocks,
    Newest,
    ObserverReply,
    ObserverRequest,
    PeerRole,
    Ping,
)
from tests.unit.net.samples import GENESIS, KEYS, PUBLIC, identity, until

SOFTWARE = "python=3.11.1"


@dataclass
class Followed:
    """A node that answers every question about blocks with `reply`."""

    reply: bytes = b""
    asked: list[object] = field(default_factory=list)
    sessions: list[ClientSession] = field(default_factory=list)
    clients: list[object] = field(default_factory=list)
    port: int = 0
    listener: Listener = field(init=False)

    def handle(self, session: ClientSession, requests: list[object]) -> None:
        self.asked.extend(requests)
        if session not in self.sessions:
            self.sessions.append(session)
        if self.reply:
            session.send(self.reply)


@asynccontextmanager
async def followed(
    *,
    limits: ListenerLimits | None = None,
    who: NodeIdentity | None = None,
    admitted: Ed25519PrivateKey | None = None,
) -> AsyncIterator[Followed]:
    node = Followed()
    node.listener = Listener(
        who or identity(0),
        "127.0.0.1",
        0,
        peers=PeerInbox(lambda _source, _messages: None, lambda: False, trio.lowlevel.checkpoint),
        clients=ClientHandler(lambda _s, requests: node.clients.extend(requests), lambda _s: None),
        observers=ClientHandler(node.handle, lambda _s: None, ObserverRequest),
        committed_height=lambda: 7,
        admit_observer=lambda key: (
            admitted is None or key == admitted.public_key().public_bytes_raw()
        ),
        limits=limits,
    )
    async with trio.open_nursery() as nursery:
        node.port = await nursery.start(node.listener.run)
        yield node
        nursery.cancel_scope.cancel()


def observer(
    node: Followed,
    deliver: Callable[[int, list[ObserverReply]], None] = lambda _number, _messages: None,
    key: Ed25519PrivateKey | None = None,
) -> Mesh:
    who = NodeIdentity(
        genesis=GENESIS, key=key or Ed25519PrivateKey.generate(), validators=(PUBLIC[0],),
        software=SOFTWARE, role=PeerRole.OBSERVER,
    )  # fmt: skip
    answers = Answers(deliver, trio.lowlevel.checkpoint)
    return Mesh(who, {0: ("127.0.0.1", node.port)}, answers=answers)


async def test_questions_and_large_answers_go_over_one_connection(nursery: trio.Nursery) -> None:
    got: list[tuple[int, ObserverReply]] = []
    async with followed() as node:
        node.reply = encode(Bodies((bytes(1_000_000),)))
        mesh = observer(node, lambda number, messages: got.extend((number, m) for m in messages))
        nursery.start_soon(mesh.run)
        mesh.send(0, encode(FetchBlocks(3)))
        await until(lambda: got)
        assert got == [(0, Bodies((bytes(1_000_000),)))]
        assert node.asked == [FetchBlocks(3)]
        statistics = node.listener.statistics()
        assert len(statistics.observers) == 1 and statistics.clients == ()
        assert not any(peer.connected for peer in statistics.peers)
        nursery.cancel_scope.cancel()


async def test_observers_have_few_places_and_take_none_from_clients(nursery: trio.Nursery) -> None:
    limits = ListenerLimits(observers=2, observers_per_key=1, clients=1)
    async with followed(limits=limits) as node:
        same = Ed25519PrivateKey.generate()
        meshes = [observer(node, key=same), observer(node, key=same), observer(node)]
        for mesh in meshes[:1] + meshes[2:]:
            nursery.start_soon(mesh.run)
            await until(lambda mesh=mesh: mesh.connected())
        late = observer(node)
        for mesh, reason in ((meshes[1], "this key has 1"), (late, "no place free")):
            nursery.start_soon(mesh.run)
            await until(lambda m=mesh, r=reason: r in m.statistics().links[0].trouble)
        assert len(node.listener.statistics().observers) == 2
        nursery.cancel_scope.cancel()


async def test_a_node_may_name_those_that_follow_it(nursery: trio.Nursery) -> None:
    named = Ed25519PrivateKey.generate()
    async with followed(admitted=named) as node:
        welcome, stranger = observer(node, key=named), observer(node)
        nursery.start_soon(welcome.run)
        nursery.start_soon(stranger.run)
        await until(welcome.connected)
        await until(lambda: "CLIENT_UNKNOWN" in stranger.statistics().links[0].trouble)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "bad",
    [
        encode(Ping(1)),
        b"\xff",
        encode(FetchBlocks(1)) + b"\x00",
        encode(Bodies((bytes(MESSAGE_BYTES_MAX[Bodies] + 1),))),
    ],
)
async def test_what_an_observer_may_not_say_is_a_strike(nursery: trio.Nursery, bad: bytes) -> None:
    async with followed() as node:
        mesh = observer(node)
        nursery.start_soon(mesh.run)
        await until(mesh.connected)
        mesh.send(0, bad)
        mesh.send(0, encode(Newest(1)))
        await until(lambda: node.asked)
        assert node.asked == [Newest(1)]
        assert node.listener.statistics().strikes == 1
        assert node.clients == []
        nursery.cancel_scope.cancel()


async def test_an_answer_that_is_none_ends_the_connection(nursery: trio.Nursery) -> None:
    got: list[ObserverReply] = []
    async with followed() as node:
        node.reply = encode(Ping(1))
        mesh = observer(node, lambda _number, messages: got.extend(messages))
        nursery.start_soon(mesh.run)
        mesh.send(0, encode(FetchBlocks(1)))
        await until(lambda: "SCHEMA" in mesh.statistics().links[0].trouble)
        node.reply = encode(BlocksGone(9))
        mesh.send(0, encode(FetchBlocks(1)))
        await until(lambda: got)
        assert got == [BlocksGone(9)], "and is dialled again"
        nursery.cancel_scope.cancel()


async def test_answers_of_full_size_are_read_and_larger_ones_are_not(nursery: trio.Nursery) -> None:
    got: list[ObserverReply] = []
    certificate = Certificate(b"vote", (), ())
    block = CertifiedBlock(bytes(1000), (), certificate, (bytes(2_000_000),))
    async with followed() as node:
        node.reply = encode(Blocks((block,)))
        mesh = observer(node, lambda _number, messages: got.extend(messages))
        nursery.start_soon(mesh.run)
        mesh.send(0, encode(FetchBlocks(1)))
        await until(lambda: got)
        node.reply = encode(Bodies((bytes(MESSAGE_BYTES_MAX[Bodies]),)))
        mesh.send(0, encode(FetchBlocks(1)))
        await until(lambda: "MESSAGE_TOO_LARGE" in mesh.statistics().links[0].trouble)
        nursery.cancel_scope.cancel()


async def test_an_observer_s_listener_lets_no_validator_in(nursery: trio.Nursery) -> None:
    own = NodeIdentity(genesis=GENESIS, key=KEYS[0], validators=(), software=SOFTWARE)
    async with followed(who=own) as node:
        validator = Mesh(identity(1), {0: ("127.0.0.1", node.port)})
        below = observer(node)
        nursery.start_soon(validator.run)
        nursery.start_soon(below.run)
        await until(lambda: "PEER_UNKNOWN" in validator.statistics().links[0].trouble)
        await until(below.connected)
        nursery.cancel_scope.cancel()


async def test_other_software_does_not_follow(nursery: trio.Nursery) -> None:
    """It would execute the same blocks to other results (D2)."""
    other = NodeIdentity(genesis=GENESIS, key=KEYS[0], validators=PUBLIC, software="python=3.12.1")
    async with followed(who=other) as node:
        mesh = observer(node)
        nursery.start_soon(mesh.run)
        await until(lambda: "SOFTWARE_MISMATCH" in mesh.statistics().links[0].trouble)
        nursery.cancel_scope.cancel()
