"""Commands kept under the ids of the programs that asked for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.light import sent as keeping
from node.light.database import open_for
from node.light.sent import Sent, SentCommands, State

FIRST = Sent("a", b"d", b"first", b"1", 1_120)
DONE = {"state": State.DONE, "code": "OK", "receipt": b"receipt", "height": 7}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "commands.sqlite"


@pytest.fixture
def kept(path: Path) -> Iterator[SentCommands]:
    base = open_for(path, b"g" * 32, b"o" * 16, b"1")
    yield SentCommands(base)
    base.close()


def other(id: str) -> Sent:
    return replace(FIRST, id=id, transaction=id.encode())


def test_what_is_kept_is_there_after_a_restart_with_what_became_of_it(path: Path) -> None:
    base = open_for(path, b"g" * 32, b"o" * 16, b"1")
    SentCommands(base).keep(FIRST)
    SentCommands(base).note(replace(FIRST, **DONE))
    base.close()
    base = open_for(path, b"g" * 32, b"o" * 16, b"1")
    kept = SentCommands(base)
    assert kept.get("a") == replace(FIRST, **DONE, number=1)
    assert (kept.get("b"), kept.id_of(b"1"), kept.id_of(b"2")) == (None, "a", None)
    base.close()


def test_what_is_final_stays(kept: SentCommands) -> None:
    kept.keep(FIRST)
    kept.note(replace(FIRST, **DONE))
    kept.note(replace(FIRST, state=State.EXPIRED, code="EXPIRED"))
    found = kept.get("a")
    assert found is not None and (found.state, found.code) == (State.DONE, "OK")


def test_commands_are_listed_by_state_in_the_order_in_which_they_came(kept: SentCommands) -> None:
    for id in ("c", "a", "b"):
        kept.keep(other(id))
    kept.note(replace(other("a"), **DONE))
    assert [each.id for each in kept.listed(None, 0, 9)] == ["c", "a", "b"]
    assert [each.id for each in kept.listed(None, 1, 1)] == ["a"]
    assert [each.id for each in kept.listed(State.PENDING, 0, 9)] == ["c", "b"]
    assert kept.pending() == 2


def test_what_has_no_outcome_is_never_forgotten(
    kept: SentCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "SENT_MAX", 1)
    kept.keep(other("a"))
    kept.keep(other("b"))
    assert kept.pending() == 2
    kept.note(replace(other("a"), **DONE))
    kept.keep(other("c"))
    assert kept.get("a") is None and kept.get("b") is not None
