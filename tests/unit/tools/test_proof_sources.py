"""Proof files from the database of a node that has lived: real blocks, and a real change of the validators."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from node.store import Snapshot
from tallynet.hashing import record_id
from tallynet.proofs import (
    EventsFact,
    EventsStatement,
    Proven,
    ReceiptFact,
    RecordFact,
    RecordStatement,
    Statement,
    check_proof,
    make_proof,
)
from tallynet.records import NETWORK_ID, Kind, Network
from tests.unit.node.machines import Net, approved_offer
from tests.unit.node.test_membership import LENGTH, add_fifth, submit
from tools.arguments import UsageError
from tools.proof_sources import ProofError, StoreSource

OFFERS = 3


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    made = Net(tmp_path_factory.mktemp("net"), epoch_length=LENGTH, spares=2)
    add_fifth(made)
    made.offers = [approved_offer(made) for _ in range(OFFERS)]
    for offer in made.offers:
        submit(made, offer)
    yield made
    made.close()


@pytest.fixture
def stored(net: Net) -> Iterator[Snapshot]:
    with net.nodes[0].store.reader() as reader:
        yield reader


async def proven(net: Net, source: StoreSource, statement: Statement) -> Proven:
    file = make_proof(net.world.genesis, await source.handovers(), statement)
    return check_proof(file, net.world.genesis)


async def test_the_newest_state_by_the_set_that_signed_it(net: Net, stored: Snapshot) -> None:
    source = StoreSource(stored)
    block, proof = await source.record(Kind.NETWORK, NETWORK_ID)
    found = await proven(net, source, RecordStatement(block, Kind.NETWORK, NETWORK_ID, proof))
    assert isinstance(found.fact, RecordFact) and isinstance(found.fact.record, Network)
    assert (found.handovers, len(found.block.validators)) == (1, 5)
    assert found.block.validators == found.fact.record.validators


async def test_what_was_asked_and_what_became_of_it(net: Net, stored: Snapshot) -> None:
    source = StoreSource(stored)
    for offer in net.offers:
        for given in (None, offer.raw):
            found = await proven(net, source, await source.execution(offer.transaction, given))
            assert isinstance(found.fact, ReceiptFact)
            assert found.fact.envelope is not None and found.fact.envelope.raw == offer.raw
            assert found.fact.receipt.commands[0].code == "OK"
    with pytest.raises(ProofError, match="not the copy of the envelope"):
        await source.execution(net.offers[0].transaction, net.offers[1].raw)
    with pytest.raises(ProofError, match="no such transaction"):
        await source.execution(bytes(32), None)


async def test_all_events_across_a_change_of_the_validators(net: Net, stored: Snapshot) -> None:
    source = StoreSource(stored)
    height = net.nodes[0].height
    statement = EventsStatement(1, height, await source.events(1, height))
    found = await proven(net, source, statement)
    assert isinstance(found.fact, EventsFact)
    types = [entry.event.type for entry in found.fact.events]
    assert types.count("offer.create") == OFFERS
    assert "governance.validator.add" in types
    before = await proven(net, source, EventsStatement(1, 5, await source.events(1, 5)))
    assert (before.handovers, len(before.block.validators)) == (0, 4)


@pytest.mark.parametrize(
    "heights",
    [lambda top: (0, 1), lambda top: (3, 2), lambda top: (1, top + 1)],
    ids=["from nothing", "backwards", "beyond"],
)
async def test_ranges_that_do_not_exist(
    net: Net, stored: Snapshot, heights: Callable[[int], tuple[int, int]]
) -> None:
    with pytest.raises(UsageError, match="blocks 1 to"):
        await StoreSource(stored).events(*heights(net.nodes[0].height))


async def test_a_ledger_without_vouchers_has_none_to_show(net: Net, stored: Snapshot) -> None:
    source = StoreSource(stored)
    with pytest.raises(ProofError) as caught:
        source.any_voucher()
    assert caught.value.code == "RECORD_NOT_FOUND"
    voucher = record_id(Kind.VOUCHER, bytes(16), b"v1")
    assert (await source.voucher(voucher))[1].record is None
