"""The mesh and the listener against each other, over real TLS on loopback."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio
import trio.lowlevel

from net import Listener, ListenerLimits, ListenError, Mesh, NodeIdentity
from net import mesh as mesh_module
from net.limits import OFFLINE_MESSAGES_MAX
from tallynet.codec import encode
from tallynet.errors import InvariantViolated
from tallynet.messages import Bodies, FetchBlocks, Goodbye
from tests.unit.net.samples import (
    GENESIS,
    KEYS,
    PUBLIC,
    STRANGER,
    Node,
    identity,
    listening,
    number_of,
    until,
    vote,
)


async def test_every_validator_hears_a_broadcast_of_every_other_one_in_order() -> None:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(listening(i)) for i in range(4)]
        nursery = await stack.enter_async_context(trio.open_nursery())
        meshes = [_mesh(i, nodes) for i in range(4)]
        for mesh in meshes:
            nursery.start_soon(mesh.run)
        for mesh in meshes:
            await until(lambda mesh=mesh: mesh.connected() == 3)
        for number in range(100):
            for mesh in meshes:
                mesh.broadcast(vote(number))
        for node in nodes:
            await until(lambda node=node: len(node.received) == 300)
            for source in set(range(4)) - {node.index}:
                numbers = [number_of(m) for s, m in node.received if s == source]
                assert numbers == list(range(100))
        nursery.cancel_scope.cancel()


def _mesh(index: int, nodes: list[Node]) -> Mesh:
    others = {node.index: ("127.0.0.1", node.port) for node in nodes if node.index != index}
    return Mesh(identity(index), others)


async def test_what_was_said_before_the_link_is_up_arrives_and_the_oldest_is_dropped() -> None:
    async with listening(0) as node, trio.open_nursery() as nursery:
        mesh = _mesh(1, [node])
        for number in range(OFFLINE_MESSAGES_MAX + 10):
            mesh.send(0, vote(number))
        assert mesh.statistics().links[0].dropped == 10
        nursery.start_soon(mesh.run)
        await until(lambda: len(node.received) == OFFLINE_MESSAGES_MAX)
        assert node.numbers()[0] == 10
        nursery.cancel_scope.cancel()


async def test_a_lost_link_is_dialled_again_and_the_owner_is_told() -> None:
    connected: list[int] = []
    async with trio.open_nursery() as nursery:
        async with listening(0) as node:
            port = node.port
            mesh = Mesh(identity(1), {0: ("127.0.0.1", port)}, on_connected=connected.append)
            nursery.start_soon(mesh.run)
            await until(lambda: connected == [0])
        await until(lambda: mesh.connected() == 0)
        assert mesh.statistics().links[0].trouble
        for _ in range(OFFLINE_MESSAGES_MAX + 5):
            mesh.send(0, vote(1))
        assert mesh.statistics().links[0].queued_messages == OFFLINE_MESSAGES_MAX
        async with listening(0, port=port) as node:
            await until(lambda: connected == [0, 0])
            mesh.send(0, vote(2))
            await until(lambda: len(node.received) >= 1 and node.numbers()[-1] == 2)
            assert mesh.statistics().links[0].connects == 2
        nursery.cancel_scope.cancel()


async def test_a_full_inbox_stops_reading_and_the_outbox_drops_its_oldest() -> None:
    async with listening(0) as node, trio.open_nursery() as nursery:
        mesh = _mesh(1, [node])
        nursery.start_soon(mesh.run)
        await until(lambda: mesh.connected() == 1)
        node.full = True
        mesh.send(0, vote(0))
        await until(lambda: len(node.received) == 1)
        large = encode(Bodies((bytes(200_000),) * 5))
        for _ in range(60):
            mesh.send(0, large)
            await trio.lowlevel.checkpoint()
        assert mesh.statistics().links[0].dropped > 0
        assert len(node.received) < 60
        node.full = False
        node.drained.set()
        mesh.send(0, vote(99))
        await until(lambda: node.received[-1][1] != node.received[0][1] and _is_vote_99(node))
        nursery.cancel_scope.cancel()


def _is_vote_99(node: Node) -> bool:
    last = node.received[-1][1]
    return not isinstance(last, Bodies) and number_of(last) == 99


async def test_a_message_to_oneself_is_a_fault_and_an_oversize_one_is_counted_not_sent() -> None:
    async with listening(0) as node:
        mesh = _mesh(1, [node])
        with pytest.raises(InvariantViolated):
            mesh.send(1, vote())
        mesh.broadcast(bytes(5_000_000))
        mesh.send(0, b"")
        assert mesh.statistics().oversize == 2
        assert mesh.statistics().links[0].queued_messages == 0


def test_addresses_must_be_of_other_validators() -> None:
    for index in (1, 4, -1):
        with pytest.raises(ValueError, match="not another member"):
            Mesh(identity(1), {index: ("127.0.0.1", 1)})


def test_a_validator_set_with_a_weak_or_repeated_key_is_refused() -> None:
    for bad in ((PUBLIC[0], PUBLIC[0]), (PUBLIC[0], b"\1" + bytes(31))):
        with pytest.raises(ValueError, match="weak or repeated"):
            NodeIdentity(genesis=GENESIS, key=KEYS[0], validators=bad)


async def _refusal(dialler: NodeIdentity, to: Node, index: int) -> str:
    """What a mesh reports when its only link is refused."""
    mesh = Mesh(dialler, {index: ("127.0.0.1", to.port)})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mesh.run)
        await until(lambda: "not dialled" not in mesh.statistics().links[0].trouble)
        nursery.cancel_scope.cancel()
    assert mesh.connected() == 0
    return mesh.statistics().links[0].trouble


async def test_another_network_another_software_or_a_wrong_key_is_refused_with_its_name() -> None:
    async with listening(0) as node:
        other_network = identity(1, genesis=b"x" * 32)
        assert "NETWORK_MISMATCH" in await _refusal(other_network, node, 0)
        other_software = identity(1, software="python=3.12.0")
        assert "SOFTWARE_MISMATCH" in await _refusal(other_software, node, 0)
        assert "PEER_WRONG_KEY" in await _refusal(identity(1), node, 2)
        outsider = NodeIdentity(
            genesis=GENESIS, key=STRANGER, validators=PUBLIC, software="python=3.11.1"
        )
        assert "PEER_UNKNOWN" in await _refusal(outsider, node, 0)
        assert node.received == []


async def test_a_patch_release_apart_is_the_same_software() -> None:
    async with listening(0) as node, trio.open_nursery() as nursery:
        mesh = Mesh(identity(1, software="python=3.11.9"), {0: ("127.0.0.1", node.port)})
        nursery.start_soon(mesh.run)
        await until(lambda: mesh.connected() == 1)
        nursery.cancel_scope.cancel()


async def test_a_second_connection_of_a_validator_replaces_the_first() -> None:
    async with listening(0) as node, trio.open_nursery() as nursery:
        old, new = _mesh(1, [node]), _mesh(1, [node])
        nursery.start_soon(old.run)
        await until(lambda: old.connected() == 1)
        nursery.start_soon(new.run)
        await until(lambda: old.statistics().links[0].connected is False)
        new.send(0, vote(5))
        await until(lambda: 5 in node.numbers())
        nursery.cancel_scope.cancel()


async def test_messages_that_do_not_decode_are_dropped_and_twenty_of_them_ban_the_sender() -> None:
    async with listening(0) as node, trio.open_nursery() as nursery:
        mesh = _mesh(1, [node])
        nursery.start_soon(mesh.run)
        await until(lambda: mesh.connected() == 1)
        for number in range(19):
            mesh.send(0, b"\xff no message")
            mesh.send(0, vote(number))
        await until(lambda: len(node.received) == 19)
        peer = node.listener.statistics().peers[0]
        assert (peer.index, peer.invalid, peer.connected) == (1, 19, True)
        mesh.send(0, vote()[:-1])
        await until(lambda: "BANNED" in mesh.statistics().links[0].trouble)
        assert node.listener.statistics().banned == 1
        nursery.cancel_scope.cancel()


async def test_the_node_may_strike_a_validator_whose_signatures_are_wrong() -> None:
    async with listening(0) as node, trio.open_nursery() as nursery:
        mesh = _mesh(1, [node])
        nursery.start_soon(mesh.run)
        await until(lambda: mesh.connected() == 1)
        for _ in range(20):
            node.listener.strike(1)
        await until(lambda: "BANNED" in mesh.statistics().links[0].trouble)
        nursery.cancel_scope.cancel()


async def test_a_message_beyond_the_limit_of_its_kind_is_invalid() -> None:
    async with listening(0) as node, trio.open_nursery() as nursery:
        mesh = _mesh(1, [node])
        nursery.start_soon(mesh.run)
        await until(lambda: mesh.connected() == 1)
        overhead = len(vote(0, 1_000)) - 1_000
        mesh.send(0, vote(1, 2_048 - overhead))
        mesh.send(0, vote(2, 2_049 - overhead))
        mesh.send(0, encode(FetchBlocks(3)))
        await until(lambda: len(node.received) == 2)
        assert number_of(node.received[0][1]) == 1
        assert node.received[1][1] == FetchBlocks(3)
        assert node.listener.statistics().strikes == 1
        nursery.cancel_scope.cancel()


async def test_a_peer_that_sends_too_fast_is_read_later() -> None:
    slow = ListenerLimits(peer_bytes_per_second=20_000, peer_burst_bytes=1_000)
    async with listening(0, limits=slow) as node, trio.open_nursery() as nursery:
        mesh = _mesh(1, [node])
        nursery.start_soon(mesh.run)
        await until(lambda: mesh.connected() == 1)
        started = trio.current_time()
        for number in range(10):
            mesh.send(0, vote(number, 1_000))
            await until(lambda number=number: len(node.received) == number + 1)
        assert trio.current_time() - started > 0.4
        nursery.cancel_scope.cancel()


async def test_goodbye_ends_the_link_and_is_not_delivered() -> None:
    async with listening(0) as node, trio.open_nursery() as nursery:
        mesh = _mesh(1, [node])
        nursery.start_soon(mesh.run)
        await until(lambda: mesh.connected() == 1)
        mesh.send(0, vote(1))
        mesh.send(0, encode(Goodbye("UPGRADE", "back soon")))
        await until(lambda: mesh.statistics().links[0].connects == 2)
        assert node.numbers() == [1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("host", "code", "advice"),
    [
        ("127.0.0.1", "PORT_IN_USE", "choose another listen_port"),
        ("203.0.113.1", "ADDRESS_UNUSABLE", "must be an address of this machine"),
    ],
)
async def test_a_listener_that_cannot_listen_says_what_to_do(
    host: str, code: str, advice: str
) -> None:
    async with listening(0) as node:
        other = Listener(
            identity(1), host, node.port, peers=node.inbox, clients=node.handler,
            committed_height=lambda: 0,
        )  # fmt: skip
        with pytest.raises(ListenError, match=advice) as caught:
            await other.run()
        assert caught.value.code == code


def test_first_text_of_a_nested_group() -> None:
    group = BaseExceptionGroup("", [BaseExceptionGroup("", [ValueError("inner")])])
    assert mesh_module._first(group) == "inner"


def _before() -> NodeIdentity:
    """Validator 1 in the set of all four."""
    return identity(1)


def _after(key: int) -> NodeIdentity:
    """The set without validator 0: everybody's index is one less."""
    return NodeIdentity(
        genesis=GENESIS, key=KEYS[key], validators=PUBLIC[1:], software="python=3.11.1"
    )


