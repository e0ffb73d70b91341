"""Protocol §5.7 c: when a certified state is fetched instead of blocks, and how voting goes on (B7, B12)."""

from __future__ import annotations

import pytest

from consensus.config import Tip
from consensus.events import BlocksPaused
from consensus.journal import MUTE, VIEW, ViewRecord
from consensus.restart import rebase
from consensus.slots import Content
from tallynet.codec import decode, encode
from tallynet.errors import InvariantViolated
from tallynet.evidence import Divergence
from tallynet.messages import BlocksGone, FetchBlocks, SignedKind
from tests.sim.bench import Bench

FAR = 100


def claim(bench: Bench, *heights: int) -> None:
    """Validators 0, 2 and 3 say that they have committed so much."""
    for index, height in zip((0, 2, 3), heights, strict=False):
        bench.receive(index, bench.status(index, committed=height))


def jump(bench: Bench, content: Content) -> None:
    """What the driver does when the state of this block has taken the place of the current one."""
    height, length = content.header.height, bench.config.epoch_length
    for key, value in rebase(bench.journal, height=height, epoch_length=length).items():
        if value is None:
            bench.journal.pop(key, None)
        else:
            bench.journal[key] = value
    bench.tip = Tip(
        content.header_bytes,
        content.block,
        bench.commit_certificate(content, 0, (0, 2, 3)),
        height // length,
    )
    bench.restart()


# --- when ---------------------------------------------------------------------------------------------


def test_a_state_is_wanted_when_f_plus_1_are_too_far_ahead() -> None:
    backup = Bench()
    claim(backup, 2**62)
    assert backup.replica.state_wanted(FAR) == 0, "one voice may be a liar's"
    claim(backup, 2**62, FAR)
    assert backup.replica.state_wanted(FAR) == 0, "blocks will do"
    claim(backup, 2**62, FAR + 1)
    assert backup.replica.state_wanted(FAR) == FAR + 1 - backup.config.window
    assert backup.replica.claims == {0: 2**62, 2: FAR + 1}


def test_a_state_is_wanted_when_f_plus_1_no_longer_hold_the_next_block() -> None:
    backup = Bench()
    claim(backup, 20, 20, 20)
    backup.receive(0, BlocksGone(2**62))
    assert backup.replica.state_wanted(FAR) == 0
    backup.receive(2, BlocksGone(1))
    assert backup.replica.state_wanted(FAR) == 0, "it holds block 1, which is the next"
    backup.receive(2, BlocksGone(2))
    assert backup.replica.state_wanted(FAR) == 20 - backup.config.window


def test_a_state_within_the_window_is_of_no_use() -> None:
    backup = Bench()
    window = backup.config.window
    for index in (0, 2, 3):
        backup.receive(index, BlocksGone(2))
    claim(backup, window, window, window)
    assert backup.replica.state_wanted(FAR) == 0 and backup.replica.caught_up
    claim(backup, window + 1, window + 1, window + 1)
    assert backup.replica.state_wanted(FAR) == window + 1
    assert not backup.replica.caught_up


def test_who_diverged_does_not_cover_it_with_a_fetched_state() -> None:
    """INV-11: its operator has to look first."""
    backup = Bench()
    claim(backup, FAR + 5, FAR + 5)
    assert backup.replica.state_wanted(FAR) > 0
    wrong = Divergence(0, 1, bytes(32), b"\1" * 32, b"\2" * 32, (), None)
    backup.replica._s.diverge(wrong)
    assert backup.replica.state_wanted(FAR) == 0


def test_who_holds_the_block_is_asked_and_nobody_while_the_state_is_fetched() -> None:
    backup = Bench()
    claim(backup, 50, 50, 50)
    backup.receive(0, BlocksGone(9))
    backup.receive(3, BlocksGone(2))
    for _ in range(10):
        backup.tick(1_100)
    assert {to for to, _ in backup.take(FetchBlocks)} == {2}
    backup.step(BlocksPaused(True))
    for _ in range(10):
        backup.tick(1_100)
    assert backup.take(FetchBlocks) == []
    backup.step(BlocksPaused(False))
    backup.tick(1_100)
    assert backup.take(FetchBlocks) == [(2, FetchBlocks(1))]


