"""Every block marked sh in the README, in docs/start and in docs/operate does what it says, on a real network.

A page's blocks run in order in one directory, where `./tally` is the command line under test and
`tests` the project's own. The network listens on free ports and is stopped afterwards.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK_SECONDS_MAX = 60.0
PORTS = 16
"""As many as a testnet may have nodes."""


def pages() -> list[Path]:
    folders = [ROOT / "docs" / "start", ROOT / "docs" / "operate"]
    found = [ROOT / "README.md", *(page for f in folders for page in sorted(f.rglob("*.md")))]
    return [page for page in found if BLOCK.search(page.read_text(encoding="utf-8"))]


def free_base_port() -> int:
    """First of PORTS consecutive ports that are free now."""
    for base in range(20_000 + os.getpid() % 1000 * 20, 60_000, PORTS):
        sockets = [socket.socket() for _ in range(PORTS)]
        try:
            for offset, probe in enumerate(sockets):
                probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        else:
            return base
        finally:
            for probe in sockets:
                probe.close()
    raise LookupError("no free ports")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    front = tmp_path / "tally"
    front.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tools.cli "$@"\n')
    front.chmod(0o755)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    yield tmp_path
    for network in tmp_path.glob("*/network.json"):
        run_block(f"./tally testnet down {network.parent.name}", tmp_path, 0)


def run_block(block: str, directory: Path, base_port: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TALLY_BASE_PORT": str(base_port or 7100)}
    return subprocess.run(
        ["/bin/sh", "-e", "-c", block],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS_MAX,
        check=False,
    )


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_command_blocks_run(page: Path, place: Path) -> None:
    base_port = free_base_port()
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    for number, block in enumerate(blocks, 1):
        result = run_block(block, place, base_port)
        assert result.returncode == 0, (
            f"block {number} of {page.name}:\n{block}\n{result.stdout}\n{result.stderr}"
        )


def test_the_readme_has_a_tour() -> None:
    text = "".join(BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    for act in ("testnet init", "voucher issue", "financing draw", "payout-confirm", "audit"):
        assert act in text
