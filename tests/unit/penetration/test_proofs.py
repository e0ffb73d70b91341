"""From a node's store to a client's rows: real validators on real stores, and nodes that lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tallynet import records as r
from tallynet.blocks import Certificate
from tallynet.client.penetration import ProvenPage, proven_page
from tallynet.client.trust import Trust
from tallynet.codec import Wire, decode, encode
from tallynet.envelope import Envelope
from tallynet.errors import RemoteProtocolError
from tallynet.messages import Penetration, QueryIndex, QueryPenetration, RequestRefused
from tallynet.penetration import (
    Chain,
    ChainPart,
    Down,
    Holding,
    Impact,
    PathEvent,
    Position,
    Positions,
    Question,
    Trace,
    Up,
)
from tallynet.receipts import EnvelopeReceipt
from tests.rules.law_world import public_of
from tests.unit.node.machines import ClientEnd, Net
from tests.unit.penetration.ledgers import Ledger

replace = msgspec.structs.replace


class Played(Ledger):
    """A ledger that plays on a network: what it executes, the validators order before."""

    net: Net

    def receipt(self, envelope: Envelope) -> EnvelopeReceipt:
        client = self.net.nodes[0].submit(envelope)
        assert self.net.run(20_000, lambda: bool(client.codes(envelope)))
        return super().receipt(envelope)


class Served:
    """Four validators that hold a short chain: devices keeps [0,400) and sold [400,500); shop has [500,700),
    paint [700,1000), pledged."""

    def __init__(self, directory: Path) -> None:
        self.net = Net(directory)
        world = object.__new__(Played)
        world.__dict__.update(self.net.world.__dict__)
        self.world = self.net.world = world
        world.net = self.net
        world.populate()
        self.voucher = world.paper("core", "devices", 1_000)
        world.pass_on("devices", self.voucher, 0, 300, "shop")
        world.pass_on("shop", self.voucher, 700, 300, "paint")
        self.loan = world.borrow("paint", self.voucher, 700, 300)
        world.pass_on("devices", self.voucher, 0, 200, "shop")
        world.sell("devices", self.voucher, 0, 100, world.sale)
        self.cover = world.guarantee(r.GuaranteeScope.DEBTOR, world.ids["core"], 300)
        self.net.settle()

    def close(self) -> None:
        self.net.close()

    def send(self, key: bytes, request: Wire, node: int = 0) -> object:
        client = ClientEnd(key)
        self.net.nodes[node].machine.service.handle(client, (request,))  # type: ignore[arg-type]  # keeps replies
        (reply,) = client.replies
        return reply

    def answer(self, by: str, question: Question, after: bytes = b"") -> Penetration:
        query = decode(QueryPenetration, encode(QueryPenetration(7, question, after)))
        reply = self.send(public_of(by, "maker"), query)
        assert isinstance(reply, Penetration), reply
        return reply

    def check(self, question: Question, answer: Penetration, after: bytes = b"") -> ProvenPage:
        return proven_page(Trust(self.net.world.genesis), question, after, answer)

    def rows(self, by: str, question: Question) -> list[object]:
        found: list[object] = []
        after: bytes | None = b""
        while after is not None:
            proven = self.check(question, self.answer(by, question, after), after)
            found.extend(proven.page.rows)
            assert not proven.gone
            after = proven.page.after
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("net"))
    yield made
    made.close()


def test_up_shows_what_stands_behind_a_lot_and_its_whole_way(served: Served) -> None:
    world = served.world
    trace, *path = served.rows("paint", Up(served.voucher, 700))
    assert isinstance(trace, Trace)
    assert [world.name(id) for id, _ in trace.debtors] == ["core"]
    assert trace.lot.holder == world.ids["paint"]
    assert [id for id, _ in trace.documents] == [use.document for use in trace.voucher.documents]
    assert [id for id, _ in trace.guarantees] == [served.cover]
    assert trace.financing is not None and trace.financing.funder == world.ids["bank-2"]
    hops = [
        (row.event.type, world.name(row.event.source), world.name(row.event.target))
        for row in path
        if isinstance(row, PathEvent)
    ]
    assert hops == [
        ("financing.payout.confirm", "paint", "bank-2"),
        ("financing.draw", "paint", "bank-2"),
        ("lot.transfer", "shop", "paint"),
        ("lot.transfer", "devices", "shop"),
        ("voucher.claim", None, "devices"),
        ("voucher.issue", "core", "devices"),
    ]


def test_the_way_of_another_lot_shows_none_of_it(served: Served) -> None:
    """shop's second part went no further; the bank bought from devices."""
    for by, start, types in (
        ("shop", 500, ["lot.transfer", "voucher.claim", "voucher.issue"]),
        ("core", 400, ["voucher.claim", "voucher.issue"]),
    ):
        rows = served.rows(by, Up(served.voucher, start))
        assert [row.event.type for row in rows if isinstance(row, PathEvent)] == types


def test_down_is_complete_by_its_proof(served: Served) -> None:
    rows = served.rows("watch", Down(served.voucher))
    assert [(row.start, row.end) for row in rows if isinstance(row, Holding)] == [
        (0, 400), (400, 500), (500, 700), (700, 1_000),
    ]  # fmt: skip


def test_positions_and_impact_are_proven(served: Served) -> None:
    world = served.world
    bank = served.rows("bank-2", Positions(world.ids["bank-2"]))
    assert [row.amount for row in bank if isinstance(row, Position)] == [100, 240]
    assert len(served.rows("watch", Impact(world.ids["core"]))) == 6
    chain = served.rows("watch", Chain(world.ids["core"]))
    assert [(row.start, row.amount, row.tier) for row in chain if isinstance(row, ChainPart)] == [
        (0, 400, 0), (400, 100, 0), (500, 200, 1), (700, 300, 2),
    ]  # fmt: skip


