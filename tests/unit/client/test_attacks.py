"""The attack suite on light clients (reliability §11): what a node, a network or a disk may try, and what the client
says. Each lie of `malicious` is told twice: by the only node, and by the first of four, over real connections.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.blocks import Certificate, Header
from tallynet.client import (
    Client,
    EventEntry,
    ForkSeen,
    NodeAddress,
    NotConnected,
    OutcomeUnknown,
    Receipt,
    RequestFailed,
    StaleAnswer,
    Trust,
    TrustStore,
    TrustStoreError,
)
from tallynet.client.nodes import Nodes
from tallynet.client.store import TrustFile
from tallynet.codec import Wire, decode, encode
from tallynet.errors import RemoteProtocolError
from tallynet.forensics import Statements
from tallynet.genesis import genesis_hash
from tallynet.messages import (
    BlockPage,
    EventPage,
    EvidenceKind,
    EvidencePage,
    IndexPage,
    Receipts,
    RecordProof,
    RequestRefused,
    SignedKind,
)
from tallynet.receipts import Event
from tallynet.records import Kind
from tallynet.validators import Handover, Succession
from tests.unit.client.malicious import ATTACKS, OTHER, Ask, Attack, block_at, make_chain
from tests.unit.client.serving import (
    COUNTER,
    DAY_SECONDS,
    FAR,
    GENESIS,
    GENESIS_HASH,
    Chain,
    Server,
    counted,
    envelope,
    replace,
    serving,
)
from tests.unit.client.test_handovers import (
    FIRST,
    ONE,
    SECOND,
    START,
    THIRD,
    TWO,
    handover,
    header_of,
)
from tests.unit.client.test_handovers import certify as certified_by
from tests.unit.net.samples import KEYS, STRANGER
from tools.evidence_cli import load_evidence

REPLIES: dict[Ask, type[Wire]] = {
    Ask.RECORD: RecordProof,
    Ask.ABSENT: RecordProof,
    Ask.RECEIPT: Receipts,
    Ask.BLOCK: BlockPage,
    Ask.EVENTS: EventPage,
    Ask.INDEX: IndexPage,
    Ask.EVIDENCE: EvidencePage,
}


async def ask(client: Client, what: Ask) -> Any:
    """The question, and the answer in a form that can be compared."""
    match what:
        case Ask.RECORD:
            return await client.read(Kind.PARAMETER, COUNTER)
        case Ask.ABSENT:
            return await client.read(Kind.PARAMETER, b"absent")
        case Ask.RECEIPT:
            outcome = await client.outcome(envelope(30).transaction)
            return outcome.height if isinstance(outcome, Receipt) else outcome
        case Ask.BLOCK:
            return (await client.block(2)).envelopes
        case Ask.EVENTS:
            return [place(entry) async for entry in client.events(follow=False)]
        case Ask.INDEX:
            return [entry async for entry in client.unproven_index_all(1, b"\x05")]
        case Ask.EVIDENCE:
            return [entry async for entry in client.evidence(EvidenceKind.PROOFS)]


def place(entry: EventEntry) -> tuple[int, int, Event | None]:
    return entry.height, entry.index, entry.event


def truth(chain: Chain, what: Ask) -> Any:
    match what:
        case Ask.RECORD:
            return counted(6)
        case Ask.ABSENT:
            return None
        case Ask.RECEIPT:
            return 3
        case Ask.BLOCK:
            return (envelope(20).hash, envelope(21).hash)
        case Ask.EVENTS:
            return [
                (height, index, decode(Event, event))
                for height, block in enumerate(chain.blocks, 1)
                for index, event in enumerate(block.events)
            ]
        case Ask.INDEX:
            return [b"\x05"]
        case Ask.EVIDENCE:
            return []


def deceive(server: Server, attack: Attack) -> None:
    """Have a node tell this lie whenever it is asked, and nothing else."""
    kind = REPLIES[attack.ask]

    def lie(reply: Wire) -> Wire:
        return attack.lie(server.chain, reply) if isinstance(reply, kind) else reply

    def garble(reply: Wire) -> bytes | None:
        return attack.garble(reply) if attack.garble and isinstance(reply, kind) else None

    server.lie, server.garble = lie, garble


def run(
    body: Callable[[Client, list[Server]], Awaitable[None]],
    *,
    nodes: int = 4,
    chain: Chain | None = None,
    keys: tuple[Ed25519PrivateKey, ...] = KEYS,
    named: bool = False,
    **options: Any,
) -> None:
    """Serve, connect to all nodes, run the body; ten seconds at most."""

    async def main(servers: list[Server]) -> None:
        with anyio.fail_after(10):
            addresses = [
                NodeAddress(
                    "127.0.0.1", server.port, public_of(keys[server.index]) if named else None
                )
                for server in servers
            ]
            async with Client.connect(addresses, GENESIS, STRANGER, **options) as client:
                await body(client, servers)

    with serving(nodes, chain=chain or make_chain(), keys=keys) as servers:
        anyio.run(main, servers)


def public_of(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_a_lie_is_refused_and_named(attack: Attack) -> None:
    async def alone(client: Client, servers: list[Server]) -> None:
        deceive(servers[0], attack)
        with pytest.raises(NotConnected) as caught:
            await ask(client, attack.ask)
        assert any(code in str(caught.value) for code in attack.codes), str(caught.value)
        assert client.trust.newest in (0, 1, 2, 3), "heights that quorums certified"

    async def first_of_four(client: Client, servers: list[Server]) -> None:
        deceive(servers[0], attack)
        assert await ask(client, attack.ask) == truth(servers[0].chain, attack.ask)
        assert client.statistics().connections_lost >= 1, "the liar is heard no more"

    run(alone, nodes=1)
    run(first_of_four)


# --- refusals, and answers about something else ---------------------------------------------------------


def test_a_forged_refusal_of_an_envelope_is_not_the_end() -> None:
    """Who believes it and signs anew pays twice."""

    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].refuse += [("KEY_REVOKED", "this key is revoked")] * 99
        receipt = await client.submit(envelope(99))
        assert (receipt.ok, receipt.transaction) == (True, envelope(99).transaction)
        again = await client.submit(envelope(99))
        assert again.evidence == receipt.evidence, "the same transaction, the same receipt"

    run(body)


def test_a_refusal_by_the_only_node_leaves_the_outcome_open() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].refuse.append(("KEY_REVOKED", "this key is revoked"))
        with pytest.raises(OutcomeUnknown, match="KEY_REVOKED"):
            await client.submit(envelope(99))

    run(body, nodes=1)


def test_a_refusal_by_four_nodes_of_one_operator_leaves_the_outcome_open() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        for server in servers:
            server.refuse.append(("KEY_REVOKED", "this key is revoked"))
        with pytest.raises(OutcomeUnknown, match="2 organisations"):
            await client.submit(envelope(99))

    run(body, keys=(KEYS[0],) * 4)


def test_a_forged_refusal_of_a_question_is_not_the_end() -> None:
    def refuse(reply: Wire) -> Wire:
        if isinstance(reply, RecordProof):
            return RequestRefused(reply.request, "RECORD_NOT_FOUND", "there is no such thing")
        return reply

    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].lie = refuse
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)
        servers[1].lie = refuse
        with pytest.raises(RequestFailed, match="RECORD_NOT_FOUND"):
            await ask_from(client, Ask.RECORD)

    async def ask_from(client: Client, what: Ask) -> None:
        client._nodes._first = 0
        await ask(client, what)

    run(body)


def test_a_network_is_not_empty_because_one_node_says_so() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].behind = 3
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)

    run(body)


def test_a_receipt_of_another_transaction_is_no_answer() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        other = servers[0].chain.receipt_of(envelope(30).transaction)
        for server in servers:
            server.lie = lambda reply: other if isinstance(reply, Receipts) else reply
        with pytest.raises(OutcomeUnknown):
            await client.submit(envelope(31), seconds=0.3)

    run(body, nodes=1)


def test_a_node_that_takes_an_envelope_and_says_nothing_is_passed_by() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].mute = True
        assert (await client.submit(envelope(99))).ok
        assert len({raw for server in servers for raws in server.submits for raw in raws}) == 1

    run(body)


def test_a_node_that_does_not_answer_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Nodes.ask.__kwdefaults__, "seconds", 0.2)

    async def body(client: Client, servers: list[Server]) -> None:
        servers[0]._answer = lambda _session, _request: None  # type: ignore[method-assign]
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)

    run(body)


def test_equal_answers_of_all_nodes_about_the_wrong_height_are_refused() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        wrong = block_at(3)
        for server in servers:
            server.lie = lambda reply: (
                wrong(servers[0].chain, reply) if isinstance(reply, BlockPage) else reply
            )
        with pytest.raises(NotConnected, match="BAD_PROOF"):
            await client.block(2)

    run(body)


# --- true but old, withheld, or from too few --------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in "client", "following":
        monkeypatch.setattr(f"tallynet.client.{module}.BEHIND_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
def test_state_below_a_height_that_was_seen_is_refused() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        assert (await client.block()).block.height == 3
        for server in servers:
            server.behind = 1
        with pytest.raises(StaleAnswer, match="STATE_WENT_BACK"):
            await client.read(Kind.PARAMETER, COUNTER)

    run(body)


@pytest.mark.usefixtures("impatient")
def test_a_log_that_ends_below_a_height_that_was_seen_is_not_the_end() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        assert (await client.block()).block.height == 3
        for server in servers:
            server.behind = 2
        with pytest.raises(StaleAnswer, match="STATE_WENT_BACK"):
            await ask(client, Ask.EVENTS)
        servers[2].behind = 0
        assert await ask(client, Ask.EVENTS) == truth(servers[0].chain, Ask.EVENTS)

    run(body)


def test_a_node_that_shows_a_follower_nothing_new_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallynet.client.following.WAIT_SECONDS", 0.2)

    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].behind = 1
        seen = []
        async with aclosing(client.events()) as entries:
            async for entry in entries:
                seen.append(place(entry))
                if len(seen) == 12:
                    break
        assert seen == truth(servers[0].chain, Ask.EVENTS)

    run(body)


def test_withheld_blocks_are_found_with_max_age() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].behind = 2
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)

    async def nobody_else(client: Client, servers: list[Server]) -> None:
        servers[0].behind = 2
        with pytest.raises(StaleAnswer, match="STATE_TOO_OLD"):
            await client.read(Kind.PARAMETER, COUNTER)

    run(body, max_age=60)
    run(nobody_else, nodes=1, max_age=60)


def test_a_local_clock_that_is_a_day_behind_makes_no_state_young(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All blocks are a day old, so by this clock they are of now."""
    real = time.time
    monkeypatch.setattr("tallynet.client.client.time.time", lambda: real() - DAY_SECONDS)
    test_withheld_blocks_are_found_with_max_age()


