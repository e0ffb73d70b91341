"""What a client keeps: newer wins, whoever writes last; a crash leaves the old file or the new one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tallynet.client import Trust, TrustStore, TrustStoreError
from tallynet.client.store import CURSORS_MAX, FILE_BYTES_MAX
from tallynet.codec import encode
from tests.unit.client.malicious import make_chain
from tests.unit.client.serving import GENESIS
from tests.unit.client.test_handovers import FIRST, ONE, START, TWO, certify, header_of

BLOCKS = make_chain().blocks


def seen(height: int) -> Trust:
    """Whoever has seen this block and none above."""
    trust = Trust(GENESIS)
    trust.certified(BLOCKS[height - 1].header, BLOCKS[height - 1].certificate)
    return trust


def kept(store: TrustStore) -> int:
    trust = Trust(GENESIS)
    store.resume(trust)
    return trust.newest


def test_the_newest_block_comes_back_and_makes_the_anchor_young(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "new" / "directory")
    assert kept(store) == 0
    store.save(seen(2))
    trust = Trust(GENESIS)
    store.resume(trust)
    assert (trust.newest, trust.anchor_ms) == (2, trust.head.time_ms if trust.head else 0)
    assert trust.anchor_ms > GENESIS.time_ms


def test_of_two_programs_the_one_that_saw_more_wins(tmp_path: Path) -> None:
    store = TrustStore(tmp_path)
    store.save(seen(3))
    store.save(seen(1))
    assert kept(store) == 3
    store.move_cursor(seen(1), "books", 1, 2)
    store.move_cursor(seen(2), "other", 2, 0)
    assert kept(store) == 3
    assert store.cursor(seen(1), "books") == (1, 2)
    assert store.cursor(seen(1), "nobody") == (0, 0)


def test_hand_overs_are_kept_for_ever(tmp_path: Path) -> None:
    store, trust = TrustStore(tmp_path), Trust(START)
    trust.learn([encode(ONE), encode(TWO)])
    store.save(trust)
    young = Trust(START)
    header = header_of(1_500, FIRST)
    young.certified(header, certify(header, 1_500, FIRST))
    store.save(young)
    again = Trust(START)
    store.resume(again)
    assert again.succession.newest.since == 5
    assert again.handovers == [encode(ONE), encode(TWO)]


def test_a_crash_while_writing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TrustStore(tmp_path)
    store.save(seen(1))

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrustStoreError, match=r"TRUST_STORE_UNUSABLE.*No space left"):
        store.save(seen(3))
    monkeypatch.undo()
    assert kept(store) == 1


def test_readers_of_the_log_are_bounded(tmp_path: Path) -> None:
    store, trust = TrustStore(tmp_path), seen(1)
    for number in range(CURSORS_MAX):
        store.move_cursor(trust, f"reader {number}", 1, 0)
    store.move_cursor(trust, "reader 0", 2, 0)
    with pytest.raises(TrustStoreError, match=f"{CURSORS_MAX} readers"):
        store.move_cursor(trust, "one more", 1, 0)
    assert store.cursor(trust, "reader 0") == (2, 0)


def test_a_file_that_is_too_large_is_not_ours(tmp_path: Path) -> None:
    store = TrustStore(tmp_path)
    store.save(seen(1))
    with (tmp_path / "trust").open("r+b") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    with pytest.raises(TrustStoreError, match="TRUST_STORE_CORRUPT"):
        kept(store)


def test_a_place_that_is_no_directory_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrustStoreError, match="TRUST_STORE_UNUSABLE"):
        TrustStore(tmp_path / "file").save(seen(1))