# --- refusals ---------------------------------------------------------------------------------------


def test_the_service_refuses_with_a_code(served: Served) -> None:
    question = QueryPenetration(9, Down(served.voucher), b"")
    for key, code in (
        (public_of("steel", "maker"), "NOT_AUTHORISED"),
        (public_of("core", "machine"), "NOT_AUTHORISED"),
        (bytes(32), "KEY_UNKNOWN"),
    ):
        reply = served.send(key, question)
        assert isinstance(reply, RequestRefused) and (reply.request, reply.code) == (9, code)
    bad = served.send(public_of("core", "maker"), replace(question, after=b"\x01"))
    assert isinstance(bad, RequestRefused) and bad.code == "BAD_CURSOR"


@pytest.mark.parametrize("index", [62, 63, 64, 65, 66])
def test_what_penetration_reads_is_not_listed_for_everybody(served: Served, index: int) -> None:
    reply = served.send(bytes(32), QueryIndex(1, index, b"", b"", 10))
    assert isinstance(reply, RequestRefused) and reply.code == "UNKNOWN_INDEX"


# --- lies -------------------------------------------------------------------------------------------

Lie = Callable[[Penetration], Penetration]


def without(field: str, at: int) -> Lie:
    def lie(answer: Penetration) -> Penetration:
        given = getattr(answer, field)
        return replace(answer, **{field: (*given[:at], *given[at + 1 :])})

    return lie


def spoilt_lot(answer: Penetration) -> Penetration:
    first = answer.lots[0]
    lot = msgspec.structs.replace(served_lot(first.record), holder=bytes(16))
    return replace(answer, lots=(replace(first, record=encode(lot)), *answer.lots[1:]))


def served_lot(raw: bytes) -> r.Lot:
    return decode(r.Lot, raw)


def other_root(answer: Penetration) -> Penetration:
    first, second = answer.records[:2]
    return replace(
        answer, records=(replace(first, proof=second.proof), second, *answer.records[2:])
    )


def other_event(answer: Penetration) -> Penetration:
    first, second = answer.events[:2]
    return replace(answer, events=(replace(first, event=second.event), *answer.events[1:]))


def other_receipt(answer: Penetration) -> Penetration:
    first, second = answer.events[:2]
    changed = replace(first, receipt=second.receipt, hashes=second.hashes, event=second.event)
    return replace(answer, events=(changed, *answer.events[1:]))


LIES: dict[str, tuple[str, Question | None, Lie]] = {
    "a record left out": ("watch", Up(bytes(16), 700), without("records", 0)),
    "another record's proof": ("watch", Up(bytes(16), 700), other_root),
    "another holder": ("watch", Down(bytes(16)), spoilt_lot),
    "a lot that was asked for left out": ("paint", Up(bytes(16), 700), without("lots", 0)),
    "another event": ("watch", Up(bytes(16), 700), other_event),
    "another event's receipt": ("watch", Up(bytes(16), 700), other_receipt),
    "events out of order": ("watch", Up(bytes(16), 700), lambda a: replace(a, events=a.events[::-1])),
    "the same event again": ("watch", Up(bytes(16), 700), lambda a: replace(a, events=a.events[:1] * 2)),
    "history without end": ("watch", Up(bytes(16), 700), lambda a: replace(a, events=(), older=2**40)),
    "an index page left out": ("watch", None, without("listings", 0)),
    "entries of somebody else": ("watch", None, lambda a: replace(a, listings=((bytes(32),),) * 9)),
    "entries twice": ("watch", None, lambda a: replace(a, listings=(a.listings[0] * 2, *a.listings[1:]))),
    "no certificate": ("watch", None, lambda a: replace(a, certificate=Certificate(b"", (), ()))),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_noticed(served: Served, name: str) -> None:
    by, asked, lie = LIES[name]
    question: Question = Impact(served.world.ids["core"])
    if asked is not None:
        question = replace(asked, voucher=served.voucher)
    answer = served.answer(by, question)
    assert served.check(question, answer)
    with pytest.raises(RemoteProtocolError):
        served.check(question, lie(answer))


def test_a_holder_left_out_is_a_range_that_is_not_shown(served: Served) -> None:
    """What a node can do at worst in `Down`: say that it does not show a lot."""
    question = Down(served.voucher)
    rows = served.check(question, without("lots", 1)(served.answer("watch", question))).page.rows
    assert [isinstance(row, Holding) and row.lot is not None for row in rows] == [
        True,
        False,
        True,
        True,
    ]


def test_the_history_of_deleted_blocks_is_said_to_be_gone(served: Served) -> None:
    """Rows of the log go with their blocks; the present is proven all the same."""
    node = served.net.nodes[3]
    question = Up(served.voucher, 500)
    with node.store.reader() as reader:
        newest, *older = reader.log(served.voucher, 2**40, 100)
    assert newest.sequence == len(older)
    batch = node.store.batch()
    batch.prune(
        older[-1].height,
        {"voucher log": [served.voucher + older[-1].sequence.to_bytes(8, "big")]},
        keep_header=True,
    )
    node.store.commit(batch)
    reply = served.send(public_of("shop", "maker"), QueryPenetration(1, question, b""), node=3)
    assert isinstance(reply, Penetration)
    proven = served.check(question, reply)
    assert proven.gone
    types = [row.event.type for row in proven.page.rows if isinstance(row, PathEvent)]
    assert types == ["lot.transfer", "voucher.claim"]
