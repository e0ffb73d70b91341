"""A process that dies between two durable steps, a disk that fills, a file that is damaged.

Nothing acknowledged is lost, a transaction is there whole or not at all, and a damaged file is noticed
or harmless, never silently wrong (reliability §2.3, §2.4, B1, B10, B11).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from node.state import CommittedState
from node.store import CRASH_POINTS, StoreError, scan_in_child
from tests.crash.store_child import CRASHED, digest
from tests.unit.store.samples import ENVELOPES, commit_blocks, open_at, transactions

ROOT = Path(__file__).resolve().parents[2]


def child(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.crash.store_child", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def check_whole(directory: Path, height: int) -> None:
    """Block `height` is the tip, and everything of it is there, and nothing of the next one."""
    assert scan_in_child(directory / "data").complete
    store = open_at(directory)
    assert store.vote_bar == ""
    with store.reader() as snapshot:
        tip = snapshot.tip()
        assert tip is not None
        assert tip.height == height
        assert CommittedState.snapshot(snapshot).root == tip.state_root
        for number in range(1, height + 1):
            block = snapshot.block(number)
            assert block is not None
            assert snapshot.envelopes(number, block.block) == tuple(ENVELOPES)
            assert snapshot.transaction(transactions(number)[0]) == (number, 0)
            assert snapshot.receipts(number) is not None
        assert snapshot.block(height + 1) is None
        assert snapshot.candidates(height + 1) == []
        assert snapshot.transaction(transactions(height + 1)[0]) is None
        assert len(snapshot.journal()) == height
    commit_blocks(store, height + 1, height + 1)
    store.close()


@pytest.mark.parametrize("last", [1, 3])
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_crash_between_durable_steps(tmp_path: Path, point: str, last: int) -> None:
    """With last = 1 the crash also hits the first mark of the key, with 3 a later commit."""
    if last > 1:
        assert child("blocks", tmp_path, 1, last - 1).returncode == 0
    result = child("blocks", tmp_path, last, last, point)
    assert result.returncode == CRASHED, result.stderr
    assert result.stdout == ""
    durable = last if point in ("after-commit", "after-mark") else last - 1
    if durable:
        check_whole(tmp_path, durable)
    else:
        scan_in_child(tmp_path / "data")
        store = open_at(tmp_path)
        with store.reader() as snapshot:
            assert snapshot.tip() is None
            assert snapshot.journal() == []
        assert store.vote_bar == ""
        store.close()


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_crash_while_the_state_is_changed_leaves_the_old_one_or_the_new_one(
    tmp_path: Path, point: str
) -> None:
    result = child("adopt", tmp_path, point)
    assert result.returncode == CRASHED, result.stderr
    assert scan_in_child(tmp_path / "data").complete
    store = open_at(tmp_path)
    with store.reader() as snapshot:
        tip = snapshot.tip()
        assert tip is not None
        changed = point in ("after-commit", "after-mark")
        assert tip.height == (50 if changed else 2)
        assert (snapshot.generation(), snapshot.staging() is None) == (int(changed), changed)
        assert (b"view" in dict(snapshot.journal())) is changed
        assert CommittedState.snapshot(snapshot).root == tip.state_root
    assert store.vote_bar == ""
    commit_blocks(store, tip.height + 1, tip.height + 1)
    store.close()


def test_full_disk_stops_with_its_own_code_and_keeps_what_was_acknowledged(
    tmp_path: Path,
) -> None:
    result = child("full", tmp_path, 3_000_000)
    *heights, code = result.stdout.split()
    assert code == "STORE_FULL", result.stderr
    assert len(heights) > 2
    assert scan_in_child(tmp_path / "data").complete
    store = open_at(tmp_path)
    with store.reader() as snapshot:
        tip = snapshot.tip()
        assert tip is not None
        assert tip.height == int(heights[-1])
        assert CommittedState.snapshot(snapshot).root == tip.state_root
    store.close()


def damaged(data: bytearray, kind: int, chance: random.Random) -> bytearray:
    page = chance.randrange(0, len(data) // 4096) * 4096
    if kind == 0:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        for _ in range(8):
            data[page + chance.randrange(4096)] ^= 1 << chance.randrange(8)
    elif kind == 2:
        data[page : page + 4096] = bytes(4096)
    elif kind == 3:
        data[page : page + 4096] = chance.randbytes(4096)
    elif kind == 4:
        other = chance.randrange(0, len(data) // 4096) * 4096
        data[page : page + 4096] = data[other : other + 4096]
    else:
        del data[chance.randrange(len(data)) :]
    return data


def outcomes(directories: list[Path]) -> list[str]:
    """What scanning each directory gave; the child is started again when damage killed it."""
    found: list[str] = []
    while len(found) < len(directories):
        result = child("damage", *directories[len(found) :])
        found += result.stdout.split()
        if result.returncode < 0:
            found.append("KILLED")
        elif len(found) < len(directories):
            pytest.fail(result.stderr)
    return found


def test_damage_is_noticed_or_harmless(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 20)
    store.close()
    good = (tmp_path / "data" / "data.mdb").read_bytes()
    expected = digest(tmp_path / "data")
    chance = random.Random(20_261_124)
    directories = []
    for trial in range(180):
        directory = tmp_path / f"trial {trial}"
        directory.mkdir()
        (directory / "data.mdb").write_bytes(damaged(bytearray(good), trial % 6, chance))
        directories.append(directory)
    found = outcomes(directories)
    wrong = [
        (trial, outcome)
        for trial, outcome in enumerate(found)
        if outcome not in ("STORE_CORRUPT", "KILLED", expected)
    ]
    assert wrong == []
    assert found.count(expected) < 120, "the damage did not hit what is stored"


def test_child_that_dies_of_damage_is_reported_with_what_to_do(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 20)
    store.close()
    file = tmp_path / "data" / "data.mdb"
    os.truncate(file, 3 * 4096)
    with pytest.raises(StoreError, match="STORE_CORRUPT") as caught:
        scan_in_child(tmp_path / "data")
    assert "move the directory away" in caught.value.message


def test_boot_scan_reports_progress_and_may_be_cut_short(tmp_path: Path) -> None:
    assert scan_in_child(tmp_path / "nothing here").complete
    store = open_at(tmp_path)
    commit_blocks(store, 1, 3, 20_000)
    with pytest.raises(StoreError, match="STORE_IN_USE"):
        scan_in_child(tmp_path / "data")
    store.close()
    seen: list[tuple[int, int]] = []
    whole = scan_in_child(tmp_path / "data", progress=lambda *numbers: seen.append(numbers))
    assert whole.complete
    assert seen[-1] == (whole.values, whole.values)
    assert len(seen) > 2
    part = scan_in_child(tmp_path / "data", seconds=0.0)
    assert not part.complete
    assert 0 < part.values < whole.values


def test_copy_of_a_closed_store_is_complete(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 2)
    store.close()
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "data" / "data.mdb", tmp_path / "copy" / "data.mdb")
    assert digest(tmp_path / "copy") == digest(tmp_path / "data")


def test_the_boot_scan_finds_a_database_named_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_at(tmp_path)
    commit_blocks(store, 1, 2)
    store.close()
    monkeypatch.chdir(tmp_path)
    assert scan_in_child(Path("data")).values > 0