@pytest.mark.usefixtures("impatient")
def test_many_nodes_of_one_operator_count_once() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        with pytest.raises(StaleAnswer, match="1 of the 2 different organisations"):
            await client.read(Kind.PARAMETER, COUNTER)
        with pytest.raises(StaleAnswer, match="HEADS_UNCONFIRMED"):
            await client.compare_heads()

    run(body, keys=(KEYS[0],) * 4, max_age=60)


def test_an_anchor_older_than_the_trust_period_needs_nodes_that_were_named() -> None:
    """Keys of validators that were replaced may be for sale; a day is as good as a year here."""

    async def body(client: Client, servers: list[Server]) -> None:
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)

    with pytest.raises(StaleAnswer, match="ANCHOR_TOO_OLD"):
        run(body, trust_period=3_600)
    with pytest.raises(StaleAnswer, match="ANCHOR_TOO_OLD"):
        run(body, nodes=1, named=True, trust_period=3_600)
    run(body, nodes=2, named=True, trust_period=3_600)
    run(body, nodes=1, trust_period=2 * DAY_SECONDS)


# --- two chains -------------------------------------------------------------------------------------------


def part(servers: list[Server], height: int = 3, end: int = 5) -> None:
    """From `height` on, half of the nodes show another chain, certified by the same quorum."""
    other = servers[0].chain.parted(height)
    for label in range(height, end):
        other.extend([envelope(100 + label)])
    for server in servers[len(servers) // 2 :]:
        server.chain = other


def test_two_heads_that_contradict_each_other_end_all_belief(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust")

    async def body(client: Client, servers: list[Server]) -> None:
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)
        part(servers)
        with pytest.raises(ForkSeen, match="block 3"):
            await client.compare_heads()
        assert client.statistics().fork
        for question in Ask.RECORD, Ask.BLOCK, Ask.EVENTS:
            with pytest.raises(ForkSeen):
                await ask(client, question)
        with pytest.raises(ForkSeen):
            await client.submit(envelope(99))

    run(body, store=store)
    saved = load_evidence(store.evidence, GENESIS_HASH)
    statements = Statements(Succession.of(GENESIS))
    for text in saved.certificates:
        statements.add_certificate(SignedKind.COMMIT, decode(Certificate, bytes.fromhex(text)))
    assert [conviction.signer for conviction, _ in statements.convictions()] == [0, 1, 2]
    with pytest.raises(TrustStoreError, match="FORK_SEEN"):
        run(body, store=store)


def test_a_fork_is_found_and_kept_although_nobody_asks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Heads are compared now and then, and what was seen is on disk before the program ends."""
    monkeypatch.setattr("tallynet.client.client.COMPARE_SECONDS", 0.1)
    monkeypatch.setattr("tallynet.client.client.SAVE_SECONDS", 0.05)
    store = TrustStore(tmp_path)

    async def body(client: Client, servers: list[Server]) -> None:
        assert (await client.block(3)).block.height == 3
        while not (tmp_path / "trust").exists():  # noqa: ASYNC110 - another task writes it
            await anyio.sleep(0.01)
        part(servers[:2], end=4)
        while not store.evidence.exists():  # noqa: ASYNC110
            await anyio.sleep(0.01)
        assert client.statistics().fork

    run(body, store=store)


def test_a_fork_is_seen_in_whatever_answer_shows_it() -> None:
    """The second node is asked because the first one hangs up; nobody thought of a comparison."""

    async def body(client: Client, servers: list[Server]) -> None:
        assert (await client.block(3)).block.height == 3
        part(servers[:2])
        client._nodes.go_on()
        with pytest.raises(ForkSeen):
            await client.read(Kind.PARAMETER, COUNTER)

    run(body, nodes=2)


def test_who_waits_for_a_receipt_learns_of_a_fork_at_once() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        assert (await client.block(3)).block.height == 3
        part(servers[:2], end=4)
        client._nodes.go_on()
        with pytest.raises(ForkSeen):
            await client.submit(envelope(99))

    run(body, nodes=2)


def test_blocks_that_do_not_follow_each_other_are_a_fork() -> None:
    """Each is certified; the upper one has another parent."""

    async def body(client: Client, servers: list[Server]) -> None:
        part(servers)
        assert (await client.block(3)).block.height == 3
        client._nodes._first = 3
        client._nodes.go_on()
        for server in servers[:2]:
            server.chain = servers[2].chain
        with pytest.raises(ForkSeen):
            await client.block(4)

    run(body)


def test_a_log_that_changes_its_chain_between_two_pages_is_a_fork() -> None:
    async def body(client: Client, servers: list[Server]) -> None:
        seen = []
        with pytest.raises(ForkSeen):
            async for entry in client.events(1, follow=False):
                seen.append(place(entry))
                if len(seen) == 1:
                    part(servers[:1] * 2, height=2)
        assert seen == truth(make_chain(), Ask.EVENTS)[: len(seen)]
        assert len(seen) == 7, "the first page, which was whole"

    run(body, nodes=1)


def test_old_keys_do_not_end_belief_in_the_set_in_force() -> None:
    """Long range: a quorum of a set that was replaced certifies another past. It is a lie, and no more."""
    trust = Trust(START)
    true = header_of(1_500, FIRST)
    trust.certified(true, certified_by(true, 1_500, FIRST))
    trust.learn([encode(ONE)])
    other = encode(replace(decode(Header, true), time_ms=9))
    with pytest.raises(RemoteProtocolError) as caught:
        trust.certified(other, certified_by(other, 1_500, FIRST))
    assert (caught.value.code, trust.fork) == ("OLD_SET", None)
    assert trust.certified(true, certified_by(true, 1_500, FIRST)).height == 1_500


def test_a_second_hand_over_of_the_same_epoch_is_refused() -> None:
    trust = Trust(START)
    trust.learn([encode(ONE)])
    with pytest.raises(RemoteProtocolError) as caught:
        trust.learn([encode(handover(2, FIRST, THIRD))])
    assert caught.value.code == "BAD_HANDOVER"
    assert trust.validators == tuple(validator.public_key for validator in SECOND)


@pytest.mark.parametrize(
    ("forged", "code"),
    [
        (handover(2, FIRST, SECOND, count=2), "BAD_CERTIFICATE"),  # q - 1 signatures
        (TWO, "BAD_CERTIFICATE"),  # skips an epoch's set
        (handover(2, SECOND, THIRD), "BAD_CERTIFICATE"),  # by those who come after
        (handover(2, FIRST, SECOND, names=THIRD), "BAD_HANDOVER"),  # names another set
    ],
    ids=["one-short", "skips-a-set", "by-strangers", "names-another-set"],
)
def test_a_hand_over_that_does_not_hold_teaches_nothing(forged: Handover, code: str) -> None:
    trust = Trust(START)
    with pytest.raises(RemoteProtocolError) as caught:
        trust.learn([encode(forged)])
    assert caught.value.code == code
    assert (trust.succession.count, trust.handovers) == (1, [])


def test_a_quorum_of_the_old_set_certifies_nothing_after_its_hand_over() -> None:
    trust = Trust(START)
    trust.learn([encode(ONE)])
    for header, certificate in (
        (header_of(2_500, FIRST), certified_by(header_of(2_500, FIRST), 2_500, FIRST)),
        (
            header_of(2_500, FIRST, epoch=1),
            certified_by(header_of(2_500, FIRST, epoch=1), 2_500, FIRST, epoch=1),
        ),
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            trust.certified(header, certificate)
        assert caught.value.code in ("BAD_CERTIFICATE", "VALIDATORS_CHANGED")
    assert trust.newest == 2_000, "the block that handed over"


def test_a_block_of_a_replaced_set_is_not_later_than_its_last_one() -> None:
    trust = Trust(START)
    trust.learn([encode(ONE)])
    late = encode(replace(decode(Header, header_of(1_500, FIRST)), time_ms=2_000))
    with pytest.raises(RemoteProtocolError, match="OLD_SET"):
        trust.certified(late, certified_by(late, 1_500, FIRST))


@pytest.mark.parametrize("after", [-DAY_SECONDS - 1, 0])
def test_a_receipt_of_a_time_in_which_nothing_admits_the_envelope_is_refused(after: int) -> None:
    """What keys of a set that was replaced long ago can still certify."""
    forged = Chain(time_ms=lambda height: 1_000 * (FAR + after) + height)
    forged.extend([envelope(99)])
    receipt = forged.receipt_of(envelope(99).transaction)

    async def body(client: Client, servers: list[Server]) -> None:
        servers[0].lie = lambda reply: receipt if isinstance(reply, Receipts) else reply
        assert (await client.submit(envelope(99))).height == 4
        assert "RECEIPT_OUT_OF_TIME" in client.statistics().last_lie

    run(body)


def test_hand_overs_without_end_are_left_off() -> None:
    """A node that says that there is always one more, and shows none."""

    async def main(servers: list[Server]) -> None:
        servers[0].lie = lambda reply: (
            replace(reply, more=True) if isinstance(reply, EvidencePage) else reply
        )
        with anyio.fail_after(5):
            async with Client.connect([servers[0].address], GENESIS, STRANGER) as client:
                assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)

    with serving(1, chain=make_chain()) as servers:
        anyio.run(main, servers)


# --- whom one talks to ------------------------------------------------------------------------------------


def test_a_server_with_the_key_of_no_validator_is_refused() -> None:
    async def body(_client: Client, _servers: list[Server]) -> None:
        raise AssertionError("connected")

    with pytest.raises(NotConnected, match="PEER_WRONG_KEY"):
        run(body, nodes=1, keys=(STRANGER,))


def test_a_server_of_another_network_is_refused() -> None:
    async def main(servers: list[Server]) -> None:
        with pytest.raises(NotConnected, match="NETWORK_MISMATCH"):
            async with Client.connect([servers[0].address], GENESIS, STRANGER):
                raise AssertionError("connected")

    with serving(1, genesis=genesis_hash(OTHER)) as servers:
        anyio.run(main, servers)


def test_a_weak_key_in_the_genesis_is_refused() -> None:
    first, *others = GENESIS.validators
    weak = replace(GENESIS, validators=(replace(first, public_key=b"\1" + bytes(31)), *others))
    with pytest.raises(ValueError, match="weak"):
        Trust(weak)


# --- one's own disk ---------------------------------------------------------------------------------------


async def read_all(client: Client, _servers: list[Server]) -> None:
    assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)


@pytest.mark.usefixtures("impatient")
def test_a_restart_does_not_go_back(tmp_path: Path) -> None:
    store = TrustStore(tmp_path)
    run(read_all, store=store)

    async def behind(client: Client, servers: list[Server]) -> None:
        assert client.trust.newest == 3
        for server in servers:
            server.behind = 1
        with pytest.raises(StaleAnswer, match="STATE_WENT_BACK"):
            await client.read(Kind.PARAMETER, COUNTER)

    run(behind, store=store)


def test_a_store_that_was_rolled_back_is_found_out_by_the_heads_of_others(tmp_path: Path) -> None:
    chain = make_chain()
    chain.blocks.pop()
    store = TrustStore(tmp_path)

    async def earlier(client: Client, _servers: list[Server]) -> None:
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(4)

    run(earlier, chain=chain, store=store)
    old = (tmp_path / "trust").read_bytes()
    run(read_all, store=store)
    (tmp_path / "trust").write_bytes(old)

    async def body(client: Client, servers: list[Server]) -> None:
        assert client.trust.newest == 2
        servers[0].behind = 1
        assert (await client.compare_heads()).newest == 3
        assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)

    run(body, store=store)
    run(body_with_max_age, store=store, max_age=60)


async def body_with_max_age(client: Client, servers: list[Server]) -> None:
    servers[0].behind = 1
    assert await client.read(Kind.PARAMETER, COUNTER) == counted(6)


def test_a_wiped_store_begins_at_the_genesis(tmp_path: Path) -> None:
    store = TrustStore(tmp_path)
    run(read_all, store=store)
    (tmp_path / "trust").unlink()

    async def body(client: Client, servers: list[Server]) -> None:
        assert client.trust.newest == 0
        await read_all(client, servers)

    run(body, store=store)
    with pytest.raises(StaleAnswer, match="ANCHOR_TOO_OLD"):
        (tmp_path / "trust").unlink()
        run(body, store=store, trust_period=3_600)


def test_a_corrupt_store_stops_the_client(tmp_path: Path) -> None:
    store = TrustStore(tmp_path)
    run(read_all, store=store)
    whole = (tmp_path / "trust").read_bytes()
    for broken in (b"", whole[:-1], whole[:100], whole + b"\0", whole.replace(b"1\n", b"2\n")):
        (tmp_path / "trust").write_bytes(broken)
        with pytest.raises(TrustStoreError, match="TRUST_STORE_CORRUPT"):
            run(read_all, store=store)


def test_a_forged_store_is_believed_no_more_than_a_node(tmp_path: Path) -> None:
    """Its checksum is right; its block is of nobody's making."""
    store = TrustStore(tmp_path)
    run(read_all, store=store)
    raw = (tmp_path / "trust").read_bytes()
    start = raw.index(b"\n") + 1
    kept = decode(TrustFile, raw[start + 32 :])
    header = encode(replace(decode(Header, kept.header), height=999))
    body = encode(replace(kept, header=header))
    (tmp_path / "trust").write_bytes(raw[:start] + sha256(body).digest() + body)
    with pytest.raises(TrustStoreError, match="BAD_CERTIFICATE"):
        run(read_all, store=store)


def test_a_store_of_another_network_is_refused(tmp_path: Path) -> None:
    store = TrustStore(tmp_path)
    store.save(Trust(OTHER))
    with pytest.raises(TrustStoreError, match="TRUST_STORE_OTHER_NETWORK"):
        run(read_all, store=store)
