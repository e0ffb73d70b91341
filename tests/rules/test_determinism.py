"""I12, D1: the same block log gives the same state everywhere, whatever the environment of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

STORY = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from law_world import World
from tallynet import commands as c
from tallynet import records as r

world = World()
world.core_and_suppliers()
world.line(r.LineKind.DEBTOR_EXPOSURE, "bank-2", "core", 10**9)
voucher, offer = world.voucher(1_000_000), world.offer(lines_required=(r.LineKind.DEBTOR_EXPOSURE,))
for amount in (1, 100, 12_345):
    world.sell("devices", voucher, 0, amount, offer)
world.ok("devices", c.LotTransfer(world.label, voucher, 0, (c.Piece(world.ids["shop"], 500, None),)))
world.run("shop", c.LotTransfer(world.label, voucher, 0, (c.Piece(world.ids["devices"], 1, None),)))
world.roll_to(world.get(r.Voucher, voucher).grace_end + 3)
print(world.height, world.root.hex())
"""


def run(*options: str, **environment: str) -> str:
    story = STORY.format(root=str(ROOT), here=str(HERE))
    return subprocess.run(
        [sys.executable, *options, "-c", story],
        env=os.environ | environment,
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_I12_one_log_many_environments_one_state() -> None:
    plain = run(PYTHONHASHSEED="0")
    assert len(plain.split()[1]) == 64
    assert run(PYTHONHASHSEED="1", TZ="America/New_York") == plain
    assert run("-O", PYTHONHASHSEED="4242", TZ="Asia/Shanghai", LC_ALL="C") == plain
    assert run("-OO", PYTHONHASHSEED="7", LANG="tr_TR.UTF-8") == plain
