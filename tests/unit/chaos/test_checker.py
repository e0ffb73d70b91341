"""The judge of a chaos run: a healthy run passes, and each kind of loss fails by its own rule."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tests.unit.chaos.samples import (
    acknowledged,
    block,
    chain,
    healthy,
    identity,
    receipt,
    with_block,
)
from tools.chaos.checker import PROBLEMS_MAX, RULES, Evidence, judge
from tools.chaos.record import Submitted


def violated(evidence: Evidence) -> set[str]:
    return {
        rule.__name__ for rule, found in zip(RULES, judge(evidence), strict=True) if not found.holds
    }


def test_a_healthy_run_passes_and_every_rule_looked_at_something() -> None:
    found = judge(healthy())
    assert all(finding.holds for finding in found)
    idle = [f.rule for f in found if not f.checked]
    assert idle == ["no vote of a barred node after its bar"], "nobody was barred"


def lost() -> Evidence:
    return with_block(healthy(), 1, block(2, [b"a"]))


def doubled() -> Evidence:
    return with_block(healthy(), 0, block(3, [b"c", b"a"]))


def moved() -> Evidence:
    sound = healthy()
    entries = [acknowledged(b"a", 3), *sound.acknowledged[1:]]
    return replace(sound, acknowledged=entries)


def another_receipt() -> Evidence:
    right = block(2, [b"a", b"b"])
    return with_block(healthy(), 1, replace(right, receipts=(receipt(b"x"), receipt(b"b"))))


def invented() -> Evidence:
    return with_block(healthy(), 1, block(3, [b"c", b"nobody's"]))


def forked() -> Evidence:
    return with_block(healthy(), 1, replace(block(3, [b"c"]), block=identity(b"rival")))


def other_state() -> Evidence:
    return with_block(healthy(), 1, replace(block(3, [b"c"]), state_root=identity(b"wrong")))


def gap() -> Evidence:
    sound = healthy()
    hole = replace(sound.chains[1], blocks=[b for b in sound.chains[1].blocks if b.height != 2])
    return replace(sound, chains=[sound.chains[0], hole])


def behind() -> Evidence:
    sound = healthy()
    short = replace(sound.chains[1], blocks=sound.chains[1].blocks[:2])
    return replace(sound, chains=[sound.chains[0], short], acknowledged=sound.acknowledged[:2])


def stored_state_differs() -> Evidence:
    sound = healthy()
    wrong = replace(sound.chains[1], state_root=identity(b"not what was signed"))
    return replace(sound, chains=[sound.chains[0], wrong])


def undecided() -> Evidence:
    sound = healthy()
    return replace(sound, submitted=[*sound.submitted, Submitted(identity(b"d").hex(), 1, 0)])


def still_open() -> Evidence:
    return replace(healthy(), open=1)


def refused() -> Evidence:
    sound = healthy()
    entry = msgspec.structs.replace(sound.acknowledged[0], ok=False)
    return replace(sound, acknowledged=[entry, *sound.acknowledged[1:]])


def barred_signer() -> Evidence:
    return replace(healthy(), barred={2: 2})


def late_and_lost() -> Evidence:
    """A node that fetched the state of block 2 has to hold block 3."""
    sound = healthy()
    late = replace(sound.chains[1], first=3, blocks=[block(3, [])])
    return replace(sound, chains=[sound.chains[0], late])


def nobody_holds_all() -> Evidence:
    sound = healthy()
    late = [replace(chain, first=3, blocks=chain.blocks[2:]) for chain in sound.chains]
    return replace(sound, chains=late)


def slandered() -> Evidence:
    sound = healthy()
    proof = replace(sound.chains[1], convicted={3: "two votes"})
    return replace(sound, chains=[sound.chains[0], proof])


def silence() -> Evidence:
    return replace(healthy(), submitted=[], acknowledged=[])


def nothing_read() -> Evidence:
    return replace(healthy(), chains=[])


@pytest.mark.parametrize(
    ("wrong", "rules"),
    [
        (lost, {"acknowledged_once"}),
        (doubled, {"acknowledged_once", "nothing_twice"}),
        (moved, {"acknowledged_once"}),
        (another_receipt, {"acknowledged_once"}),
        (invented, {"nothing_invented"}),
        (forked, {"one_chain"}),
        (other_state, {"one_chain"}),
        (gap, {"acknowledged_once", "one_chain"}),
        (behind, {"one_height", "everything_decided"}),
        (stored_state_differs, {"one_height"}),
        (undecided, {"everything_decided"}),
        (still_open, {"everything_decided"}),
        (refused, {"everything_decided"}),
        (barred_signer, {"barred_silent"}),
        (late_and_lost, {"acknowledged_once"}),
        (nobody_holds_all, {"something_happened"}),
        (slandered, {"nobody_accused"}),
        (silence, {"something_happened", "nothing_invented"}),
        (nothing_read, {"something_happened"}),
    ],
)
def test_each_kind_of_wrong_is_found_by_its_rule(wrong: object, rules: set[str]) -> None:
    assert callable(wrong)
    assert violated(wrong()) == rules


def test_a_vote_below_the_bar_was_cast_before_the_disk_was_lost() -> None:
    (found,) = [f for f in judge(replace(healthy(), barred={2: 3})) if "barred" in f.rule]
    assert found.holds
    quiet = with_block(healthy(), 0, block(3, [b"c"], signers=(0, 1, 3)))
    quiet = with_block(quiet, 1, block(3, [b"c"], signers=(0, 1, 3)))
    (found,) = [f for f in judge(replace(quiet, barred={2: 2})) if "barred" in f.rule]
    assert (found.holds, found.checked) == (True, 2)


def test_a_node_that_fetched_a_state_answers_for_the_blocks_it_holds() -> None:
    sound = healthy()
    late = replace(sound.chains[1], first=3, blocks=sound.chains[1].blocks[2:])
    assert not violated(replace(sound, chains=[sound.chains[0], late]))


def test_a_traitor_may_be_convicted() -> None:
    assert not violated(replace(slandered(), faulty=frozenset({3})))


def test_set_up_blocks_need_no_submission() -> None:
    assert violated(replace(healthy(), setup_height=0)) == {"nothing_invented"}


def test_many_problems_are_counted_and_some_are_kept() -> None:
    sound = healthy()
    many = [acknowledged(b"lost %d" % i, 2) for i in range(100)]
    evidence = replace(sound, acknowledged=many, chains=[chain("bank-1")])
    found = judge(evidence)[1]
    assert found.violations == 100
    assert len(found.problems) == PROBLEMS_MAX
