"""A validator that was away goes on from a fetched state: as a whole machine, with a real store (B12,
INV-22), at every moment at which it may die."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus.statistics import ReplicaStatus
from node.state.tables import INDEXES, RECORDS, STATE_TABLES
from node.store import WriteBatch
from node.store.batch import STAGED
from node.store.tables import BLOCKS, BODIES, RECEIPTS, TRANSACTIONS
from tallynet.blocks import Commit, Prepare
from tallynet.codec import decode
from tallynet.merkle import list_root
from tallynet.messages import (
    BlockReceipts,
    Blocks,
    FetchBlocks,
    NodeStatus,
    PeerMessage,
    QueryBlock,
    QueryEvents,
    QueryReceipts,
    QueryStatus,
    QueryTransaction,
    Receipts,
    RequestRefused,
    Signed,
    SignedKind,
    StatePart,
    Submit,
)
from tests.unit.node.machines import ClientEnd, Net, Validator, approved_offer

DAY_SECONDS = 86_400
FAR = 6
"""Blocks missing from which on the state is fetched, here."""


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path, epoch_length=8, state_sync_blocks=FAR)
    yield made
    made.close()


def grow(net: Net, blocks: int, at: int = 0) -> None:
    """Blocks of one envelope each."""
    for _ in range(blocks):
        height = net.nodes[at].height
        net.nodes[at].submit(approved_offer(net))
        assert net.run(5_000, lambda below=height: net.nodes[at].height > below)


def tables(node: Validator) -> list[list[tuple[bytes, bytes]]]:
    with node.store.reader() as reader:
        return [list(reader.dump(table)) for table in STATE_TABLES]


def away(net: Net, index: int, blocks: int) -> Validator:
    """A validator misses so many blocks; it is connected again, and nothing has been delivered yet."""
    net.cut_off(index)
    grow(net, blocks)
    net.heal()
    return net.nodes[index]


def one_vote_counts(net: Net, index: int) -> bool:
    """With one of the others cut off, blocks need the votes of this one."""
    other = (index + 1) % net.n
    net.cut_off(other)
    before = net.nodes[index].height
    net.nodes[index].submit(approved_offer(net))
    found = net.run(40_000, lambda: net.nodes[index].height > before)
    net.heal()
    return found


def no_block_passes(net: Net, index: int) -> None:
    """To one validator: it must not get along with blocks."""
    net.passes = lambda _source, to, message: to != index or not isinstance(message, Blocks)


# --- the whole way ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [10, 16], ids=["in a later epoch", "two epochs later"])
def test_who_was_away_takes_the_state_and_votes_again(net: Net, blocks: int) -> None:
    grow(net, 3)
    node = away(net, 3, blocks)
    no_block_passes(net, 3)
    assert net.run(10_000, lambda: "state_adopted" in node.logs)
    net.heal()
    assert net.run(10_000, net.agree)
    assert tables(node) == tables(net.nodes[0])
    assert one_vote_counts(net, 3)
    assert net.run(10_000, net.agree)
    assert tables(node) == tables(net.nodes[0])


def test_in_the_same_epoch_the_views_go_on(tmp_path: Path) -> None:
    """Two views were left before it was away: what it signed there is not forgotten."""
    net = Net(tmp_path, epoch_length=1_000, state_sync_blocks=FAR)
    grow(net, 2)
    net.cut_off(0)
    net.nodes[1].submit(approved_offer(net))
    assert net.run(30_000, lambda: net.nodes[1].height == 3), "view 1 has begun"
    net.heal()
    assert net.run(10_000, net.agree)
    node = net.nodes[3]
    view = node.machine.replica.statistics().view
    assert view >= 1
    away(net, 3, 10)
    no_block_passes(net, 3)
    assert net.run(10_000, lambda: "state_adopted" in node.logs)
    assert node.machine.replica.statistics().view == view
    assert node.machine.replica.statistics().epoch == 0
    net.heal()
    assert one_vote_counts(net, 3)
    net.close()


def test_a_new_validator_s_first_block_is_a_fetched_state(net: Net) -> None:
    """Its store is empty but for the genesis state."""
    node = away(net, 2, 10)
    no_block_passes(net, 2)
    assert node.height == 0
    assert net.run(10_000, lambda: "state_adopted" in node.logs)
    net.heal()
    assert net.run(10_000, net.agree)
    assert one_vote_counts(net, 2)


def test_B12_who_finds_its_own_vote_under_the_fetched_state_votes_no_more(net: Net) -> None:
    """Its disk and its key mark were lost: nothing but that vote tells that its key has voted."""
    net.cut_off(3)
    grow(net, 10)
    node = net.nodes[2]
    node.machine.close()
    node.store.close()
    for path in sorted(node.directory.iterdir()):
        path.unlink()
    node.start()
    net.heal()
    no_block_passes(net, 2)
    assert net.run(10_000, lambda: "state_adopted" in node.logs)
    assert ("votes_stopped", {"reason": "the fetched state's block holds a vote of ours"}) in (
        node.told
    )
    node.restart()
    assert node.machine.replica.statistics().status is ReplicaStatus.MUTE


def test_no_vote_is_cast_twice_for_one_place(net: Net) -> None:
    """Everything that the validator ever signed, across the change of state (INV-3)."""
    seen: dict[tuple[int, bytes], bytes] = {}

    def watch(source: int, _to: int, message: PeerMessage) -> bool:
        if source == 3 and isinstance(message, Signed) and message.kind <= SignedKind.COMMIT:
            kind = Prepare if message.kind is SignedKind.PREPARE else Commit
            vote = decode(kind, message.body)
            place = (int(message.kind), bytes((vote.epoch, vote.view, vote.height)))
            assert seen.setdefault(place, message.body) == message.body
        return True

    net.passes = watch
    grow(net, 3)
    node = away(net, 3, 10)
    net.passes = lambda source, to, message: (
        watch(source, to, message) and not (to == 3 and isinstance(message, Blocks))
    )
    assert net.run(10_000, lambda: "state_adopted" in node.logs)
    net.passes = watch
    grow(net, 10)
    assert len(seen) > 10 and net.agree()


# --- interruptions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["dies before", "dies after"])
def test_it_may_die_around_every_single_commit(net: Net, first: str) -> None:
    """Of those that have to do with the state: every second one is lost, and none is followed up."""
    grow(net, 3)
    node = away(net, 3, 10)
    no_block_passes(net, 3)
    deaths: list[str] = []
    done: list[str] = []

    def fate(batch: WriteBatch) -> str:
        staged = sorted(table for table in batch.rows if table.startswith(STAGED))
        if not staged and batch.generation is None:
            return ""
        before = first == "dies before" if not deaths else deaths[-1] == "dies after"
        deaths.append("dies before" if before else "dies after")
        if not before:
            done.extend(staged or ["adopted"])
        return deaths[-1]

    node.fate = fate
    assert net.run(20_000, lambda: "adopted" in done)
    node.fate = lambda _batch: ""
    assert len(deaths) >= 5 and STAGED + RECORDS in done and STAGED + INDEXES in done
    net.heal()
    assert net.run(20_000, net.agree)
    assert tables(node) == tables(net.nodes[0])
    node.restart()
    assert net.run(10_000, net.agree)
    assert one_vote_counts(net, 3)


def test_the_other_set_of_tables_is_emptied_afterwards(net: Net) -> None:
    node = away(net, 3, 10)
    no_block_passes(net, 3)
    assert net.run(10_000, lambda: "state_adopted" in node.logs)
    net.heal()
    net.run(5_000)
    staged = node.store.staged_reader()
    assert [staged.keys(table, b"", 1) for table in STATE_TABLES] == [[], [], []]
    with node.store.reader() as reader:
        assert reader.generation() == 1 and reader.staging() is None


def test_a_fetch_that_blocks_overtake_is_given_up(net: Net) -> None:
    """The state stops coming half-way; blocks go on, and what was fetched is thrown away."""
    grow(net, 1)
    node = away(net, 3, 10)
    net.passes = lambda _source, to, message: to != 3 or not isinstance(message, Blocks | StatePart)
    net.run(2_000)
    with node.store.reader() as reader:
        assert reader.staging() is None, "nothing has come that is worth a mark"
    assert node.machine.describe(1).waiting.startswith("fetching the state")
    net.passes = lambda _source, to, message: to != 3 or not isinstance(message, StatePart)
    assert net.run(120_000, net.agree)
    assert "state_adopted" not in node.logs
    assert "state_sync_pauses" in node.logs


def test_while_the_state_is_fetched_no_block_is_asked_for(net: Net) -> None:
    grow(net, 1)
    node = away(net, 3, 10)
    asked: list[int] = []

    def watch(source: int, _to: int, message: PeerMessage) -> bool:
        if source == 3 and isinstance(message, FetchBlocks) and "state_sync_begins" in node.logs:
            asked.append(message.first)
        return not isinstance(message, Blocks) and not isinstance(message, StatePart)

    net.passes = watch
    net.run(4_000)
    assert "state_sync_begins" in node.logs
    assert asked == []


# --- what is there afterwards -----------------------------------------------------------------------------


def answer(node: Validator, request: object) -> object:
    client = ClientEnd()
    node.machine.service.handle(client, (request,))  # type: ignore[arg-type]  # keeps replies
    return client.replies[-1]


def test_clients_hear_which_history_is_here(net: Net) -> None:
    grow(net, 1)
    lost = approved_offer(net)
    net.cut_off(3)
    net.nodes[0].submit(lost)
    assert net.run(5_000, lambda: net.nodes[0].height == 2)
    node = away(net, 3, 10)
    no_block_passes(net, 3)
    assert net.run(10_000, lambda: "state_adopted" in node.logs)
    with node.store.reader() as reader:
        base = reader.base()
    net.heal()
    grow(net, 2)
    for request in (
        QueryBlock(1, base - 2), QueryEvents(2, 1, 0, 0, False), QueryTransaction(3, lost.transaction),
        QueryReceipts(5, base - 2),
    ):  # fmt: skip
        refused = answer(node, request)
        assert isinstance(refused, RequestRefused) and refused.code == "HISTORY_GONE"
    refused = answer(node, Submit((lost.raw,)))
    assert getattr(refused, "code", "") == "HISTORY_GONE", (
        "executed, but not by what is stored here"
    )
    assert isinstance(answer(net.nodes[0], Submit((lost.raw,))), Receipts)
    shown = answer(net.nodes[0], QueryReceipts(6, 1))
    assert isinstance(shown, BlockReceipts)
    vote = decode(Commit, shown.certificate.vote)
    assert (vote.height, vote.receipts_root) == (1, list_root(shown.receipts))
    unknown = answer(net.nodes[0], QueryReceipts(7, 10_000))
    assert isinstance(unknown, RequestRefused) and unknown.code == "NO_SUCH_BLOCK"
    status = answer(node, QueryStatus(4))
    assert isinstance(status, NodeStatus) and status.committed == node.height


def test_a_validator_with_a_fetched_state_serves_the_next_one(net: Net) -> None:
    """It has no blocks below its state: who needs those hears so, and takes its state."""
    node = away(net, 3, 10)
    no_block_passes(net, 3)
    assert net.run(10_000, lambda: "state_adopted" in node.logs)
    net.heal()
    assert net.run(10_000, net.agree)
    net.nodes[2].machine.close()
    net.nodes[2].store.close()
    for path in sorted(net.nodes[2].directory.iterdir()):
        path.unlink()
    net.nodes[2].logs.clear()
    net.nodes[2].start()
    net.passes = lambda source, to, message: {source, to} != {0, 2} and {source, to} != {1, 2}
    net.run(20_000)
    assert "state_adopted" not in net.nodes[2].logs, "one voice is not enough to give up blocks"
    net.passes = lambda source, to, message: {source, to} != {0, 2}
    no_state = net.passes
    net.passes = lambda source, to, message: (
        no_state(source, to, message) and not (to == 2 and isinstance(message, Blocks))
    )
    assert net.run(60_000, lambda: "state_adopted" in net.nodes[2].logs)


# --- old blocks -------------------------------------------------------------------------------------------


def require_pruned_up_to(net: Net, base: int) -> None:
    """Nothing of older blocks is left but the last headers of epochs."""
    for peer in net.nodes[:3]:
        kept = range(base, peer.height + 1)
        with peer.store.reader() as reader:
            assert reader.base() == base
            rows = [int.from_bytes(key, "big") for key, _ in reader.dump(BLOCKS)]
            assert rows == sorted({5, 10, *kept})
            for table in (BODIES, RECEIPTS):
                found = {int.from_bytes(key[:8], "big") for key, _ in reader.dump(table)}
                assert found == {*kept}
            places = {int.from_bytes(place[:8], "big") for _, place in reader.dump(TRANSACTIONS)}
            assert places <= {*kept}


def test_old_blocks_go_and_who_needs_them_gets_the_state(tmp_path: Path) -> None:
    net = Net(tmp_path, epoch_length=5, keep_blocks=4)
    grow(net, 4)
    node = away(net, 3, 8)
    with net.nodes[0].store.reader() as reader:
        assert reader.base() == 1, "their envelopes may still be valid"
    net.cut_off(3)
    net.world.time += DAY_SECONDS
    grow(net, 1)
    net.run(1_000)
    newest = net.nodes[0].height
    assert newest - 4 < 12
    require_pruned_up_to(net, newest - 4 + 1)
    grow(net, 6)
    net.run(1_000)
    require_pruned_up_to(net, 13)
    net.heal()
    assert net.run(30_000, lambda: "state_adopted" in node.logs), "far fewer blocks than the limit"
    assert net.run(10_000, net.agree)
    assert tables(node) == tables(net.nodes[0])
    net.close()
