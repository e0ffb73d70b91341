"""Proof files across any number of changes of the validator set: both verifiers take the same chains of hand-overs,
and refuse each that lacks one, has one too many, or has them in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.state import prove
from tallynet.blocks import Commit, Header
from tallynet.codec import decode, encode
from tallynet.genesis import validators_hash
from tallynet.hashing import block_hash
from tallynet.merkle import list_root
from tallynet.proofs import (
    FinalBlock,
    ProofFile,
    ProofRefused,
    RecordStatement,
    check_proof,
    make_proof,
)
from tallynet.records import Kind, Validator
from tallynet.validators import Handover
from tests.unit.proofs import independent
from tests.unit.proofs.world import (
    EPOCH,
    FIRST,
    GENESIS,
    NETWORK,
    SECOND,
    STATE,
    STATE_ROOT,
    members,
    sign,
)
from tests.unit.state.samples import record_id

Set = tuple[Validator, ...]
SETS = (FIRST, SECOND, members(2, 3, 4, 5), members(0, 2, 4, 5), members(5))
"""Of one, four and five members. No two have the same members at the places that sign here: such a certificate is
true of both sets, and the change between them could be left out."""
ENCODED = encode(GENESIS)


def block(height: int, voters: Set, following: Set) -> FinalBlock:
    """As `voters` certify it, who name `following` for the next block."""
    header = encode(
        Header(
            NETWORK, 1, (height - 1) // EPOCH, height, bytes(32), list_root([]),
            1_800_000_000_000 + height, 0, validators_hash(following),
        )
    )  # fmt: skip
    epoch = (height - 1) // EPOCH
    vote = Commit(epoch, 0, height, block_hash(header), STATE_ROOT, bytes(32))
    return FinalBlock(header, sign(vote, voters))


@dataclass(frozen=True)
class Past:
    """Which set votes in which epoch, and a block of the last of them."""

    sets: tuple[Set, ...]
    offset: int
    """0 is the first block of the last epoch."""

    def handovers(self) -> list[Handover]:
        found = []
        for epoch in range(1, len(self.sets)):
            before, after = self.sets[epoch - 1], self.sets[epoch]
            if before != after:
                last = block(epoch * EPOCH, before, after)
                found.append(Handover(last.header, last.certificate, after))
        return found

    def newest(self, voters: Set | None = None) -> FinalBlock:
        height = (len(self.sets) - 1) * EPOCH + 1 + self.offset
        return block(height, voters or self.sets[-1], self.sets[-1])

    def statement(self, newest: FinalBlock) -> RecordStatement:
        id = record_id(7)
        return RecordStatement(newest, Kind.REMAINDER, id, prove(STATE, Kind.REMAINDER, id))

    def file(self, handovers: Sequence[Handover], newest: FinalBlock | None = None) -> bytes:
        """With exactly these, needed or not."""
        made = make_proof(GENESIS, self.handovers(), self.statement(newest or self.newest()))
        return encode(ProofFile(1, NETWORK, tuple(handovers), decode(ProofFile, made).statement))


def pasts(changes: int = 0) -> st.SearchStrategy[Past]:
    """With so many changes at least; up to seven epochs."""
    later = st.lists(st.sampled_from(SETS), max_size=6)
    made = st.builds(Past, later.map(lambda sets: (FIRST, *sets)), st.integers(0, EPOCH - 1))
    return made.filter(lambda past: len(past.handovers()) >= changes)


def refuse(file: bytes) -> str:
    """The code with which it is refused, by both."""
    with pytest.raises(ProofRefused) as caught:
        check_proof(file, GENESIS)
    with pytest.raises(independent.Refused):
        independent.verify(file, ENCODED)
    return caught.value.code


@given(pasts())
@settings(max_examples=60)
def test_both_verifiers_follow_every_change_of_the_set(past: Past) -> None:
    handovers = past.handovers()
    file = make_proof(GENESIS, handovers, past.statement(past.newest()))
    assert file == past.file(handovers), "exactly those that are needed"
    proven = check_proof(file, GENESIS)
    height = (len(past.sets) - 1) * EPOCH + 1 + past.offset
    assert (proven.block.header.height, proven.handovers) == (height, len(handovers))
    assert independent.verify(file, ENCODED) == height


@given(pasts(changes=1), st.data())
@settings(max_examples=60)
def test_without_one_of_them_nothing_is_proven(past: Past, data: st.DataObject) -> None:
    handovers = past.handovers()
    del handovers[data.draw(st.integers(0, len(handovers) - 1))]
    assert refuse(past.file(handovers)) != "PROOF_SURPLUS"


@given(pasts(changes=2), st.data())
@settings(max_examples=60)
def test_they_hold_in_their_own_order_only(past: Past, data: st.DataObject) -> None:
    handovers = past.handovers()
    order = data.draw(st.permutations(handovers).filter(lambda other: other != handovers))
    refuse(past.file(order))


@given(pasts(), st.sampled_from(SETS))
@settings(max_examples=60)
def test_a_later_one_is_left_out_and_refused(past: Past, after: Set) -> None:
    later = Past((*past.sets, after), 0)
    if len(later.handovers()) == len(past.handovers()):
        return  # the set stays
    statement = past.statement(past.newest())
    assert make_proof(GENESIS, later.handovers(), statement) == past.file(past.handovers())
    assert refuse(past.file(later.handovers())) == "PROOF_SURPLUS"


@given(pasts(changes=1))
@settings(max_examples=60)
def test_a_set_that_was_replaced_signs_for_nobody(past: Past) -> None:
    """Its keys may be stolen long afterwards."""
    handovers = past.handovers()
    earlier = [FIRST, *(each.validators for each in handovers)]
    for replaced in earlier[:-1]:
        if replaced != past.sets[-1]:
            assert refuse(past.file(handovers, past.newest(replaced))) == "BAD_CERTIFICATE"
