"""`tally demo` tells the whole life of a voucher and exits 0; `tally audit` agrees, and notices a lie."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import msgspec
import pytest

from node.state.tables import RECORDS
from node.store.tables import CHECKSUM_BYTES, SEEDS, sealed
from tallynet.codec import decode, encode
from tallynet.records import CreditLine, Kind
from tools.demo_story import CHAPTERS
from tools.testnet_processes import ROOT, processes

BANKS = ("bank-1", "bank-2", "bank-3", "bank-4")


def tally(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    directory = tmp_path_factory.mktemp("demo") / "network"
    done = tally("demo", "--script-only", "--keep", str(directory))
    assert done.returncode == 0, done.stdout + done.stderr
    return directory, done.stdout


def test_every_chapter_is_told_and_nothing_is_left_running(told: tuple[Path, str]) -> None:
    directory, text = told
    for title, _ in CHAPTERS:
        assert title in text
    assert "refused: DOCUMENT_OVERUSED" in text
    assert "SETTLED" in text
    assert [node.pid for node in processes(directory)] == [None] * 4


@pytest.mark.parametrize("bank", BANKS)
def test_the_audit_of_each_node_agrees(told: tuple[Path, str], bank: str) -> None:
    assert tally("audit", str(told[0] / bank)).returncode == 0


def test_the_audit_notices_a_changed_record_with_a_right_checksum(
    told: tuple[Path, str], tmp_path: Path
) -> None:
    copy = tmp_path / "bank-1"
    shutil.copytree(told[0] / "bank-1", copy)
    environment = lmdb.open(str(copy / "data"), max_dbs=16, map_size=1 << 30)
    with environment:
        table = environment.open_db(RECORDS.encode(), create=False)
        with environment.begin(write=True, db=table) as transaction:
            cursor = transaction.cursor()
            assert cursor.set_range(bytes((Kind.CREDIT_LINE,)))
            key, stored = cursor.item()
            line = decode(CreditLine, stored[:-CHECKSUM_BYTES])
            richer = msgspec.structs.replace(line, granted=line.granted + 1)
            transaction.put(key, sealed(SEEDS[RECORDS], key, encode(richer)))
    done = tally("audit", str(copy))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "DIFFERS" in done.stdout


def test_the_audit_names_damage(told: tuple[Path, str], tmp_path: Path) -> None:
    copy = tmp_path / "bank-2"
    shutil.copytree(told[0] / "bank-2", copy)
    data = copy / "data" / "data.mdb"
    content = data.read_bytes()
    assert b"document" in content
    data.write_bytes(content.replace(b"document", b"documenT"))  # live pages and stale ones alike
    done = tally("audit", str(copy))
    assert done.returncode == 5
    assert "STORE_CORRUPT" in done.stderr
