"""How long and how many bytes it takes to join with a state of so many entities:

    python -m tests.unit.node.measure_state_sync 10000 100000

A real machine on a real store in this process; the peers are one real server, without a network between
them. Half of the entities are vouchers with two lots each, the others small records.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from consensus.events import Tick
from node.store import open_store
from tallynet.codec import decode, encode
from tallynet.genesis import validators_hash
from tallynet.hashing import signed_bytes
from tallynet.messages import FetchState, FetchStateHead, PeerMessage, Signed, SignedKind, Status
from tallynet.signatures import KIND_STATUS
from tests.unit.node.machines import Net, Validator
from tests.unit.node.state_sync_world import CONFIG, Source

HEIGHT = 50_000
MAP_BYTES = 4 << 30


def source_of(net: Net, directory: Path, entities: int) -> Source:
    genesis = net.world.genesis
    config = replace(
        CONFIG,
        genesis=net.world.hash,
        validators=tuple(v.public_key for v in genesis.validators),
        validators_hash=validators_hash(genesis.validators),
        epoch_length=genesis.epoch_length,
    )
    store = open_store(
        directory, genesis=net.world.hash, node_key=bytes(32), key_mark=None, map_bytes=MAP_BYTES
    )
    source = Source(store, config, net.keys, HEIGHT - 1)
    half = entities // 2
    source.write({n: n for n in range(entities - half)}, dict.fromkeys(range(half), 2))
    return source


def claims(net: Net, node: Validator) -> None:
    """The others say where they are, signed."""
    body = encode(Status(HEIGHT // 1_000, 0, False, HEIGHT, net.wall_ms))
    message = signed_bytes(KIND_STATUS, net.world.hash, body)
    for index in range(3):
        signature = net.keys[index].sign(message)
        node.receive(index, Signed(SignedKind.STATUS, body, index, signature))


def measure(entities: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        net = Net(directory, map_bytes=MAP_BYTES)
        node = net.nodes[3]
        source = source_of(net, directory / "source", entities)
        received = questions = 0
        wall, cpu = time.perf_counter(), time.process_time()
        fetched = served = 0.0
        while "state_adopted" not in node.logs:
            net.now_ms += 1
            claims(net, node)
            node.inbox.append(Tick(net.now_ms, net.wall_ms))
            while node.work() or net.wire:
                if not fetched and "state_sync_complete" in node.logs:
                    fetched = time.perf_counter() - wall
                for _ in range(len(net.wire)):
                    sender, to, raw = net.wire.popleft()
                    request = decode(PeerMessage, raw)  # type: ignore[arg-type]
                    if sender != node.index or not isinstance(request, FetchState | FetchStateHead):
                        continue
                    questions += 1
                    before = time.process_time()
                    answer = source.answer(raw)
                    served += time.process_time() - before
                    received += len(encode(answer))
                    node.receive(to, answer)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"{entities} entities: {received / 1e6:.1f} MB in {questions} questions;"
            f" {wall:.1f} s, of them {wall - fetched:.1f} s for the indexes;"
            f" CPU {cpu - served:.1f} s here, {served:.1f} s at the server",
            flush=True,
        )
        source.server.close()
        source.store.close()
        net.close()


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        measure(int(argument))