def test_an_answer_that_the_block_is_gone_frees_the_way_to_the_next_peer() -> None:
    backup = Bench()
    claim(backup, 50, 50, 50)
    backup.tick(600)
    ((first, _),) = backup.take(FetchBlocks)
    backup.receive(first, BlocksGone(9))
    backup.tick(300)
    ((second, _),) = backup.take(FetchBlocks)
    assert second != first


# --- going on -----------------------------------------------------------------------------------------


def test_in_the_same_epoch_votes_go_and_the_view_stays() -> None:
    backup = Bench()
    blocks = backup.chain(12)
    for content in blocks[:2]:
        backup.propose(content)
    backup.prepare_all(blocks[0])
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    before = decode(ViewRecord, backup.journal[VIEW])
    assert before.voted_view == 1 and len(backup.journal) > 1
    jump(backup, blocks[10])
    assert list(backup.journal) == [VIEW]
    assert decode(ViewRecord, backup.journal[VIEW]) == before
    statistics = backup.replica.statistics()
    assert (statistics.committed, statistics.voted_view) == (11, 1)
    backup.propose(blocks[11])
    assert backup.prepares() == [], "view 0 was left, and stays left"
    (_, change), *_ = backup.take(SignedKind.VIEW_CHANGE)
    assert change.to_view == 1  # type: ignore[attr-defined]


def test_in_a_later_epoch_views_begin_at_0_and_votes_at_the_next_height() -> None:
    backup = Bench(epoch_length=5)
    blocks = backup.chain(12)
    backup.propose(blocks[0])
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    jump(backup, blocks[10])
    assert decode(ViewRecord, backup.journal[VIEW]) == ViewRecord(2, 0, 0, b"", b"")
    statistics = backup.replica.statistics()
    assert (statistics.epoch, statistics.view, statistics.committed) == (2, 0, 11)
    backup.propose(blocks[10])
    assert backup.prepares() == [], "its height is committed"
    backup.propose(blocks[11])
    assert backup.prepares() == [12]


def test_a_height_that_ends_an_epoch_opens_the_next_one() -> None:
    backup = Bench(epoch_length=5)
    blocks = backup.chain(11)
    jump(backup, blocks[9])
    assert backup.replica.statistics().epoch == 2
    backup.propose(blocks[10])
    assert backup.prepares() == [11]


def test_a_view_change_after_it_shows_the_certified_height() -> None:
    """What takes the place of the certificates that went: nothing below it can be chosen again."""
    backup = Bench()
    blocks = backup.chain(12)
    backup.propose(blocks[0])
    backup.prepare_all(blocks[0])
    jump(backup, blocks[10])
    for index in (0, 2, 3):
        backup.receive(index, backup.complaint(index))
    (_, change), *_ = backup.take(SignedKind.VIEW_CHANGE)
    assert change.committed_header == blocks[10].header_bytes  # type: ignore[attr-defined]
    assert change.prepared == ()  # type: ignore[attr-defined]


def test_who_was_silent_stays_silent() -> None:
    backup = Bench()
    blocks = backup.chain(12)
    backup.journal[MUTE] = b"\x01"
    backup.restart()
    jump(backup, blocks[10])
    assert backup.journal[MUTE] == b"\x01"
    backup.propose(blocks[11])
    assert backup.prepares() == []


def test_B12_whose_own_vote_is_in_the_certificate_is_silent() -> None:
    """A complete register holds no vote above the window: this one is older than the key's votes."""
    assert rebase({}, height=100, epoch_length=1_000, signed=True) == {MUTE: b"\x01"}


def test_an_empty_register_stays_empty_and_means_no_votes() -> None:
    """B12: a chain without a register is a lost disk, wherever the chain comes from."""
    assert rebase({}, height=100, epoch_length=1_000) == {}


def test_a_vote_or_an_epoch_above_the_height_halts() -> None:
    backup = Bench()
    blocks = backup.chain(4)
    for content in blocks:
        backup.propose(content)
    with pytest.raises(InvariantViolated, match="INV-7"):
        rebase(backup.journal, height=3, epoch_length=1_000)
    later = {VIEW: encode(ViewRecord(1, 0, 0, b"", b""))}
    with pytest.raises(InvariantViolated, match="INV-1"):
        rebase(later, height=100, epoch_length=1_000)
