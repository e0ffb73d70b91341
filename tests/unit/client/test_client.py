"""The client library against real listeners, on both event loops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.client import (
    BlockingClient,
    Client,
    ClientClosed,
    NodeAddress,
    NotConnected,
    OutcomeUnknown,
    Receipt,
    RequestFailed,
    StaleAnswer,
    SubmissionRefused,
    Trust,
    UnprovenPage,
    UnprovenPhase,
)
from tallynet.codec import Wire, decode, encode
from tallynet.messages import (
    BlockReceipts,
    Penetration,
    ProvenReceipt,
    Receipts,
    RecordProof,
    RequestRefused,
    TransactionPhase,
)
from tallynet.penetration import Positions
from tallynet.records import Kind
from tests.unit.client.serving import (
    COUNTER,
    GENESIS,
    ORGANISATION,
    Chain,
    Server,
    counted,
    envelope,
    make_genesis,
    replace,
    serving,
)
from tests.unit.net.samples import KEYS, PUBLIC, STRANGER

KEY = STRANGER
Body = Callable[[Client, list[Server]], Awaitable[None]]


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(
    backend: str, body: Body, *, nodes: int = 4, chain: Chain | None = None, **options: Any
) -> None:
    """Serve, connect to all nodes, run the body; ten seconds at most."""

    async def main(servers: list[Server]) -> None:
        with anyio.fail_after(10):
            addresses = [server.address for server in servers]
            async with Client.connect(addresses, GENESIS, KEY, **options) as client:
                await body(client, servers)

    with serving(nodes, chain=chain) as servers:
        anyio.run(main, servers, backend=backend)


def test_a_submitted_envelope_gets_its_certified_receipt(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        sent = envelope(1)
        receipt = await client.submit(sent)
        assert (receipt.ok, receipt.height, receipt.transaction) == (True, 1, sent.transaction)
        assert client.trust.newest == 1
        assert [len(server.submits) for server in servers] == [1, 0, 0, 0]

    run(backend, body)


def test_submitting_again_gives_the_same_receipt_and_no_second_block(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        first, second = await client.submit(envelope(1)), await client.submit(envelope(1))
        assert first.evidence == second.evidence
        assert len(servers[0].chain.blocks) == 1

    run(backend, body)


def test_the_same_envelope_from_two_tasks_at_once_is_sent_once(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        receipts: list[Receipt] = []

        async def one() -> None:
            receipts.append(await client.submit(envelope(1)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            tasks.start_soon(one)
        assert receipts[0].evidence == receipts[1].evidence
        assert sum(len(raws) for server in servers for raws in server.submits) == 1

    run(backend, body)


def test_evidence_of_a_receipt_convinces_somebody_else(backend: str) -> None:
    async def body(client: Client, _servers: list[Server]) -> None:
        receipt = await client.submit(envelope(1))
        (checked,) = Trust(GENESIS).receipts(decode(Receipts, receipt.evidence))
        assert checked.receipt == receipt.receipt

    run(backend, body)


def test_many_are_pipelined_and_come_back_in_order(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        sent = [envelope(i) for i in range(300)]
        outcomes = await client.submit_many(iter(sent), in_flight=100)
        assert [o.transaction for o in outcomes] == [e.transaction for e in sent]
        assert all(isinstance(o, Receipt) for o in outcomes)
        assert len(servers[0].submits) < 100
        assert client.statistics().waiting == 0

    run(backend, body)


def test_a_command_that_failed_is_a_receipt_not_an_error(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        sent = envelope(1)
        servers[0].chain.extend([sent], code="LOT_STATE")
        receipt = await client.submit(sent)
        assert not receipt.ok
        assert receipt.code == "OK"
        assert receipt.receipt.commands[0].code == "LOT_STATE"

    run(backend, body)


def test_a_refusal_by_enough_validators_is_raised_with_its_code(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        for server in servers:
            server.refuse.append(("SIGNATURE_INVALID", "signature 1 does not fit"))
        with pytest.raises(SubmissionRefused, match="signature 1") as caught:
            await client.submit(envelope(1))
        assert caught.value.code == "SIGNATURE_INVALID"
        assert caught.value.transaction == envelope(1).transaction

    run(backend, body)


def test_a_node_without_room_is_asked_again(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].refuse += [("POOL_FULL", "full"), ("CLIENT_PENDING_LIMIT", "full")]
        assert (await client.submit(envelope(1))).ok
        assert len(servers[0].submits) == 3

    run(backend, body)


def test_a_node_that_validates_no_more_is_left(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].refuse += [("NODE_RETIRED", "no validator any more")] * 1_000
        assert (await client.submit(envelope(1))).ok
        assert (await client.submit(envelope(2))).ok
        assert len(servers[0].submits) == 1

    run(backend, body)


def test_a_silent_node_is_helped_by_the_others_after_a_second(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].mute = True
        started = anyio.current_time()
        receipt = await client.submit(envelope(1))
        assert receipt.ok
        assert 0.9 < anyio.current_time() - started < 5
        helped = [server.submits[0] for server in servers[1:] if server.submits]
        assert set(helped) == {servers[0].submits[0]}, "the same bytes"

    run(backend, body)


def test_a_lost_connection_moves_the_envelope_to_another_node_at_once(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].hang_up = True
        started = anyio.current_time()
        receipt = await client.submit(envelope(1))
        assert receipt.ok
        assert anyio.current_time() - started < 0.9
        assert len(servers[0].chain.blocks) == 1, "ordered once, although sent twice"
        assert client.statistics().connections_lost >= 1

    run(backend, body)


def test_no_receipt_in_time_is_unknown_never_failed(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        for server in servers:
            server.mute = True
        with pytest.raises(OutcomeUnknown, match="ask again") as caught:
            await client.submit(envelope(1), seconds=0.1)
        assert caught.value.code == "OUTCOME_UNKNOWN"
        (same,) = await client.submit_many([envelope(1)], seconds=0.1)
        assert isinstance(same, OutcomeUnknown)
        assert await client.outcome(envelope(1).transaction) == UnprovenPhase(
            TransactionPhase.UNKNOWN
        )
        servers[0].chain.extend([envelope(1)])
        outcome = await client.outcome(envelope(1).transaction)
        assert isinstance(outcome, Receipt)
        assert outcome.ok

    run(backend, body)


def test_a_certified_receipt_of_a_copy_that_was_not_admitted_is_not_the_end(backend: str) -> None:
    """C2: a faulty leader had a mutilated copy ordered; the genuine envelope still takes effect, and
    who believed the receipt and signed anew would pay twice."""

    async def body(client: Client, servers: list[Server]) -> None:
        made = servers[0].chain.extend([envelope(1)], admission="SIGNATURE_INVALID")
        proven = ProvenReceipt(made.receipts[1], made.tree.prove(1))
        copy = Receipts(made.header, made.certificate, (proven,))
        servers[0].lie = lambda reply: copy if isinstance(reply, Receipts) else reply
        receipt = await client.submit(envelope(1))
        assert (receipt.code, receipt.height) == ("OK", 2)

    run(backend, body)


def test_retrying_ends_with_valid_until(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].mute = True
        with pytest.raises(OutcomeUnknown, match="valid_until has passed"):
            await client.submit(envelope(1, valid_until=1_700_000_000))
        assert servers[0].submits == []

    run(backend, body)


def test_expired_after_an_uncertain_send_is_not_a_refusal(backend: str) -> None:
    """Whoever had it when the connection broke may have passed it on in time."""

    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].vanish = True
        servers[0].refuse += [("EXPIRED", "too late")] * 9
        with pytest.raises(OutcomeUnknown):
            await client.submit(envelope(1), seconds=0.5)
        assert len(servers[0].submits) == 2
        with pytest.raises(OutcomeUnknown, match="too late"):
            await client.submit(envelope(2))

    run(backend, body, nodes=1)


def _forge_receipt(reply: Wire) -> Wire:
    if not isinstance(reply, Receipts):
        return reply
    proven = reply.receipts[0]
    forged = proven.receipt.replace(b"OK", b"KO")
    return replace(reply, receipts=(replace(proven, receipt=forged),))


def test_a_node_that_forges_a_receipt_is_dropped_and_another_one_asked(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].lie = _forge_receipt
        receipt = await client.submit(envelope(1))
        assert receipt.ok
        assert client.statistics().lies >= 1

    run(backend, body)


def test_a_record_and_its_absence_are_proven(backend: str) -> None:
    async def body(client: Client, _servers: list[Server]) -> None:
        with pytest.raises(RequestFailed) as caught:
            await client.read(Kind.PARAMETER, COUNTER)
        assert caught.value.code == "NO_BLOCK"
        await client.submit(envelope(1))
        await client.submit(envelope(2))
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(2)
        assert await client.read(Kind.PARAMETER, b"another") is None
        assert (await client.read_proven(Kind.PARAMETER, COUNTER)).block.height == 2

    run(backend, body)


def _forge_record(reply: Wire) -> Wire:
    if not isinstance(reply, RecordProof):
        return reply
    return replace(reply, proof=reply.proof.replace(encode(counted(1)), encode(counted(2))))


def test_a_node_that_forges_a_record_is_dropped_and_another_one_asked(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        await client.submit(envelope(1))
        servers[0].lie = _forge_record
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(1)
        assert client.statistics().lies == 1

    run(backend, body)


def test_state_never_goes_back(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallynet.client.client.BEHIND_SECONDS", 2.0)

    async def body(client: Client, servers: list[Server]) -> None:
        await client.submit(envelope(1))
        await client.submit(envelope(2))
        for server in servers[:3]:
            server.behind = 1
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(2)
        servers[3].behind = 1
        with pytest.raises(StaleAnswer) as caught:
            await client.read(Kind.PARAMETER, COUNTER)
        assert caught.value.code == "STATE_WENT_BACK"

    run(backend, body)


def test_what_was_seen_in_an_earlier_run_counts(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallynet.client.client.BEHIND_SECONDS", 0.1)
    chain = Chain()
    chain.extend([envelope(1)])

    async def body(client: Client, _servers: list[Server]) -> None:
        with pytest.raises(StaleAnswer):
            await client.read(Kind.PARAMETER, COUNTER)

    run(backend, body, chain=chain, newest_height=2)


def test_old_state_is_believed_only_when_enough_validators_call_it_the_newest(
    backend: str,
) -> None:
    chain = Chain()
    chain.extend([envelope(1)])

    async def two_nodes(client: Client, _servers: list[Server]) -> None:
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(1)

    async def one_node(client: Client, _servers: list[Server]) -> None:
        with pytest.raises(StaleAnswer) as caught:
            await client.read(Kind.PARAMETER, COUNTER)
        assert caught.value.code == "STATE_TOO_OLD"

    async def withheld(client: Client, servers: list[Server]) -> None:
        servers[0].behind = 1
        servers[0].chain.extend([envelope(2)])
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(2)

    run(backend, two_nodes, nodes=2, chain=chain, max_age=60)
    run(backend, one_node, nodes=1, chain=chain, max_age=60)
    run(backend, withheld, nodes=4, chain=chain, max_age=60)


def test_a_block_is_checked_against_its_certificate(backend: str) -> None:
    async def body(client: Client, _servers: list[Server]) -> None:
        await client.submit(envelope(1))
        await client.submit(envelope(2))
        assert (await client.block()).block.height == 2
        block = await client.block(1)
        assert block.envelopes == (envelope(1).hash,)
        with pytest.raises(RequestFailed, match="no block 9"):
            await client.block(9)

    run(backend, body)


def test_all_receipts_of_a_block_are_shown_or_none(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        await client.submit(envelope(1))
        await client.submit(envelope(2))
        leaves = await client.block_receipts(1)
        assert (leaves.block.height, len(leaves.receipts)) == (1, 2)
        with pytest.raises(RequestFailed, match="no block 9"):
            await client.block_receipts(9)
        made = servers[0].chain.blocks[1]

        def of_another_block(reply: Wire) -> Wire:
            if not isinstance(reply, BlockReceipts):
                return reply
            return BlockReceipts(reply.request, made.header, made.certificate, made.receipts)

        servers[0].lie = of_another_block
        with pytest.raises(NotConnected, match="a block at 2, not at 1"):
            await client.block_receipts(1)

    run(backend, body, nodes=1)


def test_events_come_in_order_once_and_can_be_resumed_and_followed(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        for i in range(8):
            await client.submit(envelope(i))
        places = [(e.height, e.index) async for e in client.events(follow=False)]
        assert places == [(height, index) for height in range(1, 9) for index in (0, 1)]
        rest = [(e.height, e.index) async for e in client.events(6, 1, follow=False)]
        assert rest == places[11:]
        followed: list[int] = []
        events = client.events(8, 0)
        async for event in events:
            followed.append(event.height)
            if len(followed) == 5:
                break
            await client.submit(envelope(100 + len(followed)))
        await events.aclose()
        assert followed == [8, 8, 9, 9, 10]

    run(backend, body)


def test_index_dry_run_and_status(backend: str) -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        page = await client.unproven_index(1, b"")
        assert page == UnprovenPage((b"\0", b"\1", b"\2", b"\3"), more=True)
        assert [e async for e in client.unproven_index_all(1, b"")] == [
            bytes((i,)) for i in range(10)
        ]
        report = await client.dry_run(envelope(1).body)
        assert report.reasons == ("the lot is elsewhere",)
        assert (await client.status()).name == "bank-0"
        statuses = await client.statuses()
        assert [getattr(s, "name", None) for s in statuses.values()] == [
            "bank-0", "bank-1", "bank-2", "bank-3",
        ]  # fmt: skip
        assert len(client.statistics().connected) == 4

    run(backend, body)


def test_nobody_reachable_names_every_node_and_its_reason(backend: str) -> None:
    async def main(servers: list[Server]) -> None:
        wrong_pin = NodeAddress("127.0.0.1", servers[0].port, PUBLIC[1])
        nobody = NodeAddress("127.0.0.1", 1)
        with pytest.raises(NotConnected) as caught:
            async with Client.connect([wrong_pin, nobody], GENESIS, KEY):
                pass
        assert "PEER_WRONG_KEY" in str(caught.value)
        assert "127.0.0.1:1" in str(caught.value)
        with pytest.raises(NotConnected, match="NETWORK_MISMATCH"):
            async with Client.connect([servers[0].address], make_genesis("other"), KEY):
                pass
        with pytest.raises(ValueError, match="at least one"):
            async with Client.connect([], GENESIS, KEY):
                pass

    with serving(1) as servers:
        anyio.run(main, servers, backend=backend)


def test_a_server_whose_key_is_no_validators_needs_a_pin(backend: str) -> None:
    observer = Ed25519PrivateKey.from_private_bytes(b"\xbb" * 32)

    async def main(servers: list[Server]) -> None:
        with pytest.raises(NotConnected, match="PEER_WRONG_KEY"):
            async with Client.connect([servers[0].address], GENESIS, KEY):
                pass
        pin = observer.public_key().public_bytes_raw()
        pinned = NodeAddress("127.0.0.1", servers[0].port, pin)
        async with Client.connect([pinned], GENESIS, KEY) as client:
            assert (await client.submit(envelope(1))).ok

    with serving(1, keys=(observer,)) as servers:
        anyio.run(main, servers, backend=backend)


def test_errors_in_the_users_block_arrive_as_they_are(backend: str) -> None:
    async def body(_client: Client, _servers: list[Server]) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(backend, body, nodes=1)


def test_a_closed_client_says_so(backend: str) -> None:
    async def main(servers: list[Server]) -> None:
        async with Client.connect([servers[0].address], GENESIS, KEY) as client:
            pass
        with pytest.raises(ClientClosed):
            await client.submit(envelope(1))
        with pytest.raises(ClientClosed):
            await client.read(Kind.PARAMETER, COUNTER)

    with serving(1) as servers:
        anyio.run(main, servers, backend=backend)


def test_the_blocking_client_does_the_same_without_async() -> None:
    with serving(2) as servers:
        addresses = [server.address for server in servers]
        with BlockingClient.connect(addresses, GENESIS, KEYS[0]) as client:
            assert client.submit(envelope(1)).ok
            outcomes = client.submit_many(envelope(i) for i in range(2, 5))
            assert [o.height for o in outcomes if isinstance(o, Receipt)]
            assert client.read(Kind.PARAMETER, COUNTER) == counted(4)
            assert client.read_proven(Kind.PARAMETER, COUNTER).lots is None
            assert isinstance(client.outcome(envelope(1).transaction), Receipt)
            assert client.block(1).envelopes == (envelope(1).hash,)
            assert list(client.unproven_index_all(1, b"")) == [bytes((i,)) for i in range(10)]
            assert len(list(client.events(follow=False))) == 8
            assert client.dry_run(envelope(1).body).reasons
            assert client.status().name == "bank-0"
            assert len(client.statuses()) == 2
            assert client.newest_height == client.statistics().newest_height > 0


def test_an_incomplete_answer_to_a_penetration_query_is_a_lie_and_a_refusal_is_none() -> None:
    def refuse(reply: Wire) -> Wire:
        if isinstance(reply, Penetration):
            return RequestRefused(reply.request, "NOT_AUTHORISED", "not shown")
        return reply

    question = Positions(ORGANISATION)
    with serving(2) as servers:
        addresses = [server.address for server in servers]
        with BlockingClient.connect(addresses, GENESIS, KEYS[0]) as client:
            assert client.submit(envelope(1)).ok
            with pytest.raises(NotConnected):
                client.penetrate(question)
            assert client.statistics().lies
        for server in servers:
            server.lie = refuse
        with BlockingClient.connect(addresses, GENESIS, KEYS[0]) as client:
            with pytest.raises(RequestFailed, match="NOT_AUTHORISED"):
                list(client.penetrate_all(question))
            assert not client.statistics().lies