async def test_when_the_set_changes_everybody_dials_again_and_has_its_new_index() -> None:
    async with listening(2) as node, trio.open_nursery() as nursery:
        mesh = Mesh(_before(), {2: ("127.0.0.1", node.port)})
        nursery.start_soon(mesh.run)
        await until(lambda: mesh.connected() == 1)
        mesh.send(2, vote(1))
        await until(lambda: len(node.received) == 1)
        node.listener.change_set(_after(2))
        mesh.send(2, vote(2))  # on the old link, as validator 1 of a set that is no more
        await until(lambda: mesh.connected() == 0)
        new = Mesh(_after(1), {1: ("127.0.0.1", node.port)})
        nursery.start_soon(new.run)
        await until(lambda: new.connected() == 1)
        new.send(1, vote(3))
        await until(lambda: len(node.received) >= 2)
        assert {source for source, m in node.received if number_of(m) == 3} == {0}
        assert all(number_of(m) != 2 or source == 0 for source, m in node.received)
        nursery.cancel_scope.cancel()


async def test_when_the_set_changes_who_left_finds_the_door_closed() -> None:
    async with listening(2) as node:
        node.listener.change_set(_after(2))
        leaver = identity(0)
        assert "PEER_UNKNOWN" in await _refusal(leaver, node, 2)
