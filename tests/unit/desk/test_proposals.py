"""Proposals are kept, in bounds, and what waits is never forgotten."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from node.desk import proposals as keeping
from node.desk.office import KeptDocument
from node.desk.proposals import Agreement, Price, Proposal, ProposalError, Proposals, State
from tallynet.codec import encode
from tallynet.commands import LotAccept

ACT = LotAccept(b"label", b"v" * 16, 3)
DAY = 86_400


def store(directory: Path) -> Proposals:
    return Proposals(directory, b"g" * 32, b"o" * 16)


def proposal(id: str, state: State = State.DRAFT, at: int = 1_000) -> Proposal:
    return Proposal(
        id=id, action="accept", subject=f"accept:{id}", currency="CNY",
        amount=3,
        with_whom=b"w" * 16,
        commands=(("lot.accept", encode(ACT)),), maker=Agreement("li", "maker", at), state=state,
    )  # fmt: skip


def test_what_was_shown_is_there_after_a_restart_to_the_byte(tmp_path: Path) -> None:
    kept = store(tmp_path)
    one = msgspec.structs.replace(
        proposal("a"),
        notes=(("field_payee", "门票闸机"),),
        document=KeptDocument(b"d", b"r", b"s", b"k", b"h", bytes(range(256))),
        price=Price(1, 99, 43_500, 90, 0),
    )
    kept.save(one)
    kept.close()
    kept = store(tmp_path)
    assert kept.get("a") == one
    assert kept.get("a").wire == [ACT]
    with pytest.raises(ProposalError) as missing:
        kept.get("b")
    assert missing.value.code == "PROPOSAL_MISSING"
    assert (tmp_path / keeping.PROPOSALS_FILE).stat().st_mode & 0o777 == 0o600
    kept.close()


def test_they_are_listed_by_state_newest_first(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for at, (id, state) in enumerate([("a", State.OPEN), ("b", State.DONE), ("c", State.OPEN)]):
        kept.save(proposal(id, state, at))
    assert [each.id for each in kept.list(State.OPEN, limit=9)] == ["c", "a"]
    assert [each.id for each in kept.list(State.OPEN, State.DONE, limit=2)] == ["c", "b"]
    assert kept.under_way() == {"accept:a": "a", "accept:c": "c"}
    kept.close()


def test_a_draft_goes_after_a_day_and_nothing_else_does(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.save(proposal("draft"))
    kept.save(proposal("open", State.OPEN))
    kept.save(proposal("later", at=1_001 + DAY))
    assert [each.id for each in kept.list(*State, limit=9)] == ["later", "open"]
    kept.close()


def test_there_is_room_for_so_many_and_what_waits_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PROPOSALS_MAX", 3)
    monkeypatch.setattr(keeping, "OPEN_MAX", 2)
    kept = store(tmp_path)
    kept.save(proposal("open", State.OPEN, 1))
    for i in range(4):
        kept.save(proposal(f"d{i}", State.DRAFT, 2 + i))
        kept.save(proposal(f"d{i}", State.DONE, 2 + i))
    assert {each.id for each in kept.list(*State, limit=9)} == {"open", "d2", "d3"}
    kept.save(proposal("draft", at=9))
    with pytest.raises(ProposalError) as full:
        kept.save(proposal("one more", at=9))
    assert full.value.code == "PROPOSALS_FULL"
    kept.save(proposal("draft", State.OPEN, 9))
    kept.close()
