"""Who may put and have ciphertexts, and how they come from other nodes: services without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
import trio
import trio.testing

from node.ciphertexts import CiphertextService, CiphertextStore, Surroundings
from node.ciphertexts.service import GRACE_SECONDS
from node.ledger.documents import document_id
from node.state.view import StateView
from tallynet import commands as c
from tallynet import records as r
from tallynet.ciphertexts import (
    PIECE_BYTES_MAX,
    CiphertextPart,
    CiphertextPiece,
    CiphertextState,
    FetchCiphertext,
    NoCiphertext,
    PutCiphertext,
    QueryCiphertext,
)
from tallynet.codec import decode
from tallynet.hashing import reader_hint
from tallynet.messages import ClientReply, PeerMessage, RequestRefused
from tests.rules.law_world import World, public_of
from tests.unit.net.samples import until

DATA = bytes(range(256)) * 1_200
HASH = sha256(DATA).digest()
SECRET = bytes(range(32))
NOBODY = bytes(32)


class Town:
    """A ledger with one document of `devices` for `core`, and nodes that hear each other."""

    def __init__(self, path: Path) -> None:
        self.world = World()
        self.world.core_and_suppliers()
        self.world.admit("regulator", r.OrganisationKind.REGULATOR)
        self.path = path
        self.now = float(self.world.time)
        self.nodes: list[CiphertextService] = []
        self.stores: list[CiphertextStore] = []
        self.lies: dict[int, Callable[[FetchCiphertext], PeerMessage | None]] = {}
        """What a node of this index says instead."""
        self.pieces: list[tuple[int, int]] = []
        """(from, to) of each piece on the way."""
        self.tag = sha256(b"invoice").digest()
        self.document = document_id(self.tag)

    def register(self) -> bytes:
        ids = self.world.ids
        command = c.DocumentRegister(
            self.world.label, r.DocumentType.INVOICE, self.tag, bytes(32), HASH, ids["devices"],
            ids["core"], (), "CNY", 100, None,
        )  # fmt: skip
        self.document = self.world.ok("devices", command).created[0].id
        return self.document

    def grant(self, reader: str) -> None:
        hint = reader_hint(SECRET, self.document, self.world.ids[reader])
        self.world.ok(
            "devices", c.AccessGrant(self.world.label, self.document, hint, 1, bytes(1_200))
        )

    @contextmanager
    def state(self) -> Iterator[StateView]:
        yield self.world.state

    def add_node(self) -> CiphertextService:
        index = len(self.nodes)
        store = CiphertextStore(
            self.path / str(index), per_organisation_max=1 << 20, total_max=1 << 21
        )

        def send(to: int, message: bytes) -> None:
            said: PeerMessage = decode(PeerMessage, message)  # type: ignore[arg-type]
            if isinstance(said, FetchCiphertext) and to in self.lies:
                lie = self.lies[to](said)
                if lie is not None:
                    self.nodes[index].receive(to, lie)  # type: ignore[arg-type]
                return
            if isinstance(said, CiphertextPiece):
                self.pieces.append((index, to))
            self.nodes[to].receive(index, said)  # type: ignore[arg-type]

        around = Surroundings(
            state=self.state,
            send=send,
            peers=lambda: [i for i in range(len(self.nodes)) if i != index],
            now=lambda: self.now,
            log=lambda _event, _fields: None,
        )
        self.nodes.append(CiphertextService(store, around))
        self.stores.append(store)
        return self.nodes[index]


class ClientEnd:
    def __init__(self, organisation: str, person: str = "maker") -> None:
        self.key = public_of(organisation, person)
        self.replies: list[ClientReply] = []

    def send(self, message: bytes) -> None:
        self.replies.append(decode(ClientReply, message))  # type: ignore[arg-type]

    async def ask(
        self, node: CiphertextService, request: PutCiphertext | QueryCiphertext
    ) -> ClientReply:
        node.handle(self, request)
        await until(lambda: bool(self.replies))
        return self.replies.pop()

    async def put(
        self, node: CiphertextService, document: bytes, data: bytes = DATA
    ) -> ClientReply:
        held, answer = 0, None
        while held < len(data):
            piece = data[held : held + PIECE_BYTES_MAX]
            answer = await self.ask(
                node, PutCiphertext(1, r.Kind.DOCUMENT, document, HASH, len(data), held, piece)
            )
            if not isinstance(answer, CiphertextState):
                break
            held = answer.held
        assert answer is not None
        return answer

    async def get(
        self, node: CiphertextService, document: bytes, secret: bytes = NOBODY
    ) -> bytes | str:
        """The ciphertext, or the code of the refusal."""
        got = b""
        with trio.fail_after(5):
            while True:
                query = QueryCiphertext(2, r.Kind.DOCUMENT, document, HASH, secret, len(got))
                answer = await self.ask(node, query)
                if isinstance(answer, RequestRefused):
                    if answer.code != "CIPHERTEXT_ON_ITS_WAY":
                        return answer.code
                    await trio.sleep(0.001)
                    continue
                assert isinstance(answer, CiphertextPart)
                got += answer.data
                if len(got) >= answer.size:
                    return got


@asynccontextmanager
async def running(path: Path, nodes: int) -> AsyncIterator[Town]:
    town = Town(path)
    for _ in range(nodes):
        town.add_node()
    async with trio.open_nursery() as nursery:
        for node in town.nodes:
            nursery.start_soon(node.run)
        yield town
        nursery.cancel_scope.cancel()


async def test_put_before_the_document_is_ordered_and_read_by_its_parties(tmp_path: Path) -> None:
    async with running(tmp_path, 1) as town:
        [node] = town.nodes
        early = town.document
        assert await ClientEnd("devices").put(node, early) == CiphertextState(1, len(DATA))
        assert await ClientEnd("core").get(node, early) == "NOT_AUTHORISED"
        assert town.register() == early
        for party in ("devices", "core", "regulator"):
            assert await ClientEnd(party).get(node, early) == DATA


async def test_a_bank_reads_with_the_secret_of_its_hint_and_no_other_does(tmp_path: Path) -> None:
    async with running(tmp_path, 1) as town:
        [node] = town.nodes
        document = town.register()
        await ClientEnd("devices").put(node, document)
        town.grant("bank-2")
        assert await ClientEnd("bank-2").get(node, document, SECRET) == DATA
        assert await ClientEnd("bank-2").get(node, document) == "NOT_AUTHORISED"
        assert await ClientEnd("bank-3").get(node, document, SECRET) == "NOT_AUTHORISED"
        assert await ClientEnd("shop", "nobody").get(node, document) == "KEY_UNKNOWN"


async def test_a_stranger_puts_nothing_under_a_document_nor_another_hash(tmp_path: Path) -> None:
    async with running(tmp_path, 1) as town:
        [node] = town.nodes
        document = town.register()
        answer = await ClientEnd("bank-3").put(node, document)
        assert isinstance(answer, RequestRefused)
        assert answer.code == "NOT_AUTHORISED"
        other = PutCiphertext(1, r.Kind.DOCUMENT, document, bytes(32), 10, 0, bytes(10))
        answer = await ClientEnd("devices").ask(node, other)
        assert isinstance(answer, RequestRefused)
        assert answer.code == "NOT_AUTHORISED"
        odd = PutCiphertext(1, r.Kind.ORGANISATION, document, bytes(32), 10, 0, bytes(10))
        answer = await ClientEnd("devices").ask(node, odd)
        assert isinstance(answer, RequestRefused)
        assert answer.code == "NOT_AUTHORISED"
        assert town.stores[0].all() == []


async def test_a_node_without_it_fetches_it_from_the_one_that_has_it(tmp_path: Path) -> None:
    async with running(tmp_path, 4) as town:
        document = town.register()
        await ClientEnd("devices").put(town.nodes[3], document)
        assert await ClientEnd("core").get(town.nodes[0], document) == DATA
        pieces = -(-len(DATA) // PIECE_BYTES_MAX)
        assert town.pieces == [(3, 0)] * pieces
        assert await ClientEnd("core").get(town.nodes[0], document) == DATA
        assert len(town.pieces) == pieces, "kept: nobody is asked twice"
        assert [bool(store.all()) for store in town.stores] == [True, False, False, True]


async def test_nobody_who_may_not_read_makes_a_node_fetch(tmp_path: Path) -> None:
    async with running(tmp_path, 2) as town:
        document = town.register()
        await ClientEnd("devices").put(town.nodes[1], document)
        assert await ClientEnd("bank-3").get(town.nodes[0], document) == "NOT_AUTHORISED"
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert town.pieces == []


async def test_what_nobody_has_is_CIPHERTEXT_MISSING(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as town:
        document = town.register()
        assert await ClientEnd("core").get(town.nodes[0], document) == "CIPHERTEXT_MISSING"


async def test_a_liars_bytes_are_thrown_away_and_the_next_peer_is_asked(tmp_path: Path) -> None:
    async with running(tmp_path, 4) as town:
        document = town.register()
        await ClientEnd("devices").put(town.nodes[3], document)

        def false_bytes(asked: FetchCiphertext) -> CiphertextPiece:
            data = bytes(min(PIECE_BYTES_MAX, len(DATA) - asked.offset))
            return CiphertextPiece(HASH, len(DATA), asked.offset, data)

        def one_byte_each(asked: FetchCiphertext) -> CiphertextPiece:
            return CiphertextPiece(HASH, len(DATA), asked.offset, b"x")

        town.lies = {1: false_bytes, 2: one_byte_each}
        assert await ClientEnd("core").get(town.nodes[0], document) == DATA


async def test_a_liar_who_stops_halfway_spoils_nothing_for_the_next_peer(tmp_path: Path) -> None:
    async with running(tmp_path, 3) as town:
        document = town.register()
        await ClientEnd("devices").put(town.nodes[2], document)

        def half(asked: FetchCiphertext) -> PeerMessage:
            if asked.offset:
                return NoCiphertext(HASH)
            return CiphertextPiece(HASH, len(DATA), 0, bytes(PIECE_BYTES_MAX))

        town.lies = {1: half}
        assert await ClientEnd("core").get(town.nodes[0], document) == DATA


async def test_what_no_record_names_goes_after_its_grace_and_the_rest_stays(tmp_path: Path) -> None:
    async with running(tmp_path, 1) as town:
        [node] = town.nodes
        document = town.register()
        await ClientEnd("devices").put(node, document)
        orphan = PutCiphertext(1, r.Kind.DOCUMENT, bytes(16), bytes(32), 10, 0, bytes(4))
        await ClientEnd("devices").ask(node, orphan)
        node.sweep()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(town.stores[0].all()) == 2, "too early"
        town.now += GRACE_SECONDS + 1
        node.sweep()
        await until(lambda: len(town.stores[0].all()) == 1)
        [(left, _)] = town.stores[0].all()
        assert left.record == document


async def test_an_organisation_over_its_quota_is_told_so(tmp_path: Path) -> None:
    async with running(tmp_path, 1) as town:
        [node] = town.nodes
        large = PutCiphertext(1, r.Kind.DOCUMENT, bytes(16), HASH, 1 << 21, 0, b"")
        answer = await ClientEnd("devices").ask(node, large)
        assert isinstance(answer, RequestRefused)
        assert answer.code == "CIPHERTEXT_QUOTA"


@pytest.mark.parametrize("offset", [len(DATA), len(DATA) + 5])
async def test_a_peer_that_asks_beyond_the_end_gets_no_piece(tmp_path: Path, offset: int) -> None:
    async with running(tmp_path, 2) as town:
        document = town.register()
        await ClientEnd("devices").put(town.nodes[1], document)
        heard: list[PeerMessage] = []
        town.nodes[0].receive = lambda _source, message: heard.append(message)  # type: ignore[method-assign]
        town.nodes[1].receive(0, FetchCiphertext(r.Kind.DOCUMENT, document, HASH, offset))
        assert heard == [NoCiphertext(HASH)]
