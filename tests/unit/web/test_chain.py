"""Pages about blocks: what of a transaction is shown to whom, and how much memory they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.door import Answers
from node.recent import STEP_MS, RecentLatency
from node.state import CommittedState, Overlay
from node.store import Store, open_store
from node.web.node_book import NodeBook
from node.web.views import block, blocks, flow, transaction
from node.web.views.ask import Ask, View
from tallynet.blocks import Certificate, Commit, Header
from tallynet.codec import encode
from tallynet.commands import LineSuspend
from tallynet.envelope import Envelope, EnvelopeBody, Mode, Signer, seal_envelope
from tallynet.receipts import CommandReceipt, EnvelopeReceipt, PrologueReceipt
from tallynet.records import Kind, OrganisationKind, Role
from tests.unit.web.samples import member, organisation

BANK, OTHER_BANK = organisation(1), organisation(2)
BLOCKS = 40
EVENT_BYTES = 1 << 20


@contextmanager
def opened(place: Path) -> Iterator[Store]:
    store = open_store(
        place, genesis=bytes(32), node_key=bytes(32), key_mark=None, map_bytes=1 << 27
    )
    try:
        yield store
    finally:
        store.close()


def suspension(by: bytes) -> Envelope:
    body = EnvelopeBody(
        1, bytes(32), by, Mode.ATOMIC, (LineSuspend(b"label", b"l" * 16),), 2_000_000_000,
        (Signer(b"k" * 16, Role.MAKER),),
    )  # fmt: skip
    return seal_envelope(body, (bytes(64),))


def deliver(
    store: Store, height: int, envelopes: Sequence[Envelope] = (), events: Sequence[bytes] = ()
) -> None:
    """A block of the two banks, as the executor writes it."""
    state = Overlay(CommittedState(store.live_reader()))
    for bank in (BANK, OTHER_BANK):
        state.put(Kind.ORGANISATION, bank, member(OrganisationKind.BANK))
    state.seal()
    hash = height.to_bytes(32, "big")
    header = Header(
        bytes(32), 1, 0, height, bytes(32), bytes(32), 1_800_000_000_000 + height, 0, bytes(32)
    )
    vote = encode(Commit(0, 0, height, hash, bytes(32), bytes(32)))
    done = (CommandReceipt("OK", (), 0, ()),)
    receipts = [encode(EnvelopeReceipt(e.transaction, "OK", done, bytes(32))) for e in envelopes]
    batch = store.batch()
    batch.hold(height, hash, [envelope.raw for envelope in envelopes])
    batch.deliver(
        height=height,
        block=hash,
        header=encode(header),
        envelopes=[envelope.hash for envelope in envelopes],
        executed={envelope.transaction: index for index, envelope in enumerate(envelopes)},
        certificate=Certificate(vote, (0, 1, 2), (bytes(64),) * 3),
        state_root=bytes(32),
        receipts=(encode(PrologueReceipt(1, 1, 0, False, bytes(32))), *receipts),
        events=events,
        changes=state.changes(),
    )
    store.commit(batch)


def ask(book: NodeBook, **path: str) -> Ask:
    return Ask(book, path, {}, {"recent": RecentLatency()}, {}, BANK)


def test_the_charts_show_transactions_and_latency_by_the_same_steps(tmp_path: Path) -> None:
    recent = RecentLatency()
    with opened(tmp_path) as store:
        deliver(store, 1, (suspension(BANK), suspension(OTHER_BANK)))
        with store.reader() as snapshot:
            book = NodeBook(snapshot, BANK, Answers.PARTIES)
            for seconds in (0.010, 0.020):
                recent.add(book.time_ms, seconds)
            shown = flow.view(Ask(book, {}, {}, {"recent": recent}, {}, BANK))
    assert shown["seconds"][-1] == book.time_ms // STEP_MS * STEP_MS // 1000
    last = [shown[line][-1] for line in ("per_second", "mean_ms", "longest_ms")]
    assert last == [2 * 1000 / STEP_MS, 15.0, 20.0]
    before = [shown[line][-2] for line in ("per_second", "mean_ms", "longest_ms")]
    assert before == [0, None, None]


def test_who_commanded_what_is_shown_to_him_alone(tmp_path: Path) -> None:
    """Receipts name nobody, and whoever asks over the wire is not given an envelope."""
    own, other = suspension(BANK), suspension(OTHER_BANK)
    with opened(tmp_path) as store:
        deliver(store, 1, (own, other))
        with store.reader() as snapshot:
            book = NodeBook(snapshot, BANK, Answers.PARTIES)
            first, second = block.view(ask(book, height="1"))["transactions"]
            shown = transaction.view(ask(book, id=own.transaction.hex()))
            hidden = transaction.view(ask(book, id=other.transaction.hex()))
    assert (first["organisation"], first["commands"]) == (BANK, ["line.suspend"])
    assert (second["organisation"], second["commands"]) == (None, None)
    assert second["code"] == hidden["code"] == "OK"
    assert shown["envelope"]["organisation"] == BANK
    assert set(hidden["envelope"].values()) == {None}


@pytest.mark.parametrize("view", [flow.view, blocks.view])
def test_what_looks_at_many_blocks_holds_one_at_a_time(tmp_path: Path, view: View) -> None:
    with opened(tmp_path) as store:
        for height in range(1, BLOCKS + 1):
            deliver(store, height, events=(bytes(EVENT_BYTES),))
        with store.reader() as snapshot:
            tracemalloc.start()
            view(ask(NodeBook(snapshot, BANK, Answers.PARTIES)))
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert most < BLOCKS * EVENT_BYTES / 4
