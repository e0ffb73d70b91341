"""`tally demo` tells the whole life of a voucher and exits 0; `tally audit` agrees, and notices a lie."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import lmdb
import msgspec
import pytest

from node.state.tables import RECORDS
from node.store.tables import CHECKSUM_BYTES, SEEDS, VOUCHER_LOG, sealed
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


def look_at(words: tuple[str, ...], output: int, lines: Iterator[str]) -> None:
    """Play the demo into `output`, which is closed; it ends by showing pages, and each answers until Ctrl-C."""
    demo = subprocess.Popen(
        (sys.executable, "-m", "tools.cli", "demo", *words),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=output,
        preexec_fn=partial(  # background jobs of a shell are born deaf to it
            signal.signal, signal.SIGINT, signal.SIG_DFL
        ),
    )
    os.close(output)
    seen: list[str] = []
    try:
        for line in lines:
            seen += re.findall(r"http://127\.0\.0\.1:\d+/[/0-9a-z]+", line)
            if "until Ctrl-C" in line:
                break
        assert len(seen) == 4
        for address in seen:
            with urlopen(address, timeout=30) as answer:
                assert answer.status == 200
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
        with pytest.raises(URLError):
            urlopen(seen[0], timeout=30)
    finally:
        demo.kill()
        demo.wait()


def test_the_story_can_be_looked_at_and_gone_on_with_until_ctrl_c() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as lines:
        look_at(("--script-only", "--pages"), writing, lines)


def test_at_a_terminal_the_demo_ends_by_showing_its_pages() -> None:
    terminal, output = pty.openpty()
    with os.fdopen(terminal, encoding="utf-8") as lines:
        look_at((), output, lines)


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


def test_the_audit_notices_a_voucher_log_that_points_elsewhere(
    told: tuple[Path, str], tmp_path: Path
) -> None:
    copy = tmp_path / "bank-3"
    shutil.copytree(told[0] / "bank-3", copy)
    environment = lmdb.open(str(copy / "data"), max_dbs=16, map_size=1 << 30)
    with environment:
        table = environment.open_db(VOUCHER_LOG.encode(), create=False)
        with environment.begin(write=True, db=table) as transaction:
            cursor = transaction.cursor()
            assert cursor.first()
            key, stored = cursor.item()
            place = (10**6).to_bytes(8, "big") + stored[8:-CHECKSUM_BYTES]
            transaction.put(key, sealed(SEEDS[VOUCHER_LOG], key, place))
    done = tally("audit", str(copy))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the log of voucher" in done.stdout


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


def test_running_nodes_answer_who_asks_with_what_he_may_see(
    told: tuple[Path, str], tmp_path: Path
) -> None:
    """Penetration queries from the command line to real nodes: the supplier sees its lot's whole way, the
    debtor what was not passed on, a bank that has no part in it nothing (voucher law §13, §16)."""
    network = tmp_path / "network"
    shutil.copytree(told[0], network)

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return tally(*words, "--network", str(network), "--output", "json")

    assert tally("testnet", "up", str(network)).returncode == 0
    try:
        reference = "vista-guide/v1"
        up = ask("lot", "up", f"{reference}:0", "--as", "gate-devices")
        assert up.returncode == 0, up.stderr
        trace = json.loads(up.stdout)
        assert [event["type"] for event in trace["events"]][-2:] == [
            "voucher.claim",
            "voucher.issue",
        ]
        assert trace["documents"] and not trace["gone"]
        down = json.loads(ask("voucher", "down", reference, "--as", "vista-guide").stdout)
        assert (down[0]["start"], down[-1]["end"]) == (0, trace["voucher"]["face"])
        assert all(one["end"] == other["start"] for one, other in itertools.pairwise(down))
        assert {row["lot"]["hops"] for row in down if row["lot"]} == {0}
        assert None in [row["lot"] for row in down]
        stranger = ask("voucher", "down", reference, "--as", "bank-4")
        assert stranger.returncode == 1 and "NOT_AUTHORISED" in stranger.stderr
        for words in (
            ("position", "exposure", "--as", "bank-2"),
            ("position", "ladder", "--as", "bank-2"),
            ("position", "idle", "--as", "corner-parts", "--days", "1"),
            ("debtor", "impact", "--as", "vista-guide"),
        ):
            assert json.loads(ask(*words).stdout) == [], "all is settled"
    finally:
        assert tally("testnet", "down", str(network)).returncode == 0
