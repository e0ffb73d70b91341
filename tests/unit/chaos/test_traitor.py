"""Every Byzantine behaviour really lies, with valid signatures where a lie needs one."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallynet.blocks import Commit, Header, Prepare
from tallynet.codec import decode, encode
from tallynet.hashing import block_hash
from tallynet.messages import (
    DOMAINS,
    Bodies,
    Complaint,
    PeerMessage,
    PrePrepare,
    Signed,
    SignedKind,
    Status,
    ViewChange,
)
from tallynet.signatures import verify_kind
from tools.chaos.traitor import ALL, HUGE_VIEW, LATE_SECONDS, TRAITORS, Hand, Said, Traitor

GENESIS = sha256(b"genesis").digest()
KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
HEADER = encode(Header(GENESIS, 1, 0, 7, GENESIS, GENESIS, 1_000, 0, GENESIS))


class Clock:
    now = 0.0


def hand(clock: Clock | None = None) -> Hand:
    time = clock or Clock()
    return Hand(KEY.sign, GENESIS, 0, 4, lambda: time.now)


def traitor(name: str, clock: Clock | None = None) -> Traitor:
    return TRAITORS[name](hand(clock), random.Random(1))


def proposal() -> bytes:
    vote = hand().signed(SignedKind.PREPARE, Prepare(0, 0, 7, block_hash(HEADER)))
    return encode(PrePrepare(HEADER, (), vote))


def commit() -> bytes:
    vote = Commit(0, 0, 7, block_hash(HEADER), GENESIS, GENESIS)
    return hand().signed(SignedKind.COMMIT, vote)


def status(view: int = 3) -> bytes:
    return hand().signed(SignedKind.STATUS, Status(2, view, False, 9, 1))


def is_sound(raw: bytes) -> bool:
    signed = opened(raw)
    assert isinstance(signed, Signed)
    return verify_kind(DOMAINS[signed.kind], GENESIS, signed.body, PUBLIC, signed.signature)


def opened(raw: bytes) -> PeerMessage:
    message: PeerMessage = decode(PeerMessage, raw)  # type: ignore[arg-type]
    return message


def test_two_proposals_for_one_height_each_soundly_signed_for_its_half() -> None:
    said = traitor("equivocate").distort(ALL, proposal())
    assert [to for to, _ in said] == [1, 2, 3]
    first, second, third = (opened(raw) for _, raw in said)
    assert isinstance(first, PrePrepare)
    assert isinstance(second, PrePrepare)
    assert second == third
    assert first.header != second.header
    for message in (first, second):
        assert is_sound(message.prepare)
        vote = decode(Prepare, decode(Signed, message.prepare).body)
        assert vote.block == block_hash(message.header)
        assert (vote.view, vote.height) == (0, 7)


@pytest.mark.parametrize("name", ["equivocate", "mutate"])
def test_votes_are_not_those_of_the_validator(name: str) -> None:
    lies = traitor(name)
    said: list[Said] = [s for _ in range(40) for s in lies.distort(ALL, commit())]
    others = [raw for _, raw in said if raw != commit()]
    assert others
    kinds = {is_sound(raw) for raw in others}
    assert kinds == ({True} if name == "equivocate" else {True, False})
    bodies = {decode(Signed, raw).body for raw in others if is_sound(raw)}
    assert decode(Signed, commit()).body not in bodies


def test_bodies_are_withheld_and_nothing_else() -> None:
    lies = traitor("withhold")
    assert lies.distort(ALL, encode(Bodies((b"body",)))) == []
    assert lies.distort(ALL, proposal()) == [(ALL, proposal())]


def test_proposals_come_just_before_patience_ends() -> None:
    clock = Clock()
    lies = traitor("delay", clock)
    assert lies.distort(ALL, commit()) == [(ALL, commit())]
    assert lies.distort(ALL, proposal()) == []
    clock.now = LATE_SECONDS - 0.01
    assert lies.unprompted() == []
    clock.now = LATE_SECONDS
    assert lies.unprompted() == [(ALL, proposal())]
    assert lies.unprompted() == []


def test_huge_views_are_demanded_with_sound_signatures() -> None:
    lies = traitor("spam")
    assert lies.unprompted() == [], "it does not know its epoch yet"
    assert lies.distort(ALL, status()) == [(ALL, status())]
    said = [opened(raw) for _ in range(20) for _, raw in lies.unprompted()]
    assert all(isinstance(m, Signed) and is_sound(encode(m)) for m in said)
    changes = [decode(ViewChange, m.body) for m in said if m.kind == SignedKind.VIEW_CHANGE]  # type: ignore[union-attr]
    complaints = [decode(Complaint, m.body) for m in said if m.kind == SignedKind.COMPLAINT]  # type: ignore[union-attr]
    assert HUGE_VIEW in {change.to_view for change in changes}
    assert {change.epoch for change in changes} == {2}
    assert len({complaint.view for complaint in complaints}) > 2


def test_what_was_said_once_is_said_again() -> None:
    lies = traitor("stale")
    for raw in (proposal(), commit()):
        assert lies.distort(ALL, raw) == [(ALL, raw)]
    again = {raw for _ in range(20) for _, raw in lies.unprompted()}
    assert again == {proposal(), commit()}
