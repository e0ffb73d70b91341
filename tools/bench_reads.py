"""`tally bench --reads`: how many proofs a node serves, and how many a client checks, per second of one core.

A real network makes the vouchers, with 1 to 40 lots, and real questions go over TLS to one of its nodes: what the
node's process spends is everything between the socket and the state tree. The answers are checked afterwards,
one by one, by the client's verifier, which has seen the block's certificate before.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import psutil
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet import commands as c
from tallynet.client import Trust
from tallynet.client.link import Credentials, Link
from tallynet.codec import decode, encode
from tallynet.hashing import record_id
from tallynet.messages import ClientReply, QueryRecord, RecordProof
from tallynet.records import Kind, lot_id
from tools import testnet_processes
from tools.bench_world import (
    LOTS_PER_VOUCHER,
    BenchFailed,
    Carrier,
    NetworkCarrier,
    Site,
    World,
    carry_out,
)
from tools.connect import addresses, connect
from tools.output import ERRORS

LOTS_MAX: Final = 40
"""Of the vouchers that are asked about; the goal for the size of a proof is for so many."""
IN_FLIGHT: Final = 32
"""Questions under way; enough that the node never waits for the client."""
WARM_SECONDS: Final = 1.0
KEPT: Final = 2_000
"""Answers kept to be checked."""
PIECE: Final = 1_000
"""Fen per lot."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and its answer as it came."""

    kind: Kind
    id: bytes
    answer: bytes


@dataclass(slots=True)
class Served:
    """One phase."""

    answers: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the node's process."""
    kept: deque[Asked] = field(default_factory=lambda: deque(maxlen=KEPT))


class Questions(Protocol):
    """Kinds and ids to ask for, one after the other without end."""

    def __call__(self, turn: int) -> tuple[Kind, bytes]: ...


async def measure_reads(world: World, seconds: int, lots: int) -> dict[str, Any]:
    """Figures of three kinds of proof: a lot, a voucher with all its lots, an absent record."""
    figures: dict[str, Any] = {}
    kinds = await questions_about(world, lots)
    for name, questions in kinds.items():
        ERRORS.print(f"asking for proofs, {name}: {seconds} s")
        figures[name] = await proofs(world.site, questions, seconds)
    return {"lots": lots or sum(range(1, LOTS_MAX + 1))} | figures


async def proofs(site: Site, questions: Questions, seconds: float) -> dict[str, Any]:
    """Ask for so long, then check."""
    served = await _serve(site, questions, seconds)
    return _figures(served, _check(site, list(served.kept)))


async def questions_about(world: World, lots: int) -> dict[str, Questions]:
    """Forty vouchers of a running network are cut into up to forty lots each; about those is asked."""
    site = world.site
    async with connect(site.directory) as client:
        vouchers = await _cut(world, NetworkCarrier(client), lots)
        held = [
            lot_id(voucher, lot.start)
            for voucher in vouchers
            for lot in (await client.read_proven(Kind.VOUCHER, voucher)).lots or ()
        ]
    absent = [record_id(Kind.KEY, b"", n.to_bytes(4, "big")) for n in range(1_000)]
    return {
        "lot": lambda turn: (Kind.LOT, held[turn % len(held)]),
        "voucher": lambda turn: (Kind.VOUCHER, vouchers[turn % len(vouchers)]),
        "absent": lambda turn: (Kind.KEY, absent[turn % len(absent)]),
    }


async def _cut(world: World, carrier: Carrier, lots: int) -> list[bytes]:
    """Forty vouchers in up to forty lots each, no two neighbours of one holder."""
    there = LOTS_PER_VOUCHER if lots else 1
    chosen = world.vouchers[:LOTS_MAX]
    for number, (supplier, voucher) in enumerate(chosen):
        others = [other.id for other in world.suppliers if other is not supplier]
        count = number * (LOTS_MAX - there) // (LOTS_MAX - 1)
        pieces = tuple(c.Piece(others[i % len(others)], PIECE, None) for i in range(count))
        if pieces:
            cut = c.LotTransfer(b"cut" + number.to_bytes(2, "big"), voucher, 0, pieces)
            await carry_out(carrier, supplier, [cut])
    return [voucher for _, voucher in chosen]


async def _serve(site: Site, questions: Questions, seconds: float) -> Served:
    """Keep IN_FLIGHT questions under way at the first node."""
    node = testnet_processes.processes(site.directory)[0]
    if node.pid is None:
        raise BenchFailed("NODE_NOT_RUNNING", node.name)
    process = psutil.Process(node.pid)
    keys = tuple(validator.public_key for validator in site.genesis.validators)
    credentials = Credentials(site.hash, keys, Ed25519PrivateKey.generate())
    address = addresses(site.network)[0]
    async with trio.open_nursery() as nursery:
        link = await Link.dial(address, credentials, lambda *_: None, lambda _: None)
        nursery.start_soon(link.run)
        await _ask(link, questions, WARM_SECONDS)
        before = sum(process.cpu_times()[:2])
        served = await _ask(link, questions, seconds)
        served.cpu_seconds = sum(process.cpu_times()[:2]) - before
        nursery.cancel_scope.cancel()
    return served


async def _ask(link: Link, questions: Questions, seconds: float) -> Served:
    served, turn = Served(), 0
    started = time.perf_counter()

    async def worker() -> None:
        nonlocal turn
        while time.perf_counter() - started < seconds:
            question = questions(turn)
            turn += 1
            asked = await _answered(link, *question)
            served.answers += 1
            served.kept.append(asked)

    async with trio.open_nursery() as workers:
        for _ in range(IN_FLIGHT):
            workers.start_soon(worker)
    served.seconds = time.perf_counter() - started
    return served


async def _answered(link: Link, kind: Kind, id: bytes) -> Asked:
    proof = await link.ask(lambda n: QueryRecord(n, kind, id), RecordProof)
    return Asked(kind, id, encode(proof))


def _check(site: Site, answers: Sequence[Asked]) -> list[float]:
    """CPU seconds that checking each answer takes, from its bytes to the record."""
    trust = Trust(site.genesis)
    spent: list[float] = []
    for asked in answers:
        reply = decode(RecordProof, asked.answer)
        trust.certified(reply.header, reply.certificate)  # known from now on
        before = time.process_time()
        answer: ClientReply = decode(ClientReply, asked.answer)
        if not isinstance(answer, RecordProof):
            raise BenchFailed("BAD_ANSWER", "no record proof")
        trust.record(asked.kind, asked.id, answer)
        spent.append(time.process_time() - before)
    return spent


def _figures(served: Served, checks: Sequence[float]) -> dict[str, Any]:
    sizes = [len(decode(RecordProof, asked.answer).proof) for asked in served.kept]
    whole = [len(asked.answer) for asked in served.kept]
    return {
        "served_per_core_second": round(served.answers / max(served.cpu_seconds, 0.01)),
        "served_per_second": round(served.answers / served.seconds),
        "verified_per_core_second": round(len(checks) / sum(checks)),
        "verify_ms": {
            "p50": round(statistics.median(checks) * 1000, 3),
            "p99": round(statistics.quantiles(checks, n=100)[98] * 1000, 3),
        },
        "proof_bytes": {"median": round(statistics.median(sizes)), "max": max(sizes)},
        "answer_bytes_max": max(whole),
        "answers": served.answers,
    }
