"""One story, told three ways: an asyncio program, a trio program, and a script without async. All of a client's
promises in the order in which a program meets them, with a restart in the middle and a liar in front."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tallynet.client import BlockingClient, Client, EventEntry, Receipt, TrustStore, UnprovenPhase
from tallynet.codec import Wire, encode
from tallynet.messages import RecordProof, TransactionPhase
from tallynet.records import Kind
from tests.unit.client.malicious import make_chain
from tests.unit.client.serving import COUNTER, GENESIS, Server, counted, envelope, replace, serving
from tests.unit.net.samples import STRANGER


class Calls:
    """The client's calls as plain functions, whatever runs below."""

    def __init__(self, call: Callable[..., Any], listed: Callable[..., list[EventEntry]]) -> None:
        self.call = call
        self.listed = listed


def async_program(backend: str, store: TrustStore) -> Callable[..., None]:
    """The calls are made from a worker thread, so that the story itself can be plain."""

    def run(servers: list[Server], story: Callable[[Calls], None]) -> None:
        async def main() -> None:
            addresses = [server.address for server in servers]
            async with Client.connect(addresses, GENESIS, STRANGER, store=store) as client:

                def call(name: str, *words: Any, **options: Any) -> Any:
                    async def one() -> Any:
                        return await getattr(client, name)(*words, **options)

                    return anyio.from_thread.run(one)

                def listed(*words: Any, **options: Any) -> list[EventEntry]:
                    async def all_() -> list[EventEntry]:
                        return [entry async for entry in client.events(*words, **options)]

                    return anyio.from_thread.run(all_)

                with anyio.fail_after(20):
                    await anyio.to_thread.run_sync(story, Calls(call, listed))

        anyio.run(main, backend=backend)

    return run


def blocking_program(store: TrustStore) -> Callable[..., None]:
    def run(servers: list[Server], story: Callable[[Calls], None]) -> None:
        addresses = [server.address for server in servers]
        with BlockingClient.connect(addresses, GENESIS, STRANGER, store=store) as client:
            story(
                Calls(
                    lambda name, *words, **options: getattr(client, name)(*words, **options),
                    lambda *words, **options: list(client.events(*words, **options)),
                )
            )

    return run


@pytest.fixture(params=["asyncio", "trio", "blocking"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    store = TrustStore(tmp_path)
    if request.param == "blocking":
        return blocking_program(store)
    return async_program(str(request.param), store)


def forge(reply: Wire) -> Wire:
    """Nine instead of six."""
    if not isinstance(reply, RecordProof):
        return reply
    return replace(reply, proof=reply.proof.replace(encode(counted(6)), encode(counted(9))))


def places(entries: list[EventEntry]) -> list[tuple[int, int]]:
    return [(entry.height, entry.index) for entry in entries]


def test_a_program_believes_submits_follows_and_resumes(program: Callable[..., None]) -> None:
    with serving(4, chain=make_chain()) as servers:
        servers[0].lie = forge
        program(servers, first_run)
        servers[0].lie = None
        servers[1].behind = 2
        program(servers, second_run)


def first_run(calls: Calls) -> None:
    # A liar is asked first; the next node is believed.
    assert calls.call("read", Kind.PARAMETER, COUNTER) == counted(6)
    assert calls.call("read", Kind.PARAMETER, b"absent") is None
    # An envelope, twice: one transaction, one receipt.
    receipt = calls.call("submit", envelope(40))
    assert receipt.ok and calls.call("submit", envelope(40)).evidence == receipt.evidence
    assert isinstance(calls.call("outcome", envelope(40).transaction), Receipt)
    unknown = calls.call("outcome", envelope(77).transaction)
    assert unknown == UnprovenPhase(TransactionPhase.UNKNOWN)
    # The log to its end, some of it, and where a named reader stopped.
    whole = places(calls.listed(follow=False))
    assert len(whole) == 14 and whole == sorted(whole)
    assert places(calls.listed(2, 3, follow=False)) == whole[7:]
    notes = calls.listed(follow=False, where=lambda event: event.type == "lot.note")
    assert places(notes) == whole[1::2]
    assert places(calls.listed(follow=False, cursor="books")) == whole
    # All nodes show one chain.
    found = calls.call("compare_heads")
    assert (found.newest, found.operators, found.enough) == (4, 4, True)


def second_run(calls: Calls) -> None:
    """After a restart: nothing goes back, and nothing comes twice."""
    assert calls.call("submit", envelope(40)).height == 4
    assert calls.call("read", Kind.PARAMETER, COUNTER) == counted(7)
    assert calls.listed(follow=False, cursor="books") == []
    calls.call("submit", envelope(50))
    assert places(calls.listed(follow=False, cursor="books")) == [(5, 0), (5, 1)]
    assert places(calls.listed(follow=False, cursor="another"))[:2] == [(1, 0), (1, 1)]
    outcomes = calls.call("submit_many", [envelope(60), envelope(61)])
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    assert calls.call("read_proven", Kind.PARAMETER, COUNTER).record == counted(10)
