"""`tally bench --reads` on a real network: proofs of all kinds are served and hold, and a lot's fits 4 KiB."""

from __future__ import annotations

import json
from pathlib import Path

from tools.cli import main


def test_proofs_are_served_checked_and_small(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert main(["bench", "--reads", "--seconds", "1", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert (figures["workload"], figures["lots"]) == ("reads", sum(range(1, 41)))
    for kind in ("lot", "voucher", "absent"):
        assert figures[kind]["answers"] > 0
        assert figures[kind]["served_per_core_second"] > 0
        assert figures[kind]["verified_per_core_second"] > 0
    assert figures["lot"]["proof_bytes"]["max"] <= 4096
