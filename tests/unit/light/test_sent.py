"""Commands kept under the ids of the programs that asked for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.light import sent as keeping
from node.light.sent import Sent, SentCommands

NOW = 1_000
FIRST = Sent("a", b"d", b"first", NOW + 120)


def commands(directory: Path) -> SentCommands:
    return SentCommands(directory / "commands.sqlite", b"g" * 32, b"o" * 16)


def test_the_bytes_that_were_kept_first_stay_and_get_their_receipt(tmp_path: Path) -> None:
    kept = commands(tmp_path)
    kept.keep(FIRST, NOW)
    kept.close()
    kept = commands(tmp_path)
    kept.keep(replace(FIRST, envelope=b"second", receipt=b"receipt", height=7), NOW)
    assert kept.get("a") == replace(FIRST, receipt=b"receipt", height=7)
    assert kept.get("b") is None
    kept.close()


def test_what_can_still_happen_waits_and_is_never_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "SENT_MAX", 1)
    kept = commands(tmp_path)
    kept.keep(FIRST, NOW)
    kept.keep(replace(FIRST, id="b"), NOW)
    assert kept.waiting(NOW) == 2 and kept.waiting(NOW + 121) == 0
    kept.keep(replace(FIRST, receipt=b"receipt", height=7), NOW)
    assert kept.get("a") is None and kept.get("b") is not None
    kept.keep(replace(FIRST, id="c", valid_until=NOW + 500), NOW + 121)
    assert kept.get("b") is None, "it expired, and others need the room"
    kept.close()
