"""Every block marked sh in the README and in docs/start, concepts, operate and integrate does what it says, on a real
network.

A page's blocks run in order in one directory, where `./tally` is the command line under test, `tests` the project's own,
and `.venv` its environment. A block marked `python NAME.py` is that file. The network listens on free ports and is
stopped afterwards.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.ports import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```(sh|python \w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK_SECONDS_MAX = 300.0
"""A block that hangs; on a busy machine one that does not takes a minute."""
PORTS = 16
"""As many as a testnet may have nodes."""


def pages() -> list[Path]:
    folders = [ROOT / "docs" / name for name in ("start", "concepts", "integrate", "operate")]
    found = [ROOT / "README.md", *(page for f in folders for page in sorted(f.rglob("*.md")))]
    return [page for page in found if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    front = tmp_path / "tally"
    front.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tools.cli "$@"\n')
    front.chmod(0o755)
    for name in ("tests", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    yield tmp_path
    for network in tmp_path.glob("*/network.json"):
        run_block(f"./tally testnet down {network.parent.name}", tmp_path, 0)


def run_block(block: str, directory: Path, base_port: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TALLY_BASE_PORT": str(base_port or 7100),
        "XDG_CONFIG_HOME": str(directory / "config"),
    }
    for name in ("TALLY_CONTEXT", "PYTHONSAFEPATH"):  # what a person has not set
        environment.pop(name, None)
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
    base_port = free_ports(PORTS)
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    for number, (kind, block) in enumerate(blocks, 1):
        if kind != "sh":
            (place / kind.removeprefix("python ")).write_text(block, encoding="utf-8")
            continue
        result = run_block(block, place, base_port)
        assert result.returncode == 0, (
            f"block {number} of {page.name}:\n{block}\n{result.stdout}\n{result.stderr}"
        )


def test_the_chinese_readme_is_the_same_tour() -> None:
    """What is run of one is not run of the other: it is the same."""
    english, chinese = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md")
    )
    assert BLOCK.findall(english) == BLOCK.findall(chinese)
    for shape in (r"^(#+) ", r"^(\| [`-])", r"^(- )", r"\]\((?!README)([\w./]+)\)"):
        found = [re.findall(shape, text, re.MULTILINE) for text in (english, chinese)]
        assert set(found[0]) <= set(found[1])
        if shape.startswith("^"):
            assert found[0] == found[1]


def test_the_readme_has_a_tour() -> None:
    text = "".join(
        block for _, block in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    )
    for act in ("testnet init", "voucher issue", "financing draw", "payout-confirm", "audit"):
        assert act in text
